"""What the writer is told beside commands: decisions about the chain, and calls for a block."""

import asyncio

import pytest

from sequencer.engine.items import Applied
from sequencer.engine.plan import make_plan
from sequencer.engine.recovery import recover
from sequencer.engine.rollback import apply_plan
from sequencer.engine.writer import Pace
from sequencer.model.commands import OrderPolicy, SetMode
from sequencer.model.halts import HaltCause
from sequencer.model.records import Head
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.ports import StoreFailed, StoreProblem
from tests.unit.engine.builders import (
    HeldWorker,
    Rig,
    answer,
    applied,
    causes,
    running,
    turns,
    until,
)
from tests.unit.engine.rolling import ORDER

ON_CALL = Pace(on_call=True)


async def test_a_decision_lets_the_sealing_block_commit_and_drops_the_open_one() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        sealing = rig.send(rig.bid(1))
        await until(lambda: worker.held == 1)
        dropped = rig.send(rig.bid(2))
        await until(lambda: dropped.hash in rig.state.orders)
        seen: list[int] = []

        async def work() -> str:
            assert dropped.hash not in rig.state.orders
            seen.append(rig.store.head.height)
            return "done"

        decided = asyncio.ensure_future(rig.writer.decide(work))
        await turns()
        assert not seen
        worker.free.set()
        assert await decided == "done"
        await until(lambda: rig.writer.decided)
        assert (await applied(sealing)).height == seen[0] == rig.store.head.height
        assert await answer(dropped) is Reason.HALTED
        assert rig.store.view.seen(dropped.hash.to_bytes(32, "big")) is None
        late = rig.writer.decide(work)
        with pytest.raises(Refused) as info:
            await late
        assert info.value.reason is Reason.SHUTTING_DOWN
    assert len(seen) == 1


async def test_what_is_sent_while_something_is_decided_is_refused_at_once() -> None:
    async with running(Rig()) as rig:
        await rig.at_height(5)
        free, begun = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            begun.set()
            await free.wait()

        decided = asyncio.ensure_future(rig.writer.decide(work))
        await begun.wait()
        assert rig.gate.is_halted(rig.state)
        with pytest.raises(Refused, match="HALTED"):
            rig.send(rig.bid(1))
        with pytest.raises(Refused, match="HALTED"):
            rig.writer.operate(SetMode(Mode.OPEN))
        assert not decided.done()
        free.set()
        await decided


async def test_a_chain_goes_back_in_the_writers_line() -> None:
    async with running(Rig(pace=Pace(interval_ms=1, heartbeat_ms=1))) as rig:
        await rig.at_height(7)
        orders = [rig.send(rig.bid(number)) for number in range(1, 6)]

        async def work() -> Head:
            plan = make_plan(rig.store.view, "5", OrderPolicy.KEEP)
            return apply_plan(rig.store, plan, ORDER)

        head = await rig.writer.decide(work)
        await rig.admission.checked()
        # What came too late for the writer is answered by whoever runs it, as an engine does.
        rig.admission.refuse_all(Reason.HALTED, "the chain was halted")
        answers = [await answer(each) for each in orders]
    assert (head.height, head.epoch) == (5, 1)
    assert rig.store.head == head
    for told in answers:
        assert told is Reason.HALTED or (isinstance(told, Applied) and told.height > 5)
    again = recover(rig.store)
    assert causes(again.halts) == [HaltCause.LATCH]
    assert again.header.number == 5


async def test_a_refused_decision_is_answered_and_the_writer_ends_all_the_same() -> None:
    async with running(Rig()) as rig:

        async def work() -> None:
            raise Refused(Reason.PLAN_STALE, "the head has moved")

        with pytest.raises(Refused) as info:
            await rig.writer.decide(work)
        assert info.value.reason is Reason.PLAN_STALE
        await until(lambda: rig.writer.decided)


async def test_a_store_that_fails_in_a_decision_halts_the_chain_for_good() -> None:
    async with running(Rig()) as rig:

        async def work() -> None:
            raise StoreFailed(StoreProblem.WRITE_FAILED, "no room")

        with pytest.raises(Refused) as info:
            await rig.writer.decide(work)
        assert info.value.reason is Reason.OUTCOME_UNKNOWN
        await until(lambda: rig.gate.final() is not None)
        assert not rig.writer.decided
        with pytest.raises(Refused) as info:
            await rig.writer.decide(work)
        assert info.value.reason is Reason.HALTED


async def test_a_block_on_call_holds_what_waited_and_nothing_else() -> None:
    async with running(Rig(pace=ON_CALL)) as rig:
        items = [rig.send(rig.bid(number)) for number in range(1, 4)]
        await rig.admission.checked()
        await turns()
        assert len(rig.writer.queue) == 3
        assert rig.store.head.height == 4
        rig.clock.ms += 200
        await rig.writer.call()
        assert {(await applied(item)).height for item in items} == {5}
        rig.clock.ms += 200
        await rig.writer.call()
        await rig.at_height(6)
        assert rig.state.system.time_ms == rig.clock.ms


async def test_a_call_while_halted_or_stopping_is_answered_without_a_block() -> None:
    async with running(Rig(pace=ON_CALL)) as rig:
        halting = rig.writer.operate(SetMode(Mode.HALTED, "look"))
        await rig.writer.call()
        height = (await applied(halting)).height
        await rig.writer.call()
        assert rig.store.head.height == height
        last = asyncio.ensure_future(rig.writer.call())
        rig.writer.stop()
        await last
    await rig.writer.call()
    assert rig.store.head.height == height


async def test_a_decision_on_call_needs_no_block() -> None:
    async with running(Rig(pace=ON_CALL)) as rig:

        async def work() -> int:
            return rig.store.head.height

        assert await rig.writer.decide(work) == 4
