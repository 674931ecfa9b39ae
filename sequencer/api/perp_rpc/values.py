"""What the `perp_*` methods take: decimals as text, felts in hexadecimal, orders as signed.

Promises
- An amount is text ("64000.5") of up to 8 decimals: no reader of JSON rounds it. JSON's numbers are
  for times, counts and heights alone.
- An order has all of the fields that its signature covers, and no other.

Laws
- Each reader makes a value or refuses with Refused.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from sequencer.api.starknet_rpc.values import (
    read_address,
    read_felt,
    read_felts,
    read_integer,
    read_object,
    read_text,
)
from sequencer.engine.events_back import Before
from sequencer.model.exchange_limits import SYMBOL_CHARACTERS_MAX, TIME_MS_MAX
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.units import parse_units
from sequencer.starknet.felt import Felt, format_felt, parse_felt

_Word = TypeVar("_Word", bound=StrEnum)

_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,9})\.(\d{1,9})\.(0x[0-9a-f]{1,64})", re.ASCII)
_SIGNATURE_FELTS = 2


class Cursor(msgspec.Struct, frozen=True):
    """Where a history goes on: a place, the hash of its block, and the epoch it was made in."""

    epoch: int
    before: Before
    block_hash: Felt


def read_amount(value: object) -> int:
    """Read a decimal of up to 8 places as an integer of 1e-8. Refusal: AMOUNT_INVALID."""
    if not isinstance(value, str):
        raise Refused(Reason.AMOUNT_INVALID, f"an amount is text: {shown(value)}")
    return parse_units(value)


def read_flag(value: object) -> bool:
    """Read true or false. Refusal: PARAMETER_INVALID."""
    if not isinstance(value, bool):
        raise Refused(Reason.PARAMETER_INVALID, f"not true or false: {shown(value)}")
    return value


def read_symbol(value: object) -> str:
    """Read the name of a market. Refusal: PARAMETER_INVALID."""
    return read_text(SYMBOL_CHARACTERS_MAX)(value)


def read_word(kind: type[_Word]) -> Callable[[object], _Word]:
    """Return a reader of the words of a kind. Refusal: PARAMETER_INVALID."""
    words = {word.value: word for word in kind}

    def read(value: object) -> _Word:
        found = words.get(value) if isinstance(value, str) else None
        if found is None:
            raise Refused(Reason.PARAMETER_INVALID, f"not {', '.join(kind)}: {shown(value)}")
        return found

    return read


_read_time = read_integer(0, TIME_MS_MAX)

_ORDER_FIELDS: Mapping[str, Callable[[object], Any]] = {
    "account": read_address,
    "market": read_symbol,
    "side": read_word(Side),
    "type": read_word(OrderType),
    "size": read_amount,
    "price": read_amount,
    "trigger_price": read_amount,
    "instruction": read_word(Instruction),
    "self_trade": read_word(SelfTrade),
    "reduce_only": read_flag,
    "client_id": read_felt,
    "pair_id": read_felt,
    "replaces": read_felt,
    "signed_at_ms": _read_time,
    "receive_window_ms": _read_time,
    "expires_at_ms": _read_time,
}


def read_order(value: object) -> Order:
    """Read an order. Refusals: those of its fields, naming the field."""
    given = read_object(value, tuple(_ORDER_FIELDS), ())
    values = {}
    for name, read in _ORDER_FIELDS.items():
        try:
            values[name] = read(given[name])
        except Refused as refused:
            raise Refused(refused.reason, f"{name}: {refused.detail}") from None
    return Order(**values)


def read_signature(value: object) -> tuple[Felt, Felt]:
    """Read a signature: r and s. Refusals: as for felts, PARAMETER_INVALID."""
    felts = read_felts(value)
    if len(felts) != _SIGNATURE_FELTS:
        raise Refused(Reason.PARAMETER_INVALID, "a signature is a list of r and s")
    return felts[0], felts[1]


def read_cursor(value: object) -> Cursor:
    """Read where a history goes on. Refusal: PARAMETER_INVALID for what no answer gave."""
    fields = _CURSOR.fullmatch(value) if isinstance(value, str) else None
    if fields is None:
        raise Refused(Reason.PARAMETER_INVALID, f"no cursor: {shown(value)}")
    epoch, height, transaction, event = (int(each) for each in fields.groups()[:4])
    return Cursor(epoch, Before(height, transaction, event), parse_felt(fields.group(5)))


def write_cursor(cursor: Cursor) -> str:
    """Write where a history goes on."""
    before = cursor.before
    numbers = (cursor.epoch, before.height, before.transaction, before.event)
    return ".".join((*map(str, numbers), format_felt(cursor.block_hash)))
