"""The simulated settlement chain: its file, its faults, its reorgs."""

import os
import signal
from pathlib import Path

import pytest

from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.contract_rules import HoldFinality, RevertState, UpdateState
from sequencer.settlement.simulated import Faults, SimulatedChain, SimulatedSettlement
from tests.contracts.settlement_world import (
    DELAY,
    GENESIS,
    OPERATOR,
    OWNER,
    SettableClock,
    post,
    refused,
    simulated_genesis,
)


def chain_at(file: Path | None, clock: SettableClock | None = None) -> SimulatedChain:
    clock = clock or SettableClock()
    return SimulatedChain(simulated_genesis(clock), clock, file)


def operator_of(chain: SimulatedChain, faults: Faults | None = None) -> SimulatedSettlement:
    settlement = SimulatedSettlement(chain, OPERATOR)
    settlement.faults = faults or Faults()
    return settlement


async def problem_of(settlement: SimulatedSettlement) -> SettlementProblem:
    with pytest.raises(SettlementError) as caught:
        await settlement.update_state(0, GENESIS, post(10))
    return caught.value.problem


@pytest.fixture(params=["memory", "file"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> SimulatedChain:
    return chain_at(tmp_path / "settlement.json" if request.param == "file" else None)


async def test_its_time_is_the_clock_and_what_passed_beside_it(chain: SimulatedChain) -> None:
    operator = operator_of(chain)
    before = (await operator.standing()).time
    await operator.advance_time(DELAY)
    assert (await operator.standing()).time == before + DELAY
    assert before == SettableClock().now_ms() // 1000


async def test_time_follows_a_clock_that_is_set() -> None:
    clock = SettableClock()
    operator = operator_of(chain_at(None, clock))
    await operator.update_state(0, GENESIS, post(10))
    await refused("FINALITY_TOO_EARLY", operator.finalize(10))
    clock.milliseconds += DELAY * 1000
    await operator.finalize(10)


async def test_no_answer_and_nothing_done(chain: SimulatedChain) -> None:
    operator = operator_of(chain, Faults(unreachable=True))
    assert await problem_of(operator) is SettlementProblem.UNREACHABLE
    with pytest.raises(SettlementError, match="UNREACHABLE"):
        await operator.standing()
    operator.faults.unreachable = False
    operator.faults.absent = True
    assert await problem_of(operator) is SettlementProblem.CONTRACT_ABSENT
    assert chain.ledger.log == ()


async def test_a_receipt_is_lost_after_the_call_was_carried_out(chain: SimulatedChain) -> None:
    operator = operator_of(chain, Faults(receipts_lost=1))
    assert await problem_of(operator) is SettlementProblem.OUTCOME_UNKNOWN
    assert (await operator.standing()).newest == post(10)
    await operator.update_state(0, post(10), post(20))


async def test_a_call_is_lost_and_nobody_says_so(chain: SimulatedChain) -> None:
    operator = operator_of(chain, Faults(calls_lost=1))
    assert await problem_of(operator) is SettlementProblem.OUTCOME_UNKNOWN
    assert chain.ledger.log == ()
    await operator.update_state(0, GENESIS, post(10))


async def test_a_call_that_comes_twice_counts_once_where_it_names_what_it_replaces(
    chain: SimulatedChain,
) -> None:
    operator = operator_of(chain, Faults(doubled=2))
    await operator.update_state(0, GENESIS, post(10))
    await operator.revert_state_to(0, GENESIS, 1)
    owner = SimulatedSettlement(chain, OWNER)
    owner.faults.doubled = 1
    await owner.hold(7)
    calls = [done.call for done in chain.ledger.log]
    assert calls == [
        UpdateState(0, GENESIS, post(10)),
        RevertState(0, GENESIS, 1),
        HoldFinality(7),
        HoldFinality(7),
    ]


async def test_a_refused_call_is_not_in_the_log(chain: SimulatedChain) -> None:
    await refused("EPOCH_DIFFERS", operator_of(chain).update_state(1, GENESIS, post(10)))
    assert chain.ledger.log == ()


async def test_a_reorg_takes_calls_back_and_the_log_keeps_them(chain: SimulatedChain) -> None:
    operator = operator_of(chain)
    await operator.update_state(0, GENESIS, post(10))
    before = chain.ledger.state
    await operator.update_state(0, post(10), post(20))
    await operator.revert_state_to(0, post(10), 1)
    chain.reorg(2)
    assert chain.ledger.state == before
    assert len(chain.ledger.log) == 3
    await operator.update_state(0, post(10), post(30))
    assert [post.post.height for post in chain.ledger.state.posts] == [5, 10, 30]
    assert chain.ledger.live == (0, 3)
    chain.reorg(9)
    assert chain.ledger.state == chain.ledger.genesis


async def test_late_answers_sleep_as_the_seed_says() -> None:
    async def slept_with(seed: int) -> list[float]:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        late = SimulatedSettlement(chain_at(None), OPERATOR, sleep, seed)
        late.faults.late_ms_max = 500
        for _ in range(20):
            await late.standing()
        return slept

    first, other = await slept_with(1), await slept_with(2)
    assert first == await slept_with(1) != other
    assert all(0 < seconds <= 0.5 for seconds in first + other)


async def test_a_file_outlives_the_process_and_is_shared(tmp_path: Path) -> None:
    file = tmp_path / "settlement.json"
    one, other = operator_of(chain_at(file)), operator_of(chain_at(file))
    await one.update_state(0, GENESIS, post(10))
    await other.update_state(0, post(10), post(20))
    await one.advance_time(DELAY)
    await other.finalize(20)
    again = chain_at(file).ledger
    assert again == one.chain.ledger == other.chain.ledger
    assert (again.state.final, len(again.log)) == (2, 3)


def killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_while_it_writes_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = chain_at(tmp_path / "settlement.json")
    chain.carry_out(UpdateState(0, GENESIS, post(10)), OPERATOR)
    before = chain.ledger
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        child = os.fork()
        if child == 0:
            try:
                chain.carry_out(UpdateState(0, post(10), post(20)), OPERATOR)
            finally:
                os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert chain.ledger == before
    chain.carry_out(UpdateState(0, post(10), post(20)), OPERATOR)
    assert chain.ledger.state.posts[-1].post == post(20)
