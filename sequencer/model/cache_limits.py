"""How much is remembered so that it need not be worked out again: a name, a number, a unit."""

MESSAGE_DOMAINS_CACHED = 64
"""Domains, type names and words of off-chain messages whose hash or felt is remembered."""

ORDER_HASHES_CACHED = 16_384
"""Orders and cancellations whose hash is remembered: admission and execution hash the same one."""

SLOT_ADDRESSES_CACHED = 262_144
"""Storage addresses of rows that are remembered: each costs a Pedersen hash per key part."""

WORDS_CACHED = 4_096
"""Short strings of calldata whose felt or text is remembered, and names whose Keccak hash is."""

INTEGERS_CACHED = 65_536
"""Integers whose bytes in rows and bodies are remembered."""

SIGNER_CURVE_CHECKS_CACHED = 65_536
"""Public keys whose membership of the curve is remembered."""

TRIE_NODES_CACHED = 2_000_000
"""Trie nodes in memory, all tries together; a node that is not there is read from the store."""
