"""A settlement chain that comes later: what is known before, who waits, and who is told no."""

import asyncio

import pytest

from devnet.late_settlement import LateSettlement, standing_at
from sequencer.model.settlement import Post, SettlementError, SettlementProblem, TimedPost
from sequencer.settlement.contract_rules import ContractState
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from tests.unit.engine.builders import ManualClock

FIRST = Post(0, 5, 7)


def chain() -> SimulatedSettlement:
    state = ContractState(1, 2, 60, (TimedPost(FIRST, 1_000),))
    return SimulatedSettlement(SimulatedChain(state, ManualClock()), 2)


async def test_before_it_is_there_a_new_contract_stands_at_block_0() -> None:
    late, there = LateSettlement("later", lambda: standing_at(FIRST)), chain()
    standing = await late.standing()
    assert (standing.newest, standing.finalized, standing.epoch) == (FIRST, FIRST, 0)
    assert (late.backend, late.cairo_executed, late.contract) == ("later", False, 0)
    late.arrive(there, "")
    assert late.contract == there.contract
    real = await late.standing()
    assert real == await there.standing()
    assert (real.newest, real.finalized, real.epoch) == (FIRST, FIRST, 0)
    assert (late.backend, late.cairo_executed) == (there.backend, there.cairo_executed)


async def test_whoever_sends_waits_until_it_is_there() -> None:
    late, there, new = LateSettlement("later", lambda: standing_at(FIRST)), chain(), Post(3, 8, 9)
    sending = asyncio.ensure_future(late.update_state(0, FIRST, new))
    await asyncio.sleep(0)
    assert not sending.done()
    late.arrive(there, "")
    await sending
    assert (await late.standing()).newest == new
    assert await late.newest_post(9) == new
    assert await late.money() == await there.money()
    assert await late.deposits(0, 5) == await there.deposits(0, 5)


async def test_one_that_may_have_posts_is_asked_itself() -> None:
    late, there = LateSettlement("elsewhere", lambda: None), chain()
    asking = asyncio.ensure_future(late.standing())
    await asyncio.sleep(0)
    assert not asking.done()
    late.arrive(there, "")
    assert await asking == await there.standing()


async def test_one_that_never_comes_is_unreachable() -> None:
    late = LateSettlement("later", lambda: standing_at(FIRST))
    late.arrive(None, "no devnet on port 5")
    for ask in (late.standing(), late.finalize(3), late.oldest_post_above(0), late.release()):
        with pytest.raises(SettlementError, match="no devnet on port 5") as caught:
            await ask
        assert caught.value.problem is SettlementProblem.UNREACHABLE
    await late.close()
