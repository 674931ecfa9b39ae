"""Subscriptions over a WebSocket: what happens on the chain, told to whoever asked."""
