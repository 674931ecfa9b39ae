"""What stops a hold: another chain's contract, a block that became final, somebody's hold."""

import pytest

from sequencer.engine.settling import hold_finality, plan_felt, refusal_of, revert_to
from sequencer.model.records import Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import Post, SettlementError, SettlementProblem, TimedPost
from sequencer.settlement.contract_rules import (
    ContractCall,
    ContractState,
    Finalize,
    HoldFinality,
    RevertState,
)
from sequencer.settlement.simulated import SimulatedChain
from tests.unit.engine.settled_world import (
    DELAY_SECONDS,
    OPERATOR,
    OWNER,
    PLAN_ID,
    Unreliable,
    World,
    hold,
    plan_hash,
    posted_world,
    sent_names,
)


@pytest.fixture
def world() -> World:
    return posted_world()


def _stands_on(world: World, *posts: Post) -> None:
    timed = tuple(TimedPost(post, 1_000) for post in posts)
    chain = SimulatedChain(ContractState(OWNER, OPERATOR, DELAY_SECONDS, timed), world.clock)
    world.settlement = Unreliable(chain, world.sleep)


@pytest.mark.parametrize("target", [2, 8])
@pytest.mark.parametrize("sent_height", [0, 9])
async def test_another_chains_contract_is_not_asked_what_is_final(
    world: World, target: int, sent_height: int
) -> None:
    """Its heights say nothing about this chain, and what is final of this one stands elsewhere."""
    _stands_on(world, Post(0, 0xDEAD, 0xBEEF))
    assert await hold(world, target, sent=sent_height) is Reason.SETTLEMENT_DIFFERS
    _stands_on(world, world.post(0), Post(7, 0xDEAD, 0xBEEF))
    assert await hold(world, target, sent=sent_height) is Reason.SETTLEMENT_DIFFERS
    assert sent_names(world) == []


async def test_a_final_block_that_is_orphaned_here_differs(world: World) -> None:
    world.chain.advance_time(DELAY_SECONDS)
    world.chain.carry_out(Finalize(8), OPERATOR)
    assert await hold(world, 8) is None
    world.back(7)
    assert await hold(world, 6) is Reason.SETTLEMENT_DIFFERS


async def test_an_orphaned_post_that_is_not_final_is_held_back(world: World) -> None:
    world.back(7)
    assert await hold(world, 6) is None
    assert sent_names(world) == ["HoldFinality"]


async def test_what_became_final_as_the_hold_came_is_found(world: World) -> None:
    """Anybody may make a block final, also between what was read and the hold."""

    def somebody_is_faster(call: ContractCall) -> None:
        if isinstance(call, HoldFinality):
            world.chain.advance_time(DELAY_SECONDS)
            world.chain.carry_out(Finalize(8), OWNER)

    world.settlement.watch = somebody_is_faster
    assert await hold(world, 7) is Reason.TARGET_BELOW_FINALIZED
    assert sent_names(world) == ["HoldFinality"]


async def test_the_hold_of_an_aborted_plan_makes_room(world: World) -> None:
    order = world.order(5)
    world.store.prepare(order)
    assert await hold(world, 5, order.plan_id) is None
    assert await hold(world, 7) is Reason.SETTLEMENT_REFUSED
    world.store.advance(order.plan_id, Stage.ABORTED)
    assert await hold(world, 7) is None
    assert world.standing.hold == plan_felt(PLAN_ID)
    assert sent_names(world) == ["HoldFinality", "ReleaseFinality", "HoldFinality"]


async def test_a_plans_own_hold_is_not_ended_for_it(world: World) -> None:
    """A plan that was aborted once is applied again."""
    order = world.order(5)
    world.store.prepare(order)
    assert await hold(world, 5, order.plan_id) is None
    world.store.advance(order.plan_id, Stage.ABORTED)
    assert await hold(world, 5, order.plan_id) is None
    assert sent_names(world) == ["HoldFinality"]


async def test_a_hold_that_a_reorg_over_there_brought_back_makes_room(world: World) -> None:
    """With it comes what was undone, which is taken back again before finality goes on."""
    assert await world.roll_back(5) is None
    order = world.view.journals()[0]
    await revert_to(world.settlement, world.view, 5, 0)
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        world.store.advance(order.plan_id, stage)
    world.chain.reorg(1)
    assert (world.standing.newest.height, world.standing.hold) == (8, plan_felt(order.plan_id))
    assert await hold(world, 3) is None
    assert (world.posted, world.standing.hold) == ([0, 2, 4], plan_felt(PLAN_ID))
    again = [call for call in world.settlement.sent if isinstance(call, RevertState)][1]
    assert again == RevertState(0, world.post(4), plan_felt(order.plan_id))
    assert "ReleaseFinality" not in sent_names(world)


async def test_the_hold_of_a_rollback_that_is_not_reconciled_stays(world: World) -> None:
    order = world.order(5)
    world.store.prepare(order)
    world.chain.carry_out(HoldFinality(plan_hash(order)), OPERATOR)
    world.store.roll_back(order)
    assert await hold(world, 3) is Reason.SETTLEMENT_REFUSED
    assert (sent_names(world), world.standing.hold) == ([], plan_hash(order))


@pytest.mark.parametrize(
    ("problem", "detail", "code", "words"),
    [
        ("UNREACHABLE", "no route", "", "SETTLEMENT_UNREACHABLE: no route"),
        (
            "OUTCOME_UNKNOWN",
            "no receipt",
            "",
            "SETTLEMENT_UNREACHABLE: OUTCOME_UNKNOWN: no receipt",
        ),
        ("CONTRACT_ABSENT", "at 0x5", "", "SETTLEMENT_UNREACHABLE: CONTRACT_ABSENT: at 0x5"),
        ("REFUSED", "not now", "", "SETTLEMENT_REFUSED: not now"),
        ("REFUSED", "HELD", "HELD", "SETTLEMENT_REFUSED: HELD"),
        ("REFUSED", "HELD: 0x1 ('HELD')", "HELD", "SETTLEMENT_REFUSED: HELD: 0x1 ('HELD')"),
        ("REFUSED", "it is 0x5", "NOT_OURS", "SETTLEMENT_REFUSED: NOT_OURS: it is 0x5"),
    ],
)
def test_a_refusal_says_everything_once(problem: str, detail: str, code: str, words: str) -> None:
    error = SettlementError(SettlementProblem(problem), detail, code)
    assert str(refusal_of(error)) == words


async def test_silence_is_told_in_words_that_are_not_doubled(world: World) -> None:
    world.settlement.faults.unreachable = True
    with pytest.raises(Refused, match=r"^SETTLEMENT_UNREACHABLE: made unreachable$"):
        await hold_finality(world.settlement, world.view, PLAN_ID, 7)
