"""Private keys of a devnet that follow from names.

Promises
- The same name has the same key on every machine. Anybody can derive it: it guards nothing.
"""

from sequencer.starknet.felt_hash import grind_key

_SEED_BYTES = 32


def devnet_key(name: str) -> int:
    """Derive a private key from a name; of a long one the end counts."""
    words = f"perpchain devnet {name}"[-_SEED_BYTES:]
    return grind_key(int.from_bytes(words.encode(), "big"))
