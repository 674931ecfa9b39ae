"""The engine's port to settlement, one suite for the contract, its twin and its simulation."""

from collections.abc import AsyncIterator, Callable

import pytest

from sequencer.model.settlement import Post, Standing
from tests.contracts.devnet import BACKENDS
from tests.contracts.settlement_world import (
    DAY,
    DELAY,
    GENESIS,
    PLAN,
    REASON,
    World,
    post,
    real_world,
    refused,
    simulated_world,
)

LOOK_SECONDS_MAX = 60
"""Seconds by which a chain of its own may have gone on between a call and a look."""


SIMULATED = "simulated"


@pytest.fixture(scope="module", params=(SIMULATED, *BACKENDS))
def place(request: pytest.FixtureRequest, chain_on: Callable[[str], str]) -> str:
    """Give the address of a chain, "" for the simulated one."""
    return "" if request.param == SIMULATED else chain_on(request.param)


@pytest.fixture
async def world(place: str) -> AsyncIterator[World]:
    if not place:
        yield simulated_world()
        return
    async with real_world(place) as made:
        yield made


def lasts_a_day(standing: Standing) -> bool:
    """Say so of a hold that began just now: a chain of its own may have gone on by a second."""
    return DAY - LOOK_SECONDS_MAX < standing.hold_until - standing.time <= DAY


async def test_a_new_contract_stands_at_its_genesis(world: World) -> None:
    found = await world.stranger.standing()
    expected = Standing(0, GENESIS, GENESIS, 0, 0, DELAY, found.time)
    assert found == expected
    assert await world.stranger.newest_post(GENESIS.height - 1) is None
    assert await world.stranger.oldest_post_above(GENESIS.height) is None
    assert await world.live() == [GENESIS.height]


async def test_each_says_what_it_is(world: World) -> None:
    await world.owner.standing()
    known = {SIMULATED: False, "embedded": False, "starknet-devnet": True}
    assert world.owner.cairo_executed is known[world.owner.backend]


async def test_posts_stand_on_one_another(world: World) -> None:
    first = await world.operator.update_state(0, GENESIS, post(10))
    before = await world.stranger.standing()
    second = await world.operator.update_state(0, post(10), post(20))
    assert first.transaction_hash != second.transaction_hash
    assert (first.l2_gas > 0) is world.operator.cairo_executed
    standing = await world.stranger.standing()
    assert (standing.newest, standing.finalized) == (post(20), GENESIS)
    assert await world.live() == [5, 10, 20]
    assert await world.stranger.newest_post(19) == post(10)
    oldest = await world.stranger.oldest_post_above(19)
    assert oldest is not None
    assert oldest.post == post(20)
    # A chain's clock may go on between a block and whoever asks.
    assert before.time <= oldest.posted_at <= standing.time


async def test_posts_that_do_not_fit_are_refused(world: World) -> None:
    await world.post_all(0, 5, 10)
    await refused("NOT_OPERATOR", world.owner.update_state(0, post(10), post(20)))
    await refused("NOT_OPERATOR", world.stranger.update_state(0, post(10), post(20)))
    await refused("EPOCH_DIFFERS", world.operator.update_state(1, post(10), post(20)))
    await refused("PREV_BLOCK_DIFFERS", world.operator.update_state(0, GENESIS, post(20)))
    fork = Post(10, 0xBAD, post(10).block_hash)
    await refused("PREV_ROOT_DIFFERS", world.operator.update_state(0, fork, post(20)))
    await refused("BLOCK_NOT_NEWER", world.operator.update_state(0, post(10), post(10)))
    await refused("PREV_BLOCK_DIFFERS", world.operator.update_state(0, GENESIS, post(10)))
    assert await world.live() == [5, 10]


async def test_finality_waits_and_never_goes_back(world: World) -> None:
    await world.post_all(0, 5, 10, 20)
    await refused("FINALITY_TOO_EARLY", world.stranger.finalize(10))
    await world.pass_time(DELAY)
    await world.post_all(0, 20, 30)
    await refused("BLOCK_NOT_POSTED", world.stranger.finalize(15))
    await refused("FINALITY_TOO_EARLY", world.stranger.finalize(30))
    await world.stranger.finalize(20)
    await refused("ALREADY_FINALIZED", world.stranger.finalize(20))
    await refused("ALREADY_FINALIZED", world.stranger.finalize(10))
    standing = await world.stranger.standing()
    assert (standing.newest, standing.finalized) == (post(30), post(20))
    assert await world.live() == [5, 10, 20, 30]


async def test_reverts_go_down_to_what_is_final_and_no_further(world: World) -> None:
    await world.post_all(0, 5, 10, 20, 30, 40)
    await world.pass_time(DELAY)
    await world.stranger.finalize(20)
    await refused("NOT_OPERATOR_OR_OWNER", world.stranger.revert_state_to(0, post(30), REASON))
    await refused("EPOCH_DIFFERS", world.operator.revert_state_to(1, post(30), REASON))
    await refused("BELOW_FINALIZED", world.operator.revert_state_to(0, post(10), REASON))
    await refused("BLOCK_NOT_POSTED", world.operator.revert_state_to(0, post(35), REASON))
    other = Post(30, 0xBAD, post(30).block_hash)
    await refused("ROOT_DIFFERS", world.operator.revert_state_to(0, other, REASON))

    await world.operator.revert_state_to(0, post(30), REASON)
    assert await world.live() == [5, 10, 20, 30]
    await world.owner.revert_state_to(1, post(20), REASON)
    assert await world.live() == [5, 10, 20]
    standing = await world.stranger.standing()
    assert (standing.epoch, standing.newest, standing.finalized) == (2, post(20), post(20))


