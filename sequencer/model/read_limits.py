"""Limits of what is kept for clients' reads, and of what they may try out."""

BLOCKS_CACHED = 512
"""Whole blocks that are kept for whoever asks for them again."""

STATES_CACHED = 4
"""States of older blocks that are kept for whoever asks for them again."""

PAST_WAITING_MAX = 8
"""Blocks of the past that may wait to be loaded or executed again."""

TRACES_CACHED = 64
"""Blocks whose traces are kept for whoever asks for them again."""

SIMULATION_TRANSACTIONS_MAX = 16
"""Transactions that one estimate or simulation tries out."""

SIMULATION_MS_MAX = 100
"""Milliseconds that one estimate or simulation may take: nothing else runs meanwhile."""
