"""Functions of a twin as entry points: calldata in, result out, as Cairo's wrappers do it.

Promises
- A function's annotations say what calldata it takes and what it gives: nothing else is told.
- Calldata that does not fit is refused before the function sees it, with Cairo's own words.

Laws
- A function takes a `Frame` first, and then its own arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias, get_type_hints

import msgspec

from contracts.cairo_types import Key, Kind, Malformed, Reader, kind_of
from contracts.twin import Frame, Reverted, Run, by_selector
from sequencer.starknet.felt import Felt

Function: TypeAlias = Callable[..., Any]
"""A function of a contract: a frame and typed arguments in, a value out."""


class Signature(NamedTuple):
    """What a function takes after its frame, by name, and what it gives."""

    parameters: Sequence[tuple[str, Kind]]
    result: Kind


def signature_of(function: Function) -> Signature:
    """Read a function's annotations."""
    hints = get_type_hints(function, include_extras=True)
    result = kind_of(hints.pop("return"))
    _, *parameters = hints.items()
    return Signature([(name, kind_of(form)) for name, form in parameters], result)


def entry_points(functions: Mapping[str, Function]) -> dict[Felt, Run]:
    """Return entry points by selector, for functions by name."""
    return by_selector({name: entry_point(function) for name, function in functions.items()})


def named(*functions: Function) -> dict[str, Function]:
    """Return functions by their own names."""
    return {function.__name__: function for function in functions}


def entry_point(function: Function) -> Run:
    """Wrap a function: what it is called with is read, what it returns is written."""
    parameters, result = signature_of(function)
    kinds = [kind for _, kind in parameters]

    def run(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
        felts: list[Felt] = []
        result.write(function(frame, *_arguments(kinds, calldata)), felts)
        return felts

    return run


def _arguments(kinds: Sequence[Kind], calldata: Sequence[Felt]) -> list[object]:
    reader = Reader(calldata)
    values: list[object] = []
    for kind in kinds:
        try:
            values.append(kind.read(reader))
        except Malformed:
            raise Reverted(f"Failed to deserialize param #{len(values) + 1}") from None
    if reader.left:
        raise Reverted("Input too long for arguments")
    return values


def emit(frame: Frame, event: msgspec.Struct) -> None:
    """Emit an event: a struct whose class has its name, its keys being those marked so."""
    keys: list[Felt] = []
    data: list[Felt] = []
    for name, kind, is_key in event_members(type(event)):
        kind.write(getattr(event, name), keys if is_key else data)
    frame.emit(type(event).__name__, keys, data)


@cache
def event_members(event: type[msgspec.Struct]) -> Sequence[tuple[str, Kind, bool]]:
    """Return an event's fields: the name, the type, and whether it is a key."""
    hints = get_type_hints(event, include_extras=True)
    return [(name, kind_of(form), _is_key(form)) for name, form in hints.items()]


def _is_key(form: object) -> bool:
    return any(isinstance(mark, Key) for mark in getattr(form, "__metadata__", ()))
