"""Bugs that are planted on purpose, and the campaigns that have to find them."""
