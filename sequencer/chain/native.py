"""Native contracts: Python behind a Starknet address, with a class, an ABI and entry points.

Promises
- The executor and the RPC know contracts by this shape alone; what they do is theirs.
- An entry point gets felts and gives felts. It refuses with `Refused`, and then nothing that it did
  stays.
- A class hash is that of the Sierra class which a client gets: whoever has the class can check it.

Laws
- What a class offers is in its hash. Another view or event is another class, and another block 0.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from sequencer.chain.calldata import CairoType
from sequencer.exchange.state import Journal, State
from sequencer.starknet.block import Event
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.names import EntryPoint as SierraEntryPoint
from sequencer.starknet.names import SierraClass, selector, sierra_class_hash

_CLASS_VERSION = "0.1.0"
_CONSTRUCTOR = "constructor"
# The second felt of a class's program, in place of Sierra code: raised where the same entry points
# come to do something else.
_BEHAVIOUR = 1

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


class Interface(msgspec.Struct, frozen=True):
    """What a contract offers: the part of it that its class describes.

    `events` are the structs of what it emits; `constructor` holds the constructor's inputs, and is
    None for a class that only block 0 puts in place.
    """

    name: str
    entry_points: Sequence[EntryPoint]
    l1_handlers: Sequence[EntryPoint] = ()
    constructor: Sequence[tuple[str, CairoType]] | None = None
    events: Sequence[CairoType] = ()


class NativeContract(msgspec.Struct, frozen=True):
    """A contract class bound to Python.

    `entry_points` and `l1_handlers` are by selector. `address` is 0 for a class with many contracts
    (accounts).
    """

    name: str
    class_hash: Felt
    sierra: SierraClass
    address: Felt
    entry_points: Mapping[Felt, EntryPoint]
    l1_handlers: Mapping[Felt, EntryPoint]


def native_contract(interface: Interface, address: Felt = 0) -> NativeContract:
    """Bind what an interface offers to a class, whose hash follows from all that it offers."""
    sierra = _sierra_class(interface)
    return NativeContract(
        name=interface.name,
        class_hash=sierra_class_hash(sierra),
        sierra=sierra,
        address=address,
        entry_points=_by_selector(interface.entry_points),
        l1_handlers=_by_selector(interface.l1_handlers),
    )


def _by_selector(entry_points: Sequence[EntryPoint]) -> dict[Felt, EntryPoint]:
    return {selector(entry_point.name): entry_point for entry_point in entry_points}


def _make_abi(interface: Interface) -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    functions = [_function(entry, entries) for entry in interface.entry_points]
    handlers = [
        {**_function(entry, entries), "type": "l1_handler"} for entry in interface.l1_handlers
    ]
    events = [_event(kind, entries) for kind in interface.events]
    constructor = _constructor(interface, entries)
    name, trait = interface.name, f"perpchain::I{interface.name}"
    return [
        {"type": "impl", "name": f"{name}Impl", "interface_name": trait},
        {"type": "interface", "name": trait, "items": functions},
        *entries.values(),
        *constructor,
        *handlers,
        *events,
        _event_enum(interface),
    ]


def _sierra_class(interface: Interface) -> SierraClass:
    constructors = () if interface.constructor is None else (_CONSTRUCTOR,)
    kinds = (
        [entry.name for entry in interface.entry_points],
        [entry.name for entry in interface.l1_handlers],
        constructors,
    )
    names = [name for kind in kinds for name in kind]
    external, l1_handler, constructor = (_numbered(kind, names) for kind in kinds)
    # Spaced as Python's own json writes a list: both client libraries hash an ABI in that form.
    abi = msgspec.json.format(msgspec.json.encode(_make_abi(interface)), indent=0).decode()
    return SierraClass(
        version=_CLASS_VERSION,
        program=(encode_short_string(f"perpchain.{interface.name}"), _BEHAVIOUR),
        external=external,
        l1_handler=l1_handler,
        constructor=constructor,
        abi=abi,
    )


def _numbered(kind: Sequence[str], names: Sequence[str]) -> list[SierraEntryPoint]:
    return sorted((selector(name), names.index(name)) for name in kind)


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


def _constructor(interface: Interface, entries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    if interface.constructor is None:
        return []
    inputs = [{"name": name, "type": _named(kind, entries)} for name, kind in interface.constructor]
    return [{"type": "constructor", "name": _CONSTRUCTOR, "inputs": inputs}]


def _event(kind: CairoType, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe an event whose one key is the selector of its name, all fields being data."""
    members = [
        {"name": name, "type": _named(part, entries), "kind": "data"} for name, part in kind.parts
    ]
    return {"type": "event", "name": kind.name, "kind": "struct", "members": members}


def _event_enum(interface: Interface) -> dict[str, Any]:
    variants = [
        {"name": kind.name.rpartition("::")[2], "type": kind.name, "kind": "nested"}
        for kind in interface.events
    ]
    name = f"perpchain::{interface.name}::Event"
    return {"type": "event", "name": name, "kind": "enum", "variants": variants}


def _named(kind: CairoType, entries: dict[str, dict[str, Any]]) -> str:
    """Return a type's name, and put the structs and enums under it into the ABI."""
    parts = [{"name": name, "type": _named(part, entries)} for name, part in kind.parts]
    if kind.kind == "struct":
        entries[kind.name] = {"type": "struct", "name": kind.name, "members": parts}
    if kind.kind == "enum":
        entries[kind.name] = {"type": "enum", "name": kind.name, "variants": parts}
    return kind.name
