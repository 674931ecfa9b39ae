"""Looking things up in a view of the chain: blocks, transactions, states, roots.

Promises
- Everything comes from one view, so no answer mixes two heights or two epochs.
- Orphaned blocks are found by hash, also their state until it is collected.

Refusals of every function that takes a reference: BLOCK_UNKNOWN; the store's own are STATE_PRUNED
and STATE_COLLECTED.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.commitment import EXCHANGE_ADDRESS, ROWS_HASH, ROWS_TRIE
from sequencer.chain.slots import ROWS_TRIE_HEIGHT
from sequencer.chain.stored import (
    block_of,
    decode_body,
    decode_header,
    rows_by_table,
    trie_name,
)
from sequencer.chain.tries import Tries, tries_of_rows
from sequencer.exchange.state import State, Table
from sequencer.model.laws import LawBroken
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView, StateReader
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, as_bytes, parse_felt
from sequencer.starknet.felt_hash import Hash, pedersen, poseidon
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE
from sequencer.starknet.transactions import Transaction
from sequencer.starknet.trie import Position, Reader, root_of

_HEIGHT_DIGITS_MAX = 19


class Place(msgspec.Struct, frozen=True):
    """Where a transaction is in the live chain: its block, and its number in it."""

    block: BlockRecord
    index: int


class FoundTransaction(msgspec.Struct, frozen=True):
    """A transaction in the live chain."""

    block: BlockRecord
    index: int
    transaction: Transaction
    receipt: Receipt


class Roots(msgspec.Struct, frozen=True):
    """The roots under a state root, each read from the root node of its trie."""

    contracts: Felt
    classes: Felt
    exchange_storage: Felt
    rows: Felt


def find_block(view: ChainView, reference: str) -> BlockRecord:
    """Return a block by height, by hash (0x...), or `latest`."""
    block: BlockRecord | None = None
    if reference == "latest":
        block = view.block(view.head.height)
    elif reference.startswith("0x"):
        block = view.block_by_hash(as_bytes(parse_felt(reference)))
    elif is_height(reference):
        block = view.block(int(reference))
    if block is None:
        raise Refused(Reason.BLOCK_UNKNOWN, f"no block {reference:.80}")
    return block


def is_height(reference: str) -> bool:
    """Say whether a reference is a number that a height can have."""
    return reference.isascii() and reference.isdigit() and len(reference) <= _HEIGHT_DIGITS_MAX


def is_block_name(reference: str) -> bool:
    """Say whether a reference is read as a height or a hash, or is `latest`."""
    return reference == "latest" or reference.startswith("0x") or is_height(reference)


def read_block(view: ChainView, block: BlockRecord) -> Block:
    """Return a whole block."""
    body = decode_body(view.body(block))
    return block_of(int.from_bytes(block.block_hash, "big"), decode_header(block.header), body)


def live_blocks(view: ChainView, first: int) -> Iterator[Block]:
    """Read the live blocks from a height on."""
    for height in range(first, view.head.height + 1):
        yield read_block(view, find_block(view, str(height)))


def find_place(view: ChainView, transaction_hash: Felt) -> Place | None:
    """Return where a transaction is in the live chain, without reading its block's body."""
    found = view.transaction(as_bytes(transaction_hash))
    block = None if found is None else view.block_at(found.height, found.sequence)
    return None if found is None or block is None else Place(block, found.index)


def find_transaction(view: ChainView, transaction_hash: Felt) -> FoundTransaction:
    """Return a transaction of the live chain. Refusal: TRANSACTION_UNKNOWN."""
    place = find_place(view, transaction_hash)
    if place is None:
        raise Refused(Reason.TRANSACTION_UNKNOWN, f"no transaction {transaction_hash:#x}")
    body = decode_body(view.body(place.block))
    receipt = body.receipts[place.index]
    return FoundTransaction(place.block, place.index, body.transactions[place.index], receipt)


def block_of_sequence(view: ChainView, sequence: int) -> BlockRecord | None:
    """Return the live block that took a sequence."""
    heights = range(view.head.height + 1)
    return search_sequence(heights, sequence, lambda height: find_block(view, str(height)))


def search_sequence(
    heights: range, sequence: int, block_at: Callable[[int], BlockRecord]
) -> BlockRecord | None:
    """Return the block of one branch that took a sequence: heights and sequences rise together."""
    place = bisect_left(heights, sequence, key=lambda height: block_at(height).sequence)
    found = block_at(heights[place]) if place < len(heights) else None
    return found if found is not None and found.sequence == sequence else None


def rows_at(
    view: ChainView, block: BlockRecord, pause: Callable[[], None] | None = None
) -> dict[Table, dict[Any, Any]]:
    """Load all rows of the state after a block; `pause` is called at each."""
    rows = view.state_at(block).rows()
    return rows_by_table(rows if pause is None else _pausing(rows, pause))


def _pausing(
    rows: Iterator[tuple[int, bytes, bytes]], pause: Callable[[], None]
) -> Iterator[tuple[int, bytes, bytes]]:
    for row in rows:
        pause()
        yield row


def prove_rows(
    block: BlockRecord,
    rows: Mapping[Table, Mapping[Any, Any]],
    pause: Callable[[], None] | None = None,
) -> Tries:
    """Build the tries of a block's rows; `pause` is called in between.

    Refusal: TARGET_ROOT_DIFFERS for another root.
    """
    try:
        tries, root = tries_of_rows(rows, pause)
    except LawBroken as broken:  # A row that no block of this chain can have written.
        raise Refused(Reason.TARGET_ROOT_DIFFERS, str(broken)) from None
    if as_bytes(root) != block.state_root:
        words = f"the rows at block {block.height} hash to {root:#x}, not to its root"
        raise Refused(Reason.TARGET_ROOT_DIFFERS, words)
    return tries


def state_at(view: ChainView, block: BlockRecord) -> State:
    """Load the state after a block."""
    return State.rebuilt(rows_at(view, block))


def trie_reader(state: StateReader, trie: int) -> Reader:
    """Return how a trie of a stored state is read."""
    name = trie_name(trie)

    def read(position: Position) -> bytes | None:
        return state.node(name, *position)

    return read


def roots_at(view: ChainView, block: BlockRecord) -> Roots:
    """Read the roots after a block."""
    state = view.state_at(block)

    def root(trie: int, height: int, hash_pair: Hash) -> Felt:
        return root_of(trie_reader(state, trie), height, hash_pair)

    return Roots(
        contracts=root(CONTRACTS_TRIE, TRIE_HEIGHT_MAX, pedersen),
        classes=root(CLASSES_TRIE, TRIE_HEIGHT_MAX, poseidon),
        exchange_storage=root(EXCHANGE_ADDRESS, TRIE_HEIGHT_MAX, pedersen),
        rows=root(ROWS_TRIE, ROWS_TRIE_HEIGHT, ROWS_HASH),
    )
