"""Hashes that are remembered: a fresh node hashes everything again, and hashes are pure."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sequencer.starknet import felt_hash

_REMEMBERED = 200_000


class RememberedHashes:
    """In place of the library of hashes; it is asked once for each input."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401
        self.pedersen_hash = lru_cache(_REMEMBERED)(library.pedersen_hash)
        self.poseidon_hash = lru_cache(_REMEMBERED)(library.poseidon_hash)
        self._many = lru_cache(_REMEMBERED)(lambda values: library.poseidon_hash_many([*values]))

    def poseidon_hash_many(self, values: Sequence[int]) -> int:
        """Return the Poseidon sponge over felts."""
        return int(self._many(tuple(values)))


def remember_hashes() -> None:
    """Have the product's hashes remembered, in this process."""
    library = vars(felt_hash)["_hashes"]
    if not isinstance(library, RememberedHashes):
        vars(felt_hash)["_hashes"] = RememberedHashes(library)
