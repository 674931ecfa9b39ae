"""Rows as Starknet storage: which slots of the exchange's contract a row fills.

Promises
- `slots_of` is injective: two different rows under a key never fill the same slots. `row_of` reads
  a row back from its slots.
- What a contract or a client proves by itself has slots: accounts, positions, subkeys, deposits and
  withdrawals. All other rows are leaves of one trie hashed with Blake2s, whose root is one slot: a
  resting or cancelled order costs no Pedersen at all.

Laws
- The first slot of a row is never 0: it carries the row's version. Every slot is below 2^251.
- A deposit also sets inbox[nonce] to 1; a withdrawal also sets withdrawals[id] to
  poseidon_array(id, recipient, amount in 1e-6 of the token).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from sequencer.chain.codec import ROW_VERSION, encode_key, encode_row
from sequencer.exchange.state import Table
from sequencer.model.cache_limits import SLOT_ADDRESSES_CACHED
from sequencer.model.laws import Law, check
from sequencer.model.rows import Account, DepositRow, Position, Subkey, Withdrawal
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.starknet.felt import ADDRESS_BOUND, Felt, decode_short_string, encode_short_string
from sequencer.starknet.felt_hash import blake2s_digest, poseidon_array
from sequencer.starknet.names import storage_address

ROWS_ROOT_SLOT = storage_address("rows_root")
"""The slot with the root of the rows that have no slots of their own."""

ROWS_TRIE_HEIGHT = 248
"""Bits of a row's place in that trie."""

_KEY_TAG, _ROW_TAG = b"pc-key", b"pc-row"
_VERSION_BITS = 8


class Field(NamedTuple):
    """A part of a packed slot: `bits` of a row's field from bit `shift` on.

    Signed integers are zigzag (twice the size, plus 1 if negative), text is a short string. `more`
    says that another part has the higher bits.
    """

    name: str
    bits: int
    signed: bool = False
    shift: int = 0
    more: bool = False


class Layout(NamedTuple):
    """How a table's rows become slots: the map's name, the row's type, the fields of each slot.

    The first slot has the version in its lowest bits; fields follow upwards.
    """

    name: str
    row: type[msgspec.Struct]
    slots: Sequence[Sequence[Field]]


LAYOUTS: Mapping[Table, Layout] = {
    Table.ACCOUNT: Layout(
        "accounts",
        Account,
        ((Field("cash", 128, True),), (Field("owner", 251),), (Field("market", 248),)),
    ),
    Table.POSITION: Layout(
        "positions",
        Position,
        ((Field("size", 96, True), Field("cost", 128, True)), (Field("index", 250, True),)),
    ),
    Table.SUBKEY: Layout("subkeys", Subkey, ((Field("added_at_ms", 64),),)),
    Table.DEPOSIT: Layout(
        "deposits",
        DepositRow,
        (
            (Field("amount", 128),),
            (Field("account", 251),),
            (Field("message_hash", 128, more=True),),
            (Field("message_hash", 128, shift=128),),
        ),
    ),
    Table.WITHDRAWAL: Layout(
        "withdrawal_rows",
        Withdrawal,
        (
            (Field("requested", 112), Field("payout", 112)),
            (Field("account", 251),),
            (Field("recipient", 251),),
        ),
    ),
}
"""Tables whose rows have slots."""

_MARKS = {Table.DEPOSIT: "inbox", Table.WITHDRAWAL: "withdrawals"}
_TEXT_FIELDS = frozenset(("market",))


def has_slots(table: Table) -> bool:
    """Say whether a table's rows have slots of their own."""
    return table in LAYOUTS


def slots_of(table: Table, key: Any, row: Any) -> dict[Felt, Felt]:
    """Return the slots that a row fills, none of them 0.

    Broken law: SLOT_RANGE, where a field does not fit its bits.
    """
    layout = LAYOUTS[table]
    base = _base(layout.name, key)
    packed = (_pack(fields, row, number == 0) for number, fields in enumerate(layout.slots))
    slots = {_next(base, number): value for number, value in enumerate(packed) if value}
    if table is Table.DEPOSIT:
        slots[_base(_MARKS[table], key)] = 1
    if table is Table.WITHDRAWAL:
        commitment = (key, row.recipient, row.payout // QUOTE_PER_TOKEN)
        slots[_base(_MARKS[table], key)] = poseidon_array(commitment)
    return slots


def row_of(table: Table, key: Any, slots: Mapping[Felt, Felt]) -> Any | None:
    """Read a row back from storage, None where its first slot is 0.

    Broken law: SLOT_RANGE for a version that this build does not know.
    """
    layout = LAYOUTS[table]
    base = _base(layout.name, key)
    values: dict[str, int] = {}
    for number, fields in enumerate(layout.slots):
        rest = slots.get(_next(base, number), 0)
        if number == 0:
            if rest == 0:
                return None
            version = rest & ((1 << _VERSION_BITS) - 1)
            check(version == ROW_VERSION, Law.SLOT_RANGE, f"{layout.name} of version {version}")
            rest >>= _VERSION_BITS
        for field in fields:
            part = rest & ((1 << field.bits) - 1)
            rest >>= field.bits
            value = (-(part >> 1) if part & 1 else part >> 1) if field.signed else part
            values[field.name] = values.get(field.name, 0) + (value << field.shift)
    texts = {name: decode_short_string(values[name]) for name in _TEXT_FIELDS & values.keys()}
    return layout.row(**(values | texts))


def row_place(table: Table, key: Any) -> int:
    """Return where a row without slots of its own lies in the rows trie."""
    return blake2s_digest(table.value.encode() + b"/" + encode_key(key), _KEY_TAG)


def row_leaf(row: msgspec.Struct | None) -> Felt:
    """Return the leaf of a row in the rows trie, 0 where there is none."""
    return 0 if row is None else blake2s_digest(encode_row(row), _ROW_TAG)


def _pack(fields: Sequence[Field], row: Any, first: bool) -> Felt:
    packed, used = (ROW_VERSION, _VERSION_BITS) if first else (0, 0)
    for field in fields:
        value = getattr(row, field.name)
        number = encode_short_string(value) if isinstance(value, str) else value
        if field.signed:
            number = number << 1 if number >= 0 else (-number << 1) | 1
        part = number >> field.shift
        if field.more:
            part &= (1 << field.bits) - 1
        fits = number >= 0 and part < 1 << field.bits
        check(fits, Law.SLOT_RANGE, f"{field.name} {value} does not fit {field.bits} bits")
        packed |= part << used
        used += field.bits
    return packed


@lru_cache(maxsize=SLOT_ADDRESSES_CACHED)
def _base(name: str, key: Any) -> Felt:
    parts = key if isinstance(key, tuple) else (key,)
    felts = (encode_short_string(part) if isinstance(part, str) else part for part in parts)
    return storage_address(name, *felts)


def _next(base: Felt, offset: int) -> Felt:
    return (base + offset) % ADDRESS_BOUND
