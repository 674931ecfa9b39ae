"""Stores of small chains, and all the harm that can be done to them."""
