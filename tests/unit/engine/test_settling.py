"""What the settlement chain means here, and what a rollback tells it."""

from collections.abc import Callable

import msgspec
import pytest

from sequencer.engine.settling import (
    Place,
    SettlementDiffers,
    compare,
    hold_finality,
    newest_live,
    pending_rollback,
    plan_felt,
    read_settled,
    reason_felt,
    refusal_of,
    release_aborted,
    revert_to,
)
from sequencer.model.commits import RollbackOrder
from sequencer.model.halts import HaltCause
from sequencer.model.limits import FINALITY_MARGIN_SECONDS
from sequencer.model.records import Cursor, Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import Post, SettlementError, SettlementProblem
from sequencer.settlement.contract_rules import (
    HOLD_SECONDS,
    ContractCall,
    Finalize,
    HoldFinality,
    RevertState,
    UpdateState,
)
from tests.unit.engine.settled_world import (
    DELAY_SECONDS,
    OPERATOR,
    OWNER,
    PLAN_ID,
    World,
    hold,
    plan_hash,
    posted,
    posted_world,
    sent_names,
)

OTHER_PLAN = 77


def final(world: World, height: int) -> None:
    world.chain.advance_time(DELAY_SECONDS)
    world.chain.carry_out(Finalize(height), OPERATOR)


@pytest.fixture
def world() -> World:
    return posted_world()


def test_a_plans_name_fits_in_a_felt() -> None:
    assert plan_felt(b"\xff" * 32) == 2**248 - 1
    assert plan_felt(bytes(30) + b"\x01\x02") == 1


def test_the_contract_stands_at_a_live_or_at_an_orphaned_block(world: World) -> None:
    assert compare(world.standing, world.view) is Place.LIVE
    world.back(7)
    assert compare(world.standing, world.view) is Place.ORPHANED
    world.grow(3)
    assert compare(world.standing, world.view) is Place.ORPHANED
    assert world.standing.newest.height == 8


@pytest.mark.parametrize(
    "change",
    [
        lambda post: msgspec.structs.replace(post, state_root=post.state_root ^ 1),
        lambda post: msgspec.structs.replace(post, block_hash=post.block_hash ^ 1),
        lambda post: msgspec.structs.replace(post, height=post.height + 1),
        lambda post: msgspec.structs.replace(post, height=2**64 - 1),
    ],
)
def test_what_differs_in_anything_is_a_halt_by_name(
    world: World, change: Callable[[Post], Post]
) -> None:
    standing = world.standing
    for name in ("newest", "finalized"):
        other = msgspec.structs.replace(standing, **{name: change(getattr(standing, name))})
        with pytest.raises(SettlementDiffers) as caught:
            compare(other, world.view)
        assert caught.value.halt.cause is HaltCause.SETTLEMENT_DIFFERS
        assert caught.value.halt.is_final


def test_a_final_block_that_is_orphaned_here_is_no_pending_revert(world: World) -> None:
    final(world, 8)
    assert compare(world.standing, world.view) is Place.LIVE
    world.back(7)
    with pytest.raises(SettlementDiffers, match="final there"):
        compare(world.standing, world.view)
    world.undo(1)
    assert compare(world.standing, world.view) is Place.LIVE


async def test_what_a_rollback_meets_is_read(world: World) -> None:
    settled = await read_settled(world.settlement, 5)
    assert settled.post == world.post(4)
    assert settled.above is not None
    assert settled.above.post == world.post(6)
    assert (settled.standing.newest, settled.standing.epoch) == (world.post(8), 0)
    assert (await read_settled(world.settlement, 8)).above is None


def test_a_rollback_is_pending_until_the_settlers_cursor_is_behind_it(world: World) -> None:
    assert pending_rollback(world.view) == 0
    world.back(7)
    number = world.view.effect_of(1)
    assert pending_rollback(world.view) == number > 0
    assert pending_rollback(world.view, number) == 0
    head = world.store.head
    world.store.advance_cursor("other", Cursor(number, head.sequence, head.block_hash))
    assert pending_rollback(world.view, number - 1) == number
    world.store.advance_cursor("settlement", Cursor(number, head.sequence, head.block_hash))
    assert pending_rollback(world.view) == 0
    world.undo(1)
    assert pending_rollback(world.view) == 0


async def test_finality_is_held_once_and_only_where_something_posted_goes(world: World) -> None:
    assert await hold(world, 8) is None
    assert (sent_names(world), world.standing.hold) == ([], 0)
    for _ in range(2):
        assert await hold(world, 7) is None
    assert sent_names(world) == ["HoldFinality"]
    assert world.standing.hold == plan_felt(PLAN_ID)


async def test_what_may_be_on_its_way_is_held_back_too(world: World) -> None:
    assert await hold(world, 8, sent=8) is None
    assert sent_names(world) == []
    assert await hold(world, 8, sent=9) is None
    assert sent_names(world) == ["HoldFinality"]


