"""Chain time: increasing, bounded, and what a gap does."""

import pytest

from sequencer.exchange.chain_time import advance_time
from sequencer.exchange.state import State
from sequencer.model.events import Event, ModeChanged
from sequencer.model.exchange_limits import TIME_MS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Extreme, Mode, ModeCause
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    BTC,
    ETH,
    NOW_MS,
    add_market,
    change_price,
    make_state,
    snapshot,
)
from tests.unit.exchange.pricing import act


def advance(state: State, by_ms: int) -> list[Event]:
    return act(state, lambda step: advance_time(step, state.system.time_ms + by_ms))


def refusal(state: State, time_ms: int) -> Reason:
    before = snapshot(state)
    with pytest.raises(Refused) as caught:
        act(state, lambda step: advance_time(step, time_ms))
    assert snapshot(state) == before
    return caught.value.reason


def test_time_moves_and_ticks_count() -> None:
    state = make_state()
    assert advance(state, 200) == []
    assert (state.system.time_ms, state.system.ticks) == (NOW_MS + 200, 1_001)


def test_the_elapsed_time_is_returned() -> None:
    elapsed: list[int] = []
    act(make_state(), lambda step: elapsed.append(advance_time(step, NOW_MS + 86_400_000)))
    assert elapsed == [86_400_000]


@pytest.mark.parametrize("time_ms", [NOW_MS, NOW_MS - 1, NOW_MS - 86_400_000, 0, -1])
def test_time_never_stands_or_goes_back(time_ms: int) -> None:
    assert refusal(make_state(), time_ms) is Reason.TIME_NOT_INCREASING


def test_time_has_an_end() -> None:
    assert refusal(make_state(), TIME_MS_MAX + 1) is Reason.TIME_OUT_OF_RANGE
    assert advance(make_state(time_ms=TIME_MS_MAX - 1), 1) == []


def test_up_to_30_seconds_are_no_gap() -> None:
    state = make_state()
    add_market(state)
    assert advance(state, 30_000) == []
    assert state.system.mode is Mode.OPEN
    assert state.prices[BTC].accepted_in_row == 3


@pytest.mark.parametrize("gap_ms", [30_001, 120_000, 86_400_000])
def test_a_gap_leaves_cancels_only_and_counts_prices_anew(gap_ms: int) -> None:
    state = make_state()
    add_market(state)
    add_market(state, ETH)
    gap = ModeCause.GAP
    reason = f"no tick for {gap_ms} ms"
    assert advance(state, gap_ms) == [ModeChanged(Mode.CANCEL_ONLY, gap, reason)]
    assert (state.system.mode, state.system.cause) == (Mode.CANCEL_ONLY, gap)
    assert [price.accepted_in_row for price in state.prices.values()] == [0, 0]


def test_a_gap_in_post_only_keeps_the_cause_of_the_halt_before() -> None:
    for cause in ModeCause:
        state = make_state(mode=Mode.POST_ONLY, cause=cause)
        (event,) = advance(state, 30_001)
        assert event == ModeChanged(Mode.CANCEL_ONLY, cause, "no tick for 30001 ms")
        assert (state.system.mode, state.system.cause) == (Mode.CANCEL_ONLY, cause)


@pytest.mark.parametrize("cause", ModeCause)
def test_a_gap_never_raises_a_mode_nor_changes_its_cause(cause: ModeCause) -> None:
    for mode in (Mode.HALTED, Mode.CANCEL_ONLY):
        state = make_state(mode=mode, cause=cause)
        add_market(state)
        assert advance(state, 30_001) == []
        assert (state.system.mode, state.system.cause) == (mode, cause)
        assert state.prices[BTC].accepted_in_row == 0


def test_the_first_tick_ends_no_gap_and_dates_what_genesis_gave() -> None:
    state = make_state(ticks=0, time_ms=0)
    add_market(state, price=100 * ONE)
    add_market(state, ETH, price=0)
    before = state.prices[ETH]
    assert advance(state, NOW_MS) == []
    assert state.system.mode is Mode.OPEN
    price = state.prices[BTC]
    assert price.index_at_ms == NOW_MS
    assert price.lows == price.highs == (Extreme(NOW_MS, 100 * ONE),)
    assert state.prices[ETH] == before
    change_price(state, BTC, index_at_ms=1)
    advance(state, 1)
    assert state.prices[BTC].index_at_ms == 1


def test_a_withdrawal_wait_becomes_a_time() -> None:
    state = make_state(wait_until_ms=-60_000)
    advance(state, 500)
    assert state.system.wait_until_ms == NOW_MS + 60_500
    advance(state, 500)
    assert state.system.wait_until_ms == NOW_MS + 60_500


def test_without_a_wait_there_is_none() -> None:
    state = make_state()
    advance(state, 500)
    assert state.system.wait_until_ms == 0
