"""Signatures of a run: real ones, or a table of those that were made, which costs nothing.

Laws
- The table says yes to exactly what was signed in this run: to a key, a hash, r and s together.
- Real or not is decided before anything is signed, and holds for the whole process until the next
  decision. Everything of the product that signs or verifies goes the same way.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

from sequencer.starknet import felt_hash
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import public_key

_FELT_BYTES = 31
_REAL = {name: vars(felt_hash)[name] for name in ("sign", "verify", "verify_many")}


class Signatures:
    """Signs and verifies for one run."""

    def __init__(self, *, real: bool) -> None:
        self.is_real = real
        self._made: set[tuple[Felt, Felt, Felt, Felt]] = set()
        self._keys: dict[int, Felt] = {}

    def key_of(self, private: int) -> Felt:
        """Return the public key of a private one."""
        if private not in self._keys:
            self._keys[private] = public_key(private)
        return self._keys[private]

    def sign(self, private: int, hash_: Felt) -> tuple[Felt, Felt]:
        """Sign a hash."""
        if self.is_real:
            return felt_hash.sign(private, hash_)
        digest = hashlib.sha512(f"{private} {hash_}".encode()).digest()
        r, s = (int.from_bytes(digest[at : at + _FELT_BYTES], "big") for at in (0, 32))
        self._made.add((self.key_of(private), hash_, r, s))
        return r, s

    def verify(self, key: Felt, hash_: Felt, r: Felt, s: Felt) -> bool:
        """Say whether something is a signature."""
        if self.is_real:
            return felt_hash.verify(key, hash_, r, s)
        return (key, hash_, r, s) in self._made

    def verify_many(self, signed: Sequence[tuple[Felt, Felt, Felt, Felt]]) -> list[bool]:
        """Say of each whether it is a signature."""
        if self.is_real:
            return felt_hash.verify_many(signed)
        return [each in self._made for each in signed]

    def install(self) -> None:
        """Have the product sign and verify like this, in this process."""
        for name, real in _REAL.items():
            for module in _users(name):
                vars(module)[name] = real if self.is_real else getattr(self, name)


_replaced: dict[str, list[ModuleType]] = {}


def _users(name: str) -> Iterator[ModuleType]:
    """Yield the modules of the product that have a function by its own name, but for its home."""
    known = _replaced.setdefault(name, [])
    known += [
        module
        for path, module in [*sys.modules.items()]
        if path.startswith("sequencer.") and module is not felt_hash
        if vars(module).get(name) is _REAL[name] and module not in known
    ]
    yield from known