async def test_what_is_final_stays(world: World) -> None:
    final(world, 6)
    assert await hold(world, 5) is Reason.TARGET_BELOW_FINALIZED
    # Anybody can make block 8 final at any moment.
    assert await hold(world, 6) is Reason.FINALITY_TOO_CLOSE
    assert await hold(world, 8) is None


@pytest.mark.parametrize(("left", "reason"), [(0, None), (-1, Reason.FINALITY_TOO_CLOSE)])
async def test_the_margin_before_finality(world: World, left: int, reason: Reason | None) -> None:
    world.chain.advance_time(DELAY_SECONDS - FINALITY_MARGIN_SECONDS - 1 - left)
    assert await hold(world, 7) is reason
    assert bool(sent_names(world)) is (reason is None)


async def test_a_hold_of_the_plan_itself_gives_all_the_time_that_it_runs(world: World) -> None:
    assert await hold(world, 7) is None
    world.chain.advance_time(HOLD_SECONDS - FINALITY_MARGIN_SECONDS - 1)
    assert await hold(world, 7) is None
    world.chain.advance_time(1)
    assert await hold(world, 7) is Reason.FINALITY_TOO_CLOSE
    world.chain.advance_time(FINALITY_MARGIN_SECONDS)
    assert world.standing.hold == 0
    assert await hold(world, 7) is Reason.FINALITY_TOO_CLOSE


async def test_another_plans_hold_is_shown_and_left_alone(world: World) -> None:
    world.chain.carry_out(HoldFinality(OTHER_PLAN), OWNER)
    with pytest.raises(Refused, match=r"SETTLEMENT_REFUSED: HELD.*0x4d"):
        await hold_finality(world.settlement, world.view, PLAN_ID, 7)
    assert "0x4d" in await release_aborted(world.settlement, world.view)
    assert (sent_names(world), world.standing.hold) == ([], OTHER_PLAN)
    # The owner can hold for the plan instead.
    world.chain.carry_out(HoldFinality(plan_felt(PLAN_ID)), OWNER)
    assert await hold(world, 7) is None
    assert sent_names(world) == []


@pytest.mark.parametrize("fault", ["receipts_lost", "calls_lost", "doubled"])
async def test_a_hold_whose_answer_is_lost_is_read_before_it_is_taken_again(
    world: World, fault: str
) -> None:
    setattr(world.settlement.faults, fault, 1)
    assert await hold(world, 7) is None
    assert world.standing.hold == plan_felt(PLAN_ID)
    assert len(sent_names(world)) == (2 if fault == "calls_lost" else 1)


async def test_a_hold_that_never_shows_is_refused(world: World) -> None:
    world.settlement.faults.calls_lost = 99
    assert await hold(world, 7) is Reason.SETTLEMENT_UNREACHABLE
    assert world.standing.hold == 0


@pytest.mark.parametrize("fault", ["unreachable", "absent"])
async def test_nothing_can_be_held_where_nobody_answers(world: World, fault: str) -> None:
    setattr(world.settlement.faults, fault, True)
    assert await hold(world, 8) is Reason.SETTLEMENT_UNREACHABLE
    assert sent_names(world) == []


async def test_the_contracts_no_is_told_in_its_own_word(world: World) -> None:
    await hold(world, 7)
    # What an operator released early ends when it would have ended: and nobody's hold after it.
    world.chain.advance_time(HOLD_SECONDS)
    posted(world, 9)
    with pytest.raises(Refused, match=r"SETTLEMENT_REFUSED.*HOLD_LAPSED"):
        await hold_finality(world.settlement, world.view, PLAN_ID, 8)


def test_every_problem_over_there_is_one_of_two_refusals() -> None:
    reasons = {each: refusal_of(SettlementError(each, "x")).reason for each in SettlementProblem}
    assert reasons.pop(SettlementProblem.REFUSED) is Reason.SETTLEMENT_REFUSED
    assert set(reasons.values()) == {Reason.SETTLEMENT_UNREACHABLE}


async def revert(world: World, target: int) -> int:
    reason = reason_felt(world.view, world.view.head.epoch)
    return (await revert_to(world.settlement, world.view, target, reason)).height


async def test_the_contract_goes_back_to_the_newest_post_that_stays(world: World) -> None:
    order = world.back(5)
    assert await revert(world, 5) == 4
    assert (world.posted, world.standing.epoch) == ([0, 2, 4], 1)
    told = world.settlement.sent[-1]
    assert told == RevertState(0, world.post(4), plan_hash(order))


async def test_the_epoch_rises_also_where_nothing_posted_goes(world: World) -> None:
    late = UpdateState(0, world.post(8), world.post(9))
    world.back(8)
    assert await revert(world, 8) == 8
    assert (world.posted, world.standing.epoch) == ([0, 2, 4, 6, 8], 1)
    with pytest.raises(SettlementError, match="EPOCH_DIFFERS"):
        world.chain.carry_out(late, OPERATOR)


