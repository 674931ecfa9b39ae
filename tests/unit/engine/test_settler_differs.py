"""The settler where two chains differ: rollbacks here, reorgs there, holds, roots of others."""

import asyncio
from collections.abc import Callable

import pytest

from sequencer.engine.settling import pending_rollback, plan_felt
from sequencer.model.halts import HaltCause
from sequencer.model.records import Stage
from sequencer.model.refusals import Refused
from sequencer.model.settlement import Post, Standing, TimedPost
from sequencer.settlement.contract_rules import (
    Finalize,
    HoldFinality,
    ReleaseFinality,
    RevertState,
    UpdateState,
)
from tests.unit.engine.builders import causes, turns
from tests.unit.engine.settled_world import (
    DELAY_SECONDS,
    LONG,
    OPERATOR,
    OWNER,
    World,
    looked,
    sent,
    settling,
)


async def test_a_rollback_is_told_before_anything_is_posted_again() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        world.grow(3)
        await world.idle()
        assert await world.roll_back(4) is None
        world.grow(2)
        await world.idle()
    world.require_settled()
    assert (world.posted, world.standing.epoch) == ([0, 3, 6], 1)
    journal = world.view.journals()[0]
    kinds = [type(call).__name__ for call in world.settlement.sent]
    assert kinds == ["UpdateState", "UpdateState", "HoldFinality", "RevertState", "UpdateState"]
    reverts = sent(world, RevertState)
    assert reverts == [RevertState(0, world.post(3), plan_felt(journal.plan_id))]
    assert journal.stage is Stage.DONE


async def test_nothing_is_posted_while_the_revert_cannot_be_made() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        world.back(2)
        world.settlement.faults.unreachable = True
        world.grow(9)
        await looked(world)
        assert pending_rollback(world.view)
        assert not world.settler.status().is_idle
        assert len(sent(world, UpdateState)) == 1
        # It may end there and begin again: the row is delivered anew.
        await world.stop()
        world.load()
        async with asyncio.TaskGroup() as group:
            world.start(group)
            world.settlement.faults.unreachable = False
            await world.idle()
            await world.stop()
    world.require_settled()
    assert (world.posted, world.standing.epoch) == ([0, 11], 1)


async def test_the_epoch_rises_where_no_posted_block_goes() -> None:
    """A post that was under way when its block was undone is refused whenever it arrives."""
    world = World(LONG)
    async with settling(world):
        await world.idle()
        world.grow(2)
        world.settler.request(5)
        world.settlement.kept_back = 1
        await world.until(lambda: len(world.settlement.late) == 1)
        assert await world.roll_back(3) is None
        assert world.standing.hold != 0
        await world.until(lambda: world.standing.epoch == 1)
        assert world.settlement.arrive() == []
        await world.idle()
    assert (world.posted, world.standing.hold) == ([0, 3], 0)


async def test_a_rollback_is_reverted_before_its_undo_is_posted_again() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        world.settlement.faults.unreachable = True
        world.back(1)
        world.undo(1)
        await looked(world)
        world.settlement.faults.unreachable = False
        await world.idle()
    world.require_settled()
    assert (world.posted, world.standing.epoch) == ([0, 3], 1)


async def test_a_rollback_between_question_and_answer_is_seen() -> None:
    world = World()
    read = world.settlement.standing

    async def late() -> Standing:
        standing = await read()
        if world.view.head.epoch == 0:
            world.back(2)
        return standing

    world.settlement.standing = late  # type: ignore[method-assign]
    async with settling(world):
        await world.idle()
    world.require_settled()
    assert [type(call) for call in world.settlement.sent] == [RevertState, UpdateState]


async def test_whoever_stops_it_finds_nothing_under_way() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        async with world.settler.stopped():
            count = len(world.settlement.sent)
            world.grow(9)
            world.back(5)
            await turns(300)
            assert len(world.settlement.sent) == count
        await world.idle()
    world.require_settled()


async def test_nothing_is_made_final_under_somebody_elses_hold() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        world.chain.carry_out(HoldFinality(77), OWNER)
        world.chain.advance_time(DELAY_SECONDS)
        await looked(world)
        assert world.settler.status().hold == 77
        assert sum("0x4d" in line for line in world.said) == 1
        assert world.standing.hold == 77
    assert sent(world, Finalize) == []


async def test_an_aborted_plans_hold_is_released() -> None:
    world = World()
    async with settling(world) as group:
        await world.idle()
        await world.roll_back(1, crash=True)
        assert world.standing.hold != 0
        await world.restart(group)
        await world.until(lambda: world.standing.hold == 0)
    assert any("released" in line for line in world.said)


async def test_an_aborted_plans_hold_that_the_owner_renewed_is_tried_once() -> None:
    world = World()
    async with settling(world) as group:
        await world.idle()
        await world.roll_back(1, crash=True)
        plan_hash = world.standing.hold
        world.chain.carry_out(HoldFinality(plan_hash), OWNER)
        await world.restart(group)
        await world.until(lambda: any("the owner's" in line for line in world.said))
        await looked(world)
        world.grow(1)
        await world.idle()
        await looked(world)
    assert world.standing.newest == world.post(world.view.head.height)
    assert world.standing.hold == plan_hash
    assert sent(world, ReleaseFinality) == [ReleaseFinality()]


