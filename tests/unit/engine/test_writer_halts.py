"""How the writer halts: what is written, what is not, and that everybody gets an answer."""

from random import Random
from typing import Any, cast

import msgspec
import pytest

from sequencer.engine.items import Applied, Item
from sequencer.engine.recovery import recover
from sequencer.engine.sealer import Sealer
from sequencer.engine.writer import Pace
from sequencer.exchange.state import ONLY, Table
from sequencer.exchange.transition import HANDLERS
from sequencer.model.commands import PlaceOrder, SetMode, SetOperator
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.laws import Law, LawBroken
from sequencer.model.limits import DISK_FREE_BYTES_HALT, DISK_FREE_BYTES_MIN
from sequencer.model.orders import Side
from sequencer.model.records import NO_HASH
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode, ModeCause
from sequencer.model.units import ONE
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.simulated import Fault, Trace
from tests.strategies import Unchecked, refused
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import (
    DelayedWorker,
    HeldWorker,
    Rig,
    answer,
    applied,
    causes,
    report,
    reports,
    rows_of,
    running,
    turns,
    until,
)
from tests.unit.storage.builders import roll_back, simulated

RISKY = 82 * ONE


def handle(monkeypatch: pytest.MonkeyPatch, kind: type, handler: Unchecked) -> None:
    monkeypatch.setitem(cast(dict[Any, Any], HANDLERS), kind, handler)


def break_a_law(*_: object) -> None:
    raise LawBroken(Law.DERIVED, "planted")


@pytest.mark.parametrize("write", [1, 2])
@pytest.mark.parametrize("trace", list(Trace))
async def test_a_write_that_fails_is_the_last(write: int, trace: Trace) -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        await turns()
        worker.free.clear()
        doomed = rig.send(rig.bid(1))
        await until(lambda: worker.held == 1)
        behind = rig.send(rig.bid(2))
        await until(lambda: behind.hash in rig.state.orders)
        rig.disk.fault = Fault(rig.disk.writes + write, trace=trace)
        worker.free.set()
        assert await answer(doomed) is Reason.OUTCOME_UNKNOWN
        assert await answer(behind) is Reason.HALTED
        writes = rig.disk.writes
        with pytest.raises(Refused, match="HALTED: WRITE_FAILED"):
            rig.send(rig.bid(3))
        mode = rig.writer.operate(SetMode(Mode.CANCEL_ONLY))
        assert await answer(mode) is Reason.HALTED
        await turns()
        assert rig.disk.writes == writes
        # Reads go on at the last head.
        assert rig.views.view.head.height == 5
        assert next(rig.views.view.state().rows())
    assert rig.disk.failures == 1
    assert causes(rig.gate.halts) == ["WRITE_FAILED"]
    assert len(rig.note.written) == 1
    assert rig.note.text.startswith("WRITE_FAILED: ")


async def test_a_failure_of_upkeep_halts_after_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def fail(*_: object) -> None:
        raise StoreFailed(StoreProblem.WRITE_FAILED, "upkeep")

    monkeypatch.setattr("sequencer.engine.writer.keep_up", fail)
    async with running(rig):
        await rig.at_height(5)
        await until(rig.gate.halted.is_set)
    assert causes(rig.gate.halts) == ["WRITE_FAILED"]


async def test_a_law_that_a_command_breaks_drops_the_open_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(pace=Pace(interval_ms=60_000, heartbeat_ms=60_000))
    async with running(rig):
        good = rig.send(rig.transfer())
        await until(lambda: rig.state.contracts[address_of("alice")].nonce == 1)
        before = rig.disk.writes
        handle(monkeypatch, PlaceOrder, break_a_law)
        bad, beside = rig.send(rig.bid(1)), rig.send(rig.bid(2))
        assert [await answer(item) for item in (good, bad, beside)] == [Reason.HALTED] * 3
        assert rig.disk.writes == before
    (halt,) = rig.gate.halts
    assert (halt.cause, halt.detail) == (HaltCause.LAW_BROKEN, "DERIVED: planted")
    assert rig.note.text == "LAW_BROKEN: DERIVED: planted"
    assert rig.store.head.height == 4
    assert rig.state.contracts[address_of("alice")].nonce == 0


async def test_a_row_that_is_wrong_at_the_end_of_a_block_stops_it() -> None:
    async with running(Rig()) as rig:
        await rig.at_height(5)
        await turns()
        totals = rig.state.totals
        rig.state.write(Table.TOTALS, ONLY, msgspec.structs.replace(totals, deposited=1))
        item = rig.send(rig.bid(1))
        assert await answer(item) is Reason.HALTED
    assert rig.note.text.startswith("LAW_BROKEN: CONSERVATION")
    assert rig.store.head.height == 5


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (LawBroken(Law.SLOT_RANGE, "too wide"), "LAW_BROKEN", Reason.HALTED),
        (Refused(Reason.ROW_MALFORMED, "no trie node"), "WRITE_FAILED", Reason.HALTED),
        (StoreFailed(StoreProblem.ROW_DIFFERS, "x"), "WRITE_FAILED", Reason.OUTCOME_UNKNOWN),
        (
            StoreFailed(StoreProblem.WRITER_REPLACED, "x"),
            "WRITER_REPLACED",
            Reason.OUTCOME_UNKNOWN,
        ),
        (StoreFailed(StoreProblem.WRITER_FORKED, "x"), "WRITER_REPLACED", Reason.OUTCOME_UNKNOWN),
    ],
    ids=str,
)
async def test_whatever_stops_a_seal_is_named(
    error: Exception, cause: str, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Rig()) as rig:
        await rig.at_height(5)

        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(Sealer, "seal", fail)
        item = rig.send(rig.bid(1))
        assert await answer(item) is reason
    assert causes(rig.gate.halts) == [cause]
    # The folder of another writer is left alone.
    assert bool(rig.note.written) == (cause != "WRITER_REPLACED")
    assert rig.gate.halted.is_set()


