"""The operator's commands on a node that runs: what they change, and what they leave alone."""

import asyncio
import threading
from pathlib import Path

import pytest

from sequencer.engine import desk as desk_module
from sequencer.engine import desk_checkpoints
from sequencer.engine.items import Item
from sequencer.engine.rollback import Order
from sequencer.engine.suggest import Suggestion
from sequencer.model.commands import SetMode
from sequencer.model.records import Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.ports import ChainView
from sequencer.starknet.native import HASHES
from tests.unit.engine.builders import answer, reports, until
from tests.unit.engine.desks import ORDER, Operated, denied, operated


async def test_from_a_halt_to_a_rollback_and_back_and_up_again(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(5)
        halted = await rig.halt()
        before = rig.node.store.head
        assert (halted["height"], before.height) == (rig.height, rig.height)
        assert (await rig.desk.suggest("0")).bad_height == 0
        told = await rig.back(2)
        assert (told["height"], told["epoch"], told["halted_by_reorg"]) == (2, 1, 1)
        assert told["halts"] == ["LATCH: latched by reorg 1"]
        status = await rig.desk.status()
        assert (status["height"], status["undo"], status["node"]) == (2, "reorg 1", "running")
        assert status["hashes"] == HASHES
        assert (await rig.desk.undo(1, ORDER))["height"] == before.height
        assert rig.node.store.head.state_root == before.state_root
        assert (await rig.back(2))["epoch"] == 3
        with denied(Reason.MODE_ORDER, "CANCEL_ONLY comes first"):
            await rig.desk.mode(Mode.POST_ONLY, "", 0, 0)
        assert (await rig.desk.mode(Mode.CANCEL_ONLY, "reviewed", 0, 0))["height"] == 3
        assert (await rig.desk.mode(Mode.POST_ONLY, "", 0, 0))["height"] == 4
        await until(lambda: not rig.node.engine.gate.owes_root)
        with denied(Reason.MODE_NOT_READY, "prices in a row"):
            await rig.desk.mode(Mode.OPEN, "", 0, 0)
        with denied(Reason.UNDO_IMPOSSIBLE, "a block followed it"):
            await rig.desk.undo(3, ORDER)
        lines = (await rig.desk.reorgs())["reorgs"]
        assert isinstance(lines, list)
        assert [line.split()[2] for line in lines] == ["ROLLBACK", "UNDO", "ROLLBACK"]


async def test_what_can_be_refused_beforehand_stops_nothing(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        plan = await rig.plan(1)
        await rig.halt()
        applied = await rig.plan(1)
        await rig.desk.apply(applied.plan_id.hex(), ORDER)
        engine, head = rig.node.engine, rig.node.store.head
        with denied(Reason.PLAN_UNKNOWN):
            await rig.desk.apply("f" * 64, ORDER)
        with denied(Reason.PLAN_APPLIED):
            await rig.desk.apply(applied.plan_id.hex(), ORDER)
        for order, reason in (
            (Order("olga", " ", 1), Reason.REASON_MISSING),
            (Order("olga", "x" * 501, 1), Reason.REASON_MISSING),
            (Order("olga", "a\x1b[2Jb", 1), Reason.REASON_MISSING),
            (Order("o" * 101, "x", 1), Reason.PARAMETER_INVALID),
            (Order("ol\nga", "x", 1), Reason.PARAMETER_INVALID),
        ):
            with denied(reason):
                await rig.desk.apply(plan.plan_id.hex(), order)
            with denied(reason):
                await rig.desk.undo(1, order)
        with denied(Reason.UNDO_IMPOSSIBLE, "reorg 1"):
            await rig.desk.undo(7, ORDER)
        assert rig.node.engine is engine
        assert rig.node.store.head == head


async def test_a_plan_older_than_the_head_halts_and_leaves_another(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        plan = await rig.plan(1)
        height = await rig.block()
        with pytest.raises(Refused, match="PLAN_STALE") as caught:
            await rig.desk.apply(plan.plan_id.hex(), ORDER)
        head = rig.node.store.head
        assert (head.height, head.epoch) == (height, 0)
        assert head.latch is not None
        named = caught.value.detail.split()[-1]
        assert (await rig.desk.status())["halts"] == [
            "LATCH: halted by an order to go back that undid nothing"
        ]
        assert (await rig.plan(1)).plan_id.hex() == named
        assert (await rig.desk.apply(named, ORDER))["height"] == 1


async def test_every_command_is_answered_while_the_chain_goes_back(tmp_path: Path) -> None:
    """Modes and reports come all the time; none is lost between one engine and the next."""
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        plan = await rig.plan(1)
        answers: list[Item] = []
        refused: list[Reason] = []
        over = False

        async def stream() -> None:
            while not over:
                try:
                    answers.append(rig.node.engine.writer.operate(SetMode(Mode.OPEN)))
                except Refused as refusal:
                    refused.append(refusal.reason)
                for each in reports(second=(rig.clock.ms // 1_000) % 7):
                    try:
                        rig.node.engine.admission.report(each)
                    except Refused as refusal:
                        refused.append(refusal.reason)
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            group.create_task(stream())
            await until(lambda: len(answers) > 3)
            await rig.desk.apply(plan.plan_id.hex(), ORDER)
            over = True
        told = [await answer(item) for item in answers]
        assert {*told} <= {Reason.MODE_ORDER, Reason.HALTED}
        assert {*told, *refused} >= {Reason.MODE_ORDER, Reason.HALTED}
        assert rig.height == 1
        assert (await rig.desk.status())["queue"] == 0


async def test_blocks_go_on_while_somebody_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(view: ChainView, since: str, still: object) -> Suggestion:
        begun.set()
        assert goes_on.wait(10)
        return Suggestion(0, 0, "", view.head.height, since, 0)

    monkeypatch.setattr(desk_module, "suggest", slow)
    async with operated(tmp_path) as rig:
        height = await rig.block()
        async with asyncio.TaskGroup() as group:
            search = group.create_task(rig.desk.suggest("0"))
            await until(begun.is_set)
            await rig.blocks(3)
            goes_on.set()
        assert search.result().good_height == height
        assert rig.height == height + 3


async def test_a_search_ends_with_whoever_asked_before_its_snapshot_goes(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        looked, ended = threading.Event(), threading.Event()
        held = rig.node.views._current

        def look() -> None:
            looked.set()
            while not rig.desk._ends:
                ended.wait(0.001)
            assert held.readers == 1
            ended.set()

        async def asked() -> None:
            with rig.node.views.at_head():
                await rig.desk._long(look)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(asked())
            await until(looked.is_set)
            task.cancel()
        assert ended.is_set()
        assert held.readers == 0
        with denied(Reason.SHUTTING_DOWN, "from block 0 on"):
            await rig.desk.suggest("0")


async def test_a_halt_says_by_when_it_is_decided(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.block()
        assert (await rig.desk.status())["undecided"] == "no"
        with denied(Reason.REASON_MISSING):
            await rig.desk.mode(Mode.HALTED, "", 0, 1)
        with denied(Reason.REASON_MISSING):
            await rig.desk.mode(Mode.CANCEL_ONLY, "\x07", 0, 1)
        await rig.desk.mode(Mode.HALTED, "a strange price", 0, 90_000)
        assert (await rig.desk.status())["undecided"] == "decide in 90 s: a strange price"
        rig.clock.ms += 91_000
        assert (await rig.desk.status())["undecided"] == "OVERDUE by 1 s: a strange price"
        await rig.desk.mode(Mode.CANCEL_ONLY, "", 0, 0)
        assert (await rig.desk.status())["undecided"] == "no"


async def test_checkpoints_keep_their_names(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        make = rig.desk.create_checkpoint
        made = await make("noon", "2", "olga", replace=False, settled=False)
        assert made == {"label": "noon", "height": 2}
        await make("noon", "2", "bob", replace=False, settled=False)
        with denied(Reason.CHECKPOINT_EXISTS, "block 2 is noon of bob"):
            await make("evening", "2", "olga", replace=False, settled=False)
        await make("evening", "2", "olga", replace=True, settled=False)
        for label, by in (("a\nb", "olga"), ("x", "\x1b")):
            with denied(Reason.PARAMETER_INVALID):
                await make(label, "1", by, replace=False, settled=False)
        with denied(Reason.SETTLEMENT_ABSENT):
            await make("x", "1", "olga", replace=False, settled=True)
        with denied(Reason.BLOCK_UNKNOWN):
            await make("x", "99", "olga", replace=False, settled=False)
        lines = (await rig.desk.checkpoints())["checkpoints"]
        assert isinstance(lines, list)
        assert [line.split()[0] for line in lines] == ["evening"]
        assert await rig.desk.drop_checkpoint("evening") == {"dropped": 1}
        assert await rig.desk.drop_checkpoint("evening") == {"dropped": 0}


async def test_a_node_that_stops_first_undoes_nothing(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        plan = await rig.plan(1)
        rig.node.stop()
        await until(rig.node.engine.gate.is_stopping)
        with denied(Reason.SHUTTING_DOWN):
            await rig.desk.apply(plan.plan_id.hex(), ORDER)
        with denied(Reason.SHUTTING_DOWN):
            await rig.desk.mode(Mode.CANCEL_ONLY, "", 0, 0)
        assert rig.node.store.head.epoch == 0


async def settled_rig(rig: Operated) -> None:
    await rig.blocks(4)
    await rig.halt()
    await rig.idle()


async def test_a_settled_chain_is_held_and_taken_back(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await settled_rig(rig)
        contract = rig.contract
        assert (await contract.standing()).newest.height == rig.height
        plan = await rig.plan(2)
        assert plan.zone.name == "ABOVE_FINALIZED"
        told = await rig.desk.apply(plan.plan_id.hex(), ORDER)
        assert told["settlement"] == "the node takes it back: perpchain status"
        await rig.idle()
        standing = await contract.standing()
        assert (standing.newest.height, standing.hold) == (2, 0)
        status = await rig.desk.status()
        facts = ("settled_height", "lag_blocks", "settlement", "finality")
        assert [status[name] for name in facts] == [2, 0, "at the head", "goes on"]
        await rig.desk.undo(1, ORDER)
        await rig.idle()
        assert (await contract.standing()).newest.height == rig.height
        oldest = await contract.oldest_post_above(standing.finalized.height)
        assert oldest is not None
        words = str((await rig.desk.status())["final_next"])
        assert words.startswith(f"block {oldest.post.height} at ")
        assert words.endswith(f"; each block {standing.finality_delay} s after its post")


async def test_without_a_hold_nothing_is_undone(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await settled_rig(rig)
        plan, head = await rig.plan(2), rig.node.store.head
        rig.contract.faults.unreachable = True
        with denied(Reason.SETTLEMENT_UNREACHABLE):
            await rig.desk.apply(plan.plan_id.hex(), ORDER)
        assert (rig.height, rig.node.store.head.epoch) == (head.height, 0)
        assert rig.node.store.head.latch is not None
        journal = rig.node.store.view.journal(plan.plan_id)
        assert journal is not None
        assert journal.stage is Stage.ABORTED
        assert (await rig.plan(2)).zone.name == "UNKNOWN"
        rig.contract.faults.unreachable = False
        assert (await rig.back(2))["height"] == 2


async def test_what_is_final_stays(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await settled_rig(rig)
        plan = await rig.plan(2)
        rig.clock.ms += 3_700_000
        await rig.contract.finalize(rig.height)
        with denied(Reason.TARGET_BELOW_FINALIZED):
            await rig.desk.apply(plan.plan_id.hex(), ORDER)
        with denied(Reason.TARGET_BELOW_FINALIZED):
            await rig.plan(2)
        assert rig.node.store.head.epoch == 0


async def test_a_settled_checkpoint_waits_until_it_is_posted(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await rig.blocks(2)
        async with asyncio.timeout(10):
            made = await rig.desk.create_checkpoint(
                "noon", "latest", "olga", replace=False, settled=True
            )
        assert made["height"] == made["settled_height"] == 2


async def test_a_settled_checkpoint_that_takes_too_long_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_checkpoints, "CHECKPOINT_SETTLED_SECONDS_MAX", 0)
    async with operated(tmp_path, settled=True) as rig:
        await rig.blocks(2)
        rig.contract.faults.unreachable = True
        await rig.block()
        with denied(Reason.SETTLEMENT_UNREACHABLE, "the checkpoint stands"):
            await rig.desk.create_checkpoint("x", "latest", "olga", replace=False, settled=True)
        assert len(rig.node.store.view.checkpoints()) == 1