async def test_a_settlement_reorg_is_said_once_and_posted_again() -> None:
    world = World()
    async with settling(world):
        for _ in range(3):
            await world.idle()
            world.grow(2)
        await world.idle()
        world.chain.reorg(2)
        assert world.posted == [0, 3, 5]
        await world.until(lambda: world.posted[-1] == 9)
        await looked(world)
    assert world.posted == [0, 3, 5, 9]
    assert sum("not posted any more" in line for line in world.said) == 1
    world.require_settled()


async def test_a_revert_that_a_reorg_removed_is_made_again() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        assert await world.roll_back(0) is None
        await world.until(lambda: pending_rollback(world.view) == 0)
        world.chain.reorg(1)
        assert (world.posted, world.standing.epoch) == ([0, 3], 0)
        await world.until(lambda: world.standing.epoch == 1)
        world.grow(2)
        await world.idle()
    world.require_settled()
    assert len(sent(world, RevertState)) == 2


def _strange(world: World) -> None:
    call = UpdateState(world.standing.epoch, world.standing.newest, Post(50, 1, 2))
    world.chain.carry_out(call, OPERATOR)


async def test_a_root_that_is_none_of_ours_halts_and_nothing_is_sent_any_more() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        _strange(world)
        await world.until(lambda: bool(world.halts))
        count = len(world.settlement.sent)
        world.grow(9)
        world.back(5)
        await looked(world)
        assert len(world.settlement.sent) == count
        with pytest.raises(Refused, match="HALTED"):
            await world.settler.caught_up(50)
    assert causes(world.halts) == [HaltCause.SETTLEMENT_DIFFERS]
    assert not world.settler.status().is_idle


async def test_a_rollback_finds_the_strange_root_too() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        async with world.settler.stopped():
            world.back(2)
            _strange(world)
        await world.until(lambda: bool(world.halts))
        await looked(world)
    assert causes(world.halts) == [HaltCause.SETTLEMENT_DIFFERS]
    assert sent(world, RevertState) == []


def _nothing(world: World) -> None:
    pass


def _orphaned(world: World) -> None:
    call = UpdateState(0, world.post(0), world.post(3))
    world.chain.carry_out(call, OPERATOR)
    world.back(1)


def _unreachable(world: World) -> None:
    world.settlement.faults.unreachable = True


def _absent(world: World) -> None:
    world.settlement.faults.absent = True


@pytest.mark.parametrize(
    ("happens", "cause"),
    [
        (_nothing, None),
        (_orphaned, None),
        (_unreachable, HaltCause.SETTLEMENT_UNREACHABLE),
        (_absent, HaltCause.SETTLEMENT_UNREACHABLE),
        (_strange, HaltCause.SETTLEMENT_DIFFERS),
    ],
)
async def test_the_start(happens: Callable[[World], None], cause: HaltCause | None) -> None:
    world = World()
    happens(world)
    halt = await world.settler.check_start()
    assert (None if halt is None else halt.cause) == cause
    assert world.settlement.sent == []
    if cause is HaltCause.SETTLEMENT_DIFFERS:
        async with settling(world):
            await looked(world)
        assert (world.settlement.sent, world.halts) == ([], [])


async def test_nothing_is_made_final_that_is_not_ours() -> None:
    """A strange post below one of ours, as somebody with the operator's key could put it there."""
    world = World()
    call = UpdateState(0, world.post(0), Post(1, 1, 2))
    world.chain.carry_out(call, OPERATOR)
    world.chain.carry_out(UpdateState(0, call.new, world.post(2)), OPERATOR)
    async with settling(world):
        await world.idle()
        world.chain.advance_time(DELAY_SECONDS)
        await world.until(lambda: bool(world.halts))
    assert causes(world.halts) == [HaltCause.SETTLEMENT_DIFFERS]
    assert sent(world, Finalize) == []


async def test_a_reorg_between_two_questions_halts_nothing() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        world.grow(1)
        await world.idle()
        assert await world.roll_back(3) is None
        world.grow(2)
        await world.idle()
        world.chain.advance_time(DELAY_SECONDS)
        posts = world.settlement.oldest_post_above

        async def after_a_reorg(height: int) -> TimedPost | None:
            if world.standing.epoch == 1:
                world.chain.reorg(2)
            return await posts(height)

        world.settlement.oldest_post_above = after_a_reorg  # type: ignore[method-assign]
        await world.until(lambda: world.standing.epoch == 0)
        world.settlement.oldest_post_above = posts  # type: ignore[method-assign]
        await world.until(lambda: world.standing.epoch == 1 and world.settler.status().is_idle)
    world.require_settled()
    assert (world.posted, world.standing.finalized.height) == ([0, 3, 5], 3)


async def test_a_contract_that_says_it_went_back_and_did_not_is_given_up() -> None:
    world = World(LONG)
    async with settling(world):
        world.grow(3)
        await world.idle()
        orphan = world.standing.newest.height
        world.settlement.stubborn = True
        world.back(orphan - 1)
        await world.until(lambda: bool(world.halts))
        told = len(sent(world, RevertState))
        await turns(200)
        assert len(sent(world, RevertState)) == told
    assert causes(world.halts) == [HaltCause.SETTLEMENT_DIFFERS]
    assert f"block {orphan} is orphaned here" in world.halts[0].detail
