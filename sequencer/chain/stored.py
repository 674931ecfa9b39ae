"""What a block leaves behind, as the store keeps it: rows, trie nodes, headers and bodies as bytes.

Promises
- Reading gives back exactly what was written; bytes that nobody wrote are refused by code.
- Equal values are equal bytes in every process, whatever order they were made in.

Laws
- A table's number is never given to another table, nor used again.
- Headers and bodies have a version in front; one that this build does not know is refused by name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.codec import (
    Struct,
    decode_fields,
    decode_key,
    decode_row,
    encode_fields,
    encode_key,
    encode_row,
)
from sequencer.chain.commitment import Net
from sequencer.exchange.state import Table
from sequencer.model.commits import NodeChange, RowChange
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import (
    Account,
    Arrival,
    Contract,
    DeclaredClass,
    DepositRow,
    EthereumKey,
    LastTrade,
    Limiter,
    Market,
    OrderRow,
    Position,
    Price,
    Publisher,
    ReportTime,
    Subkey,
    System,
    Totals,
    Unhealthy,
    UsedOrder,
    Withdrawal,
)
from sequencer.starknet.block import Header, Receipt
from sequencer.starknet.felt import FELT_BYTES, Felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import Transaction
from sequencer.starknet.trie import Changes

BLOCK_VERSION = 1
"""The layout of headers and bodies that this build writes, the only one that it reads."""


class StoredTable(NamedTuple):
    """A table's number in the store and the type of its rows."""

    number: int
    row: type[msgspec.Struct]


TABLES: Mapping[Table, StoredTable] = {
    Table.SYSTEM: StoredTable(1, System),
    Table.ARRIVAL: StoredTable(2, Arrival),
    Table.TOTALS: StoredTable(3, Totals),
    Table.LIMITER: StoredTable(4, Limiter),
    Table.CONTRACT: StoredTable(5, Contract),
    Table.CLASS: StoredTable(6, DeclaredClass),
    Table.MARKET: StoredTable(7, Market),
    Table.PRICE: StoredTable(8, Price),
    Table.TRADE: StoredTable(9, LastTrade),
    Table.PUBLISHER: StoredTable(10, Publisher),
    Table.REPORT_TIME: StoredTable(11, ReportTime),
    Table.ACCOUNT: StoredTable(12, Account),
    Table.POSITION: StoredTable(13, Position),
    Table.SUBKEY: StoredTable(14, Subkey),
    Table.ORDER: StoredTable(15, OrderRow),
    Table.USED_ORDER: StoredTable(16, UsedOrder),
    Table.DEPOSIT: StoredTable(17, DepositRow),
    Table.WITHDRAWAL: StoredTable(18, Withdrawal),
    Table.UNHEALTHY: StoredTable(19, Unhealthy),
    Table.ETHEREUM_KEY: StoredTable(20, EthereumKey),
}
"""Every table, as the store knows it."""

_BY_NUMBER = {stored.number: (table, stored.row) for table, stored in TABLES.items()}


class Body(msgspec.Struct, frozen=True):
    """What a block holds behind its header. `genesis` is the genesis file, in block 0 alone."""

    transactions: Sequence[Transaction]
    receipts: Sequence[Receipt]
    diff: StateDiff
    genesis: str = ""


def row_changes(net: Net) -> Iterator[RowChange]:
    """Write row changes as the store takes them."""
    for (table, key), (before, after) in net.items():
        was = None if before is None else encode_row(before)
        now = None if after is None else encode_row(after)
        yield TABLES[table].number, encode_key(key), was, now


def decode_stored(number: int, key: bytes, value: bytes) -> tuple[Table, Any, Any]:
    """Read a row as (table, key, row). Refusals: ROW_MALFORMED, ROW_VERSION_UNKNOWN."""
    if number not in _BY_NUMBER:
        raise Refused(Reason.ROW_MALFORMED, f"no table {number}")
    table, row_type = _BY_NUMBER[number]
    return table, decode_key(key), decode_row(value, row_type)


def trie_name(trie: int) -> bytes:
    """Write a trie's id: an address, or one of the small negative ids of `starknet.state`."""
    return trie.to_bytes(FELT_BYTES, "big", signed=True)


def node_changes(nodes: Mapping[int, Changes]) -> Iterator[NodeChange]:
    """Hand over changed nodes as the store takes them."""
    for trie, changes in nodes.items():
        name = trie_name(trie)
        for (depth, path), node in changes.items():
            yield name, depth, path, node


def encode_header(header: Header) -> bytes:
    """Write a header."""
    return bytes((BLOCK_VERSION,)) + encode_fields(header)


def decode_header(data: bytes) -> Header:
    """Read a header. Refusals: BLOCK_VERSION_UNSUPPORTED, ROW_MALFORMED."""
    return _versioned(data, Header)


def encode_body(body: Body) -> bytes:
    """Write a body."""
    return bytes((BLOCK_VERSION,)) + encode_fields(body)


def decode_body(data: bytes) -> Body:
    """Read a body. Refusals: as for a header."""
    return _versioned(data, Body)


def block_of(block_hash: Felt, header: Header, body: Body) -> Block:
    """Put a block together again."""
    return Block(header, block_hash, body.transactions, body.receipts, body.diff)


def rows_by_table(stored: Iterable[tuple[int, bytes, bytes]]) -> dict[Table, dict[Any, Any]]:
    """Read all rows of a state, as `State.rebuilt` takes them. Refusals: as for a row."""
    tables: dict[Table, dict[Any, Any]] = {table: {} for table in Table}
    for number, key, value in stored:
        table, name, row = decode_stored(number, key, value)
        tables[table][name] = row
    return tables


def _versioned(data: bytes, struct: type[Struct]) -> Struct:
    if data[:1] != bytes((BLOCK_VERSION,)):
        words = f"{struct.__name__} of version {data[:1].hex()}, this build reads {BLOCK_VERSION}"
        raise Refused(Reason.BLOCK_VERSION_UNSUPPORTED, words)
    return decode_fields(data, 1, struct)
