"""What an operator acknowledges: the halts that stood then, and none that came since."""

import msgspec
import pytest

from sequencer.engine.items import Item
from sequencer.engine.writer import Pace
from sequencer.model.commands import SetMode
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import REASON_CHARACTERS_MAX
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from tests.strategies import refused
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

YESTERDAY = "BLOCK_DIFFERS: of yesterday"
SINCE = Halt(HaltCause.BLOCK_DIFFERS, "of today")
BROKEN = Halt(HaltCause.LAW_BROKEN, "of today")


def acknowledge(rig: Rig) -> Item:
    return rig.writer.operate(SetMode(Mode.CANCEL_ONLY))


async def require_halted(rig: Rig) -> None:
    """Require that the halt that came since stands, that its note does, and that no block comes."""
    height = rig.store.head.height
    await turns()
    assert rig.gate.halts == [SINCE]
    assert rig.note.text == str(SINCE)
    with refused(Reason.HALTED):
        rig.send(rig.bid(1))
    assert (rig.producer.number, rig.store.head.height) == (height + 1, height)


async def test_a_halt_while_the_block_is_open_that_acknowledges_another_stands() -> None:
    async with running(Rig(pace=Pace(interval_ms=100), note=YESTERDAY)) as rig:
        item = acknowledge(rig)
        await until(lambda: rig.state.system.mode is Mode.CANCEL_ONLY)
        assert causes(rig.gate.halts) == ["NOTE"]
        rig.gate.halt(SINCE)
        await applied(item)
        await require_halted(rig)
        await applied(acknowledge(rig))
        assert (rig.gate.halts, rig.note.text) == ([], "")


async def test_a_halt_while_the_block_is_sealed_that_acknowledges_another_stands() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker, note=YESTERDAY)) as rig:
        worker.free.clear()
        item = acknowledge(rig)
        await until(lambda: worker.held == 1)
        assert rig.gate.halts == []
        rig.gate.halt(SINCE)
        worker.free.set()
        await applied(item)
        await require_halted(rig)


async def test_a_final_halt_while_the_block_is_sealed_keeps_its_note() -> None:
    worker = HeldWorker()
    async with running(Rig(worker=worker, note=YESTERDAY)) as rig:
        worker.free.clear()
        item = acknowledge(rig)
        await until(lambda: worker.held == 1)
        rig.gate.halt(BROKEN)
        worker.free.set()
        # What was under way to the disk is durable, and nothing after it.
        await applied(item)
        assert await answer(acknowledge(rig)) is Reason.HALTED
    assert rig.note.text == str(BROKEN)
    assert rig.gate.final() == BROKEN


async def test_a_final_halt_while_the_witness_is_acknowledged_writes_no_block() -> None:
    rig = Rig()
    rig.disk.witness_bytes = bytes(len(rig.disk.witness_bytes))
    worker = HeldWorker()
    async with running(Rig(rig.disk, worker=worker)) as unknown:
        worker.free.clear()
        item = acknowledge(unknown)
        await until(lambda: worker.held == 1)
        unknown.gate.halt(BROKEN)
        worker.free.set()
        assert await answer(item) is Reason.HALTED
    assert unknown.store.head.height == 4
    assert unknown.note.text == str(BROKEN)


@pytest.mark.parametrize("mode", [Mode.CANCEL_ONLY, Mode.HALTED])
async def test_a_reason_has_a_length_in_every_mode(mode: Mode) -> None:
    change = SetMode(mode, "x" * REASON_CHARACTERS_MAX)
    async with running(Rig()) as rig:
        with refused(Reason.PARAMETER_INVALID):
            rig.writer.operate(msgspec.structs.replace(change, reason=change.reason + "x"))
        await applied(rig.writer.operate(change))
