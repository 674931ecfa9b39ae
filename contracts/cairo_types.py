"""Cairo's types over Python's: how values become felts, in calldata, events and storage.

Promises
- A type is written as an annotation (`U64`, `Address`, a frozen struct of such fields); `kind_of`
  makes its reader and its writer out of it.
- Reading is as strict as Cairo's Serde, and no stricter: a boolean is anything, a number is in its
  range, an address below 2^251.

Laws
- A list is its length and its items; an option is 0 and the value, or 1; an enum is the number of
  its variant and what that holds; a 256-bit number is its low and its high half.
- What is stored fills consecutive slots with the same felts; lists, options and enums never are.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from contracts.twin import Reverted
from sequencer.starknet.felt import Felt

_ADDRESS_BOUND = 2**251
_HALF = 2**128
_LENGTH_BOUND = 2**32
_WORD_BYTES = 31


class Malformed(Exception):
    """These felts are not such a value."""


class Reader:
    """Felts that are read from front to back."""

    __slots__ = ("_felts", "_place")

    def __init__(self, felts: Sequence[Felt]) -> None:
        self._felts = felts
        self._place = 0

    @property
    def left(self) -> int:
        """How many felts have not been read."""
        return len(self._felts) - self._place

    def take(self) -> Felt:
        """Return the next felt. Raises Malformed at the end."""
        if self._place >= len(self._felts):
            raise Malformed
        self._place += 1
        return self._felts[self._place - 1]

    def take_below(self, bound: int) -> int:
        """Return the next felt, which is below a bound, or raise Malformed."""
        value = self.take()
        if value >= bound:
            raise Malformed
        return value

    def take_slice(self, count: int) -> tuple[Felt, ...]:
        """Return the next felts; past the end it panics, as a slice of Cairo's does."""
        if count > self.left:
            raise Reverted("Index out of bounds")
        self._place += count
        return tuple(self._felts[self._place - count : self._place])


class Kind(NamedTuple):
    """A Cairo type: its name, its writer, its reader, and how many slots a value of it fills.

    `slots` is 0 for what is never stored; `members` are those of a struct, `inner` the types that
    a list, an option or a tuple is made of.
    """

    name: str
    write: Callable[[Any, list[Felt]], None]
    read: Callable[[Reader], Any]
    slots: int = 0
    members: Sequence[tuple[str, "Kind"]] = ()
    inner: Sequence["Kind"] = ()


class Key(NamedTuple):
    """Marks a field of an event that is a key of it."""


def _write_felt(value: Felt, out: list[Felt]) -> None:
    out.append(value)


def _bounded(name: str, bound: int) -> Kind:
    return Kind(f"core::{name}", _write_felt, lambda reader: reader.take_below(bound), 1)


