"""Random calls on the contract, on both backends, and on its simulation: each answers alike.

Law: time passes in steps that divide every delay, so that the seconds which the real chain takes
between calls decide nothing.
"""

import random
from collections.abc import Awaitable, Callable

import pytest

from sequencer.model.settlement import Post, Sent, SettlementError, Standing
from sequencer.ports import Settlement
from tests.contracts.settlement_world import (
    DELAY,
    GENESIS,
    World,
    post,
    real_world,
    simulated_world,
)

CALLS = 80
TIME_STEPS = (DELAY // 2, DELAY, 12 * DELAY, 24 * DELAY)

Call = Callable[[Settlement], Awaitable[Sent]]


def callers(world: World) -> tuple[Settlement, ...]:
    return world.owner, world.operator, world.operator, world.stranger


async def outcome(settlement: Settlement, call: Call) -> str:
    try:
        await call(settlement)
    except SettlementError as error:
        return error.code or str(error)
    return "done"


def random_call(choose: random.Random, standing: Standing) -> Call:
    """Mostly a call that may be accepted, with one argument wrong now and then."""
    epoch = standing.epoch + choose.choice((0, 0, 0, 0, -1 if standing.epoch else 1))
    heights = range(standing.finalized.height, standing.newest.height + 1)
    height = choose.choice((choose.choice(heights), standing.newest.height, GENESIS.height))
    previous = choose.choice((standing.newest, standing.newest, standing.newest, post(height)))
    wrong = choose.choice((0, 0, 0, 1))
    new = post(standing.newest.height + choose.choice((0, 1, 1, 2, 3)))
    target = Post(height, post(height).state_root + wrong, post(height).block_hash)
    plan = choose.choice((0, 7, 8, 9))
    calls: tuple[Call, ...] = (
        lambda of: of.update_state(epoch, previous, new),
        lambda of: of.update_state(standing.epoch, standing.newest, new),
        lambda of: of.revert_state_to(epoch, target, 1),
        lambda of: of.finalize(height),
        lambda of: of.hold(plan),
        lambda of: of.release(),
    )
    return choose.choice(calls)


def without_times(standing: Standing) -> tuple[int, Post, Post, int, bool]:
    held = standing.hold_until > standing.time
    return standing.epoch, standing.newest, standing.finalized, standing.hold, held


@pytest.mark.parametrize("seed", range(3))
async def test_contract_and_simulation_answer_alike(url: str, seed: int) -> None:
    choose = random.Random(seed)
    model = simulated_world()
    accepted = 0
    async with real_world(url) as world:
        for _ in range(CALLS):
            if choose.random() < 0.2:
                seconds = choose.choice(TIME_STEPS)
                await world.pass_time(seconds)
                await model.pass_time(seconds)
            standing = await model.owner.standing()
            call = random_call(choose, standing)
            who = choose.randrange(4)
            expected = await outcome(callers(model)[who], call)
            assert await outcome(callers(world)[who], call) == expected
            accepted += expected == "done"
            found, modelled = await world.owner.standing(), await model.owner.standing()
            assert without_times(found) == without_times(modelled)
        assert await world.live() == await model.live()
    assert CALLS // 5 < accepted < CALLS
