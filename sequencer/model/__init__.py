"""The words of the chain: units, limits, refusals. Imports nothing of the project."""
