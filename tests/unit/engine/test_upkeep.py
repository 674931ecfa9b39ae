"""Upkeep: bounded rounds at fixed heights, the same in every process."""

import pytest

from sequencer.engine import upkeep
from sequencer.engine.recovery import mark_planned_stop, was_planned
from sequencer.engine.rollback import resume
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.model.records import Collection, Cursor, Head, Stage
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import Fault, SimulatedDisk
from tests.unit.engine.builders import Rig, genesis_disk, running
from tests.unit.storage.builders import block, grown, hash_of, roll_back, simulated, undo

ROUND = 4
LITTLE = Keeping(trie_blocks=2, row_blocks=3, effects=2)
ALL = Keeping()
OFTEN = Keeping(checkpoint_blocks=3)
KEPT = 2


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "UPKEEP_BLOCKS", ROUND)
    monkeypatch.setattr(upkeep, "CHECKPOINTS_KEPT", KEPT)


def grow(store: ChainStore, blocks: int, keeping: Keeping = LITTLE) -> None:
    """Append blocks with a mark that expires, each followed by its upkeep, as a writer does."""
    for _ in range(blocks):
        height = store.head.height + 1
        rows = ((1, b"shared", b"at %d" % height),)
        seen = ((hash_of("message", height), height * 1_000),)
        store.commit_block(block(store, rows, seen=seen))
        keep_up(store, height * 1_000, keeping)


def kept(disk: SimulatedDisk) -> dict[bytes, bytes]:
    return dict(disk.contents.values)


def test_nothing_happens_between_the_rounds() -> None:
    disk = SimulatedDisk()
    store = simulated(disk)
    grow(store, ROUND + 1)
    for height in range(ROUND + 1, 2 * ROUND):
        before = disk.writes
        grow(store, 1)
        assert store.head.height == height
        assert disk.writes - before == 2
    before = disk.writes
    grow(store, 1)
    assert disk.writes - before > 2


def test_two_stores_keep_the_same() -> None:
    one, other = SimulatedDisk(1), SimulatedDisk(2)
    grow(simulated(one), 2 * ROUND)
    # The other one is restarted between the blocks.
    for _ in range(2 * ROUND):
        grow(simulated(other), 1)
    assert kept(one) == kept(other)


def test_what_is_old_goes_and_what_is_young_stays() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 3 * ROUND + 1)
    assert store.head.height == 3 * ROUND
    retention = store.view.retention()
    assert (retention.nodes.height, retention.rows.height) == (3 * ROUND - 2, 3 * ROUND - 3)
    numbers = [effect.number for effect in store.view.effects(0, 99)]
    assert numbers == [store.head.next_effect - 2, store.head.next_effect - 1]
    assert store.view.seen(hash_of("message", 1)) is None
    assert store.view.seen(hash_of("message", 3 * ROUND)) is not None


@pytest.mark.parametrize(
    ("final", "nodes", "rows"),
    [(-1, 0, 0), (0, 0, 0), (5, 5, 5), (9, 9, 9), (11, 10, 9), (99, 10, 9)],
)
def test_the_newest_final_block_and_all_above_it_stay(final: int, nodes: int, rows: int) -> None:
    store = simulated(SimulatedDisk())
    keeping = Keeping(trie_blocks=2, row_blocks=3, effects=2, finalized_height=lambda: final)
    grow(store, 3 * ROUND + 1, keeping)
    retention = store.view.retention()
    assert (retention.nodes.height, retention.rows.height) == (nodes, rows)


def test_what_is_final_later_lets_the_next_round_go_on() -> None:
    store, final = simulated(SimulatedDisk()), [-1]
    grow(store, 1)
    keeping = Keeping(trie_blocks=2, row_blocks=3, effects=2, finalized_height=lambda: final[0])
    for known, kept_height in ((-1, 0), (3, 3), (6, 6), (6, 6), (19, 18)):
        final[0] = known
        grow(store, ROUND, keeping)
        assert store.view.retention().nodes.height == kept_height


