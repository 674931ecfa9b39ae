"""Canonical bytes of rows and keys: one way to write a value, and one way only.

Promises
- `decode(encode(value)) == value`, and bytes that are not what `encode` would write are refused.
- Every row opens with a version byte; a version that this build does not know is refused by name.

Laws
- Integers are two's complement, big-endian, as short as possible, behind a length byte.
- Text is UTF-8 behind its length; sequences and mappings have their count in front, both as such
  integers. A struct is its fields in the order of its definition. A member of a union has its place
  in the union in front; None is a place of its own.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache, lru_cache
from types import UnionType
from typing import Any, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from sequencer.model.cache_limits import INTEGERS_CACHED
from sequencer.model.refusals import Reason, Refused

ROW_VERSION = 1
"""The version that this build writes, the only one that it reads."""

_INTEGER_PART, _TEXT_PART = 0, 1

Struct = TypeVar("Struct", bound=msgspec.Struct)

Writer: TypeAlias = Callable[[Any, bytearray], None]
Reader: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value at an offset; returns it with the offset behind it."""


def encode_row(row: msgspec.Struct) -> bytes:
    """Write a row with its version."""
    out = bytearray((ROW_VERSION,))
    _struct_codec(type(row))[0](row, out)
    return bytes(out)


def decode_row(data: bytes, row_type: type[msgspec.Struct]) -> Any:
    """Read a row of a known type. Refusals: ROW_VERSION_UNKNOWN, ROW_MALFORMED."""
    if not data:
        raise _malformed("no bytes")
    if data[0] != ROW_VERSION:
        words = f"{row_type.__name__} of version {data[0]}; this build reads {ROW_VERSION}"
        raise Refused(Reason.ROW_VERSION_UNKNOWN, words)
    return _whole(_struct_codec(row_type)[1], data, 1)


def encode_fields(value: msgspec.Struct) -> bytes:
    """Write a struct without a version, for a layout that has one of its own in front."""
    out = bytearray()
    _struct_codec(type(value))[0](value, out)
    return bytes(out)


def decode_fields(data: bytes, at: int, struct: type[Struct]) -> Struct:
    """Read such a struct from an offset to the end; lists are tuples. Refusal: ROW_MALFORMED."""
    value: Struct = _whole(_struct_codec(struct)[1], data, at)
    return value


def encode_key(key: int | str | tuple[int | str, ...]) -> bytes:
    """Write a row's key: an integer, text, or a tuple of them; each part says what it is."""
    out = bytearray()
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, int):
            out.append(_INTEGER_PART)
            _write_integer(part, out)
        else:
            out.append(_TEXT_PART)
            _write_text(part, out)
    return bytes(out)


def decode_key(data: bytes) -> Any:
    """Read a key; a single part comes back bare. Refusal: ROW_MALFORMED."""
    parts = _whole(_read_parts, data, 0)
    return parts[0] if len(parts) == 1 else parts


def _read_parts(data: bytes, at: int) -> tuple[tuple[int | str, ...], int]:
    parts: list[int | str] = []
    while at < len(data):
        kind, at = data[at], at + 1
        if kind not in (_INTEGER_PART, _TEXT_PART):
            raise ValueError(f"a key part of kind {kind}")
        part, at = _read_integer(data, at) if kind == _INTEGER_PART else _read_text(data, at)
        parts.append(part)
    if not parts:
        raise ValueError("an empty key")
    return tuple(parts), at


def _whole(read: Reader, data: bytes, start: int) -> Any:
    try:
        value, end = read(data, start)
    except (IndexError, UnicodeDecodeError, ValueError, msgspec.ValidationError) as error:
        raise _malformed(str(error)) from None
    if end != len(data):
        raise _malformed(f"{len(data) - end} bytes too many")
    return value


def _malformed(detail: str) -> Refused:
    return Refused(Reason.ROW_MALFORMED, detail)


