"""Collection of orphaned state and pruning of old state: what goes, and what never does."""

import os
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from sequencer.model.records import Collection, Cursor, History, Stage
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue
from tests.unit.storage.builders import (
    FINALIZED,
    block,
    grown,
    prune,
    refused,
    roll_back,
    rollback,
    row_table,
    simulated,
    trie_changes,
    undo,
    walked,
)


@pytest.fixture
def store(disk: SimulatedDisk) -> ChainStore:
    store = simulated(disk)
    grown(store, 6)
    return store


def count(disk: SimulatedDisk, kind: keys.Kind) -> int:
    return sum(1 for _ in SimulatedKeyValue(disk).scan(*kind.range()))


def finished(store: ChainStore, height: int) -> None:
    """Roll back and take the journal to its end."""
    order = rollback(store, height)
    store.prepare(order)
    store.roll_back(order)
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        store.advance(order.plan_id, stage)


def collect_all(store: ChainStore, versions_max: int) -> int:
    removed = 0
    while (slice_done := store.collect(FINALIZED, versions_max)).reorg_id:
        removed += slice_done.removed
    return removed


def prune_all(store: ChainStore, height: int, changes_max: int = 1) -> None:
    for history in (History.NODES, History.ROWS):
        prune(store, history, height, changes_max)


def test_collection_waits_for_everybody(store: ChainStore) -> None:
    roll_back(store, 2)
    plan = store.open_journals()[0].plan_id
    cursor = Cursor(3, 3, bytes(32))
    store.advance_cursor("plugin", cursor)
    assert store.collect(0, 9).waiting == ("reorg 1: grace period",)
    assert store.collect(1, 9).waiting == ("reorg 1: first new block",)
    grown(store, 1)
    assert store.collect(1, 9).waiting == ("reorg 1: journal is COMMITTED",)
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        store.advance(plan, stage)
    assert store.collect(1, 9).waiting == ("reorg 1: cursor of plugin",)
    store.advance_cursor("plugin", msgspec.structs.replace(cursor, parked=True))
    done = store.collect(1, 99)
    assert (done.reorg_id, done.waiting) == (1, ())
    assert store.collect(1, 99).reorg_id == 0


@pytest.mark.parametrize("versions_max", [1, 2, 3, 1_000])
def test_collection_removes_dead_state_alone(
    disk: SimulatedDisk, store: ChainStore, versions_max: int
) -> None:
    live = row_table(store.view.state())
    kept = {kind: count(disk, kind) for kind in (keys.BLOCK, keys.BODY, keys.BLOCK_HASH)}
    rows = count(disk, keys.ROW)
    nodes, _ = trie_changes(store.view.state(), {1: 1, 2: 2, 77: 77})
    store.commit_block(block(store, [(1, b"shared", None)], nodes=nodes))
    grown(store, 3)
    orphan = store.view.block(8)
    finished(store, 5)
    grown(store, 1)
    assert orphan is not None
    assert store.view.state_at(orphan).row(1, b"shared") == b"at 8"
    collect_all(store, versions_max)
    assert count(disk, keys.ROW) == rows + 2
    assert count(disk, keys.NODE) == 0
    assert all(count(disk, kind) == value + 5 for kind, value in kept.items())
    assert store.view.block_by_hash(orphan.block_hash) == orphan
    with pytest.raises(StoreRefused, match=r"STATE_COLLECTED: state of block 8 .* reorg 1"):
        store.view.state_at(orphan)
    assert row_table(store.view.state()) == {
        **live,
        (1, b"shared"): b"at 6",
        (2, b"own 6"): b"row",
    }
    reopened = simulated(disk)
    assert reopened.view.dead.all[0].collection is Collection.DONE
    assert list(reopened.checked_rows())


def test_state_is_gone_from_the_first_slice_on(disk: SimulatedDisk, store: ChainStore) -> None:
    orphan = store.view.block(5)
    finished(store, 2)
    grown(store, 1)
    store.collect(1, 1)
    assert orphan is not None
    for each in (store, simulated(disk)):
        with pytest.raises(StoreRefused, match="STATE_COLLECTED"):
            each.view.state_at(orphan)


def test_an_undone_rollback_is_never_collected(disk: SimulatedDisk, store: ChainStore) -> None:
    finished(store, 2)
    undo(store, 1)
    grown(store, 1)
    assert store.collect(FINALIZED, 99).reorg_id == 0
    assert len(row_table(store.view.state())) == 8


