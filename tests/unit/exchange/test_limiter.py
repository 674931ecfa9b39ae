"""The withdrawal limiter against dYdX's numbers, and as withdrawals and deposits meet it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.limiter import current_limiter, moved_capacity
from sequencer.exchange.state import ONLY, State, Table
from sequencer.model.commands import Deposit, SetRisk, Withdraw
from sequencer.model.refusals import Reason
from sequencer.model.rows import Limiter, Risk
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    NOW_MS,
    OPERATOR,
    change_system,
    fund,
    make_state,
    put,
    refused,
    run,
)

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MILLION = 10**6 * ONE


@pytest.mark.parametrize(
    ("baseline", "capacity", "elapsed_ms", "period_ms", "expected"),
    [
        (250_000_000_000, 99_000_000_000, 1_090, HOUR_MS, 99_075_694_444),
        (2_500_000_000_000, 990_000_000_000, 1_090, DAY_MS, 990_031_539_351),
        (100_000_000_000, 0, 1_150, HOUR_MS, 31_944_444),
    ],
)
def test_capacity_moves_as_published(
    baseline: int, capacity: int, elapsed_ms: int, period_ms: int, expected: int
) -> None:
    assert moved_capacity(baseline, capacity, elapsed_ms, period_ms) == expected


@pytest.mark.parametrize(
    ("capacity", "elapsed_ms", "expected"),
    [
        (100, 500, 100),
        (99, 1_000, 100),
        (0, 999, 99),
        (0, 1_000, 100),
        (0, 1_000_000, 100),
        (150, 250, 125),
        (101, 1_000_000, 100),
        (1_000, 100, 910),
        (1_000, 1_000, 100),
        (0, 0, 0),
        (1_000, 0, 1_000),
    ],
)
def test_capacity_never_crosses_its_baseline(capacity: int, elapsed_ms: int, expected: int) -> None:
    assert moved_capacity(100, capacity, elapsed_ms, 1_000) == expected


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**9))
def test_capacity_only_moves_toward_its_baseline(
    baseline: int, capacity: int, elapsed_ms: int
) -> None:
    moved = moved_capacity(baseline, capacity, elapsed_ms, HOUR_MS)
    assert min(baseline, capacity) <= moved <= max(baseline, capacity)
    if elapsed_ms >= HOUR_MS:
        assert moved == baseline


def rich_state() -> State:
    """200 million of collateral: 2 million an hour, 20 million a day."""
    state = make_state()
    fund(state, ALICE, 200 * MILLION)
    return state


def withdraw(amount: int, withdrawal_id: int = 1) -> Withdraw:
    return Withdraw(ALICE, 0x1, amount, withdrawal_id)


def test_the_first_use_finds_both_windows_full() -> None:
    assert current_limiter(rich_state()) == Limiter(2 * MILLION, 20 * MILLION, NOW_MS)


def test_the_first_use_needs_no_time_to_have_passed() -> None:
    state = rich_state()
    change_system(state, time_ms=1)
    assert current_limiter(state) == Limiter(2 * MILLION, 20 * MILLION, 1)


def test_small_chains_have_the_minimum() -> None:
    state = make_state()
    fund(state, ALICE, 99 * MILLION)
    assert current_limiter(state) == Limiter(MILLION, 10 * MILLION, NOW_MS)


def test_an_hours_capacity_goes_to_the_unit() -> None:
    state = rich_state()
    assert refused(state, withdraw(2 * MILLION + 100), ALICE) is Reason.WITHDRAWAL_LIMIT
    run(state, withdraw(2 * MILLION), ALICE)
    assert state.limiter == Limiter(0, 18 * MILLION, NOW_MS)
    assert refused(state, withdraw(100, 2), ALICE) is Reason.WITHDRAWAL_LIMIT
    # 198 million are left, so an hour's baseline is 1.98 million: 550 USD a second.
    change_system(state, time_ms=NOW_MS + 1_000)
    assert refused(state, withdraw(550 * ONE + 100, 2), ALICE) is Reason.WITHDRAWAL_LIMIT
    run(state, withdraw(550 * ONE, 2), ALICE)
    assert state.limiter.hour_capacity == 0


def test_the_day_binds_where_the_hour_has_more() -> None:
    state = rich_state()
    put(state, Table.LIMITER, ONLY, Limiter(2 * MILLION, MILLION, NOW_MS))
    assert refused(state, withdraw(MILLION + 100), ALICE) is Reason.WITHDRAWAL_LIMIT
    run(state, withdraw(MILLION), ALICE)
    assert state.limiter == Limiter(MILLION, 0, NOW_MS)


def test_deposits_add_and_what_is_over_goes_in_one_period() -> None:
    state = rich_state()
    run(state, Deposit(1, 0x2, ALICE, 100 * 10**12), 0)
    assert state.limiter == Limiter(102 * MILLION, 120 * MILLION, NOW_MS)
    # 300 million: baselines 3 and 30 million; 99 million over go down by a quarter of it.
    change_system(state, time_ms=NOW_MS + HOUR_MS // 4)
    moved = current_limiter(state)
    assert moved.hour_capacity == 102 * MILLION - 99 * MILLION // 4
    change_system(state, time_ms=NOW_MS + DAY_MS)
    assert current_limiter(state) == Limiter(3 * MILLION, 30 * MILLION, NOW_MS + DAY_MS)


def test_new_bounds_count_from_now_on() -> None:
    state = rich_state()
    put(state, Table.LIMITER, ONLY, Limiter(0, 0, NOW_MS - HOUR_MS // 2))
    run(state, SetRisk(Risk(hour_min=10 * MILLION)), OPERATOR)
    assert state.limiter == Limiter(MILLION, 20 * MILLION // 48, NOW_MS)
