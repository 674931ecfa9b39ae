"""SHIPPED: the plugins that come along."""