async def test_a_call_of_an_old_epoch_is_refused(world: World) -> None:
    await world.post_all(0, 5, 10, 20)
    await world.operator.revert_state_to(0, post(20), REASON)
    await refused("EPOCH_DIFFERS", world.operator.update_state(0, post(20), post(30)))
    await refused("EPOCH_DIFFERS", world.operator.revert_state_to(0, post(20), REASON))
    assert await world.live() == [5, 10, 20]
    await world.post_all(1, 20, 30)


async def test_equal_roots_are_posted_again_and_wait_anew(world: World) -> None:
    await world.post_all(0, 5, 10, 20)
    before = await world.stranger.oldest_post_above(10)
    await world.operator.revert_state_to(0, post(10), REASON)
    await world.pass_time(DELAY)
    await world.post_all(1, 10, 20)
    again = await world.stranger.oldest_post_above(10)
    assert before is not None
    assert again is not None
    assert again.post == before.post
    assert again.posted_at >= before.posted_at + DELAY
    await refused("FINALITY_TOO_EARLY", world.stranger.finalize(20))
    await world.stranger.finalize(10)


async def test_a_hold_stops_finality_until_it_is_released(world: World) -> None:
    await world.post_all(0, 5, 10)
    await world.pass_time(DELAY)
    await refused("PLAN_HASH_ZERO", world.operator.hold(0))
    await refused("NOT_OPERATOR_OR_OWNER", world.stranger.hold(PLAN))
    await refused("NOT_OPERATOR_OR_OWNER", world.stranger.release())
    await refused("NOT_HELD", world.operator.release())
    await world.operator.hold(PLAN)
    held = await world.stranger.standing()
    assert held.hold == PLAN
    assert lasts_a_day(held)
    await refused("HELD", world.stranger.finalize(10))
    await refused("HELD", world.operator.hold(PLAN))
    await world.post_all(0, 10, 20)
    await world.operator.release()
    free = await world.stranger.standing()
    assert (free.hold, free.hold_until) == (0, 0)
    await refused("NOT_HELD", world.operator.release())
    await world.operator.hold(PLAN + 1)
    taken = await world.stranger.standing()
    assert (taken.hold, taken.hold_until) == (PLAN + 1, held.hold_until)
    await world.owner.release()
    await world.stranger.finalize(10)


async def test_a_hold_lapses_and_only_the_owner_renews_it(world: World) -> None:
    await world.post_all(0, 5, 10)
    await world.operator.hold(PLAN)
    await world.pass_time(DAY)
    lapsed = await world.stranger.standing()
    assert (lapsed.hold, lapsed.hold_until) == (0, 0)
    await refused("HOLD_LAPSED", world.operator.hold(PLAN))
    await refused("NOT_HELD", world.operator.release())
    await world.owner.hold(PLAN)
    await world.owner.hold(PLAN + 1)
    renewed = await world.stranger.standing()
    assert renewed.hold == PLAN + 1
    assert lasts_a_day(renewed)
    await refused("HELD", world.stranger.finalize(10))
    await world.owner.release()
    await world.operator.hold(PLAN)
    anew = await world.stranger.standing()
    assert lasts_a_day(anew)


async def test_finality_that_moves_gives_operators_a_new_day(world: World) -> None:
    await world.post_all(0, 5, 10)
    await world.operator.hold(PLAN)
    await world.pass_time(DAY)
    await world.stranger.finalize(10)
    await world.operator.hold(PLAN)
    standing = await world.stranger.standing()
    assert standing.hold == PLAN
    assert lasts_a_day(standing)


@pytest.mark.parametrize("waits", [0, DAY], ids=["held", "lapsed"])
async def test_a_revert_ends_a_hold(world: World, waits: int) -> None:
    await world.post_all(0, 5, 10, 20)
    await world.operator.hold(PLAN)
    await world.pass_time(waits)
    await world.operator.revert_state_to(0, post(10), REASON)
    standing = await world.stranger.standing()
    assert (standing.epoch, standing.hold, standing.hold_until) == (1, 0, 0)
    await world.operator.hold(PLAN)


async def test_the_owners_hold_binds_an_operator(world: World) -> None:
    await world.post_all(0, 5, 10, 20)
    await world.operator.hold(PLAN)
    await world.owner.hold(PLAN)
    await refused("HELD_BY_OWNER", world.operator.release())
    await world.operator.revert_state_to(0, post(20), REASON)
    await world.operator.revert_state_to(1, post(10), REASON)
    held = await world.stranger.standing()
    assert (held.epoch, held.newest, held.hold) == (2, post(10), PLAN)
    assert lasts_a_day(held)
    await world.pass_time(DELAY)
    await refused("HELD", world.stranger.finalize(10))
    await world.owner.revert_state_to(2, post(10), REASON)
    await world.operator.hold(PLAN)
    await world.operator.release()
    await world.stranger.finalize(10)


async def test_a_client_is_closed_twice(world: World) -> None:
    await world.owner.standing()
    await world.owner.close()
    await world.owner.close()
