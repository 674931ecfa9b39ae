"""Mutated requests against a real server process, and the judges of its answers."""