@cache
def _struct_codec(struct: type[msgspec.Struct]) -> tuple[Writer, Reader]:
    fields = [(field.name, *_codec(field.type)) for field in msgspec.structs.fields(struct)]

    def write(value: Any, out: bytearray) -> None:
        for name, write_field, _ in fields:
            write_field(getattr(value, name), out)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        values = []
        for _, _, read_field in fields:
            value, at = read_field(data, at)
            values.append(value)
        return struct(*values), at

    return write, read


def _codec(kind: Any) -> tuple[Writer, Reader]:
    """Choose how a field's type is written and read."""
    if kind is int:
        return _write_integer, _read_integer
    if kind is bool:
        return _write_boolean, _read_boolean
    if kind is str:
        return _write_text, _read_text
    if isinstance(kind, UnionType):
        return _union_codec(get_args(kind))
    if get_origin(kind) is Mapping:
        return _mapping_codec(*get_args(kind))
    if get_args(kind):
        return _sequence_codec(get_args(kind)[0])
    if issubclass(kind, StrEnum):
        return _enum_codec(kind)
    return _struct_codec(kind)


def _sequence_codec(kind: Any) -> tuple[Writer, Reader]:
    write_item, read_item = _codec(kind)

    def write(values: Any, out: bytearray) -> None:
        _write_integer(len(values), out)
        for value in values:
            write_item(value, out)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count, at = _read_integer(data, at)
        values = []
        for _ in range(count):
            value, at = read_item(data, at)
            values.append(value)
        return tuple(values), at

    return write, read


def _mapping_codec(key: Any, item: Any) -> tuple[Writer, Reader]:
    """Write entries in the order of their keys, so that equal mappings are equal bytes."""
    (write_key, read_key), (write_item, read_item) = _codec(key), _codec(item)

    def write(values: Any, out: bytearray) -> None:
        _write_integer(len(values), out)
        for name in sorted(values):
            write_key(name, out)
            write_item(values[name], out)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count, at = _read_integer(data, at)
        values: dict[Any, Any] = {}
        for _ in range(count):
            name, at = read_key(data, at)
            if values and name <= next(reversed(values)):
                raise ValueError("a mapping is out of order")
            values[name], at = read_item(data, at)
        return values, at

    return write, read


def _union_codec(members: tuple[Any, ...]) -> tuple[Writer, Reader]:
    codecs = [_NOTHING if member is type(None) else _codec(member) for member in members]

    def write(value: Any, out: bytearray) -> None:
        place = members.index(type(value))
        out.append(place)
        codecs[place][0](value, out)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        if data[at] >= len(codecs):
            raise ValueError(f"no member {data[at]} of a union")
        return codecs[data[at]][1](data, at + 1)

    return write, read


def _enum_codec(kind: type[StrEnum]) -> tuple[Writer, Reader]:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        text, at = _read_text(data, at)
        return kind(text), at

    return _write_text, read


def _write_integer(value: int, out: bytearray) -> None:
    out += _integer_bytes(value)


# Addresses, ids, prices and hashes come again and again: in a row, its key, a call and its events.
@lru_cache(maxsize=INTEGERS_CACHED)
def _integer_bytes(value: int) -> bytes:
    length = (value.bit_length() + 8) // 8 if value else 0
    return bytes((length,)) + value.to_bytes(length, "big", signed=True)


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    length = data[at]
    raw = _take(data, at + 1, length)
    value = int.from_bytes(raw, "big", signed=True)
    if length != ((value.bit_length() + 8) // 8 if value else 0):
        raise ValueError("an integer is longer than it needs to be")
    return value, at + 1 + length


def _write_boolean(value: bool, out: bytearray) -> None:
    out.append(value)


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    if data[at] > 1:
        raise ValueError("a boolean is 0 or 1")
    return data[at] == 1, at + 1


def _write_text(value: str, out: bytearray) -> None:
    raw = value.encode()
    out += _integer_bytes(len(raw))
    out += raw


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    length, at = _read_integer(data, at)
    return _take(data, at, length).decode(), at + length


def _take(data: bytes, at: int, length: int) -> bytes:
    raw = data[at : at + length]
    if len(raw) != length:
        raise ValueError("bytes are missing")
    return raw


_NOTHING: tuple[Writer, Reader] = (lambda _, __: None, lambda _, at: (None, at))
