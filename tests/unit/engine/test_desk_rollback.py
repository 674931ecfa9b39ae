"""Going back beside a settler: nobody posts meanwhile, and a refusal leaves nothing half done."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from sequencer.engine.desk import Desk
from sequencer.engine.desk_rollback import roll_back
from sequencer.engine.plan import Plan
from sequencer.engine.reach import Reach
from sequencer.engine.settler import SettlePace, Settler, Surroundings
from sequencer.engine.settling import plan_felt
from sequencer.engine.views import Views
from sequencer.model.commands import OrderPolicy
from sequencer.model.halts import Halt
from sequencer.model.records import Stage
from sequencer.model.refusals import Reason
from sequencer.model.settlement import Post, Standing, TimedPost
from sequencer.settlement.contract_rules import ContractState, HoldFinality, UpdateState
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.storage.plan_folder import PLANS_FOLDER, PlanFolder
from tests.unit.engine.builders import InlineWorker, ManualClock, MemoryNote, turns, until
from tests.unit.engine.desks import (
    DELAY_SECONDS,
    OPERATOR,
    ORDER,
    OWNER,
    contract_at,
    denied,
    desk_beside,
    operated,
)
from tests.unit.engine.rolling import Chain, post_at
from tests.unit.engine.settled_world import Unreliable

TARGET, HEAD = 5, 7


class Posting:
    """A chain at block 7 with its settler and its desk; only block 0 is posted."""

    def __init__(self, folder: Path, contract: Post | None = None) -> None:
        self.chain = Chain()
        self.chain.blocks(HEAD - self.chain.head.height)
        self.store = self.chain.store
        self.clock = ManualClock(1_000_000)
        over_there = SimulatedChain(_state_at(contract or post_at(self.chain, 0)), self.clock)
        self.contract = Unreliable(over_there, self.sleep)
        self.views = Views(self.store)
        self.halts: list[Halt] = []
        around = Surroundings(
            settlement=self.contract,
            views=self.views,
            is_acknowledged=lambda: True,
            say=lambda line: None,
            halt=self.halts.append,
            lower=lambda words: None,
            now=lambda: self.clock.ms / 1_000,
            sleep=self.sleep,
        )
        self.settler = Settler(around, SettlePace(blocks=1, seconds=1))
        self.reach = Reach(
            store=self.store,
            view=self.views.at_head,
            advance=self.views.advance,
            change=partial(self.views.change, InlineWorker()),
            worker=InlineWorker(),
            reader=InlineWorker(),
            searcher=InlineWorker(),
            clock=self.clock,
            note=MemoryNote(""),
            plans=PlanFolder(folder),
            settlement=self.contract,
            settler=self.settler,
        )

    async def sleep(self, seconds: float) -> None:
        self.clock.ms += max(1, int(seconds * 1_000))
        await asyncio.sleep(0)

    @property
    def plan(self) -> Plan:
        return self.chain.plan(TARGET)

    async def back(self, plan: Plan) -> None:
        await roll_back(self.reach, plan, ORDER)

    def stage(self, plan: Plan) -> Stage:
        """Return how far a plan has come, as everybody sees it who reads."""
        journal = self.views.view.journal(plan.plan_id)
        assert journal is not None
        return journal.stage


def _state_at(post: Post) -> ContractState:
    return ContractState(OWNER, OPERATOR, DELAY_SECONDS, (TimedPost(post, 1_000),))


@pytest.fixture
def rig(tmp_path: Path) -> Posting:
    return Posting(tmp_path)


async def test_a_post_that_is_still_on_its_way_is_held_back(rig: Posting) -> None:
    """Nothing above the target is posted yet, and the block that was sent may come at any time."""
    rig.contract.kept_back = 99
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(rig.settler.run())
        await until(lambda: rig.settler.sent_height == HEAD)
        posting.cancel()
    plan, rig.contract.kept_back = rig.plan, 0
    await rig.back(plan)
    assert rig.contract.sent[-1] == HoldFinality(plan_felt(plan.plan_id))
    assert (await rig.contract.standing()).hold == plan_felt(plan.plan_id)


async def test_nothing_goes_back_while_the_settler_does_something(rig: Posting) -> None:
    async with asyncio.TaskGroup() as group, rig.settler.stopped():
        group.create_task(rig.back(rig.plan))
        await turns()
        assert rig.store.head.height == HEAD
    assert rig.store.head.height == TARGET


async def test_the_settler_goes_on_with_the_chain_as_it_is_then(rig: Posting) -> None:
    """What it would read of the chain as it was, it would post: blocks that are undone."""
    seen: list[int] = []

    async def look() -> None:
        async with rig.settler.stopped():
            seen.append(rig.views.view.head.height)

    async with asyncio.TaskGroup() as group, rig.settler.stopped():
        group.create_task(rig.back(rig.plan))
        await turns()
        group.create_task(look())
        await turns()
    assert seen == [TARGET]


async def test_a_rollback_that_cannot_be_held_is_aborted(rig: Posting) -> None:
    plan, rig.contract.faults.unreachable = rig.plan, True
    with denied(Reason.SETTLEMENT_UNREACHABLE):
        await rig.back(plan)
    assert rig.stage(plan) is Stage.ABORTED
    assert (rig.store.head.height, rig.store.open_journals()) == (HEAD, [])


async def test_beside_another_chains_contract_nothing_goes_back(tmp_path: Path) -> None:
    rig = Posting(tmp_path, Post(0, 0xDEAD, 0xBEEF))
    plan = rig.plan
    with denied(Reason.SETTLEMENT_DIFFERS, "final there, and not in this chain"):
        await rig.back(plan)
    assert (rig.store.head.height, rig.stage(plan)) == (HEAD, Stage.ABORTED)
    with denied(Reason.SETTLEMENT_DIFFERS):
        await Desk(rig.reach).plan("2", OrderPolicy.KEEP, ())


async def test_a_stopped_node_whose_file_names_another_contract_is_refused(
    tmp_path: Path,
) -> None:
    """Block 6 is final on the true contract; the other one knows nothing of it."""
    chain, clock = Chain(), ManualClock()
    chain.blocks(HEAD - chain.head.height)
    true = contract_at(chain.store, clock)
    true.chain.carry_out(UpdateState(0, post_at(chain, 0), post_at(chain, 6)), OPERATOR)
    plan = await desk_beside(chain.store, tmp_path, true).plan("2", OrderPolicy.KEEP, ())
    other = SimulatedChain(_state_at(Post(0, 0xDEAD, 0xBEEF)), clock)
    desk = desk_beside(chain.store, tmp_path, SimulatedSettlement(other, OPERATOR))
    with denied(Reason.SETTLEMENT_DIFFERS):
        await desk.plan("2", OrderPolicy.KEEP, ())
    with denied(Reason.SETTLEMENT_DIFFERS):
        await desk.apply(plan.plan_id.hex(), ORDER)
    assert (chain.head.height, chain.store.open_journals()) == (HEAD, [])


async def test_a_block_that_is_made_and_posted_meanwhile_is_this_chains(
    rig: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read over there is compared with the chain of then, not of when it was asked."""
    read = rig.contract.standing

    async def standing() -> Standing:
        rig.chain.blocks(1)
        rig.views.advance()
        newest = rig.contract.chain.ledger.state.posts[-1].post
        new = post_at(rig.chain, rig.chain.head.height)
        rig.contract.chain.carry_out(UpdateState(0, newest, new), OPERATOR)
        return await read()

    monkeypatch.setattr(rig.contract, "standing", standing)
    plan = await Desk(rig.reach).plan(str(TARGET), OrderPolicy.KEEP, ())
    assert (plan.zone.settled_height, plan.head_height) == (HEAD + 1, HEAD + 1)


async def test_a_new_plan_that_cannot_be_kept_is_no_failure_of_the_store(tmp_path: Path) -> None:
    """A folder is in the way of its file; the node goes on, and the answer is the same."""
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        plan = await rig.plan(1)
        await rig.block()
        new = (await rig.plan(1)).plan_id.hex()
        file = tmp_path / "data" / PLANS_FOLDER / f"{new}.json"
        file.unlink()
        file.mkdir()
        with denied(Reason.PLAN_STALE, f"{new}, which could not be kept"):
            await rig.desk.apply(plan.plan_id.hex(), ORDER)
        halts = (await rig.desk.status())["halts"]
        assert halts == ["LATCH: halted by an order to go back that undid nothing"]
        file.rmdir()
        assert (await rig.back(1))["height"] == 1
