"""Single facts out of a stored state: a contract, a slot, the block that last changed a slot.

Promises
- A fact costs a few seeks, whatever the state holds: no state is loaded for it.
- The block that last changed a slot is exact, also where the value came back to what it was.

Laws
- A slot's value stands in the last node on its path, so each change of it writes a version of one;
  a version that does not change it is stepped over.
"""

from typing import TypeAlias

import msgspec

from sequencer.chain.codec import encode_key
from sequencer.chain.stored import TABLES, decode_body, decode_stored, trie_name
from sequencer.engine.lookup import block_of_sequence
from sequencer.exchange.state import Table
from sequencer.model.api_limits import SLOT_VERSIONS_MAX
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Contract
from sequencer.ports import ChainView, StateReader, StoreProblem, StoreRefused
from sequencer.starknet.felt import Felt
from sequencer.starknet.trie import Position, require_key
from sequencer.starknet.trie_node import Edge, Node, decode_node

Key: TypeAlias = Felt | str | tuple[Felt, str]
"""The key of a row: an address or an id, a market, or both."""

_ROOT: Position = (0, 0)
_FOR_EVER = 2**64


def row_at(state: StateReader, table: Table, key: Key) -> msgspec.Struct | None:
    """Return a row, None where there is none."""
    number, name = TABLES[table].number, encode_key(key)
    data = state.row(number, name)
    row: msgspec.Struct | None = None if data is None else decode_stored(number, name, data)[2]
    return row


def contract_at(state: StateReader, address: Felt) -> Contract | None:
    """Return a contract's row, None where there is none."""
    row = row_at(state, Table.CONTRACT, address)
    return row if isinstance(row, Contract) else None


def slot_at(state: StateReader, address: Felt, key: Felt) -> Felt:
    """Return the value of a contract's slot, 0 where it is not set.

    Refusals: TRIE_KEY_OUT_OF_RANGE; STATE_PRUNED where only rows are kept.
    """
    require_key(key, TRIE_HEIGHT_MAX)
    return _walk(state, trie_name(address), key, _FOR_EVER)[0]


def last_change(view: ChainView, block: BlockRecord, address: Felt, key: Felt) -> int:
    """Return the height of the block, up to one, that last changed a slot; 0 where none ever did.

    Refusals: as for `slot_at`; STATE_COLLECTED; STATE_PRUNED where the change is older than what
    is kept; BUSY where more than SLOT_VERSIONS_MAX versions lie in between.
    """
    require_key(key, TRIE_HEIGHT_MAX)
    state, trie = view.state_at(block), trie_name(address)
    floor = view.retention().nodes.sequence
    value, place = _walk(state, trie, key, _FOR_EVER)
    newer = _FOR_EVER
    for _ in range(SLOT_VERSIONS_MAX):
        # Before `newer` was written, the value was the same as now or another one: that is asked.
        sequence, data = state.version(trie, *place, newer)
        node = None if data is None else decode_node(data)
        told = None if node is None and place != _ROOT else _told(node, place[0], key)
        if told is None:
            told, place = _walk(state, trie, key, newer)
            if told == value:
                continue
        if told != value:
            return _block_of(view, block, newer).height
        if sequence == 0:
            return 0
        if sequence <= floor:
            return _require_changed(view, block, sequence, address, key)
        newer = sequence
    raise Refused(Reason.BUSY, f"{key:#x} has not changed for {SLOT_VERSIONS_MAX} versions")


def _walk(state: StateReader, trie: bytes, key: int, below: int) -> tuple[Felt, Position]:
    """Return a leaf as it was below a sequence, and the position of the last node on its path."""
    depth = 0
    while True:
        place = (depth, key >> (TRIE_HEIGHT_MAX - depth))
        data = state.version(trie, *place, below)[1]
        node = None if data is None else decode_node(data)
        value = _told(node, depth, key)
        if value is not None:
            return value, place
        depth += node.length if isinstance(node, Edge) else 1


def _told(node: Node | None, depth: int, key: int) -> Felt | None:
    """Return the leaf that a node at a depth has for a key, None where nodes below it tell."""
    if node is None:
        return 0
    rest = TRIE_HEIGHT_MAX - depth
    if not isinstance(node, Edge):
        child = node.right if key >> (rest - 1) & 1 else node.left
        return child if rest == 1 else None
    rest -= node.length
    if key >> rest & ((1 << node.length) - 1) != node.path:
        return 0
    return node.child if rest == 0 else None


def _require_changed(
    view: ChainView, block: BlockRecord, sequence: int, address: Felt, key: Felt
) -> int:
    """Return the height of a block that wrote the oldest version kept, if it changed the slot."""
    writer = _block_of(view, block, sequence)
    diff = decode_body(view.body(writer)).diff
    if key not in diff.storage.get(address, {}):
        words = f"{key:#x} changed last before block {writer.height}; older nodes are pruned"
        raise StoreRefused(StoreProblem.STATE_PRUNED, words)
    return writer.height


def _block_of(view: ChainView, block: BlockRecord, sequence: int) -> BlockRecord:
    """Return the block that took a sequence, in the branch that ends with a block."""
    branch: BlockRecord | None = block
    while branch is not None and branch.sequence > sequence and view.orphaned_by(branch):
        branch = view.block_at(branch.height - 1, branch.parent_sequence)
    if branch is None or branch.sequence != sequence:
        branch = block_of_sequence(view, sequence)
    if branch is None:
        raise Refused(Reason.BLOCK_UNKNOWN, f"no block took sequence {sequence}")
    return branch
