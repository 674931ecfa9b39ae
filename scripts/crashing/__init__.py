"""Killing the engine at its system calls, and what must be true afterwards."""