def test_rows_are_kept_as_long_as_nodes() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 2 * ROUND + 1, Keeping(trie_blocks=5, row_blocks=1, effects=1))
    retention = store.view.retention()
    assert retention.rows.height == retention.nodes.height == 2 * ROUND - 5


def test_a_checkpoint_keeps_what_it_needs_and_the_round_goes_on() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 2)
    store.create_checkpoint(1, "mine", "me")
    grow(store, 2 * ROUND)
    assert store.view.retention().nodes.height <= 1
    pinned = store.view.block(1)
    assert pinned is not None
    assert {key: value for _, key, value in store.view.state_at(pinned).rows()} == {
        b"shared": b"at 1"
    }
    # What had nothing to do with it was done.
    assert store.view.seen(hash_of("message", 1)) is None
    assert len(store.view.effects(0, 99)) <= ROUND + 2


def test_a_reader_keeps_what_it_has_not_read_unless_it_is_parked() -> None:
    for parked in (False, True):
        store = simulated(SimulatedDisk())
        grow(store, 3)
        head: Head = store.head
        store.advance_cursor("slow", Cursor(1, 1, head.block_hash, parked=parked))
        grow(store, 2 * ROUND)
        first = store.view.effects(0, 1)[0].number
        assert (first == 2) is not parked
        assert (store.view.retention().rows.height <= 1) is not parked


def finish_rollback(store: ChainStore, height: int) -> None:
    """Roll back, and take the rollback through all of its stages."""
    epoch = roll_back(store, height).epoch
    (journal,) = [each for each in store.view.journals() if each.reorg_id == epoch]
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        store.advance(journal.plan_id, stage)


def collections(store: ChainStore) -> list[Collection]:
    return [each.collection for each in store.view.dead.all]


def test_orphaned_state_is_collected_once_another_rollback_has_ended_its_grace() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 4 * ROUND, ALL)
    finish_rollback(store, 4 * ROUND - 3)
    grow(store, ROUND, ALL)
    assert collections(store) == [Collection.WHOLE]
    finish_rollback(store, 5 * ROUND - 6)
    grow(store, ROUND, ALL)
    assert collections(store) == [Collection.DONE, Collection.WHOLE]


def test_a_failure_is_not_swallowed() -> None:
    disk = SimulatedDisk()
    store = simulated(disk)
    grow(store, ROUND)
    grown(store, 1)
    disk.fault = Fault(disk.writes + 1)
    with pytest.raises(StoreFailed) as caught:
        keep_up(store, 10**9, LITTLE)
    assert caught.value.problem is StoreProblem.WRITE_FAILED


async def test_the_writer_does_a_round_when_it_is_due() -> None:
    rig = Rig(genesis_disk(), keeping=LITTLE)
    async with running(rig):
        await rig.at_height(1)
        while rig.views.view.head.height < 2 * ROUND + 1:
            await rig.block()
    assert rig.store.view.retention().nodes.height == 2 * ROUND - 2


def test_a_young_chain_has_nothing_to_forget() -> None:
    disk = SimulatedDisk()
    store = simulated(disk)
    grow(store, 2 * ROUND + 1, ALL)
    assert store.view.effects(0, 1)[0].number == 1
    assert store.view.retention().rows.height == 0


def names(store: ChainStore) -> list[tuple[int, str, str]]:
    return [(each.height, each.label, each.pinned_by) for each in store.view.checkpoints()]


def automatic(*heights: int) -> list[tuple[int, str, str]]:
    return [(height, f"auto {height}", "node") for height in heights]


def test_checkpoints_are_made_at_their_heights_and_the_newest_stay() -> None:
    store = simulated(SimulatedDisk())
    for height, heights in (
        (2, []),
        (3, [3]),
        (6, [3, 6]),
        (8, [3, 6]),
        (9, [6, 9]),
        (13, [9, 12]),
    ):
        grow(store, height - store.head.height, OFTEN)
        assert names(store) == automatic(*heights)
    block_12 = store.view.block(12)
    assert block_12 is not None
    (checkpoint,) = [each for each in store.view.checkpoints() if each.height == 12]
    assert (checkpoint.sequence, checkpoint.block_hash) == (block_12.sequence, block_12.block_hash)


