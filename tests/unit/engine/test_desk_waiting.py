"""Commands for which somebody waits or no longer does, beside others; and the words of their no."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sequencer.engine import desk as desk_module
from sequencer.engine.suggest import Suggestion, suggest
from sequencer.model.limits import CHECKPOINT_LABEL_CHARACTERS_MAX
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.ports import ChainView
from tests.unit.engine.builders import until
from tests.unit.engine.desks import denied, desk_beside, operated
from tests.unit.engine.rolling import Chain


async def test_a_search_keeps_nobody_from_planning_and_going_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, rest = threading.Event(), threading.Event()

    def slow(view: ChainView, since: str, goes_on: Callable[[], bool]) -> Suggestion:
        begun.set()
        while goes_on():
            rest.wait(0.001)
        return Suggestion(0, 0, "", 0, "", 0)

    monkeypatch.setattr(desk_module, "suggest", slow)
    async with operated(tmp_path) as rig, asyncio.timeout(20):
        await rig.blocks(3)
        await rig.halt()
        gone = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.desk.suggest("0", gone))
            await until(begun.is_set)
            with denied(Reason.BUSY, "another search"):
                await rig.desk.suggest("0")
            assert (await rig.back(1))["height"] == 1
            assert (await rig.desk.reorgs())["reorgs"] != []
            gone.set()
        gone.set()
        await rig.desk.suggest("0", gone)


async def test_a_plan_is_read_beside_a_long_look(tmp_path: Path) -> None:
    held, begun = threading.Event(), threading.Event()

    def look() -> None:
        begun.set()
        assert held.wait(20)

    async with operated(tmp_path) as rig, asyncio.timeout(20):
        await rig.blocks(3)
        await rig.halt()
        plan_id = (await rig.plan(1)).plan_id.hex()
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.reader.run(look))
            await until(begun.is_set)
            try:
                told = await rig.desk.apply(plan_id, rig.desk.order("olga", "x"))
            finally:
                held.set()
        assert told["height"] == 1


def test_a_search_asks_all_the_time_whether_it_goes_on() -> None:
    chain = Chain()
    chain.blocks(2)
    view, asked = chain.store.view, 0

    def until_asked(most: int) -> Callable[[], bool]:
        def goes_on() -> bool:
            nonlocal asked
            asked += 1
            return asked <= most

        return goes_on

    assert suggest(view, "0", until_asked(10**9)).bad_height == 0
    often, heights = asked, view.head.height
    assert often > 10 * heights
    for most in range(0, often, often // 20):
        asked = 0
        with denied(Reason.SHUTTING_DOWN, "from block 0 on"):
            suggest(view, "0", until_asked(most))
        assert asked == most + 1


async def test_a_search_begins_at_a_checkpoint_too(tmp_path: Path) -> None:
    chain = Chain()
    chain.blocks(2)
    view = chain.store.view
    chain.store.create_checkpoint(3, "noon", "olga")
    chain.store.create_checkpoint(view.head.height, "now", "olga")
    desk = desk_beside(chain.store, tmp_path)
    assert (await desk.suggest("noon")).since_height == 3
    for at_head in ("now", "latest"):
        assert (await desk.suggest(at_head)).since_height == view.head.height
    with denied(Reason.BLOCK_UNKNOWN):
        await desk.suggest("evening")


async def test_nobody_waits_for_a_post_when_whoever_asked_is_gone(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True) as rig, asyncio.timeout(20):
        await rig.idle()
        rig.contract.faults.unreachable = True
        height, gone = await rig.block(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(
                rig.desk.create_checkpoint(
                    "noon", "latest", "olga", replace=False, settled=True, gone=gone
                )
            )
            await until(lambda: len(rig.node.store.view.checkpoints()) == 1)
            assert not waiting.done()
            gone.set()
        assert waiting.result()["height"] == height


async def test_a_mode_out_of_order_says_which_comes_next(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        for lower in (Mode.CANCEL_ONLY, Mode.POST_ONLY):
            with denied(Reason.MODE_ORDER, f" next comes {lower.value}$"):
                await rig.desk.mode(Mode.OPEN, "", 0, 0)
            await rig.desk.mode(lower, "", 0, 0)
        await rig.halt()
        await rig.back(2)
        with denied(Reason.MODE_ORDER, " next comes CANCEL_ONLY$"):
            await rig.desk.mode(Mode.POST_ONLY, "", 0, 0)


@pytest.mark.parametrize("name", ["", " \u2003", "x" * (CHECKPOINT_LABEL_CHARACTERS_MAX + 1)])
async def test_a_checkpoint_needs_a_name(tmp_path: Path, name: str) -> None:
    chain = Chain()
    desk = desk_beside(chain.store, tmp_path)
    for label, by in ((name, "olga"), ("noon", name)):
        with denied(Reason.PARAMETER_INVALID):
            await desk.create_checkpoint(label, "1", by, replace=False, settled=False)
    longest = "x" * CHECKPOINT_LABEL_CHARACTERS_MAX
    await desk.create_checkpoint(longest, "1", "olga", replace=False, settled=False)
    assert longest in [each.label for each in chain.store.view.checkpoints()]