async def test_a_tripped_tick_answers_all_and_everything_may_be_sent_again() -> None:
    rig = Rig()
    async with running(rig):
        await rig.at_height(5)
        sell = rig.send(rig.order("bob", Side.SELL, client_id=1, size=RISKY))
        buy = rig.send(rig.order("alice", Side.BUY, client_id=2, size=RISKY))
        await applied(sell)
        await applied(buy)
        rig.clock.ms += 1_000
        rig.price(59_100)
        again = rig.bid(3, "bob")
        item = rig.send(again)
        assert await answer(item) is Reason.HALTED_BY_TRIPWIRE
        await until(lambda: rig.views.view.head.height == rig.producer.number - 1)
        system = rig.state.system
        assert (system.mode, system.cause) == (Mode.HALTED, ModeCause.TRIPWIRE)
        block = rig.views.view.block(rig.views.view.head.height)
        assert block is not None
        height = block.height
        assert rig.views.view.seen(item.hash.to_bytes(32, "big")) is None
        second = reports(second=6)[0].signed_at
        assert rig.views.view.high_water(b"Alpha/BTCUSD") < second
        with refused(Reason.HALTED):
            rig.send(again)
        assert rig.gate.final() is None
        # The operator lets the chain go on; command and prices are as new.
        opened = await applied(rig.writer.operate(SetMode(Mode.CANCEL_ONLY)))
        assert opened.height == height + 1
        rig.admission.report(report(price=59_100, second=6))
        told = await answer(rig.send(again))
        assert isinstance(told, Applied)
        assert told.refusal == "MODE_FORBIDS"
    assert not recover(simulated(rig.disk), full=True).halts


async def test_an_operator_who_is_another_one_now_ends_the_writing() -> None:
    async with running(Rig()) as rig:
        await applied(rig.writer.operate(SetOperator(address_of("bob"))))
        height = rig.store.head.height
        mode, item = rig.writer.operate(SetMode(Mode.CANCEL_ONLY)), rig.send(rig.bid(1))
        assert [await answer(each) for each in (mode, item)] == [Reason.HALTED] * 2
    assert rig.store.head.height == height
    assert causes(rig.gate.halts) == ["TICK_REFUSED"]
    assert rig.note.text.startswith("TICK_REFUSED: NOT_OPERATOR")


async def test_a_disk_that_runs_low_takes_cancels_only_and_then_nothing() -> None:
    async with running(Rig()) as rig:
        await rig.at_height(5)
        rig.space.bytes = DISK_FREE_BYTES_MIN - 1
        told = await answer(rig.send(rig.bid(1)))
        assert isinstance(told, Applied)
        assert told.refusal == "MODE_FORBIDS"
        assert rig.state.system.mode is Mode.CANCEL_ONLY
        rig.space.bytes = DISK_FREE_BYTES_HALT - 1
        height = rig.store.head.height
        assert await answer(rig.send(rig.cancel("alice", 5))) is Reason.HALTED
        await until(rig.gate.halted.is_set)
    assert rig.store.head.height == height + 1
    assert recover(simulated(rig.disk)).state.system.mode is Mode.HALTED
    assert causes(rig.gate.halts) == ["DISK_LOW"]
    assert rig.note.text.startswith("DISK_LOW: ")


async def test_a_note_halts_until_a_change_of_mode_is_durable() -> None:
    worker = HeldWorker()
    rig = Rig(worker=worker, note="LAW_BROKEN: of yesterday")
    async with running(rig):
        await turns()
        assert rig.store.head.height == 4
        with refused(Reason.HALTED):
            rig.send(rig.bid(1))
        refused_change = rig.writer.operate(SetMode(Mode.HALTED, cause=ModeCause.GAP))
        assert await answer(refused_change) is Reason.PARAMETER_INVALID
        assert causes(rig.gate.halts) == ["NOTE"]
        worker.free.clear()
        item = rig.writer.operate(SetMode(Mode.CANCEL_ONLY))
        await until(lambda: worker.held == 1)
        await turns()
        # A crash now must come up HALTED again.
        assert rig.note.text
        worker.free.set()
        await applied(item)
        assert not rig.note.text
        assert rig.gate.halts == []
        await applied(rig.writer.operate(SetMode(Mode.POST_ONLY)))


