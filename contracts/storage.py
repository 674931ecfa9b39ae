"""Storage variables of a contract, at the addresses that Cairo gives them.

Promises
- A variable is at starknet_keccak(its name), an entry of a map at that folded by Pedersen with each
  key; a struct goes on in the slots after it.
- What was never written reads as zeros, whatever its type.
"""

from functools import lru_cache
from typing import Generic, TypeVar

from contracts.cairo_types import Kind, Reader, kind_of
from contracts.twin import Frame
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import storage_address

SLOTS_CACHED = 4_096
"""Addresses of map entries that are remembered: each costs a Pedersen hash per key."""

T = TypeVar("T")

_entry_slot = lru_cache(maxsize=SLOTS_CACHED)(storage_address)


class Variable(Generic[T]):
    """One variable. `form` is the annotation of its type."""

    __slots__ = ("_kind", "slot")

    def __init__(self, name: str, form: object) -> None:
        self._kind = _stored_kind(form)
        self.slot = storage_address(name)

    def read(self, frame: Frame) -> T:
        value: T = self._kind.read(_stored(frame, self._kind, self.slot))
        return value

    def write(self, frame: Frame, value: T) -> None:
        _write(frame, self._kind, self.slot, value)


class Map(Generic[T]):
    """A map, or a map of maps: as many keys as there are maps."""

    __slots__ = ("_kind", "name")

    def __init__(self, name: str, form: object) -> None:
        self._kind = _stored_kind(form)
        self.name = name

    def slot(self, *keys: Felt) -> Felt:
        """Return the first slot of an entry."""
        return _entry_slot(self.name, *keys)

    def read(self, frame: Frame, *keys: Felt) -> T:
        value: T = self._kind.read(_stored(frame, self._kind, self.slot(*keys)))
        return value

    def write(self, frame: Frame, keys: tuple[Felt, ...], value: T) -> None:
        _write(frame, self._kind, self.slot(*keys), value)


def _stored_kind(form: object) -> Kind:
    kind = kind_of(form)
    if kind.slots == 0:
        raise TypeError(f"never stored: {kind.name}")
    return kind


def _stored(frame: Frame, kind: Kind, slot: Felt) -> Reader:
    return Reader([frame.read(slot + offset) for offset in range(kind.slots)])


def _write(frame: Frame, kind: Kind, slot: Felt, value: object) -> None:
    felts: list[Felt] = []
    kind.write(value, felts)
    for offset, felt in enumerate(felts):
        frame.write(slot + offset, felt)
