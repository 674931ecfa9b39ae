"""The writer: when blocks open, close and become durable, and who is told when."""

import pytest

from sequencer.engine import writer as writer_module
from sequencer.engine.items import Applied
from sequencer.engine.recovery import recover
from sequencer.engine.writer import Pace
from sequencer.model.commands import RemovePublisher, SetGuard, SetMode
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode
from tests.strategies import refused
from tests.unit.engine.builders import (
    OPENED_MS,
    HeldWorker,
    Rig,
    answer,
    applied,
    reports,
    rows_of,
    running,
    turns,
    until,
)
from tests.unit.storage.builders import simulated

SLOW = Pace(interval_ms=60_000, heartbeat_ms=60_000)
"""A block stays open until it is full or the node stops."""


async def test_nobody_is_told_before_the_block_is_durable() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        item = rig.send(rig.bid(1))
        await until(lambda: worker.held == 1)
        await turns()
        assert item.hash in rig.state.orders
        assert not item.answer.done()
        assert rig.views.view.head.height == rig.store.head.height == 5
        told: list[int] = []
        item.answer.add_done_callback(lambda _: told.append(rig.views.view.head.height))
        worker.free.set()
        block = await applied(item)
    assert told == [6]
    assert block.height == 6
    assert block.block_hash.to_bytes(32, "big") == rig.store.head.block_hash
    assert rig.store.view.seen(item.hash.to_bytes(32, "big")) is not None


async def test_one_block_executes_while_one_is_sealed_and_never_more() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        first = rig.send(rig.bid(1))
        await until(lambda: worker.held == 1)
        second = rig.send(rig.bid(2))
        await until(lambda: second.hash in rig.state.orders)
        third = rig.send(rig.bid(3))
        await until(lambda: third.hash in rig.state.orders)
        # The third is in the same open block as the second: none is closed before it can go on.
        assert rig.producer.number == 7
        assert worker.held == 1
        worker.free.set()
        heights = [(await applied(item)).height for item in (first, second, third)]
    assert heights == [6, 7, 7]


async def test_a_full_block_waits_for_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BLOCK_COMMANDS_MAX", 1)
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        items = [rig.send(rig.bid(number)) for number in range(3)]
        await until(lambda: items[1].hash in rig.state.orders)
        await turns(100)
        # The second block is closed and waits; the third does not begin before it goes on.
        assert worker.held == 1
        assert rig.producer.number == 8
        assert items[2].hash not in rig.state.orders
        worker.free.set()
        assert [(await applied(item)).height for item in items] == [6, 7, 8]


async def test_the_time_that_a_block_is_under_way_is_known() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        await until(lambda: rig.gate.lag_ms() == 0)
        worker.free.clear()
        item = rig.send(rig.bid(1))
        await until(lambda: rig.gate.lag_ms() > 2)
        worker.free.set()
        await applied(item)
        await until(lambda: rig.gate.lag_ms() == 0)


async def test_an_idle_chain_beats_and_its_time_never_stands_still() -> None:
    rig = Rig(pace=Pace(interval_ms=1, heartbeat_ms=3))
    rig.clock.ms = OPENED_MS - 50_000
    async with running(rig):
        await rig.at_height(9)
    durable = recover(simulated(rig.disk))
    blocks = durable.header.number - 4
    assert blocks >= 5
    assert durable.state.system.time_ms == OPENED_MS + blocks


async def test_chain_time_follows_the_clock() -> None:
    async with running(Rig()) as rig:
        await rig.at_height(5)
        rig.clock.ms += 700
        await rig.block()
    assert rig.state.system.time_ms == rig.clock.ms


async def test_what_comes_while_a_block_is_open_gets_into_it() -> None:
    async with running(Rig(pace=SLOW)) as rig:
        one = rig.send(rig.bid(1))
        await until(lambda: one.hash in rig.state.orders)
        two = rig.send(rig.bid(2))
        await until(lambda: two.hash in rig.state.orders)
        rig.writer.stop()
        assert [(await applied(item)).height for item in (one, two)] == [5, 5]


async def test_a_full_block_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BLOCK_COMMANDS_MAX", 3)
    rig = Rig(pace=SLOW)
    async with running(rig):
        items = [rig.send(rig.bid(number)) for number in range(8)]
        heights = [(await applied(item)).height for item in items[:6]]
        assert not items[6].answer.done()
    assert heights == [5, 5, 5, 6, 6, 6]
    assert [(await applied(item)).height for item in items[6:]] == [7, 7]