def test_no_checkpoints_are_made_where_none_are_wanted() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 2 * ROUND + 1, Keeping(checkpoint_blocks=0))
    assert names(store) == []


def test_operators_checkpoints_stay_and_are_not_replaced() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 4, ALL)
    store.create_checkpoint(2, "auto 2", "olga")
    store.create_checkpoint(3, "mine", "olga")
    keep_up(store, 3_000, OFTEN)
    grow(store, 3, OFTEN)
    store.create_checkpoint(6, "also mine", "olga")
    grow(store, 12, OFTEN)
    mine = [(2, "auto 2", "olga"), (3, "mine", "olga"), (6, "also mine", "olga")]
    assert names(store) == [*mine, *automatic(15, 18)]


def test_an_automatic_checkpoint_never_holds_history_back() -> None:
    plain, marked = simulated(SimulatedDisk()), simulated(SimulatedDisk())
    little = Keeping(trie_blocks=4, row_blocks=5, effects=2, checkpoint_blocks=0)
    often = Keeping(trie_blocks=4, row_blocks=5, effects=2, checkpoint_blocks=3)
    for blocks in (ROUND + 1, *[ROUND] * 4):
        grow(plain, blocks, little)
        grow(marked, blocks, often)
        assert plain.view.retention() == marked.view.retention()
    assert plain.view.retention().nodes.height == 5 * ROUND - 4
    assert names(marked) == automatic(18)


def test_what_was_undone_for_good_is_dropped_and_what_can_come_back_is_not() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 8, OFTEN)
    epoch = roll_back(store, 4).epoch
    assert names(store) == automatic(3, 6)
    undo(store, epoch)
    resume(store)
    grow(store, 1, OFTEN)
    assert names(store) == automatic(3, 6)
    assert not any(store.view.undone_by(each.sequence) for each in store.view.checkpoints())
    roll_back(store, 5)
    grow(store, 2, OFTEN)
    assert names(store) == automatic(3, 6)
    assert not any(store.view.undone_by(each.sequence) for each in store.view.checkpoints())


def test_two_stores_that_went_back_keep_the_same_checkpoints() -> None:
    one, other = SimulatedDisk(1), SimulatedDisk(2)
    for disk, restarts in ((one, False), (other, True)):
        store = simulated(disk)
        for target in (7, 5, 0):
            for _ in range(10 - store.head.height):
                grow(store, 1, OFTEN)
                if restarts:
                    store = simulated(disk)
            finish_rollback(store, target)
        grow(store, 11, OFTEN)
    assert kept(one) == kept(other)
    assert names(simulated(one)) == automatic(6, 9)


def test_a_planned_stop_at_a_checkpoint_marks_it_and_gives_it_back() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 7, OFTEN)
    for _ in range(2):
        mark_planned_stop(store)
        assert was_planned(store.view)
        assert names(store) == [*automatic(3), (6, "auto 6", "node, planned stop")]
    grow(store, 3, OFTEN)
    assert not was_planned(store.view)
    assert names(store) == [(6, "auto 6", "node, planned stop"), *automatic(9)]
    grow(store, 1, OFTEN)
    mark_planned_stop(store)
    assert names(store) == [*automatic(6, 9), (10, "planned stop", "node")]


def test_a_mark_at_a_checkpoint_that_was_undone_is_dropped() -> None:
    store = simulated(SimulatedDisk())
    grow(store, 7, OFTEN)
    mark_planned_stop(store)
    roll_back(store, 4)
    grow(store, 1, ALL)
    mark_planned_stop(store)
    assert names(store) == [*automatic(3), (5, "planned stop", "node")]


async def test_the_writer_makes_checkpoints() -> None:
    rig = Rig(genesis_disk(), keeping=OFTEN)
    async with running(rig):
        await rig.at_height(1)
        while rig.views.view.head.height < 7:
            await rig.block()
    assert names(rig.store) == automatic(3, 6)
