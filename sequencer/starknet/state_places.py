"""A state diff place by place: everything that it sets, with its value, and back again.

Laws
- A place is a slot of a contract by its key, or a contract's nonce or class. Declarations are none:
  whoever turns a diff around lists them as they are.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias

from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff


class PlaceKind(StrEnum):
    """What of a contract is set."""

    SLOT = "SLOT"
    NONCE = "NONCE"
    CLASS = "CLASS"


Place: TypeAlias = tuple[PlaceKind, Felt, Felt]
"""(kind, address, key); the key of what is no slot is 0."""

Values: TypeAlias = dict[Place, Felt]
"""What stands at places; 0 for nothing."""


def places_of(diff: StateDiff) -> Iterator[tuple[Place, Felt]]:
    """Yield everything that a diff sets, with the value."""
    for address, slots in diff.storage.items():
        for key, value in slots.items():
            yield (PlaceKind.SLOT, address, key), value
    for kind, values in ((PlaceKind.NONCE, diff.nonces), (PlaceKind.CLASS, diff.classes)):
        for address, value in values.items():
            yield (kind, address, 0), value


def reversed_diff(diff: StateDiff, before: Mapping[Place, Felt]) -> StateDiff:
    """Return what takes a diff back, from the values before it; what it declared is listed."""
    storage: dict[Felt, dict[Felt, Felt]] = {}
    of_contracts: dict[PlaceKind, dict[Felt, Felt]] = {PlaceKind.NONCE: {}, PlaceKind.CLASS: {}}
    for (kind, address, key), value in before.items():
        if kind is PlaceKind.SLOT:
            storage.setdefault(address, {})[key] = value
        else:
            of_contracts[kind][address] = value
    return StateDiff(
        storage=storage,
        nonces=of_contracts[PlaceKind.NONCE],
        classes=of_contracts[PlaceKind.CLASS],
        declared=diff.declared,
        deprecated=diff.deprecated,
    )
