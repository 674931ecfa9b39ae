"""Guards and harm by the operator's commands, in drills and elsewhere, and what a monitor sees."""

import asyncio
from pathlib import Path

import pytest

from sequencer.engine.desk_figures import Figures
from sequencer.model.commands import Fault, FaultKind
from sequencer.model.halts import HaltCause
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode
from sequencer.model.units import ONE
from sequencer.ports import StoreFailed, StoreProblem
from tests.unit.chain.network import MARKET, address_of
from tests.unit.engine.builders import turns
from tests.unit.engine.desks import Operated, denied, desk_beside, operated
from tests.unit.engine.rolling import Chain


def figures(rig: Operated) -> Figures:
    found = rig.desk.figures()
    assert found is not None
    return found


async def test_in_a_drill_guards_are_off_and_harm_is_done(tmp_path: Path) -> None:
    async with operated(tmp_path, drill=True) as rig:
        zero = Fault(FaultKind.ZERO_PRICE, MARKET)
        with denied(Reason.GUARD_STOPPED):
            await rig.desk.fault(zero)
        with denied(Reason.REASON_MISSING):
            await rig.desk.guard(Guard.ZERO_PRICE, " ", on=False)
        with denied(Reason.REASON_MISSING):
            await rig.desk.guard(Guard.QUORUM, "a\x1b[2J", on=True)
        told = await rig.desk.guard(Guard.ZERO_PRICE, "drill 7", on=False)
        assert (told["guard"], told["on"], told["height"]) == ("ZERO_PRICE", False, rig.height)
        assert rig.desk.guards()["ZERO_PRICE"] == "off"
        assert figures(rig).guards_off == (Guard.ZERO_PRICE,)
        told = await rig.desk.fault(zero)
        assert (told["fault"], told["height"]) == ("ZERO_PRICE", rig.height)
        exchange = figures(rig).exchange
        assert exchange is not None
        assert exchange.markets[MARKET].index == 0
        with denied(Reason.PRICE_MISSING):
            await rig.desk.guard(Guard.ZERO_PRICE, "", on=True)
        with denied(Reason.FAULT_INVALID):
            await rig.desk.fault(Fault(FaultKind.LOST_ORDER, "", address_of("alice")))
        with denied(Reason.SHORT_STRING_MALFORMED):
            await rig.desk.fault(Fault(FaultKind.ZERO_PRICE, "x" * 60))


async def test_harm_to_rows_breaks_a_law_and_is_in_no_block(tmp_path: Path) -> None:
    async with operated(tmp_path, drill=True) as rig:
        height = await rig.block()
        with denied(Reason.HALTED, "CONSERVATION"):
            await rig.desk.fault(Fault(FaultKind.CASH_MINTED, "", address_of("alice"), ONE))
        found = figures(rig)
        assert (found.height, rig.height) == (height, height)
        assert found.writer is not None
        assert found.writer.halts == {HaltCause.LAW_BROKEN}


async def test_elsewhere_guards_stay_on_and_no_block_says_otherwise(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        height = await rig.block()
        for kind in FaultKind:
            with denied(Reason.NOT_A_DRILL):
                await rig.desk.fault(Fault(kind, MARKET, address_of("alice"), 1))
        for guard in Guard:
            with denied(Reason.NOT_A_DRILL):
                await rig.desk.guard(guard, "why", on=False)
        assert rig.height == height
        told = await rig.desk.guard(Guard.TRIPWIRE, "", on=True)
        assert told["height"] == rig.height > height
        listed = rig.desk.guards()
        assert listed["chain"] == "no drill: guards stay on"
        assert {listed[guard.value] for guard in Guard} == {"on"}


async def test_beside_a_stopped_node_there_is_only_the_list(tmp_path: Path) -> None:
    desk = desk_beside(Chain().store, tmp_path)
    with denied(Reason.NODE_NOT_RUNNING):
        await desk.guard(Guard.QUORUM, "", on=True)
    with denied(Reason.NODE_NOT_RUNNING):
        await desk.fault(Fault(FaultKind.ZERO_PRICE, MARKET))
    assert desk.guards()["QUORUM"] == "on"
    found = desk.figures()
    assert found is not None
    assert (found.height, found.writer, found.exchange, found.settled) == (4, None, None, None)


async def test_figures_tell_of_a_halt_that_is_overdue(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await rig.block()
        await rig.idle()
        assert figures(rig).overdue_ms == 0
        await rig.halt()
        rig.clock.ms += 59_000
        assert (figures(rig).overdue_ms, figures(rig).mode) == (0, Mode.HALTED)
        rig.clock.ms += 4_000
        found = figures(rig)
        assert (found.overdue_ms, found.block_age_ms >= 63_000) == (3_000, True)
        assert found.settled is not None
        assert found.settled.settled_height > 0
        assert (found.disk_free_bytes or 0) > 0
        await rig.desk.mode(Mode.CANCEL_ONLY, "", 0, 0)
        assert figures(rig).overdue_ms == 0


async def test_a_store_that_cannot_be_read_has_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_beside(Chain().store, tmp_path)

    def unreadable(_: object) -> None:
        raise StoreFailed(StoreProblem.STORE_CORRUPT, "planted")

    monkeypatch.setattr("sequencer.engine.desk_figures.system_of", unreadable)
    assert desk.figures() is None


async def test_each_commit_is_seen_also_after_going_back(tmp_path: Path) -> None:
    seen: list[float] = []
    async with operated(tmp_path) as rig, asyncio.TaskGroup() as group:
        watching = group.create_task(rig.desk.watch_commits(seen.append))
        await turns()
        await rig.blocks(3)
        assert len(seen) >= 3
        await rig.halt()
        await rig.back(1)
        before = len(seen)
        await rig.desk.mode(Mode.CANCEL_ONLY, "", 0, 0)
        assert len(seen) > before
        assert min(seen) >= 0
        watching.cancel()
