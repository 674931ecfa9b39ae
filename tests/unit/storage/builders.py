"""Small chains for tests: blocks from a number, rollbacks from a height, a trie that is real."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import pytest

from sequencer.model.commands import OrderPolicy
from sequencer.model.commits import BlockCommit, NodeChange, RollbackOrder, UndoOrder
from sequencer.model.records import EffectKind, Head
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.starknet.trie import Position, update
from sequencer.starknet.trie_node import Binary, Node, decode_node
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue, SimulatedWitness
from sequencer.storage.state_at import StateAt
from tests.strategies import Unchecked

TRIE = b"\x07" * 32
TRIE_HEIGHT = 8

SetRow = tuple[int, bytes, bytes | None]
"""Table, key, value after: the value before is looked up."""


@contextmanager
def refused(problem: StoreProblem, disk: SimulatedDisk) -> Iterator[None]:
    """Expect a refusal that writes nothing."""
    writes = disk.writes
    with pytest.raises(StoreRefused) as caught:
        yield
    assert caught.value.problem is problem
    assert disk.writes == writes


def hash_of(*parts: object) -> bytes:
    return hashlib.blake2s(repr(parts).encode()).digest()


def simulated(disk: SimulatedDisk) -> ChainStore:
    return ChainStore(SimulatedKeyValue(disk), SimulatedWitness(disk))


def block(store: ChainStore, changes: Sequence[SetRow] = (), **parts: Unchecked) -> BlockCommit:
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


def grown(store: ChainStore, blocks: int) -> list[Head]:
    """Append blocks that each set one row of their own and one that all share."""
    heads = []
    for _ in range(blocks):
        height = store.head.height + 1
        rows = ((1, b"shared", b"at %d" % height), (2, b"own %d" % height, b"row"))
        heads.append(store.commit_block(block(store, rows)))
    return heads


def rollback(store: ChainStore, height: int, **parts: Unchecked) -> RollbackOrder:
    target = store.view.block(height)
    order = RollbackOrder(
        plan_id=hash_of("plan", store.head.sequence, store.head.epoch, height),
        planned=store.head.mark,
        target_height=height,
        target_hash=bytes(32) if target is None else target.block_hash,
        policy=OrderPolicy.CANCEL_ALL,
        guards_forced_on=True,
        effect=b"rolled back",
        details=b"",
    )
    return msgspec.structs.replace(order, **parts)


def roll_back(store: ChainStore, height: int) -> Head:
    order = rollback(store, height)
    store.prepare(order)
    return store.roll_back(order)


def undo(store: ChainStore, reorg_id: int) -> Head:
    return store.undo(UndoOrder(store.head.mark, reorg_id, b"undone", b"oops"))


def row_table(state: StateAt) -> dict[tuple[int, bytes], bytes]:
    return {(table, key): value for table, key, value in state.rows()}


def hash_pair(left: int, right: int) -> int:
    data = left.to_bytes(32, "big") + right.to_bytes(32, "big")
    return int.from_bytes(hashlib.blake2s(data).digest()[:31], "big")


def read_node(state: StateAt, position: Position) -> Node | None:
    data = state.node_reader(TRIE)(position)
    return None if data is None else decode_node(data)


def trie_changes(state: StateAt, leaves: Mapping[int, int]) -> tuple[list[NodeChange], int]:
    """Set leaves of the test's trie on top of a state; return the nodes changed and the root."""
    updated = update(state.node_reader(TRIE), leaves, TRIE_HEIGHT, hash_pair)
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
    assert node is not None, f"no node at {position}"
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
