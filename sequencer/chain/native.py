"""Native contracts: Python behind a Starknet address, with a class, an ABI and entry points.

Promises
- The executor and the RPC know contracts by this shape alone; what they do is theirs.
- An entry point gets felts and gives felts. It refuses with `Refused`, and then nothing that it did
  stays.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from sequencer.chain.calldata import CairoType
from sequencer.exchange.state import Journal, State
from sequencer.starknet.block import Event
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector

SignatureCheck: TypeAlias = Callable[[Felt, Felt, Felt, Felt], bool]
"""Says whether (public key, message hash, r, s) is a valid signature."""


class Call(msgspec.Struct, frozen=True):
    """One call of a contract: which one, who calls, with what, inside which transaction.

    `caller` is 0 for a message from the settlement chain and for a view. `number` counts the calls
    of a transaction.
    """

    state: State
    journal: Journal
    contract: Felt
    caller: Felt
    calldata: Sequence[Felt]
    transaction_hash: Felt
    number: int
    chain_id: Felt
    signature_ok: SignatureCheck


class Answer(msgspec.Struct, frozen=True):
    """What a call gives: result felts and events."""

    result: Sequence[Felt] = ()
    events: Sequence[Event] = ()


class EntryPoint(msgspec.Struct, frozen=True):
    """A function of a contract: its name, typed inputs and outputs, and what it runs."""

    name: str
    inputs: Sequence[tuple[str, CairoType]]
    run: Callable[[Call], Answer]
    outputs: Sequence[CairoType] = ()
    is_view: bool = False


class NativeContract(msgspec.Struct, frozen=True):
    """A contract class bound to Python.

    `entry_points` and `l1_handlers` are by selector, `events` are the structs of what it emits.
    `address` is 0 for a class with many contracts (accounts).
    """

    name: str
    class_hash: Felt
    address: Felt
    entry_points: Mapping[Felt, EntryPoint]
    l1_handlers: Mapping[Felt, EntryPoint] = {}
    events: Sequence[CairoType] = ()


def by_selector(entry_points: Sequence[EntryPoint]) -> dict[Felt, EntryPoint]:
    """Index entry points by the selector of their name."""
    return {selector(entry_point.name): entry_point for entry_point in entry_points}


def make_abi(interface: str, contract: NativeContract) -> list[dict[str, Any]]:
    """Return a contract's ABI as a list of entries in the shape of Cairo 1."""
    entries: dict[str, dict[str, Any]] = {}
    functions = [_function(entry, entries) for entry in contract.entry_points.values()]
    handlers = [
        {**_function(entry, entries), "type": "l1_handler"}
        for entry in contract.l1_handlers.values()
    ]
    events = [_event(kind, entries) for kind in contract.events]
    impl = {"type": "impl", "name": f"{contract.name}Impl", "interface_name": interface}
    return [
        impl,
        {"type": "interface", "name": interface, "items": functions},
        *entries.values(),
        *handlers,
        *events,
        _event_enum(contract),
    ]


def _function(entry: EntryPoint, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    inputs = [{"name": name, "type": _named(kind, entries)} for name, kind in entry.inputs]
    outputs = [{"type": _named(kind, entries)} for kind in entry.outputs]
    mutability = "view" if entry.is_view else "external"
    return {
        "type": "function",
        "name": entry.name,
        "inputs": inputs,
        "outputs": outputs,
        "state_mutability": mutability,
    }


def _event(kind: CairoType, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe an event whose one key is the selector of its name, all fields being data."""
    members = [
        {"name": name, "type": _named(part, entries), "kind": "data"} for name, part in kind.parts
    ]
    return {"type": "event", "name": kind.name, "kind": "struct", "members": members}


def _event_enum(contract: NativeContract) -> dict[str, Any]:
    variants = [
        {"name": kind.name.rpartition("::")[2], "type": kind.name, "kind": "nested"}
        for kind in contract.events
    ]
    name = f"perpchain::{contract.name}::Event"
    return {"type": "event", "name": name, "kind": "enum", "variants": variants}


def _named(kind: CairoType, entries: dict[str, dict[str, Any]]) -> str:
    """Return a type's name, and put the structs and enums under it into the ABI."""
    parts = [{"name": name, "type": _named(part, entries)} for name, part in kind.parts]
    if kind.kind == "struct":
        entries[kind.name] = {"type": "struct", "name": kind.name, "members": parts}
    if kind.kind == "enum":
        entries[kind.name] = {"type": "enum", "name": kind.name, "variants": parts}
    return kind.name
