"""What the chain knows: one map from places to felts, as it is, as it was, and as it may become.

Promises
- `State.apply` returns what takes the changes back; `Past` reads through such undos.
- An overlay changes nothing below it, and can go back to any mark of its own.

Laws
- A place that nothing was written to holds 0, and a 0 is kept nowhere.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff

STORAGE, NONCE, CLASS, DECLARED = range(4)
"""The kinds of places: a slot, a contract's nonce and class, a declared class."""

Place: TypeAlias = tuple[int, Felt, Felt]
"""A kind, then contract and slot, or contract and 0, or class hash and 0."""

Changes: TypeAlias = Mapping[Place, Felt]
"""New values by place."""


class View(Protocol):
    """Something to be read as the chain's state."""

    def get(self, place: Place) -> Felt:
        """Return what a place holds."""


class State:
    """The newest state."""

    def __init__(self) -> None:
        self._values: dict[Place, Felt] = {}

    def get(self, place: Place) -> Felt:
        """Return what a place holds."""
        return self._values.get(place, 0)

    def apply(self, changes: Changes) -> Changes:
        """Make changes, and return those that take them back."""
        undo = {place: self.get(place) for place in changes}
        for place, value in changes.items():
            if value:
                self._values[place] = value
            else:
                self._values.pop(place, None)
        return undo


class Past:
    """The state before some changes, given what takes each of them back, oldest first."""

    def __init__(self, newest: View, undos: Sequence[Changes]) -> None:
        self._newest = newest
        self._undos = undos

    def get(self, place: Place) -> Felt:
        """Return what a place held."""
        for undo in self._undos:
            if place in undo:
                return undo[place]
        return self._newest.get(place)


class Overlay:
    """Changes that may still be dropped, over a state."""

    def __init__(self, below: View) -> None:
        self._below = below
        self._values: dict[Place, Felt] = {}
        self._journal: list[tuple[Place, Felt | None]] = []

    def get(self, place: Place) -> Felt:
        """Return what a place holds."""
        value = self._values.get(place)
        return self._below.get(place) if value is None else value

    def put(self, place: Place, value: Felt) -> None:
        """Write a place."""
        self._journal.append((place, self._values.get(place)))
        self._values[place] = value

    def mark(self) -> int:
        """Return a point to go back to."""
        return len(self._journal)

    def back_to(self, mark: int) -> None:
        """Drop what was written since a mark."""
        while len(self._journal) > mark:
            place, value = self._journal.pop()
            if value is None:
                del self._values[place]
            else:
                self._values[place] = value

    def changes(self) -> Changes:
        """Return what is different from the state below."""
        return {
            place: value for place, value in self._values.items() if value != self._below.get(place)
        }


def diff_of(changes: Changes) -> StateDiff:
    """Write changes as a block's state diff."""
    storage: dict[Felt, dict[Felt, Felt]] = {}
    named: dict[int, dict[Felt, Felt]] = {NONCE: {}, CLASS: {}, DECLARED: {}}
    for (kind, name, slot), value in changes.items():
        if kind == STORAGE:
            storage.setdefault(name, {})[slot] = value
        else:
            named[kind][name] = value
    return StateDiff(
        storage=storage, nonces=named[NONCE], classes=named[CLASS], declared=named[DECLARED]
    )


def changes_of(diff: StateDiff) -> Changes:
    """Read changes from a block's state diff."""
    changes: dict[Place, Felt] = {
        (STORAGE, contract, slot): value
        for contract, slots in diff.storage.items()
        for slot, value in slots.items()
    }
    for kind, entries in ((NONCE, diff.nonces), (CLASS, diff.classes), (DECLARED, diff.declared)):
        changes |= {(kind, name, 0): value for name, value in entries.items()}
    return changes
