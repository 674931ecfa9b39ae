"""Limits of what clients send to be executed: transactions, and classes that are declared."""

CLASS_PROGRAM_FELTS_MAX = 81_920
"""Felts of the program of a declared class."""

CLASS_ENTRY_POINTS_MAX = 1_024
"""Entry points of one kind of a declared class."""

QUEUED_WAIT_MS_MAX = 1_000
"""Milliseconds that an estimate waits for what its account sent before to be executed."""
