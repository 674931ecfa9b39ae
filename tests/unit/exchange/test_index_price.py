"""Which medians become the index price: steps, ranges, seeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.state import State
from sequencer.model.commands import CreateMarket, SeedPrice
from sequencer.model.events import PriceAccepted, PriceRefused
from sequencer.model.refusals import Reason
from sequencer.model.rows import Extreme, Guard, Mode, ModeCause, Price
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BTC,
    NOW_MS,
    OPERATOR,
    add_market,
    change_price,
    change_system,
    make_parameters,
    make_state,
    refused,
    run,
)
from tests.unit.exchange.pricing import (
    add_publishers,
    offer,
    reasons,
    report,
    reports_of,
    switch_off,
    violations,
)


def priced_state(price: int = 100 * ONE) -> State:
    state = make_state()
    add_market(state, price=price)
    extremes = (Extreme(NOW_MS, price),)
    change_price(state, BTC, lows=extremes, highs=extremes, accepted_in_row=0)
    return state


def lost_state(mode: Mode = Mode.CANCEL_ONLY, cause: ModeCause = ModeCause.OPERATOR) -> State:
    """BTC's price of 100 is a moment older than 300 s, and there were averages."""
    state = priced_state()
    change_price(state, BTC, mid_average=7, mid_at_ms=5, basis=7, funding_index=5 * INDEX_ONE)
    change_system(state, time_ms=NOW_MS + 299_001, mode=mode, cause=cause)
    return state


def seed(price: int) -> SeedPrice:
    return SeedPrice(BTC, price)


def test_an_accepted_price_moves_the_index() -> None:
    state = priced_state()
    assert offer(state, 103 * ONE) == []
    assert state.prices[BTC] == Price(
        index=103 * ONE,
        index_at_ms=NOW_MS + 1_000,
        mark=100 * ONE,
        lows=(Extreme(NOW_MS, 100 * ONE), Extreme(NOW_MS + 1_000, 103 * ONE)),
        highs=(Extreme(NOW_MS + 1_000, 103 * ONE),),
        accepted_in_row=1,
        counted_at_ms=NOW_MS + 1_000,
    )


@pytest.mark.parametrize("median", [1_000 * ONE, 10 * ONE, 105 * ONE + 1, 95 * ONE - 1, 1])
def test_a_step_too_far_is_refused(median: int) -> None:
    state = priced_state()
    before = state.prices[BTC]
    assert offer(state, median) == [PriceRefused(BTC, median, "PRICE_STEP")]
    assert state.prices[BTC] == before


@pytest.mark.parametrize("median", [105 * ONE, 95 * ONE, 100 * ONE])
def test_a_step_just_so_far_is_taken(median: int) -> None:
    state = priced_state()
    offer(state, median)
    assert state.prices[BTC].index == median


@pytest.mark.parametrize("median", [1_000 * ONE, 10 * ONE, 105 * ONE + 1])
def test_without_the_guard_any_step_is_taken(median: int) -> None:
    state = priced_state()
    switch_off(state, Guard.PRICE_STEP, Guard.PRICE_RANGE)
    assert Guard.PRICE_STEP in violations(offer(state, median))
    assert state.prices[BTC].index == median


def climb(state: State, steps: int, every_ms: int) -> list[str]:
    """Offer prices each 4 % over the last accepted one; return what was refused."""
    refusals: list[str] = []
    for _ in range(steps):
        higher = state.prices[BTC].index * 104 // 100
        refusals += reasons(offer(state, higher, every_ms))
    return refusals


def test_many_small_steps_meet_the_range() -> None:
    state = priced_state()
    assert climb(state, 10, 1_000) == ["PRICE_RANGE"] * 8
    # 100, 104, 108.16; the next one would be over 110.
    assert state.prices[BTC].index == 108_16000000


def test_a_slow_climb_is_no_ratchet() -> None:
    state = priced_state()
    assert climb(state, 10, 61_000) == []
    assert state.prices[BTC].index == 148_02442846


def test_without_the_guard_ten_small_steps_make_a_large_one() -> None:
    state = priced_state()
    switch_off(state, Guard.PRICE_RANGE)
    assert climb(state, 10, 1_000) == []
    # 48 % in ten seconds.
    assert state.prices[BTC].index == 148_02442846