def test_nested_intervals_are_collected_one_after_the_other(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    finished(store, 4)
    grown(store, 2)
    finished(store, 1)
    grown(store, 1)
    collect_all(store, 1)
    assert {each.collection for each in store.view.dead.all} == {Collection.DONE}
    assert count(disk, keys.ROW) == 6
    assert count(disk, keys.CHANGED_ROWS) == 3


@pytest.mark.parametrize("changes_max", [1, 2, 5, 1_000])
def test_pruning_keeps_every_later_height(
    disk: SimulatedDisk, store: ChainStore, changes_max: int
) -> None:
    contents = []
    for leaves in ({1: 1, 130: 2}, {1: 0, 5: 5}, {6: 6}, {5: 0, 130: 0}, {9: 9}):
        nodes, _ = trie_changes(store.view.state(), leaves)
        height = store.head.height + 1
        rows = [(1, b"shared", b"at %d" % height), (2, b"own 2", None if height == 8 else b"r")]
        store.commit_block(block(store, rows, nodes=nodes))
        contents.append((row_table(store.view.state()), walked(store.view.state())))
    prune_all(store, 8, changes_max)
    store = simulated(disk)
    for height in range(11):
        record = store.view.block(height)
        assert record is not None
        if height < 8:
            with pytest.raises(StoreRefused, match=r"STATE_PRUNED: .*, the oldest is that of bloc"):
                store.view.state_at(record)
            continue
        state = store.view.state_at(record)
        assert (row_table(state), walked(state)) == contents[height - 6]
    assert count(disk, keys.CHANGED_ROWS) == count(disk, keys.CHANGED_NODES) == 2
    shared = list(SimulatedKeyValue(disk).scan(*keys.ROW.range(1, b"shared")))
    assert len(shared) == 3


def test_a_tombstone_goes_with_what_it_hides(disk: SimulatedDisk, store: ChainStore) -> None:
    store.commit_block(block(store, [(2, b"own 0", None)]))
    prune_all(store, 6)
    assert list(SimulatedKeyValue(disk).scan(*keys.ROW.range(2, b"own 0"))) == []
    assert list(store.checked_rows())


def test_pruning_and_dead_versions(disk: SimulatedDisk, store: ChainStore) -> None:
    orphan = store.view.block(5)
    roll_back(store, 2)
    store.advance(store.open_journals()[0].plan_id, Stage.SETTLED)
    store.advance(store.open_journals()[0].plan_id, Stage.NOTIFIED)
    grown(store, 3)
    with refused(StoreProblem.PRUNE_REFUSED, disk):
        store.prune(History.NODES, 4, FINALIZED, 9)
    store.advance(store.open_journals()[0].plan_id, Stage.DONE)
    prune_all(store, 4)
    assert store.view.state().row(1, b"shared") == b"at 5"
    assert orphan is not None
    with pytest.raises(StoreRefused, match="STATE_PRUNED"):
        store.view.state_at(orphan)
    collect_all(store, 1)
    assert len(row_table(store.view.state())) == 7
    assert list(store.checked_rows())


def test_rows_may_be_kept_longer_than_trie_nodes(store: ChainStore) -> None:
    prune(store, History.NODES, 4)
    record = store.view.block(3)
    assert record is not None
    state = store.view.state_at(record)
    assert state.row(1, b"shared") == b"at 3"
    with pytest.raises(StoreRefused, match="STATE_PRUNED"):
        state.node(bytes(32), 0, 0)
    assert store.view.retention().rows.height == 0


def test_pruning_takes_nothing_that_somebody_needs(disk: SimulatedDisk, store: ChainStore) -> None:
    assert "the head is block 5" in refusal_of(store, disk, 6)
    assert "a rollback needs block 1; the oldest is block 0" in refusal_of(store, disk, 2, 1)
    store.create_checkpoint(3, "before the upgrade", "operator")
    assert "checkpoint before the upgrade needs block 3" in refusal_of(store, disk, 4)
    prune_all(store, 3)
    assert "the oldest is block 3" in refusal_of(store, disk, 4)
    store.drop_checkpoint(store.view.checkpoints()[0].sequence)
    store.advance_cursor("plugin", Cursor(4, 4, bytes(32)))
    assert "plugin has read up to sequence 4" in refusal_of(store, disk, 4)
    store.advance_cursor("plugin", Cursor(4, 4, bytes(32), parked=True))
    prune_all(store, 4)


def refusal_of(
    store: ChainStore, disk: SimulatedDisk, height: int, finalized_height: int = FINALIZED
) -> str:
    writes = disk.writes
    with pytest.raises(StoreRefused) as caught:
        store.prune(History.NODES, height, finalized_height, 9)
    assert caught.value.problem is StoreProblem.PRUNE_REFUSED
    assert disk.writes == writes
    return caught.value.detail


def test_rows_are_pruned_after_trie_nodes(disk: SimulatedDisk, store: ChainStore) -> None:
    with refused(StoreProblem.PRUNE_REFUSED, disk):
        store.prune(History.ROWS, 3, FINALIZED, 9)


def test_an_open_plan_holds_pruning_and_pruning_holds_plans(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    order = rollback(store, 2)
    store.prepare(order)
    assert f"plan {order.plan_id.hex()} needs block 2" in refusal_of(store, disk, 3)
    store.advance(order.plan_id, Stage.ABORTED)
    prune_all(store, 3)
    with refused(StoreProblem.STATE_PRUNED, disk):
        store.prepare(rollback(store, 2))
    with refused(StoreProblem.STATE_PRUNED, disk):
        store.create_checkpoint(2, "late", "operator")
    assert roll_back(store, 3).height == 3
    assert store.view.state().row(1, b"shared") == b"at 3"


def test_an_orphaned_checkpoint_holds_nothing(store: ChainStore) -> None:
    store.create_checkpoint(2, "gone", "operator")
    finished(store, 1)
    grown(store, 4)
    assert [each.label for each in store.view.checkpoints()] == ["gone"]
    prune_all(store, 4)
    assert store.view.retention().rows.height == 4


def test_pruning_again_or_lower_does_nothing(store: ChainStore) -> None:
    prune_all(store, 3)
    again = store.prune(History.ROWS, 2, FINALIZED, 9)
    assert (again.removed, again.done) == (0, True)
    assert store.view.retention().rows.height == 3


def test_space_is_given_back(tmp_path: Path) -> None:
    with closing(open_folder(tmp_path / "data", create=True)) as store:
        for _ in range(40):
            store.commit_block(block(store, [(1, b"shared", os.urandom(40_000))]))
        whole = compacted(store, tmp_path)
        newest = store.view.state().row(1, b"shared")
        prune_all(store, 38, 1_000)
        assert compacted(store, tmp_path) < whole // 10
        assert store.view.state().row(1, b"shared") == newest


def compacted(store: ChainStore, folder: Path) -> int:
    """Give back what is free, and return how many bytes the tables take."""
    for history in History:
        store.compact(history)
    return sum(path.stat().st_size for path in folder.rglob("*.ldb"))