def _write_wide(value: int, out: list[Felt]) -> None:
    out.extend((value % _HALF, value // _HALF))


def _read_wide(reader: Reader) -> int:
    low, high = reader.take_below(_HALF), reader.take_below(_HALF)
    return high * _HALF + low


def _write_text(text: str, out: list[Felt]) -> None:
    data = text.encode("ascii")
    words = [data[start : start + _WORD_BYTES] for start in range(0, len(data), _WORD_BYTES)]
    pending = b"" if len(data) % _WORD_BYTES == 0 else words.pop()
    felts = [int.from_bytes(word, "big") for word in (*words, pending)]
    out.extend((len(words), *felts, len(pending)))


def _read_none(reader: Reader) -> None:
    raise Malformed


def _write_span(felts: Sequence[Felt], out: list[Felt]) -> None:
    out.append(len(felts))
    out.extend(felts)


def _read_span(reader: Reader) -> tuple[Felt, ...]:
    return reader.take_slice(reader.take_below(_LENGTH_BOUND))


_FELT = Kind("core::felt252", _write_felt, Reader.take, 1)
_BOOL = Kind(
    "core::bool", lambda value, out: out.append(int(value)), lambda felts: felts.take() != 0, 1
)
_NOTHING = Kind("()", lambda _, out: None, _read_none)
_HALF_KIND = _bounded("integer::u128", _HALF)
_HALVES = (("low", _HALF_KIND), ("high", _HALF_KIND))
_WORD_LIST = "core::array::Array::<core::bytes_31::bytes31>"
_WORDS = (
    ("data", Kind(_WORD_LIST, _write_span, _read_span)),
    ("pending_word", _FELT),
    ("pending_word_len", _bounded("integer::u32", _LENGTH_BOUND)),
)

U8 = Annotated[int, _bounded("integer::u8", 2**8)]
U64 = Annotated[int, _bounded("integer::u64", 2**64)]
U128 = Annotated[int, _HALF_KIND]
U256 = Annotated[int, Kind("core::integer::u256", _write_wide, _read_wide, 2, _HALVES)]
Address = Annotated[int, _bounded("starknet::contract_address::ContractAddress", _ADDRESS_BOUND)]
ClassHash = Annotated[int, _bounded("starknet::class_hash::ClassHash", _ADDRESS_BOUND)]
Text = Annotated[str, Kind("core::byte_array::ByteArray", _write_text, _read_none, members=_WORDS)]
FeltSpan = Annotated[
    tuple[Felt, ...], Kind("core::array::Span::<core::felt252>", _write_span, _read_span)
]
"""A span of felts is cut out in one piece, where other lists are read item by item."""


def kind_of(form: object) -> Kind:
    """Return the Cairo type that an annotation stands for; TypeError where there is none."""
    simple = _SIMPLE.get(form) if isinstance(form, type | None) else None
    if simple is not None:
        return simple
    for mark in getattr(form, "__metadata__", ()):
        if isinstance(mark, Kind):
            return mark
    origin, inner = get_origin(form), get_args(form)
    if origin is Annotated:
        return kind_of(inner[0])
    if origin is tuple:
        return _list_kind(kind_of(inner[0])) if inner[-1] is ... else _tuple_kind(inner)
    if origin is UnionType:
        return _option_kind(kind_of(inner[0])) if inner[-1] is NoneType else _union_kind(inner)
    if isinstance(form, type) and issubclass(form, IntEnum):
        return _enum_kind(form)
    if isinstance(form, type) and issubclass(form, msgspec.Struct):
        return struct_kind(form)
    raise TypeError(f"no Cairo type: {form}")


_SIMPLE: dict[object, Kind] = {int: _FELT, bool: _BOOL, NoneType: _NOTHING, None: _NOTHING}


@cache
def struct_kind(struct: type[msgspec.Struct]) -> Kind:
    """Return the Cairo struct of a Python one: its fields in the order of their definition."""
    forms = get_type_hints(struct, include_extras=True)
    members = [(name, kind_of(form)) for name, form in forms.items()]

    def write(value: object, out: list[Felt]) -> None:
        for name, kind in members:
            kind.write(getattr(value, name), out)

    def read(reader: Reader) -> msgspec.Struct:
        return struct(*[kind.read(reader) for _, kind in members])

    sizes = [kind.slots for _, kind in members]
    slots = 0 if 0 in sizes else sum(sizes)
    return Kind(f"perpchain::{struct.__name__}", write, read, slots, members)


def _list_kind(item: Kind) -> Kind:
    def write(values: Sequence[object], out: list[Felt]) -> None:
        out.append(len(values))
        for value in values:
            item.write(value, out)

    def read(reader: Reader) -> tuple[object, ...]:
        # Every item takes a felt at least, so a length that is too great ends with the felts.
        return tuple(item.read(reader) for _ in range(reader.take()))

    return Kind(f"core::array::Array::<{item.name}>", write, read, inner=(item,))


def _tuple_kind(forms: Sequence[object]) -> Kind:
    kinds = [kind_of(form) for form in forms]

    def write(values: Sequence[object], out: list[Felt]) -> None:
        for kind, value in zip(kinds, values, strict=True):
            kind.write(value, out)

    def read(reader: Reader) -> tuple[object, ...]:
        return tuple(kind.read(reader) for kind in kinds)

    return Kind(f"({', '.join(kind.name for kind in kinds)})", write, read, inner=kinds)


def _option_kind(inner: Kind) -> Kind:
    def write(value: object, out: list[Felt]) -> None:
        out.append(int(value is None))
        if value is not None:
            inner.write(value, out)

    def read(reader: Reader) -> object:
        return inner.read(reader) if reader.take_below(2) == 0 else None

    return Kind(f"core::option::Option::<{inner.name}>", write, read, inner=(inner,))


def _union_kind(variants: Sequence[type[msgspec.Struct]]) -> Kind:
    kinds = [struct_kind(variant) for variant in variants]

    def write(value: object, out: list[Felt]) -> None:
        number = next(place for place, one in enumerate(variants) if isinstance(value, one))
        out.append(number)
        kinds[number].write(value, out)

    def read(reader: Reader) -> object:
        return kinds[reader.take_below(len(kinds))].read(reader)

    return Kind(" | ".join(kind.name for kind in kinds), write, read)


def _enum_kind(enum: type[IntEnum]) -> Kind:
    def read(reader: Reader) -> IntEnum:
        return enum(reader.take_below(len(enum)))

    return Kind(f"perpchain::{enum.__name__}", lambda value, out: out.append(int(value)), read)
