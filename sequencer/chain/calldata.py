"""Values as calldata: how structs, enums, text and lists become felts, as Cairo 1 lays them out.

Promises
- The same table gives the felts and the ABI that starknet-py and starknet.js load.
- Reading is strict: a felt out of its type's range, or one felt too many, is refused by code.

Laws
- A 128-bit number, an address, a key or a hash is one felt; a signed number is one felt modulo the
  prime; a boolean is 0 or 1; an enumeration of words is the word as a short string; text is a
  ByteArray; a list is its length and its items; a union is the variant's number and the variant.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import cache, lru_cache
from types import UnionType
from typing import Any, NamedTuple, TypeAlias, get_args, get_origin

import msgspec

from sequencer.model.cache_limits import WORDS_CACHED
from sequencer.model.limits import CALLDATA_ITEMS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import (
    FELT_PRIME,
    Felt,
    decode_short_string,
    encode_short_string,
)

FELT_FIELDS = frozenset(
    (
        *("account", "owner", "sender", "receiver", "recipient", "operator", "signer"),
        *("taker", "maker", "taker_order", "maker_order", "order_id", "withdrawal_id"),
        *("client_id", "pair_id", "replaces", "key", "r", "s", "chain_id"),
        *("tick_hash", "tick_allowed", "message_hash", "System.insurance", "System.fees"),
        "ethereum_address",
    )
)
"""Fields that are whole felts: addresses, keys, hashes and a trader's own names.

A name alone counts in every struct, one with its struct in that one only.
"""

SIGNED_FIELDS = frozenset(
    (
        *("Fault.amount", "FaultDone.amount", "CreateMarket.funding_index"),
        *("Fill.size", "Liquidated.size", "Settled.size", "FundingPaid.amount"),
        *("FundingIndexMoved.index", "Account.cash", "Position.size", "Position.cost"),
        *("Position.index", "PriceView.funding_index", "PriceView.basis"),
        *("MarginView.value", "MarginView.free", "MoneyView.insurance_cash"),
        "System.wait_until_ms",
    )
)
"""Fields, with their struct, whose number may be negative."""

BYTE_ARRAY_FIELDS = frozenset(("reason", "detail"))
"""Text that may be longer than a short string."""

_WORD = 31
_U128 = 2**128

Felts: TypeAlias = Sequence[Felt]


class CairoType(NamedTuple):
    """A type as the ABI names it, with its writer, its reader and the types it stands on."""

    name: str
    write: Callable[[Any, list[Felt]], None]
    read: Callable[[Felts, int], tuple[Any, int]]
    parts: Sequence[tuple[str, "CairoType"]] = ()
    kind: str = "plain"


def cairo_type(kind: Any, name: str = "") -> CairoType:
    """Return the Cairo type of a Python type; an integer's depends on its field, `Struct.field`."""
    if kind is bool:
        return CairoType("core::bool", lambda value, out: out.append(int(value)), _read_boolean)
    if kind is int:
        return _integer_type(name)
    if kind is str:
        if _field(name) in BYTE_ARRAY_FIELDS:
            return _byte_array_type()
        return CairoType("core::felt252", _write_word, _read_word)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return _union_type(inner)
    if origin is not None:
        return _array_type(cairo_type(inner[0], name))
    if issubclass(kind, StrEnum):
        return _word_type(kind)
    return struct_type(kind)


@cache
def struct_type(struct: type[msgspec.Struct]) -> CairoType:
    """Return the Cairo struct of a Python struct: its fields in the order of their definition."""
    parts = [
        (field.name, cairo_type(field.type, f"{struct.__name__}.{field.name}"))
        for field in msgspec.structs.fields(struct)
    ]

    names = [name for name, _ in parts]
    writers, readers = [part.write for _, part in parts], [part.read for _, part in parts]

    def write(value: Any, out: list[Felt]) -> None:
        for name, write_part in zip(names, writers, strict=True):
            write_part(getattr(value, name), out)

    def read(felts: Felts, at: int) -> tuple[Any, int]:
        values = []
        for read_part in readers:
            value, at = read_part(felts, at)
            values.append(value)
        return struct(*values), at

    return CairoType(f"perpchain::{struct.__name__}", write, read, parts, "struct")


def read_all(types: Iterable[tuple[str, CairoType]], felts: Felts) -> dict[str, Any]:
    """Read named values that fill calldata exactly. Refusal: CALLDATA_MALFORMED."""
    values: dict[str, Any] = {}
    at = 0
    for name, kind in types:
        values[name], at = kind.read(felts, at)
    if at != len(felts):
        raise malformed(f"{len(felts) - at} felts too many")
    return values


def malformed(detail: str) -> Refused:
    """Make the refusal of calldata that does not fit its types."""
    return Refused(Reason.CALLDATA_MALFORMED, detail)


def take(felts: Felts, at: int) -> Felt:
    """Return the felt at a place. Refusal: CALLDATA_MALFORMED past the end, or for no felt."""
    if at >= len(felts):
        raise malformed("felts are missing")
    felt = felts[at]
    if type(felt) is int and 0 <= felt < FELT_PRIME:
        return felt
    raise malformed("not a felt")


def _field(name: str) -> str:
    return name.rpartition(".")[2]


