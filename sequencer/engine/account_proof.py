"""Proving what an account has: its rows, their slots and leaves, and the path to a block hash.

Promises
- Whoever has the answer alone works out, from the rows, the leaves of the tries, and from those the
  roots, the state root, and the block hash. What is not there is proven to be absent.
- Account and positions are complete: a position is proven, or its absence is, in every market.
  Orders lie in the trie by a hash of their ids, so that no list of them can be proven whole.

Laws
- Everything is read from the state after one block, and nothing from memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sequencer.chain.codec import encode_key
from sequencer.chain.commitment import EXCHANGE_ADDRESS, ROWS_HASH, ROWS_TRIE
from sequencer.chain.slots import (
    LAYOUTS,
    ROWS_ROOT_SLOT,
    ROWS_TRIE_HEIGHT,
    row_leaf,
    row_place,
    slots_of,
)
from sequencer.chain.stored import TABLES, decode_header, decode_stored
from sequencer.engine.lookup import Roots, roots_at, trie_reader
from sequencer.engine.state_reads import Key, contract_at, row_at
from sequencer.exchange.state import Table
from sequencer.model.api_limits import ACCOUNT_PROOF_ROWS_MAX
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import OrderRow
from sequencer.ports import ChainView, StateReader, StoreFailed, StoreProblem
from sequencer.starknet.block import Header
from sequencer.starknet.felt import ADDRESS_BOUND, Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.names import storage_address
from sequencer.starknet.state import CONTRACTS_TRIE, ContractLeaf
from sequencer.starknet.trie_node import Node
from sequencer.starknet.trie_proof import prove


class SlotRow(msgspec.Struct, frozen=True):
    """A row with slots of its own, None where there is none: (slot, value) for each of them."""

    table: str
    market: str
    row: msgspec.Struct | None
    slots: Sequence[tuple[Felt, Felt]]


class LeafRow(msgspec.Struct, frozen=True):
    """A row of the rows trie: what is hashed, where it lies, and the leaf that it makes."""

    table: str
    name: Felt | str
    row: msgspec.Struct | None
    key: bytes
    content: bytes
    place: int
    leaf: Felt


class AccountProof(msgspec.Struct, frozen=True):
    """Rows and proofs. Nodes are by their hashes; `exchange` is the leaf of the contracts trie."""

    header: Header
    roots: Roots
    exchange: ContractLeaf
    account: SlotRow
    positions: Sequence[SlotRow]
    leaves: Sequence[LeafRow]
    contract_nodes: Mapping[Felt, Node]
    storage_nodes: Mapping[Felt, Node]
    row_nodes: Mapping[Felt, Node]


def prove_account(
    view: ChainView, block: BlockRecord, account: Felt, order_ids: Sequence[Felt]
) -> AccountProof:
    """Prove an account and some of its orders after a block.

    Refusals: ORDER_UNKNOWN for an order that is not open there, or not the account's; the store's
    STATE_PRUNED and STATE_COLLECTED.
    """
    state, roots = view.state_at(block), roots_at(view, block)
    contract = contract_at(state, EXCHANGE_ADDRESS)
    if contract is None:
        raise StoreFailed(StoreProblem.STORE_CORRUPT, "the exchange's contract is not there")
    own = _slot_row(state, Table.ACCOUNT, account, "")
    markets = [key for _, key, _ in _rows(state, Table.MARKET)]
    positions = [
        _slot_row(state, Table.POSITION, (account, market), market) for market in sorted(markets)
    ]
    leaves = [_order_leaf(state, account, order_id) for order_id in order_ids]
    for position in positions:
        if position.row is not None:
            leaves += [_leaf(state, each, position.market) for each in (Table.MARKET, Table.PRICE)]
    slots = [slot for each in (own, *positions) for slot, _ in each.slots]
    contracts, storage = (trie_reader(state, trie) for trie in (CONTRACTS_TRIE, EXCHANGE_ADDRESS))
    places = [each.place for each in leaves]
    return AccountProof(
        header=decode_header(block.header),
        roots=roots,
        exchange=ContractLeaf(contract.class_hash, roots.exchange_storage, contract.nonce),
        account=own,
        positions=tuple(positions),
        leaves=tuple(leaves),
        contract_nodes=prove(contracts, (EXCHANGE_ADDRESS,), TRIE_HEIGHT_MAX, pedersen),
        storage_nodes=prove(storage, (*slots, ROWS_ROOT_SLOT), TRIE_HEIGHT_MAX, pedersen),
        row_nodes=prove(trie_reader(state, ROWS_TRIE), places, ROWS_TRIE_HEIGHT, ROWS_HASH),
    )


def orders_at(view: ChainView, block: BlockRecord, account: Felt) -> tuple[list[Felt], bool]:
    """List the ids of an account's orders after a block, oldest first; and whether those are all.

    So many rows are looked at, and no more. Refusals: the store's.
    """
    number, own, looked_at = TABLES[Table.ORDER].number, [], 0
    name = account.to_bytes((account.bit_length() + 7) // 8, "big")
    for stored in view.state_at(block).rows(number):
        looked_at += 1
        if looked_at > ACCOUNT_PROOF_ROWS_MAX:
            break
        # Before it is decoded: most orders are somebody else's.
        if name in stored[2]:
            _, key, row = decode_stored(*stored)
            own += [(row.sequence, key)] if row.order.account == account else []
    return [key for _, key in sorted(own)], looked_at <= ACCOUNT_PROOF_ROWS_MAX


def _rows(state: StateReader, table: Table) -> Iterator[tuple[Table, Any, Any]]:
    return (decode_stored(*stored) for stored in state.rows(TABLES[table].number))


def _slot_row(state: StateReader, table: Table, key: Key, market: str) -> SlotRow:
    row = row_at(state, table, key)
    filled = {} if row is None else slots_of(table, key, row)
    layout = LAYOUTS[table]
    parts = key if isinstance(key, tuple) else (key,)
    felts = (encode_short_string(part) if isinstance(part, str) else part for part in parts)
    base = storage_address(layout.name, *felts)
    slots = [(base + number) % ADDRESS_BOUND for number in range(len(layout.slots))]
    return SlotRow(table.value, market, row, tuple((slot, filled.get(slot, 0)) for slot in slots))


def _order_leaf(state: StateReader, account: Felt, order_id: Felt) -> LeafRow:
    row = row_at(state, Table.ORDER, order_id)
    if not isinstance(row, OrderRow) or row.order.account != account:
        raise Refused(Reason.ORDER_UNKNOWN, f"{account:#x} has no open order {order_id:#x}")
    return _leaf(state, Table.ORDER, order_id)


def _leaf(state: StateReader, table: Table, key: Felt | str) -> LeafRow:
    row, name = row_at(state, table, key), encode_key(key)
    content = state.row(TABLES[table].number, name) or b""
    place = row_place(table, key)
    return LeafRow(table.value, key, row, name, content, place, row_leaf(row))
