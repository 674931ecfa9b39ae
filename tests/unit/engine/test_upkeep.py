"""Upkeep: bounded rounds at fixed heights, the same in every process."""

import pytest

from sequencer.engine import upkeep
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.model.records import Collection, Cursor, Head, Stage
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import Fault, SimulatedDisk
from tests.unit.engine.builders import Rig, genesis_disk, running
from tests.unit.storage.builders import block, grown, hash_of, roll_back, simulated

ROUND = 4
LITTLE = Keeping(trie_blocks=2, row_blocks=3, effects=2)
ALL = Keeping()


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "UPKEEP_BLOCKS", ROUND)


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