def _integer_type(name: str) -> CairoType:
    if name in FELT_FIELDS or _field(name) in FELT_FIELDS:
        return CairoType("core::felt252", _write_integer, _read_felt)
    if name in SIGNED_FIELDS:
        return CairoType("core::integer::i128", _write_integer, _read_signed)
    return CairoType("core::integer::u128", _write_integer, _read_unsigned)


def _read_felt(felts: Felts, at: int) -> tuple[int, int]:
    return take(felts, at), at + 1


def _write_integer(value: int, out: list[Felt]) -> None:
    out.append(value % FELT_PRIME)


def _read_unsigned(felts: Felts, at: int) -> tuple[int, int]:
    value = take(felts, at)
    if value >= _U128:
        raise malformed(f"{value:#x} is no u128")
    return value, at + 1


def _read_signed(felts: Felts, at: int) -> tuple[int, int]:
    value = take(felts, at)
    signed = value if value < _U128 >> 1 else value - FELT_PRIME
    if not -(_U128 >> 1) <= signed < _U128 >> 1:
        raise malformed(f"{value:#x} is no i128")
    return signed, at + 1


def _read_boolean(felts: Felts, at: int) -> tuple[bool, int]:
    value = take(felts, at)
    if value > 1:
        raise malformed(f"{value:#x} is no boolean")
    return value == 1, at + 1


def _write_word(value: str, out: list[Felt]) -> None:
    out.append(_felt_of(value))


def _read_word(felts: Felts, at: int) -> tuple[str, int]:
    try:
        return _text_of(take(felts, at)), at + 1
    except Refused as refused:
        raise malformed(refused.detail) from None


# Names of markets and assets come again in every order and every event.
_felt_of = lru_cache(maxsize=WORDS_CACHED)(encode_short_string)
_text_of = lru_cache(maxsize=WORDS_CACHED)(decode_short_string)


def _word_type(words: type[StrEnum]) -> CairoType:
    by_felt = {encode_short_string(word): word for word in words}

    def read(felts: Felts, at: int) -> tuple[Any, int]:
        felt = take(felts, at)
        word = by_felt.get(felt)
        if word is None:
            raise malformed(f"no {words.__name__}: {_read_word(felts, at)[0]!r:.40}")
        return word, at + 1

    return CairoType("core::felt252", _write_word, read)


def _array_type(item: CairoType) -> CairoType:
    def write(values: Any, out: list[Felt]) -> None:
        out.append(len(values))
        for value in values:
            item.write(value, out)

    def read(felts: Felts, at: int) -> tuple[Any, int]:
        count, at = take(felts, at), at + 1
        if count > CALLDATA_ITEMS_MAX:
            raise malformed(f"{count} items, {CALLDATA_ITEMS_MAX} allowed")
        values = []
        for _ in range(count):
            value, at = item.read(felts, at)
            values.append(value)
        return tuple(values), at

    return CairoType(f"core::array::Array::<{item.name}>", write, read, (("item", item),), "array")


def _union_type(variants: Sequence[Any]) -> CairoType:
    types = [(variant.__name__, struct_type(variant)) for variant in variants]

    def write(value: Any, out: list[Felt]) -> None:
        number = variants.index(type(value))
        out.append(number)
        types[number][1].write(value, out)

    def read(felts: Felts, at: int) -> tuple[Any, int]:
        number = take(felts, at)
        if number >= len(types):
            raise malformed(f"no variant {number}")
        return types[number][1].read(felts, at + 1)

    name = "Or".join(name for name, _ in types)
    return CairoType(f"perpchain::{name}", write, read, types, "enum")


def _byte_array_type() -> CairoType:
    word = CairoType("core::bytes_31::bytes31", _write_integer, _read_felt)
    parts = (
        ("data", _array_type(word)),
        ("pending_word", CairoType("core::felt252", _write_integer, _read_felt)),
        ("pending_word_len", CairoType("core::integer::u32", _write_integer, _read_felt)),
    )
    return CairoType("core::byte_array::ByteArray", _write_bytes, _read_bytes, parts, "struct")


def _write_bytes(value: str, out: list[Felt]) -> None:
    raw = value.encode()
    full = len(raw) // _WORD
    words = [raw[start : start + _WORD] for start in range(0, full * _WORD, _WORD)]
    rest = raw[full * _WORD :]
    out += [full, *(int.from_bytes(word, "big") for word in words)]
    out += [int.from_bytes(rest, "big"), len(rest)]


def _read_bytes(felts: Felts, at: int) -> tuple[str, int]:
    full, at = take(felts, at), at + 1
    if full > CALLDATA_ITEMS_MAX:
        raise malformed(f"{full} words, {CALLDATA_ITEMS_MAX} allowed")
    sizes = [_WORD] * full
    words = [take(felts, at + number) for number in range(full)]
    rest, length = take(felts, at + full), take(felts, at + full + 1)
    try:
        raw = b"".join(word.to_bytes(size, "big") for word, size in zip(words, sizes, strict=True))
        if length >= _WORD:
            raise malformed(f"a pending word of {length} bytes")
        return (raw + rest.to_bytes(length, "big")).decode(), at + full + 2
    except (OverflowError, UnicodeDecodeError):
        raise malformed("not a ByteArray of UTF-8 text") from None
