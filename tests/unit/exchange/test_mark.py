"""Mark: averages, their weights, the clamp, and when they are frozen."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.mark import fair_price, remaining_weight, update_marks
from sequencer.exchange.state import State, Table
from sequencer.model.events import Event, PriceAccepted
from sequencer.model.markets import MarketStatus, OracleParameters
from sequencer.model.orders import Side
from sequencer.model.rows import Guard, LastTrade, Mode
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    add_market,
    change_price,
    change_system,
    make_order,
    make_state,
    put,
    rest,
)
from tests.unit.exchange.pricing import act, switch_off, violations

HALF_LIFE_MS = 1_800_000
SCALE = 2**64


def traded_state() -> State:
    """BTC at 100 with a book 99.98 .. 100.10, mid 4 bps over index."""
    state = make_state()
    add_market(state, oracle=OracleParameters("BTC", "BTCP"))
    rest(state, make_order(ALICE, Side.BUY, ONE, 99_98000000))
    rest(state, make_order(BOB, Side.SELL, ONE, 100_10000000))
    return state


def sample(state: State, perpetual: int = 0, after_ms: int = 1_000) -> list[Event]:
    """Move on, keep the index fresh, and update marks."""
    now_ms = state.system.time_ms + after_ms
    change_system(state, time_ms=now_ms)
    change_price(state, BTC, index_at_ms=now_ms)
    return act(state, lambda step: update_marks(step, {BTC: perpetual} if perpetual else {}))


def exact_weight(elapsed_ms: int) -> int:
    with localcontext() as context:
        context.prec = 80
        power = Decimal(2) ** (Decimal(-elapsed_ms) / Decimal(HALF_LIFE_MS))
        return int((power * SCALE).to_integral_value(ROUND_HALF_EVEN))


@pytest.mark.parametrize("bit", range(15))
def test_the_table_of_weights_is_exact(bit: int) -> None:
    weight = remaining_weight(1 << bit)
    assert weight == exact_weight(1 << bit)
    # The same without any logarithm: a weight is the square root of the next, to half a unit.
    following = exact_weight(2 << bit)
    low, high = 2 * following - 1, 2 * following + 1
    assert (2 * weight - 1) ** 2 < 2 * SCALE * high
    assert (2 * weight + 1) ** 2 > 2 * SCALE * low


def test_half_is_left_after_half_an_hour() -> None:
    weight = SCALE
    for _ in range(60):
        weight = weight * remaining_weight(30_000) // SCALE
    assert SCALE // 2 - 200 <= weight <= SCALE // 2 + 200


@given(st.integers(0, 30_000))
def test_weights_of_any_time_are_right_to_a_few_units(elapsed_ms: int) -> None:
    exact = exact_weight(elapsed_ms)
    assert exact - 20 <= remaining_weight(elapsed_ms) <= exact + 8


def test_weights_fall_with_time() -> None:
    weights = [remaining_weight(elapsed_ms) for elapsed_ms in range(0, 30_001, 7)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == SCALE


@pytest.mark.parametrize(
    ("index", "basis", "mark"),
    [
        (92_600 * ONE, 0, 92_600 * ONE),
        (60_000 * ONE, 800_000, 60_048 * ONE),
        (101, -1, 100),
        (100, 5_000_000, 100),
        (1, -1, 1),
        (0, 5, 0),
    ],
)
def test_mark_is_index_and_basis_rounded_down(index: int, basis: int, mark: int) -> None:
    assert fair_price(index, basis) == mark


def test_a_new_average_starts_at_0_and_follows_slowly() -> None:
    state = traded_state()
    sample(state)
    # 4 bps = 400,000; a first sample weighs 30 s: 1 - 2^(-1 / 60) of it.
    assert state.prices[BTC].mid_average == 4_594
    assert state.prices[BTC].mid_at_ms == state.system.time_ms
    sample(state, after_ms=30_000)
    assert state.prices[BTC].mid_average == 9_135


def test_a_sample_after_a_silence_weighs_30_seconds_at_most() -> None:
    short, long = traded_state(), traded_state()
    for state, after_ms in ((short, 30_000), (long, 3_600_000)):
        change_price(state, BTC, mid_average=100_000, mid_at_ms=state.system.time_ms)
        sample(state, after_ms=after_ms)
    assert short.prices[BTC].mid_average == long.prices[BTC].mid_average == 103_445


def test_averages_are_rounded_toward_zero() -> None:
    state = traded_state()
    change_price(state, BTC, mid_average=-3, mid_at_ms=state.system.time_ms)
    put(state, Table.TRADE, BTC, LastTrade(100 * ONE, state.system.time_ms))
    change_price(state, BTC, trade_average=-3, trade_at_ms=state.system.time_ms)
    sample(state)
    assert state.prices[BTC].trade_average == -2


def test_basis_is_the_median_of_three() -> None:
    state = traded_state()
    now_ms = state.system.time_ms
    put(state, Table.TRADE, BTC, LastTrade(100_20000000, now_ms))
    for name, average in (("mid", 400_000), ("trade", 2_000_000), ("perpetual", 100_000)):
        change_price(state, BTC, **{f"{name}_average": average, f"{name}_at_ms": now_ms})
    events = sample(state, perpetual=100_01000000)
    price = state.prices[BTC]
    assert (price.mid_average, price.trade_average) == (400_000, 2_000_000)
    assert price.perpetual_average == 100_000
    assert price.basis == 400_000
    assert price.mark == 100_04000000
    assert events == [PriceAccepted(BTC, 100 * ONE, 100_04000000)]


def test_an_old_perpetual_price_counts_as_0() -> None:
    state = traded_state()
    now_ms = state.system.time_ms
    old = {"perpetual_average": 3_000_000, "perpetual_at_ms": now_ms - 29_000}
    change_price(state, BTC, mid_average=400_000, mid_at_ms=now_ms, **old)
    sample(state)
    assert state.prices[BTC].basis == 400_000
    sample(state, after_ms=1)
    assert state.prices[BTC].basis == 0


def test_an_old_trade_is_not_sampled() -> None:
    for age_ms, sampled in ((30_000, True), (30_001, False)):
        state = traded_state()
        trade = LastTrade(101 * ONE, state.system.time_ms + 1_000 - age_ms)
        put(state, Table.TRADE, BTC, trade)
        sample(state)
        assert (state.prices[BTC].trade_at_ms > 0) is sampled


def test_a_book_with_one_side_is_not_sampled() -> None:
    state = make_state()
    add_market(state)
    rest(state, make_order(ALICE, Side.BUY, ONE, 99 * ONE))
    sample(state)
    assert state.prices[BTC].mid_at_ms == 0


@pytest.mark.parametrize(
    ("bid", "ask", "average"), [(149, 151, 57_429), (49, 51, -57_429), (1, 10**8, 57_429)]
)
def test_a_pushed_book_moves_the_average_by_the_clamp(bid: int, ask: int, average: int) -> None:
    state = make_state()
    add_market(state)
    rest(state, make_order(ALICE, Side.BUY, ONE, bid * ONE))
    rest(state, make_order(BOB, Side.SELL, ONE, ask * ONE))
    assert violations(sample(state)) == []
    # As if mid were 50 bps from index, 5,000,000, in a first sample.
    assert state.prices[BTC].mid_average == average


def test_without_the_clamp_a_pushed_book_moves_mark() -> None:
    for off, mark in ((False, 100_50000000), (True, 105_38810170)):
        state = make_state()
        add_market(state)
        rest(state, make_order(ALICE, Side.BUY, ONE, 149 * ONE))
        rest(state, make_order(BOB, Side.SELL, ONE, 151 * ONE))
        put(state, Table.TRADE, BTC, LastTrade(150 * ONE, state.system.time_ms))
        now_ms = state.system.time_ms
        averages = {"mid_average": 5_000_000, "trade_average": 5_000_000}
        change_price(state, BTC, **averages, mid_at_ms=now_ms, trade_at_ms=now_ms)
        if off:
            switch_off(state, Guard.MARK_CLAMP)
        found: list[Guard] = []
        for _ in range(9):
            put(state, Table.TRADE, BTC, LastTrade(150 * ONE, state.system.time_ms))
            found += violations(sample(state, after_ms=30_000))
        assert found == ([Guard.MARK_CLAMP] * 18 if off else [])
        assert state.prices[BTC].mark == mark


@pytest.mark.parametrize("mode", [Mode.CANCEL_ONLY, Mode.POST_ONLY])
def test_outside_open_basis_is_frozen_and_mark_follows_index(mode: Mode) -> None:
    state = traded_state()
    change_system(state, mode=mode)
    change_price(state, BTC, basis=400_000, index=200 * ONE)
    before = state.prices[BTC]
    sample(state, perpetual=150 * ONE)
    after = state.prices[BTC]
    assert after.mark == 200_08000000
    assert (after.basis, after.mid_average, after.perpetual_at_ms) == (400_000, 0, 0)
    assert after.mid_at_ms == before.mid_at_ms == 0


def test_a_paused_or_stale_or_unpriced_market_is_not_sampled() -> None:
    paused, stale, unpriced = traded_state(), traded_state(), traded_state()
    add_market(paused, status=MarketStatus.PAUSED)
    change_price(unpriced, BTC, index=0, mark=0)
    sample(paused)
    sample(unpriced)
    change_system(stale, time_ms=stale.system.time_ms + 30_001)
    assert act(stale, lambda step: update_marks(step, {})) == []
    for state in (paused, stale, unpriced):
        assert state.prices[BTC].mid_at_ms == 0
    assert unpriced.prices[BTC].mark == 0


def test_nothing_is_written_where_nothing_changed() -> None:
    state = make_state()
    add_market(state)
    change_system(state, time_ms=state.system.time_ms + 1)
    before = state.prices[BTC]
    assert act(state, lambda step: update_marks(step, {})) == []
    assert state.prices[BTC] is before
