"""The contracts of the settlement chain: Cairo sources, their artifacts, and the tools for both."""