def test_the_range_holds_downward_and_to_the_unit() -> None:
    state = priced_state(110 * ONE)
    offer(state, 105 * ONE)
    assert reasons(offer(state, 100 * ONE - 1)) == ["PRICE_RANGE"]
    assert offer(state, 100 * ONE) == []
    # 60 s after the 110 it still counts, a millisecond later it does not.
    state = priced_state(110 * ONE)
    offer(state, 105 * ONE)
    assert reasons(offer(state, 100 * ONE - 1, 59_000)) == ["PRICE_RANGE"]
    assert offer(state, 100 * ONE - 1, 1) == []


moves = st.tuples(st.integers(-40, 40), st.integers(1, 25_000))


@given(st.lists(moves, max_size=60))
def test_extremes_are_those_of_a_minute(steps: list[tuple[int, int]]) -> None:
    state = priced_state()
    history = [(NOW_MS, 100 * ONE)]
    for per_mille, after_ms in steps:
        index = state.prices[BTC].index
        median = index + index * per_mille // 1_000
        refusals = reasons(offer(state, median, after_ms))
        now_ms = state.system.time_ms
        if now_ms - history[-1][0] > 300_000:
            return
        minute = [price for at_ms, price in history if at_ms >= now_ms - 60_000] + [median]
        span, low = max(minute) - min(minute), min(minute)
        assert (refusals == ["PRICE_RANGE"]) == (span * ONE > 10_000_000 * low)
        if not refusals:
            history.append((now_ms, median))
            lows, highs = state.prices[BTC].lows, state.prices[BTC].highs
            assert (lows[0].price, highs[0].price) == (low, max(minute))
            assert len(lows) + len(highs) <= len(minute) + 1


def test_prices_count_once_a_second() -> None:
    state = priced_state()
    counts = []
    for after_ms in (1_000, 999, 1, 500, 500, 30_000):
        offer(state, 100 * ONE, after_ms)
        counts.append(state.prices[BTC].accepted_in_row)
    assert counts == [1, 1, 2, 2, 3, 4]


def test_a_frozen_price_that_is_stamped_anew_is_fresh() -> None:
    state = priced_state()
    for _ in range(10):
        assert offer(state, 100 * ONE, 29_000) == []
    assert state.prices[BTC].index_at_ms == NOW_MS + 290_000


def test_an_unpriced_market_only_collects() -> None:
    state = make_state()
    run(state, CreateMarket(make_parameters()), OPERATOR)
    assert offer(state, 100 * ONE) == [PriceRefused(BTC, 100 * ONE, "PRICE_SEED")]
    assert state.prices[BTC] == Price(candidates=(Extreme(NOW_MS + 1_000, 100 * ONE),))


def test_after_300_seconds_a_price_is_lost() -> None:
    state = priced_state()
    assert offer(state, 100 * ONE, 300_000) == []
    assert reasons(offer(state, 100 * ONE, 300_001)) == ["PRICE_SEED"]


def test_without_the_guard_the_first_median_after_a_gap_is_the_price() -> None:
    state = lost_state()
    switch_off(state, Guard.PRICE_SEED)
    assert violations(offer(state, 1_000 * ONE)) == [Guard.PRICE_SEED]
    assert (state.prices[BTC].index, state.prices[BTC].mark) == (1_000 * ONE, 1_000 * ONE)


def test_three_candidates_make_a_seed_that_starts_anew() -> None:
    state = lost_state()
    for price in (70 * ONE, 70_50000000, 70_20000000):
        offer(state, price)
    now_ms = state.system.time_ms
    median = 70_20000000
    assert run(state, seed(median), OPERATOR) == [PriceAccepted(BTC, median, median)]
    extremes = (Extreme(now_ms, median),)
    assert state.prices[BTC] == Price(
        index=median,
        index_at_ms=now_ms,
        mark=median,
        funding_index=5 * INDEX_ONE,
        lows=extremes,
        highs=extremes,
        accepted_in_row=1,
        counted_at_ms=now_ms,
    )
    assert refused(state, seed(median), OPERATOR) is Reason.PRICE_SEED_REFUSED


def test_a_seed_stays_good_while_candidates_go_on() -> None:
    state = lost_state()
    for price in (70 * ONE, 70_20000000, 70_10000000, 70_40000000, 70_30000000):
        offer(state, price)
    for other in (70 * ONE, 70_40000000, 70_15000000):
        assert refused(state, seed(other), OPERATOR) is Reason.PRICE_SEED_REFUSED
    run(state, seed(70_10000000), OPERATOR)


