"""Classes of other authors that a twin stands for: an ABI of ours under a published hash.

Promises
- A client finds the functions, events and types that the twin has, in the shape of Cairo 1.

Laws
- The class hash is the published one, so that contracts get the addresses that they have elsewhere.
  The class that is served here is not the one that hashes to it: its program is a name.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from contracts.cairo_types import Kind
from contracts.entry_points import (
    Function,
    entry_point,
    entry_points,
    event_members,
    signature_of,
)
from contracts.twin import Twin
from sequencer.starknet.compiled_class import CasmClass, compiled_class_hash
from sequencer.starknet.felt import Felt, encode_short_string, format_felt
from sequencer.starknet.names import selector

_CLASS_VERSION = "0.1.0"
_COMPILER_VERSION = "1.0.0"
_CONSTRUCTOR = "constructor"


class Served(msgspec.Struct, frozen=True):
    """What a class offers: functions by name, those that only read apart, and its events."""

    name: str
    class_hash: Felt
    functions: Mapping[str, Function] = {}
    views: Mapping[str, Function] = {}
    events: Sequence[type[msgspec.Struct]] = ()
    constructor: Function | None = None


def served_twin(served: Served) -> Twin:
    """Make the twin, and the class that stands for it."""
    program = (encode_short_string(f"perpchain.{served.name}"),)
    compiled = CasmClass(_COMPILER_VERSION, program, (), (), ())
    return Twin(
        name=served.name,
        class_hash=served.class_hash,
        compiled_class_hash=compiled_class_hash(compiled),
        sierra=_sierra(served, program),
        external=entry_points(_external(served)),
        constructor=None if served.constructor is None else entry_point(served.constructor),
    )


def _external(served: Served) -> dict[str, Function]:
    return {**served.functions, **served.views}


def _sierra(served: Served, program: Sequence[Felt]) -> str:
    names = sorted(_external(served), key=selector)
    constructors = [] if served.constructor is None else [_CONSTRUCTOR]
    points = {
        kind: [
            {"selector": format_felt(selector(name)), "function_idx": place}
            for place, name in enumerate(chosen, start)
        ]
        for kind, chosen, start in (
            ("EXTERNAL", names, 0),
            ("L1_HANDLER", [], 0),
            ("CONSTRUCTOR", constructors, len(names)),
        )
    }
    shown = {
        "sierra_program": [format_felt(felt) for felt in program],
        "contract_class_version": _CLASS_VERSION,
        "entry_points_by_type": points,
        "abi": _abi(served),
    }
    return msgspec.json.encode(shown).decode()


def _abi(served: Served) -> list[dict[str, object]]:
    functions = _external(served)
    trait = f"perpchain::I{served.name}"
    items = [
        _function(name, function, "view" if name in served.views else "external")
        for name, function in functions.items()
    ]
    return [
        {"type": "impl", "name": f"{served.name}Impl", "interface_name": trait},
        *_structs(served),
        {"type": "interface", "name": trait, "items": items},
        *_constructor(served.constructor),
        *(_event(event) for event in served.events),
        _event_enum(served),
    ]


def _function(name: str, function: Function, mutability: str) -> dict[str, object]:
    parameters, result = signature_of(function)
    return {
        "type": "function",
        "name": name,
        "inputs": _members(parameters),
        "outputs": [] if result.name == "()" else [{"type": result.name}],
        "state_mutability": mutability,
    }


def _constructor(function: Function | None) -> list[dict[str, object]]:
    if function is None:
        return []
    inputs = _members(signature_of(function).parameters)
    return [{"type": _CONSTRUCTOR, "name": _CONSTRUCTOR, "inputs": inputs}]


def _members(members: Sequence[tuple[str, Kind]]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind.name} for name, kind in members]


def _event(event: type[msgspec.Struct]) -> dict[str, object]:
    members = [
        {"name": name.rstrip("_"), "type": kind.name, "kind": "key" if is_key else "data"}
        for name, kind, is_key in event_members(event)
    ]
    name = f"perpchain::{event.__name__}"
    return {"type": "event", "name": name, "kind": "struct", "members": members}


def _event_enum(served: Served) -> dict[str, object]:
    variants = [
        {"name": event.__name__, "type": f"perpchain::{event.__name__}", "kind": "nested"}
        for event in served.events
    ]
    name = f"perpchain::{served.name}::Event"
    return {"type": "event", "name": name, "kind": "enum", "variants": variants}


def _structs(served: Served) -> list[dict[str, object]]:
    """Describe each struct that something names, once."""
    signatures = [signature_of(function) for function in _external(served).values()]
    kinds = [kind for parameters, _ in signatures for _, kind in parameters]
    kinds += [result for _, result in signatures]
    kinds += [kind for event in served.events for _, kind, _ in event_members(event)]
    structs = {each.name: each for kind in kinds for each in _structs_in(kind)}
    return [
        {"type": "struct", "name": name, "members": _members(kind.members)}
        for name, kind in structs.items()
    ]


def _structs_in(kind: Kind) -> Iterator[Kind]:
    for part in (*kind.inner, *(member for _, member in kind.members)):
        yield from _structs_in(part)
    if kind.members:
        yield kind
