"""Every limit of the local devnet: a name, a number, a unit."""

DEVNET_SEED_MAX = 2**32 - 1
"""The largest seed: its decimal fits in a key's name, so no two seeds have the same keys."""

DEVNET_ACCOUNTS_MAX = 1_000
"""Accounts with money that a devnet begins with."""

DEVNET_BALANCE_MAX = 10**12
"""Whole tokens that each of them begins with."""

DEVNET_BLOCK_MS_MIN = 5
"""Shortest milliseconds that a devnet's block stays open."""

DEVNET_BLOCK_MS_MAX = 10_000
"""Longest: prices stay fresh, and far below what counts as a gap."""

DEVNET_FILE_BYTES_MAX = 4_096
"""Bytes of the file in which a devnet keeps its options."""

FAUCET_TOKENS_MAX = 10**9
"""Whole tokens that one call of the faucet pays."""

FAUCET_TOKENS = 10_000
"""Whole tokens that it pays where nobody says how many."""

FAUCET_WAITING_MAX = 64
"""Calls of the faucet that may wait for their blocks at a time."""
