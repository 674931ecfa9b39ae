"""The native core, where it is installed: the only importer of its module.

Promises
- With the core and without it, every answer is the same; only the time differs.
- `PERPCHAIN_HASHES=wheels` in the environment leaves the core out, for the whole process; `native`
  demands it. Anything else ends the process with one line.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol

try:
    import perpchain_native as _installed
except ImportError:
    _installed = None

_VARIABLE = "PERPCHAIN_HASHES"
_WHEELS, _NATIVE = "wheels", "native"


class Core(Protocol):
    """Functions over bytes: felts are 32 bytes, big-endian, and follow each other.

    They let the interpreter's lock go while they work. What is malformed raises ValueError.
    """

    def pedersen_many(self, pairs: bytes, /) -> bytes:
        """Hash each pair."""

    def pedersen_fold(self, felts: bytes, /) -> bytes:
        """Fold Pedersen from the first felt over the others."""

    def poseidon_many(self, pairs: bytes, /) -> bytes:
        """Hash each pair."""

    def poseidon_arrays(self, lengths: Sequence[int], felts: bytes, /) -> bytes:
        """Return the Poseidon sponge of each array."""

    def list_root(self, leaves: bytes, /) -> bytes:
        """Return the root of a Poseidon trie of height 64 with the keys 0 .. n - 1."""

    def verify_many(self, signatures: bytes, /) -> bytes:
        """Return 1 or 0 for each key, message hash, r and s."""

    def sign(self, private_key: bytes, message_hash: bytes, /) -> bytes:
        """Return r and s."""

    def public_key(self, private_key: bytes, /) -> bytes:
        """Return the x coordinate of the key's point."""

    def trie_update(
        self,
        read: Callable[[tuple[int, int]], bytes | None],
        leaves: bytes,
        height: int,
        hash_: str,
        tag: bytes,
        /,
    ) -> tuple[bytes, dict[tuple[int, int], bytes | None]]:
        """Set leaves, pairs of key and value: the new root, and every node that changed."""


def _choose(wanted: str) -> Core | None:
    core: Core | None = _installed
    if wanted == _WHEELS:
        return None
    if wanted not in ("", _NATIVE) or (wanted and core is None):
        # Nobody should believe to have one and have the other.
        words = f"{_VARIABLE} is {_WHEELS}, or {_NATIVE} where the core is installed"
        raise SystemExit(f"{words}: {wanted!r:.40}")
    return core


NATIVE: Final = _choose(os.environ.get(_VARIABLE, ""))
"""The native core; None where the wheels do its work."""

HASHES: Final = _WHEELS if NATIVE is None else _NATIVE
"""Which of the two hashes and checks signatures here, in one word."""