async def test_stopping_finishes_the_open_block_and_answers_the_rest() -> None:
    verifying = HeldWorker()
    rig = Rig(pace=SLOW, verifying=verifying)
    async with running(rig):
        inside = rig.send(rig.bid(1))
        await until(lambda: inside.hash in rig.state.orders)
        verifying.free.clear()
        behind = rig.send(rig.bid(2))
        await turns()
        rig.writer.queue.put(queued := rig.item(rig.bid(3)))
        rig.writer.stop()
        assert (await applied(inside)).height == 5
    assert await answer(queued) is Reason.SHUTTING_DOWN
    assert await answer(behind) is Reason.SHUTTING_DOWN
    with refused(Reason.SHUTTING_DOWN):
        rig.writer.operate(SetMode(Mode.CANCEL_ONLY))
    assert rig.store.head.height == 5


async def test_changes_of_mode_that_wait_at_the_end_are_answered() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        sealed = rig.send(rig.bid(1))
        await until(lambda: worker.held == 1)
        open_ = rig.send(rig.bid(2))
        await until(lambda: open_.hash in rig.state.orders)
        mode = rig.writer.operate(SetMode(Mode.CANCEL_ONLY))
        await turns()
        assert not mode.answer.done()
        rig.writer.stop()
    assert [(await applied(item)).height for item in (sealed, open_)] == [6, 7]
    assert await answer(mode) is Reason.SHUTTING_DOWN
    assert rig.store.head.height == 7


async def test_what_was_written_is_what_a_restart_finds() -> None:
    async with running(Rig()) as rig:
        for number in range(3):
            rig.price(60_000 + number)
            await applied(rig.send(rig.bid(number)))
            rig.clock.ms += 1_000
    again = recover(simulated(rig.disk), full=True)
    assert not again.halts
    assert rows_of(again.state) == rows_of(rig.state)
    assert again.header.number == rig.store.head.height


async def test_halted_makes_no_block_and_says_so_to_everybody() -> None:
    rig = Rig()
    async with running(rig):
        await applied(rig.writer.operate(SetMode(Mode.HALTED, "enough")))
        height = rig.store.head.height
        with refused(Reason.HALTED):
            rig.send(rig.bid(1))
        guard = rig.writer.operate(SetGuard(Guard.TRIPWIRE, True))
        assert await answer(guard) is Reason.HALTED
        assert await answer(rig.writer.operate(SetMode(Mode.OPEN))) is Reason.MODE_ORDER
        # A beat is long overdue.
        rig.writer._beat = 0.0
        rig.writer.queue.wake()
        await turns()
        assert rig.store.head.height == height
        again = await applied(rig.writer.operate(SetMode(Mode.CANCEL_ONLY)))
        assert again.height == height + 1
        rig.price(60_000)
    assert rig.note.written == []


async def test_what_was_verified_before_a_halt_is_answered_after_it() -> None:
    verifying = HeldWorker()
    async with running(Rig(verifying=verifying)) as rig:
        await rig.at_height(5)
        verifying.free.clear()
        item = rig.send(rig.bid(1))
        await turns()
        await applied(rig.writer.operate(SetMode(Mode.HALTED)))
        verifying.free.set()
        assert await answer(item) is Reason.HALTED
    assert item.hash not in rig.state.orders


async def test_a_command_of_the_operator_that_no_calldata_takes_is_refused_at_once() -> None:
    async with running(Rig()) as rig:
        for name in ("x" * 32, "\N{GREEK SMALL LETTER ALPHA}"):
            with refused(Reason.SHORT_STRING_MALFORMED):
                rig.writer.operate(RemovePublisher(name))
        unknown = await answer(rig.writer.operate(RemovePublisher("Delta")))
        assert isinstance(unknown, Applied)
        assert unknown.refusal == "PUBLISHER_UNKNOWN"


async def test_a_tick_takes_the_reports_and_their_marks_become_durable() -> None:
    async with running(Rig()) as rig:
        await rig.at_height(5)
        rig.clock.ms += 1_000
        rig.price(60_050)
        await rig.block()
    assert rig.state.prices["BTC-USD-PERP"].index == 60_050 * 10**8
    assert rig.store.view.high_water(b"Bravo/BTCUSD") == reports(second=6)[0].signed_at


async def test_a_listener_is_told_of_each_durable_block() -> None:
    rig, heights = Rig(), list[int]()
    rig.writer.listen(lambda: heights.append(rig.views.view.head.height))
    async with running(rig):
        await rig.at_height(5)
        for _ in range(3):
            await rig.block()
    assert heights == [5, 6, 7, 8]
