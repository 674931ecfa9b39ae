"""Small chains in a store: blocks from a number, rollbacks from a height, a trie that is real."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from sequencer.model.commands import OrderPolicy
from sequencer.model.commits import BlockCommit, NodeChange, RollbackOrder, UndoOrder
from sequencer.model.records import EffectKind
from sequencer.starknet.trie import Position, update
from sequencer.starknet.trie_node import Binary, Node, decode_node
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue, SimulatedWitness
from sequencer.storage.state_at import StateAt

TRIE = b"\x07" * 32
TRIE_HEIGHT = 8

SetRow = tuple[int, bytes, bytes | None]
"""Table, key, value after: the value before is looked up."""

Said = Mapping[str, object]
"""All that a store can be asked, by what it was asked."""

_EFFECTS_MAX = 9_999


def hash_of(*parts: object) -> bytes:
    """Hash whatever has a repr."""
    return hashlib.blake2s(repr(parts).encode()).digest()


def simulated(disk: SimulatedDisk) -> ChainStore:
    """Open the store of a simulated disk."""
    return ChainStore(SimulatedKeyValue(disk), SimulatedWitness(disk))


def block(store: ChainStore, changes: Sequence[SetRow] = (), **parts: object) -> BlockCommit:
    """Make the next block; its hash tells sequence and epoch, so branches differ."""
    head, state = store.head, store.view.state()
    name = (head.height + 1, head.next_sequence, head.epoch)
    commit = BlockCommit(
        planned=head.mark,
        height=head.height + 1,
        block_hash=hash_of("block", *name),
        state_root=hash_of("root", *name),
        header=b"header %d" % (head.height + 1),
        body=b"body %d" % head.next_sequence,
        rows=[(table, key, state.row(table, key), value) for table, key, value in changes],
        effects=((EffectKind.BLOCK, b"block %d" % (head.height + 1)),),
        reopens=head.latch is not None,
    )
    return msgspec.structs.replace(commit, **parts)


def rollback(store: ChainStore, height: int, **parts: object) -> RollbackOrder:
    """Order to go back to a height."""
    target = store.view.block(height)
    order = RollbackOrder(
        plan_id=hash_of("plan", store.head.sequence, store.head.epoch, height),
        planned=store.head.mark,
        target_height=height,
        target_hash=bytes(32) if target is None else target.block_hash,
        policy=OrderPolicy.CANCEL_ALL,
        effect=b"rolled back",
        details=b"",
    )
    return msgspec.structs.replace(order, **parts)


def undo_order(store: ChainStore, reorg_id: int) -> UndoOrder:
    """Order to take a rollback back."""
    return UndoOrder(store.head.mark, reorg_id, b"undone", b"oops")


def say(store: ChainStore) -> Said:
    """Read everything that a store can be asked. Failures: those of a store that is damaged."""
    view = store.view
    said: dict[str, object] = {"rows": sorted(store.checked_rows()), "head": store.head}
    said["trie"] = walked(view.state())
    said["never rewound"] = [view.effects(0, _EFFECTS_MAX), view.cursors(), view.incidents()]
    said["plans"] = [view.journals(), view.checkpoints(), view.dead.all, view.retention()]
    for height in range(view.head.height + 1):
        record = view.block(height)
        if record is None:
            raise LookupError(f"block {height} is gone")
        said[f"block {height}"] = (record, view.body(record))
        said[f"state {height}"] = row_table(view.state_at(record))
        said[f"block by its hash {height}"] = view.block_by_hash(record.block_hash)
        said[f"transaction {height}"] = view.transaction(hash_of("transaction", record.sequence))
    return said


def row_table(state: StateAt) -> dict[tuple[int, bytes], bytes]:
    """Return all rows of a state."""
    return {(table, key): value for table, key, value in state.rows()}


def hash_pair(left: int, right: int) -> int:
    """Hash for a trie, quickly."""
    data = left.to_bytes(32, "big") + right.to_bytes(32, "big")
    return int.from_bytes(hashlib.blake2s(data).digest()[:31], "big")


def read_node(state: StateAt, position: Position) -> Node | None:
    """Return a node of the trie."""
    data = state.node(TRIE, *position)
    return None if data is None else decode_node(data)


def trie_changes(state: StateAt, leaves: Mapping[int, int]) -> tuple[list[NodeChange], int]:
    """Set leaves of the trie on top of a state; return the nodes changed and the root."""
    updated = update(lambda position: state.node(TRIE, *position), leaves, TRIE_HEIGHT, hash_pair)
    changes: list[NodeChange] = [
        (TRIE, depth, path, node) for (depth, path), node in updated.changes.items()
    ]
    return changes, updated.root


def walked(state: StateAt) -> dict[int, int]:
    """Walk the whole trie and return its leaves; a missing node is an error."""
    root = read_node(state, (0, 0))
    return {} if root is None else _walked(state, (0, 0))


def _walked(state: StateAt, position: Position) -> dict[int, int]:
    node = read_node(state, position)
    if node is None:
        raise LookupError(f"no node at {position}")
    depth, path = position
    children: list[tuple[Position, int]]
    if isinstance(node, Binary):
        children = [((depth + 1, path << 1), node.left), ((depth + 1, path << 1 | 1), node.right)]
    else:
        end = (depth + node.length, path << node.length | node.path)
        children = [(end, node.child)]
    leaves = {}
    for child, value in children:
        leaves.update({child[1]: value} if child[0] == TRIE_HEIGHT else _walked(state, child))
    return leaves