async def test_a_revert_ends_the_hold(world: World) -> None:
    assert await world.roll_back(5) is None
    assert world.standing.hold
    await revert(world, 5)
    assert world.standing.hold == 0


@pytest.mark.parametrize("fault", ["receipts_lost", "calls_lost", "doubled"])
async def test_a_revert_whose_answer_is_lost_is_decided_by_reading(
    world: World, fault: str
) -> None:
    world.back(5)
    setattr(world.settlement.faults, fault, 1)
    assert await revert(world, 5) == 4
    assert (world.posted, world.standing.epoch) == ([0, 2, 4], 1)
    assert len(sent_names(world)) == (2 if fault == "calls_lost" else 1)


async def test_a_revert_can_be_repeated(world: World) -> None:
    world.back(5)
    for epoch in (1, 2, 3):
        assert await revert(world, 5) == 4
        assert (world.posted, world.standing.epoch) == ([0, 2, 4], epoch)


async def test_somebody_elses_revert_in_between_is_read_again(world: World) -> None:
    world.back(5)

    def owner_is_faster(call: ContractCall) -> None:
        if world.standing.epoch == 0:
            world.chain.carry_out(RevertState(0, world.post(2), 1), OWNER)

    world.settlement.watch = owner_is_faster
    assert await revert(world, 5) == 2
    # What had to come of it has come: nothing of epoch 0 is taken any more.
    assert (world.posted, world.standing.epoch, len(sent_names(world))) == ([0, 2], 1, 1)


async def test_of_several_rollbacks_the_lowest_counts(world: World) -> None:
    """The first one's target is orphaned itself by the time at which the contract hears of it."""
    world.back(7)
    world.back(3)
    assert await revert(world, 7) == 2
    world.undo(2)
    posted(world, 4)
    assert await revert(world, 7) == 4


async def test_what_became_final_since_is_not_taken_back(world: World) -> None:
    """A rollback that is told again, long after it was reconciled."""
    world.back(5)
    await revert(world, 5)
    world.grow(3)
    posted(world, 8)
    final(world, 8)
    assert await revert(world, 5) == 8
    assert world.posted == [0, 2, 4, 8]


async def test_nothing_is_reverted_over_there_that_is_not_ours(world: World) -> None:
    strange = Post(9, 1, 2)
    world.chain.carry_out(UpdateState(0, world.post(8), strange), OPERATOR)
    world.back(5)
    with pytest.raises(SettlementDiffers):
        await revert(world, 5)
    with pytest.raises(SettlementDiffers, match="block 9 0x2 with root 0x1"):
        await newest_live(world.settlement, world.view, 20)
    assert sent_names(world) == []


async def test_a_contract_without_any_live_block_differs(world: World) -> None:
    with pytest.raises(SettlementDiffers, match="no live block"):
        await newest_live(world.settlement, world.view, -1)


async def test_an_aborted_plans_hold_is_released(world: World) -> None:
    assert await release_aborted(world.settlement, world.view) == ""
    order = world.order(5)
    world.store.prepare(order)
    await hold(world, 5, order.plan_id)
    assert "PREPARED" in await release_aborted(world.settlement, world.view)
    assert world.standing.hold == plan_hash(order)
    world.store.advance(order.plan_id, Stage.ABORTED)
    assert "released" in await release_aborted(world.settlement, world.view)
    assert world.standing.hold == 0


async def test_a_hold_is_not_released_before_the_revert(world: World) -> None:
    await world.roll_back(5)
    order = world.view.journals()[0]
    assert "COMMITTED" in await release_aborted(world.settlement, world.view)
    world.store.advance(order.plan_id, Stage.SETTLED)
    assert "SETTLED" in await release_aborted(world.settlement, world.view)
    assert "ReleaseFinality" not in sent_names(world)


def _held_late(world: World) -> RollbackOrder:
    """A hold that arrives after all is over."""
    order = world.back(5)
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        world.store.advance(order.plan_id, stage)
    return order


@pytest.mark.parametrize("fault", ["receipts_lost", "calls_lost", "doubled"])
async def test_a_hold_that_came_too_late_is_released(world: World, fault: str) -> None:
    order = _held_late(world)
    await revert(world, 5)
    world.chain.carry_out(HoldFinality(plan_hash(order)), OPERATOR)
    setattr(world.settlement.faults, fault, 1)
    assert await release_aborted(world.settlement, world.view)
    assert world.standing.hold == 0


async def test_a_release_that_never_shows_fails(world: World) -> None:
    order = _held_late(world)
    await revert(world, 5)
    world.chain.carry_out(HoldFinality(plan_hash(order)), OPERATOR)
    world.settlement.faults.calls_lost = 99
    with pytest.raises(SettlementError):
        await release_aborted(world.settlement, world.view)