@pytest.mark.parametrize(
    ("prices", "every_ms"),
    [
        ((), 1_000),
        ((70 * ONE, 70 * ONE), 1_000),
        ((70 * ONE, 70 * ONE, 70 * ONE), 999),
        ((70 * ONE, 70 * ONE, 70 * ONE), 15_001),
        ((70 * ONE, 70 * ONE, 70_70000001), 1_000),
        ((70_70000001, 70 * ONE, 70 * ONE, 70 * ONE), 1_000),
    ],
)
def test_too_few_or_disagreeing_candidates_make_none(
    prices: tuple[int, ...], every_ms: int
) -> None:
    state = lost_state()
    for price in prices:
        offer(state, price, every_ms)
    assert refused(state, seed(70 * ONE), OPERATOR) is Reason.PRICE_SEED_REFUSED


def test_candidates_100_bps_apart_agree() -> None:
    state = lost_state()
    for price in (70 * ONE, 70 * ONE, 70_70000000):
        offer(state, price)
    run(state, seed(70 * ONE), OPERATOR)


def test_candidates_age() -> None:
    state = lost_state()
    for _ in range(3):
        offer(state, 70 * ONE)
    change_system(state, time_ms=state.system.time_ms + 28_001)
    assert refused(state, seed(70 * ONE), OPERATOR) is Reason.PRICE_SEED_REFUSED
    offer(state, 70 * ONE)
    assert len(state.prices[BTC].candidates) == 2


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.POST_ONLY, Mode.OPEN])
def test_seeding_needs_cancel_only(mode: Mode) -> None:
    assert refused(lost_state(mode), seed(70 * ONE), OPERATOR) is Reason.MODE_FORBIDS


def test_seeding_is_the_operators() -> None:
    state = lost_state()
    assert refused(state, seed(70 * ONE), ALICE) is Reason.NOT_OPERATOR
    command = SeedPrice("NONE", 70 * ONE)
    assert refused(state, command, OPERATOR) is Reason.MARKET_UNKNOWN


def test_after_a_gap_a_devnet_seeds_by_itself() -> None:
    state = lost_state(Mode.CANCEL_ONLY, ModeCause.GAP)
    change_system(state, reopen_automatic=True)
    offer(state, 70 * ONE)
    offer(state, 70_40000000)
    assert state.prices[BTC].index == 100 * ONE
    offer(state, 70_20000000)
    assert state.prices[BTC].index == 70_20000000
    assert state.prices[BTC].candidates == ()


@pytest.mark.parametrize(
    ("mode", "cause", "automatic"),
    [
        (Mode.CANCEL_ONLY, ModeCause.GAP, False),
        (Mode.POST_ONLY, ModeCause.GAP, True),
        (Mode.CANCEL_ONLY, ModeCause.OPERATOR, True),
        (Mode.CANCEL_ONLY, ModeCause.TRIPWIRE, True),
        (Mode.CANCEL_ONLY, ModeCause.ROLLBACK, True),
    ],
)
def test_nothing_else_seeds_by_itself(mode: Mode, cause: ModeCause, automatic: bool) -> None:
    state = lost_state(mode, cause)
    change_system(state, reopen_automatic=automatic)
    for _ in range(5):
        offer(state, 70 * ONE)
    assert state.prices[BTC].index == 100 * ONE


def test_the_same_reports_again_are_no_new_candidate() -> None:
    state = lost_state()
    add_publishers(state)
    change_system(state, time_ms=state.system.time_ms + 1_000)
    reports = reports_of([70 * ONE, 70 * ONE], state.system.time_ms)
    assert reasons(report(state, reports)) == ["PRICE_SEED"]
    change_system(state, time_ms=state.system.time_ms + 1_000)
    assert reasons(report(state, reports)) == ["REPORT_NOT_NEWER"] * 2
    assert len(state.prices[BTC].candidates) == 1


def test_a_recovery_of_minus_30_percent_after_13_days() -> None:
    state = lost_state()
    change_system(state, time_ms=NOW_MS + 13 * 86_400_000)
    for price in (70 * ONE, 70_10000000, 69_90000000):
        assert reasons(offer(state, price)) == ["PRICE_SEED"]
    run(state, seed(70 * ONE), OPERATOR)
    assert offer(state, 71 * ONE) == []
