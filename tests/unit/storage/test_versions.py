"""Versions of trie nodes: every one that a state's branch has, newest first, and no other."""

from sequencer.model.records import History
from sequencer.ports import StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk
from sequencer.storage.state_at import StateAt
from tests.unit.storage.builders import (
    TRIE,
    block,
    grown,
    prune,
    refused,
    roll_back,
    trie_changes,
    undo,
)


def set_leaf(store: ChainStore, value: int) -> int:
    """Set the one leaf of the trie, 0 to empty it, and return the block's sequence."""
    changes, _ = trie_changes(store.view.state(), {5: value})
    return store.commit_block(block(store, nodes=changes)).block_sequence


def versions(state: StateAt) -> list[tuple[int, bool]]:
    """List (sequence, whether there is a node) of the root, newest first."""
    found, below = [], 2**64
    while (version := state.version(TRIE, 0, 0, below))[0]:
        below = version[0]
        found.append((below, version[1] is not None))
    return found


def test_each_version_is_found_below_the_next(store: ChainStore) -> None:
    assert versions(store.view.state()) == []
    first = set_leaf(store, 1)
    grown(store, 3)
    second = set_leaf(store, 2)
    emptied = set_leaf(store, 0)
    expected = [(emptied, False), (second, True), (first, True)]
    assert versions(store.view.state()) == expected
    assert store.view.state().version(TRIE, 0, 0, first) == (0, None)
    for height, count in ((5, 3), (4, 2), (3, 1), (0, 1)):
        record = store.view.block(height)
        assert record is not None
        assert versions(store.view.state_at(record)) == expected[3 - count :]


def test_versions_are_those_of_the_branch(store: ChainStore) -> None:
    first = set_leaf(store, 1)
    orphan = set_leaf(store, 2)
    record = store.view.block(1)
    assert record is not None
    roll_back(store, 0)
    assert versions(store.view.state()) == [(first, True)]
    assert versions(store.view.state_at(record)) == [(orphan, True), (first, True)]
    undo(store, 1)
    assert versions(store.view.state()) == [(orphan, True), (first, True)]
    roll_back(store, 0)
    third = set_leaf(store, 3)
    assert versions(store.view.state()) == [(third, True), (first, True)]
    assert versions(store.view.state_at(record)) == [(orphan, True), (first, True)]


def test_where_nodes_are_pruned_there_are_no_versions(
    store: ChainStore, disk: SimulatedDisk
) -> None:
    for value in range(1, 5):
        set_leaf(store, value)
    old = store.view.block(1)
    assert old is not None
    prune(store, History.NODES, 2)
    with refused(StoreProblem.STATE_PRUNED, disk):
        store.view.state_at(old).version(TRIE, 0, 0, 2**64)
    assert len(versions(store.view.state())) == 2
