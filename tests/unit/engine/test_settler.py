"""The settler: what it posts and makes final, when, and what it says when it cannot."""

import pytest

from sequencer.engine import settler as settler_module
from sequencer.engine.settler import SettlePace
from sequencer.model.halts import HaltCause
from sequencer.model.limits import SETTLE_BACKOFF_SECONDS_MAX, SETTLE_REQUESTS_MAX
from sequencer.model.refusals import Refused
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.settlement.contract_rules import (
    Finalize,
    UpdateState,
)
from tests.unit.engine.builders import causes, turns
from tests.unit.engine.settled_world import DELAY_SECONDS, LONG, World, looked, sent, settling


async def test_the_newest_block_is_posted_and_the_contract_follows() -> None:
    world = World()
    async with settling(world):
        await world.idle()
        world.require_settled()
        world.grow(5)
        assert not world.settler.status().is_idle
        await world.settler.caught_up(8)
        await world.idle()
    world.require_settled()
    assert world.posted == [0, 3, 8]
    status = world.settler.status()
    assert (status.settled_height, status.lag_blocks, status.posts) == (8, 0, 2)
    assert (status.backend, status.problem, status.epoch) == ("simulated", "", 0)
    assert status.settled_root == world.post(8).state_root


async def test_pace_is_so_many_blocks_or_so_many_seconds() -> None:
    world = World(SettlePace(blocks=4, seconds=100))
    async with settling(world):
        await world.idle()
        world.grow(3)
        await turns(200)
        assert world.posted == [0, 3]
        world.grow(1)
        await world.idle()
        assert world.posted == [0, 3, 7]
        world.grow(1)
        begun_ms = world.clock.ms
        await world.until(lambda: world.clock.ms > begun_ms + 80_000)
        assert world.posted == [0, 3, 7]
        await world.idle()
        assert world.clock.ms < begun_ms + 120_000
    assert world.posted == [0, 3, 7, 8]


async def test_an_idle_settler_asks_for_nothing_between_two_looks() -> None:
    world = World(LONG)
    async with settling(world):
        await world.idle()
        await turns(50)
        world.settlement.faults.unreachable = True
        world.grow(2)
        await turns(300)
    assert world.settler.status().problem == ""


async def test_a_block_is_posted_by_name_unless_a_newer_one_was() -> None:
    world = World(LONG)
    async with settling(world):
        await world.idle()
        world.grow(6)
        for height in (7, 5):
            world.settler.request(height)
        await world.settler.caught_up(7)
        assert world.posted == [0, 3, 5, 7]
        world.settler.request(4)
        await turns(100)
        assert world.posted == [0, 3, 5, 7]
        with pytest.raises(Refused, match="BLOCK_UNKNOWN"):
            world.settler.request(10)
        with pytest.raises(Refused, match="BLOCK_UNKNOWN"):
            await world.settler.caught_up(10)
    for height in range(SETTLE_REQUESTS_MAX):
        world.settler._requests.add(1_000 + height)
    with pytest.raises(Refused, match="BUSY"):
        world.settler.request(9)


@pytest.mark.parametrize("fault", ["receipts_lost", "calls_lost", "doubled"])
async def test_a_post_whose_answer_is_lost_is_read_before_it_is_sent_again(fault: str) -> None:
    world = World()
    setattr(world.settlement.faults, fault, 1)
    async with settling(world):
        await world.idle()
    world.require_settled()
    assert world.posted == [0, 3]
    assert len(sent(world, UpdateState)) == (2 if fault == "calls_lost" else 1)


async def test_a_post_that_arrives_late_is_no_second_one() -> None:
    world = World()
    world.settlement.kept_back = 1
    async with settling(world):
        await world.until(lambda: len(world.settlement.late) == 1)
        assert (world.settler.sent_height, world.settler.status().is_idle) == (3, False)
        world.settlement.arrive()
        await world.idle()
        assert world.settler.sent_height == 0
    assert (world.posted, len(sent(world, UpdateState))) == ([0, 3], 1)


async def test_what_was_certainly_not_taken_is_not_on_its_way() -> None:
    world = World()
    world.settlement.watch = lambda call: setattr(world.settlement.faults, "unreachable", True)
    async with settling(world):
        await world.until(lambda: world.settler.status().problem != "")
        assert world.settler.sent_height == 0


async def test_a_post_is_made_final_when_its_delay_has_passed() -> None:
    world = World()
    async with settling(world):
        for _ in range(3):
            await world.idle()
            world.grow(2)
        await world.idle()
        world.chain.advance_time(DELAY_SECONDS)
        world.grow(1)
        await world.until(lambda: world.standing.finalized.height == 9)
        await world.idle()
    # One call for all that was due.
    assert sent(world, Finalize) == [Finalize(9)]
    assert world.settler.status().finalized_height == 9


async def test_the_post_that_becomes_final_next_is_known() -> None:
    world = World()
    assert world.settler.status().final_next is None
    async with settling(world):
        await world.idle()
        world.grow(2)
        await world.idle()
        first = world.settler.status().final_next
        oldest = await world.settlement.oldest_post_above(world.standing.finalized.height)
        assert first is not None
        assert (first, world.settler.status().finality_delay) == (oldest, DELAY_SECONDS)
        world.chain.advance_time(DELAY_SECONDS)
        world.grow(1)
        await world.until(lambda: world.standing.finalized.height >= first.post.height)
        await world.idle()
    following = world.settler.status().final_next
    assert following is not None
    assert (world.settler.finalized_height, following.post.height) == (5, 6)


async def test_an_outage_is_said_once_and_tried_ever_less_often() -> None:
    world = World()
    world.settlement.faults.unreachable = True
    async with settling(world):
        await world.until(lambda: world.settler._failures == 12)
        waits = world.settler._look_at - world.clock.ms / 1_000
        assert SETTLE_BACKOFF_SECONDS_MAX - 1 <= waits <= SETTLE_BACKOFF_SECONDS_MAX
        assert (len(world.said), "UNREACHABLE" in world.said[0]) == (1, True)
        assert "UNREACHABLE" in world.settler.status().problem
        world.settlement.faults.unreachable = False
        await world.idle()
    assert len(world.said) == 2
    world.require_settled()


async def test_lag_is_told_once_until_it_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settler_module, "SETTLEMENT_LAG_BLOCKS_MAX", 10)
    world = World()
    async with settling(world):
        await world.idle()
        for times in (1, 2):
            world.settlement.faults.unreachable = True
            world.grow(10)
            await looked(world)
            assert len(world.lowered) == times - 1
            world.grow(1)
            await looked(world)
            world.grow(3)
            await looked(world)
            assert len(world.lowered) == times
            world.settlement.faults.unreachable = False
            await world.idle()


async def test_lag_is_counted_from_the_start_where_nothing_was_ever_seen() -> None:
    world = World(blocks=50)
    world.settlement.faults.unreachable = True
    world.grow(2)
    status = world.settler.status()
    assert (status.lag_blocks, status.settled_height, status.finalized_height) == (2, -1, -1)


async def test_an_unacknowledged_store_posts_nothing() -> None:
    world = World()
    world.acknowledged = False
    async with settling(world):
        await looked(world)
        assert world.settlement.sent == []
        world.acknowledged = True
        await world.idle()
    assert world.posted == [0, 3]


async def test_a_store_that_cannot_be_read_halts(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def fail(*_: object) -> int:
        raise StoreFailed(StoreProblem.STORE_CORRUPT, "torn")

    monkeypatch.setattr(settler_module, "pending_rollback", fail)
    await world.settler.run()
    assert causes(world.halts) == [HaltCause.READ_FAILED]
