"""Small chains for tests: those of the campaigns, grown, taken back, and refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.storing.chains import (
    TRIE,
    block,
    hash_of,
    rollback,
    row_table,
    simulated,
    trie_changes,
    undo_order,
    walked,
)
from sequencer.model.records import Head, History
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk

__all__ = (
    "FINALIZED",
    "TRIE",
    "block",
    "failing",
    "grown",
    "hash_of",
    "prune",
    "refused",
    "roll_back",
    "rollback",
    "row_table",
    "simulated",
    "trie_changes",
    "undo",
    "walked",
)

FINALIZED = 10**9
"""A height that every block is below."""


@contextmanager
def refused(problem: StoreProblem, disk: SimulatedDisk) -> Iterator[None]:
    """Expect a refusal that writes nothing."""
    writes = disk.writes
    with pytest.raises(StoreRefused) as caught:
        yield
    assert caught.value.problem is problem
    assert disk.writes == writes


@contextmanager
def failing(problem: StoreProblem) -> Iterator[None]:
    with pytest.raises(StoreFailed) as caught:
        yield
    assert caught.value.problem is problem


def grown(store: ChainStore, blocks: int) -> list[Head]:
    """Append blocks that each set one row of their own and one that all share."""
    heads = []
    for _ in range(blocks):
        height = store.head.height + 1
        rows = ((1, b"shared", b"at %d" % height), (2, b"own %d" % height, b"row"))
        heads.append(store.commit_block(block(store, rows)))
    return heads


def roll_back(store: ChainStore, height: int) -> Head:
    order = rollback(store, height)
    store.prepare(order)
    return store.roll_back(order)


def undo(store: ChainStore, reorg_id: int) -> Head:
    return store.undo(undo_order(store, reorg_id))


def prune(store: ChainStore, history: History, height: int, changes_max: int = 1) -> None:
    """Prune below a height to the end, so many changes at a time."""
    while not store.prune(history, height, FINALIZED, changes_max).done:
        pass
