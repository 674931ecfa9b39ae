"""The outbox: every row, in order, at least once, and a cursor that says where a reader stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sequencer.engine import outbox as outbox_module
from sequencer.engine.outbox import Outbox, park_absent
from sequencer.model.plugins import READER_PREFIX
from sequencer.model.records import BlockRecord, Cursor, Effect, EffectKind, Stage
from sequencer.ports import Worker
from sequencer.storage.simulated import Fault
from tests.unit.engine.builders import (
    HeldWorker,
    InlineWorker,
    Rig,
    applied,
    causes,
    running,
    turns,
    until,
)
from tests.unit.storage.builders import roll_back, rollback


class Reader:
    """Somebody who is told, and who fails at a number."""

    def __init__(self, fails_at: int = 0, name: str = "test") -> None:
        self.name = name
        self.fails_at = fails_at
        self.told: list[tuple[int, int]] = []
        self.kinds: list[EffectKind] = []
        self.late = asyncio.Event()
        self.late.set()

    async def deliver(self, effect: Effect, block: BlockRecord | None) -> None:
        await self.late.wait()
        if effect.number == self.fails_at:
            raise BrokenPipeError
        self.told.append((effect.number, -1 if block is None else block.height))
        self.kinds.append(effect.kind)


def outbox_of(rig: Rig, reader: Reader, worker: Worker | None = None) -> Outbox:
    outbox = Outbox(rig.store, worker or InlineWorker(), rig.views, reader)
    rig.writer.listen(outbox.wake)
    return outbox


def cursor_of(rig: Rig, reader: str = "test") -> Cursor:
    rig.views.advance()
    cursor = rig.views.view.cursor(reader)
    assert cursor is not None
    return cursor


@asynccontextmanager
async def delivering(outbox: Outbox) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(outbox.run())
        yield
        outbox.finish()


async def told_all(rig: Rig, reader: Reader) -> None:
    async with delivering(outbox_of(rig, reader)):
        pass


async def test_every_block_is_told_in_order_with_its_block() -> None:
    rig, reader = Rig(), Reader()
    async with delivering(outbox_of(rig, reader)), running(rig):
        await rig.at_height(5)
        for _ in range(3):
            await rig.block()
        await until(lambda: len(reader.told) == 9)
    assert reader.told == [(number, number - 1) for number in range(1, 10)]
    head = rig.store.head
    assert cursor_of(rig) == Cursor(9, head.sequence, head.block_hash)


async def test_finishing_delivers_what_is_left_also_where_nothing_had_begun() -> None:
    rig, reader = Rig(), Reader()
    outbox = outbox_of(rig, reader)
    outbox.finish()
    await outbox.run()
    assert [number for number, _ in reader.told] == [1, 2, 3, 4, 5]


async def test_nothing_is_told_before_it_is_durable() -> None:
    worker = HeldWorker()
    rig, reader = Rig(worker=worker), Reader()
    async with delivering(outbox_of(rig, reader)), running(rig):
        await rig.at_height(5)
        await until(lambda: len(reader.told) == 6)
        worker.free.clear()
        item = rig.send(rig.bid(1))
        await until(lambda: worker.held == 1)
        await turns()
        assert len(reader.told) == 6
        worker.free.set()
        await applied(item)
        await until(lambda: len(reader.told) == 7)


async def test_a_restart_goes_on_behind_the_cursor() -> None:
    rig, reader = Rig(), Reader()
    await told_all(rig, reader)
    again = Rig(rig.disk)
    async with running(again):
        await again.at_height(5)
    later = Reader()
    await told_all(again, later)
    assert later.told == [(6, 5)]


async def test_a_crash_before_the_cursor_moved_tells_it_again() -> None:
    rig, reader = Rig(), Reader()
    worker = HeldWorker()
    worker.free.clear()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outbox_of(rig, reader, worker).run())
        await until(lambda: worker.held == 1)
        task.cancel()
    assert len(reader.told) == 5
    again, later = Rig(rig.disk), Reader()
    await told_all(again, later)
    assert later.told == reader.told


@pytest.mark.parametrize("together", [1, 2, 256])
async def test_the_cursor_moves_behind_each_round(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "EFFECTS_TOGETHER_MAX", together)
    rig, reader = Rig(), Reader()
    writes = rig.disk.writes
    await told_all(rig, reader)
    assert [number for number, _ in reader.told] == [1, 2, 3, 4, 5]
    assert rig.disk.writes - writes == -(-5 // together)


@pytest.mark.parametrize("fails_at", [1, 3])
async def test_a_reader_that_fails_is_parked_and_goes_on_in_the_next_process(
    fails_at: int,
) -> None:
    rig, reader = Rig(), Reader(fails_at)
    outbox = outbox_of(rig, reader)
    await outbox.run()
    assert [number for number, _ in reader.told] == list(range(1, fails_at))
    cursor = cursor_of(rig)
    assert (cursor.effect, cursor.parked) == (fails_at - 1, True)
    # It holds nothing back, and is told no more.
    async with running(rig):
        await rig.at_height(5)
    again, later = Rig(rig.disk), Reader()
    await told_all(again, later)
    assert [number for number, _ in later.told] == list(range(fails_at, 7))
    assert not cursor_of(again).parked


async def test_each_reader_has_a_cursor_of_its_own() -> None:
    rig, one, two = Rig(), Reader(name="one"), Reader(2, name="two")
    async with delivering(outbox_of(rig, one)):
        await outbox_of(rig, two).run()
    assert (len(one.told), len(two.told)) == (5, 1)
    assert (cursor_of(rig, "one").effect, cursor_of(rig, "two").effect) == (5, 1)


async def test_a_rollback_is_told_in_its_place_without_a_block() -> None:
    rig, reader = Rig(), Reader()
    roll_back(rig.store, 2)
    rig.views.advance()
    await told_all(rig, reader)
    # The orphaned blocks are told with the rest: what comes after them says that they are gone.
    assert reader.told == [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, -1)]
    assert reader.kinds[-1] is EffectKind.ROLLBACK


async def test_a_rollback_that_is_being_carried_out_is_not_aborted_by_the_telling() -> None:
    rig, reader = Rig(), Reader()
    order = rollback(rig.store, 2)
    rig.store.prepare(order)
    await told_all(rig, reader)
    assert len(reader.told) == 5
    assert [each.stage for each in rig.store.open_journals()] == [Stage.PREPARED]
    assert rig.store.roll_back(order).height == 2


async def test_readers_that_a_process_does_not_tell_hold_nothing_back() -> None:
    rig, reader = Rig(), Reader()
    plugin = READER_PREFIX + "history"
    for name in ("gone", "settler", plugin):
        await told_all(rig, Reader(name=name))
    roll_back(rig.store, 2)
    rig.views.advance()
    await told_all(rig, reader)
    (journal,) = rig.store.open_journals()
    park_absent(rig.store, {"test", "settler"})
    parked = {name for name, each in rig.store.view.cursors().items() if each.parked}
    assert parked == {"gone"}
    for name in ("settler", plugin):
        await told_all(rig, Reader(name=name))
    assert rig.store.open_journals() == []
    done = rig.store.view.journal(journal.plan_id)
    assert done is not None
    assert done.stage is Stage.DONE
    # Back again, it goes on where it stopped.
    back = Reader(name="gone")
    await told_all(rig, back)
    assert [number for number, _ in back.told] == [6]
    assert not cursor_of(rig, "gone").parked


async def test_a_store_that_takes_no_cursor_ends_the_telling_and_nothing_else() -> None:
    rig, reader = Rig(), Reader()
    rig.disk.fault = Fault(rig.disk.writes + 1, for_ever=True)
    await outbox_of(rig, reader).run()
    assert len(reader.told) == 5
    async with running(rig):
        await until(rig.gate.halted.is_set)
    assert causes(rig.gate.halts) == ["WRITE_FAILED"]


async def test_a_store_that_nobody_vouches_for_tells_nothing_until_somebody_does() -> None:
    disk = Rig().disk
    disk.witness_bytes = bytes(len(disk.witness_bytes))
    rig, reader = Rig(disk), Reader()
    outbox = outbox_of(rig, reader)
    async with delivering(outbox):
        await turns()
        assert reader.told == []
        rig.store.acknowledge()
        outbox.wake()
        await until(lambda: len(reader.told) == 5)


async def test_a_slow_reader_sees_one_height_and_holds_nobody_up() -> None:
    rig, reader = Rig(), Reader()
    reader.late.clear()
    async with delivering(outbox_of(rig, reader)), running(rig):
        await rig.at_height(5)
        await rig.block()
        assert reader.told == []
        reader.late.set()
        await until(lambda: len(reader.told) == 7)
    assert [number for number, _ in reader.told] == list(range(1, 8))
