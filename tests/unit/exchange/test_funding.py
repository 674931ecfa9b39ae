"""Funding: rate, index, bounds, and when it stands still."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.funding import (
    accrue_funding,
    exceeds_step,
    funding_change,
    funding_rate,
    move_index,
)
from sequencer.exchange.invariants import check_laws
from sequencer.exchange.margin import margin_of
from sequencer.exchange.positions import accrued_funding, change_position
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context, Step
from sequencer.model.events import FundingIndexMoved, FundingPaid
from sequencer.model.laws import Law, LawBroken
from sequencer.model.markets import FundingParameters, MarketStatus, OracleParameters
from sequencer.model.rows import Guard, Mode, Position
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    NOW_MS,
    OPERATOR,
    add_market,
    change_price,
    change_system,
    fund,
    hold,
    make_state,
    put,
)
from tests.unit.exchange.pricing import act, switch_off, violations

PLAIN = FundingParameters()
HOUR_MS = 3_600_000


def funded_state(price: int, basis: int, index: int = INDEX_ONE, **changes: int) -> State:
    state = make_state()
    add_market(state, price=price, funding=msgspec.structs.replace(PLAIN, **changes))
    change_price(state, BTC, basis=basis, funding_index=index)
    return state


def accrue(state: State, elapsed_ms: int, times: int = 1) -> None:
    """Let time pass in ticks of the same length, with a fresh price at each."""
    for _ in range(times):
        now_ms = state.system.time_ms + elapsed_ms
        change_system(state, time_ms=now_ms)
        change_price(state, BTC, index_at_ms=now_ms)
        act(state, lambda step: accrue_funding(step, elapsed_ms))


def index_of(state: State) -> int:
    return state.prices[BTC].funding_index


@pytest.mark.parametrize(
    ("basis", "rate"),
    [
        (0, 100_000),
        (100_000, 100_000),
        (600_000, 100_000),
        (600_001, 100_001),
        (-400_000, 100_000),
        (-400_001, 99_999),
        (800_000, 300_000),
        (5_000_000, 4_500_000),
        (-5_000_000, -4_500_000),
        (60_000_000, 50_000_000),
        (-60_000_000, -50_000_000),
    ],
)
def test_the_rate_is_basis_pulled_to_interest_and_clamped(basis: int, rate: int) -> None:
    assert funding_rate(PLAIN, basis) == rate


def test_a_minute_at_3_bps_in_ticks_of_a_second() -> None:
    # Spot 60,000, premium 8 bps: rate 3 bps, 18 a period, 0.0375 a minute; 0.5 BTC pays 0.01875.
    state = funded_state(60_000 * ONE, 800_000)
    accrue(state, 1_000, 60)
    assert index_of(state) == INDEX_ONE + 37_500_000_000_000_000
    assert accrued_funding(Position(ONE // 2, 0, INDEX_ONE), index_of(state)) == -1_875_000


def test_the_same_minute_in_one_tick_is_a_gap_and_counts_nothing() -> None:
    state = funded_state(60_000 * ONE, 800_000)
    accrue(state, 60_000)
    assert index_of(state) == INDEX_ONE


def test_hours_at_12_and_at_18_a_period() -> None:
    # Premium 12 for 1 h: 1,000 -> 1,001.5; then 18 for 2 h: -> 1,006. Long 50 pays 75, then 225.
    state = funded_state(60_000 * ONE, 700_000, 1_000 * INDEX_ONE)
    long = Position(50 * ONE, 0, 1_000 * INDEX_ONE)
    accrue(state, 30_000, 120)
    assert index_of(state) == 1_001 * INDEX_ONE + INDEX_ONE // 2
    assert accrued_funding(long, index_of(state)) == -75 * ONE
    change_price(state, BTC, basis=800_000)
    accrue(state, 30_000, 240)
    assert index_of(state) == 1_006 * INDEX_ONE
    assert accrued_funding(long, index_of(state)) == -300 * ONE


def test_a_period_at_10_bps_moves_the_index_by_80() -> None:
    state = funded_state(80_000 * ONE, 1_500_000, 100 * INDEX_ONE)
    accrue(state, 18_000, 1_600)
    assert index_of(state) == 180 * INDEX_ONE
    for size, paid in ((ONE // 100, -80_000_000), (-ONE // 100, 80_000_000)):
        assert accrued_funding(Position(size, 0, 100 * INDEX_ONE), index_of(state)) == paid


def test_a_lost_index_would_turn_a_debt_into_a_gift() -> None:
    for size, before, after in ((50, -500, 49_500), (-50, 500, -49_500)):
        position = Position(size * ONE, 0, 990 * INDEX_ONE)
        assert accrued_funding(position, 1_000 * INDEX_ONE) == before * ONE
        assert accrued_funding(position, 0) == after * ONE


@pytest.mark.parametrize(
    ("change", "size", "paid"),
    [
        # 38,654,705 / 2^32 of a unit, and one half, in 1e-18 of the scale of sizes.
        (38_654_705, 225_000_000, -2_025_000),
        (38_654_705, -225_000_000, 2_024_999),
        (-38_654_705, 225_000_000, 2_024_999),
        (-38_654_705, -225_000_000, -2_025_000),
        (2**31, 1_000_000_001, -500_000_001),
        (2**31, -1_000_000_001, 500_000_000),
        (2**31, 1, -1),
        (2**31, -1, 0),
        (-(2**31), 1, 0),
        (-(2**31), -1, -1),
    ],
)
def test_funding_is_floored_for_both_sides(change: int, size: int, paid: int) -> None:
    moved = change * INDEX_ONE // 2**32
    assert accrued_funding(Position(size, 0, INDEX_ONE), INDEX_ONE + moved) == paid


def test_half_a_unit_is_lost_to_dust_and_none_is_minted() -> None:
    state = funded_state(100 * ONE, 0)
    for account in (ALICE, BOB):
        fund(state, account, 1_000)
    put(state, Table.POSITION, (ALICE, BTC), Position(1, 0, INDEX_ONE // 2))
    put(state, Table.POSITION, (BOB, BTC), Position(-1, 0, INDEX_ONE // 2))
    step = Step(state, Journal(state), Context(OPERATOR))
    change_position(step, ALICE, BTC, -1, 100 * ONE)
    change_position(step, BOB, BTC, 1, 100 * ONE)
    assert FundingPaid(ALICE, BTC, -1) in step.events
    assert FundingPaid(BOB, BTC, 0) in step.events
    assert state.totals.dust == INDEX_ONE


def test_a_step_is_rounded_toward_zero() -> None:
    for basis, change in ((599_999, 0), (-400_000, 0)):
        assert funding_change(PLAIN, basis, 1, 1) == change
    # 300,000 x 1e-9 x 1e-8 is 3,000,000 x 1e-18 a period, so a unit takes 9.6 ms.
    assert funding_change(PLAIN, 800_000, 1, 9) == 0
    assert funding_change(PLAIN, 800_000, 1, 10) == 1
    assert funding_change(PLAIN, 800_000, 1, 28_800_000) == 3_000_000
    assert funding_change(PLAIN, -5_000_000, 7, 1) == -10
    assert funding_change(PLAIN, 5_000_000, 7, 1) == 10


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**15), st.integers(0, 30_000))
def test_funding_never_exceeds_its_own_bound(basis: int, price: int, time_ms: int) -> None:
    change = funding_change(PLAIN, basis, price, time_ms)
    assert not exceeds_step(PLAIN, price, change, time_ms)


def test_the_bound_is_exact() -> None:
    # 3 % an hour on 100: 3 is allowed in an hour's worth of ticks; one unit more is not.
    hourly = FundingParameters(rate_max=3_000_000, period_ms=HOUR_MS)
    allowed = 3 * INDEX_ONE // 120
    assert not exceeds_step(hourly, 100 * ONE, allowed, 30_000)
    assert not exceeds_step(hourly, 100 * ONE, -allowed, 30_000)
    assert exceeds_step(hourly, 100 * ONE, allowed + 1, 30_000)
    assert exceeds_step(hourly, 100 * ONE, 1, 30_001)
    assert exceeds_step(hourly, 0, 1, 30_000)
    assert not exceeds_step(hourly, 0, 0, 86_400_000)


@pytest.mark.parametrize("gap_ms", [1, 200, 1_000, 30_000, 30_001, 1_800_000, 3_888_000, 10**9])
def test_an_index_reset_is_refused_at_every_gap(gap_ms: int) -> None:
    state = funded_state(92_600 * ONE, 0, 3_001 * INDEX_ONE, rate_max=3_000_000, period_ms=HOUR_MS)
    for index in (INDEX_ONE, -3_001 * INDEX_ONE, 6_002 * INDEX_ONE):
        with pytest.raises(LawBroken) as caught:
            act(state, lambda step, index=index: move_index(step, BTC, index, gap_ms))  # type: ignore[misc]
        assert caught.value.law is Law.FUNDING_INDEX
        assert index_of(state) == 3_001 * INDEX_ONE


def test_without_the_guard_a_reset_index_moves_3_000_a_bitcoin() -> None:
    state = funded_state(92_600 * ONE, 0, 3_001 * INDEX_ONE)
    hold(state, ALICE, BOB, ONE, 92_600 * ONE)
    before = [margin_of(state, account).value for account in (ALICE, BOB)]
    switch_off(state, Guard.FUNDING_STEP)
    events = act(state, lambda step: move_index(step, BTC, INDEX_ONE, 1_000))
    assert violations(events) == [Guard.FUNDING_STEP]
    after = [margin_of(state, account).value for account in (ALICE, BOB)]
    gained = [(new - old) // ONE**3 for new, old in zip(after, before, strict=True)]
    assert gained == [3_000, -3_000]


def test_an_index_is_never_0() -> None:
    state = funded_state(92_600 * ONE, 0)
    switch_off(state, *Guard)
    with pytest.raises(LawBroken, match="FUNDING_INDEX"):
        act(state, lambda step: move_index(step, BTC, 0, 1_000))
    change_price(state, BTC, funding_index=0)
    with pytest.raises(LawBroken, match="lost"):
        act(state, lambda step: accrue_funding(step, 1_000))


@pytest.mark.parametrize(("sign", "basis"), [(-1, 800_000), (1, -800_000)])
def test_an_index_steps_over_0(sign: int, basis: int) -> None:
    # 0.000625 a second, from that far on the one side of 0 to that far on the other.
    step = 625_000_000_000_000
    state = funded_state(60_000 * ONE, basis, sign * step)
    accrue(state, 1_000)
    assert index_of(state) == sign
    accrue(state, 1_000)
    assert index_of(state) == sign - sign * step
    check_laws(state)


def test_funding_reports_the_new_index() -> None:
    state = funded_state(60_000 * ONE, 800_000)
    events = act(state, lambda step: accrue_funding(step, 1_000))
    assert events == [FundingIndexMoved(BTC, INDEX_ONE + 625_000_000_000_000)]


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.CANCEL_ONLY, Mode.POST_ONLY])
def test_funding_stands_outside_open(mode: Mode) -> None:
    state = funded_state(60_000 * ONE, 800_000)
    change_system(state, mode=mode)
    accrue(state, 1_000)
    assert index_of(state) == INDEX_ONE


def test_funding_stands_in_a_paused_market_and_an_unpriced_one() -> None:
    state = make_state()
    add_market(state, status=MarketStatus.PAUSED)
    add_market(state, "NEW", price=0, oracle=OracleParameters("NEW"))
    assert act(state, lambda step: accrue_funding(step, 1_000)) == []


def test_funding_stands_at_a_stale_price() -> None:
    state = funded_state(60_000 * ONE, 800_000)
    change_price(state, BTC, index_at_ms=NOW_MS - 30_001)
    assert act(state, lambda step: accrue_funding(step, 1_000)) == []
    switch_off(state, Guard.STALE_PRICE)
    events = act(state, lambda step: accrue_funding(step, 1_000))
    assert violations(events) == [Guard.STALE_PRICE]
    assert index_of(state) == INDEX_ONE + 625_000_000_000_000


def test_markets_have_rates_and_periods_of_their_own() -> None:
    hourly = funded_state(60_000 * ONE, 800_000, period_ms=HOUR_MS)
    capped = funded_state(60_000 * ONE, 800_000, rate_max=10_000, clamp=10_000)
    for state in (hourly, capped):
        accrue(state, 1_000)
    assert index_of(hourly) == INDEX_ONE + 8 * 625_000_000_000_000
    assert index_of(capped) == INDEX_ONE + 625_000_000_000_000 // 3