async def test_a_note_stays_where_the_block_that_ends_the_halt_fails() -> None:
    rig = Rig(note="LAW_BROKEN: of yesterday")
    rig.disk.fault = Fault(rig.disk.writes + 1)
    async with running(rig):
        item = rig.writer.operate(SetMode(Mode.CANCEL_ONLY))
        assert await answer(item) is Reason.OUTCOME_UNKNOWN
    assert rig.note.text.startswith("WRITE_FAILED")


async def test_after_a_rollback_the_first_block_reopens_and_clears_the_latch() -> None:
    rig = Rig()
    async with running(rig):
        await applied(rig.send(rig.bid(1)))
    reorg = roll_back(rig.store, 4).epoch
    after = Rig(rig.disk)
    after.clock.ms = rig.clock.ms
    assert causes(after.gate.halts) == ["LATCH"]
    async with running(after):
        await turns()
        assert after.store.head.height == 4
        assert await answer(after.writer.operate(SetMode(Mode.OPEN))) is Reason.MODE_ORDER
        told = await applied(after.writer.operate(SetMode(Mode.CANCEL_ONLY)))
        assert (told.height, told.epoch) == (5, reorg)
        assert after.store.head.latch is None
        await applied(after.writer.operate(SetMode(Mode.POST_ONLY)))
    assert after.gate.halts == []
    assert after.state.system.cause is ModeCause.ROLLBACK
    assert not recover(simulated(rig.disk), full=True).halts


async def test_a_store_that_nobody_vouches_for_waits_for_the_operator() -> None:
    rig = Rig()
    rig.disk.witness_bytes = bytes(len(rig.disk.witness_bytes))
    unknown = Rig(rig.disk)
    assert causes(unknown.gate.halts) == ["WITNESS_UNACKNOWLEDGED"]
    async with running(unknown):
        await turns()
        assert unknown.disk.writes == 0
        await applied(unknown.writer.operate(SetMode(Mode.CANCEL_ONLY)))
    assert unknown.store.acknowledged
    assert not Rig(rig.disk).gate.halts


async def test_a_witness_that_takes_no_acknowledgement_is_a_failed_write() -> None:
    rig = Rig()
    rig.disk.witness_bytes = bytes(len(rig.disk.witness_bytes))
    unknown = Rig(rig.disk)
    rig.disk.fault = Fault(rig.disk.writes + 1, for_ever=True)
    async with running(unknown):
        item = unknown.writer.operate(SetMode(Mode.CANCEL_ONLY))
        assert await answer(item) is Reason.HALTED
    assert causes(unknown.gate.halts)[-1] == "WRITE_FAILED"
    assert unknown.store.head.block_hash != NO_HASH


async def test_a_final_halt_from_the_start_answers_and_writes_nothing() -> None:
    rig = Rig()
    rig.gate.halts.append(Halt(HaltCause.START_CHECK, "planted"))
    async with running(rig):
        await turns()
        mode = rig.writer.operate(SetMode(Mode.CANCEL_ONLY))
        assert await answer(mode) is Reason.HALTED
    assert rig.disk.writes == 0
    assert rig.note.written == []


FATES = ("none", "write", "law", "stop", "halt")


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_each_gets_one_answer_and_applied_means_durable(
    fate: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(f"{fate} {seed}")
    rig = Rig(worker=DelayedWorker(seed), verifying=DelayedWorker(seed + 50))
    items: list[Item] = []
    answers: list[Item] = []

    def send(number: int) -> None:
        try:
            item = rig.send(rig.bid(number, random.choice(("alice", "bob"))))
        except Refused:
            return
        watch(item)

    def watch(item: Item) -> None:
        items.append(item)
        item.answer.add_done_callback(lambda _: answers.append(item))

    async with running(rig):
        for number in range(24):
            if number == 12 and fate == "write":
                rig.disk.fault = Fault(rig.disk.writes + random.randrange(1, 4))
            if number == 12 and fate == "law":
                handle(monkeypatch, PlaceOrder, break_a_law)
            if number == 12 and fate == "stop":
                rig.writer.stop()
            if number == 12 and fate == "halt":
                watch(rig.writer.operate(SetMode(Mode.HALTED)))
            send(number)
            await turns(random.randrange(4))
        if fate == "none":
            for item in items:
                await applied(item)
    told = [await answer(item) for item in items]
    await turns()
    assert len(answers) == len(set(map(id, answers))) == len(items)
    rig.disk.fault = Fault()
    durable = recover(simulated(rig.disk), full=True)
    assert not durable.halts
    for item, given in zip(items, told, strict=True):
        if isinstance(given, Applied):
            assert given.height <= durable.header.number
            assert item.hash == 0 or item.hash in durable.state.orders
        elif given is not Reason.OUTCOME_UNKNOWN:
            assert item.hash not in durable.state.orders
    assert {"write": "WRITE_FAILED", "law": "LAW_BROKEN"}.get(fate, "") in [
        "",
        *causes(rig.gate.halts),
    ]
    assert rows_of(durable.state)["order"] or fate != "none"
