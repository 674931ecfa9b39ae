"""One number for all live rows: the sum of their hashes, so that a change costs its own rows only.

Laws
- The digest does not depend on the order of changes; taking a row out undoes putting it in.
- It finds damage, not malice: whoever can choose rows could make two sets with one sum. The state
  root is what proves.
"""

import hashlib

from sequencer.model.records import NO_HASH

_TAG = b"row"
_MODULUS_MASK = 2**256 - 1


def row_hash(table: int, key: bytes, value: bytes) -> int:
    """Hash one row."""
    data = bytes((table, len(key))) + key + value
    return int.from_bytes(hashlib.blake2s(data, person=_TAG).digest(), "big")


class Digest:
    """A running sum of row hashes modulo 2^256."""

    __slots__ = ("_total",)

    def __init__(self, start: bytes = NO_HASH) -> None:
        self._total = int.from_bytes(start, "big")

    def replace(self, table: int, key: bytes, before: bytes | None, after: bytes | None) -> None:
        """Take a row's old value out and put its new one in; None is no row."""
        if before is not None:
            self._total -= row_hash(table, key, before)
        if after is not None:
            self._total += row_hash(table, key, after)

    def value(self) -> bytes:
        """Return the sum as 32 bytes."""
        return (self._total & _MODULUS_MASK).to_bytes(32, "big")
