"""When the tripwire trips, whom it counts, what lets a tick through, and the harm without it."""

from typing import Any

import pytest

from sequencer.exchange.invariants import check_laws
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context, Step
from sequencer.exchange.sweep import sweep_accounts
from sequencer.exchange.tripwire import count_unhealthy, note_baseline
from sequencer.model.commands import AllowTick, Fault, FaultKind, Tick
from sequencer.model.events import (
    Covered,
    Event,
    GuardViolated,
    SettingChanged,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Extreme, Guard, Mode, Unhealthy
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    INSURANCE,
    NOW_MS,
    OPERATOR,
    STRANGER,
    add_market,
    change_price,
    change_system,
    fund,
    hold,
    make_state,
    of_type,
    put,
    refused,
    run,
    snapshot,
)
from tests.unit.exchange.crowds import CROWD, add_holders, cash_of, liquidated, move_price
from tests.unit.exchange.pricing import act, switch_off

PRICE_GUARDS = (
    Guard.ZERO_PRICE,
    Guard.STALE_PRICE,
    Guard.PRICE_STEP,
    Guard.PRICE_RANGE,
    Guard.PRICE_SEED,
    Guard.QUORUM,
    Guard.MARK_CLAMP,
)
TICK_HASH = 0x71C


def sweep(state: State, tick_hash: int = 0) -> list[Event]:
    events = act(state, lambda step: sweep_accounts(step, (BTC,), tick_hash))
    check_laws(state)
    return events


def tripped(state: State, tick_hash: int = 0) -> str:
    """Sweep accounts, expect the tripwire, and return its counts; nothing has changed."""
    before, journal = snapshot(state), Journal(state)
    step = Step(state, journal, Context(OPERATOR))
    with pytest.raises(Refused) as caught:
        sweep_accounts(step, (BTC,), tick_hash)
    assert caught.value.reason is Reason.HALTED_BY_TRIPWIRE
    journal.undo()
    assert snapshot(state) == before
    return caught.value.detail


def crowded(weak: int, strong: int, size: int = ONE) -> State:
    """BTC at 100, long accounts: weak ones that 99 makes unhealthy, strong ones that it does not.

    BOB, who is short, is one more holder. Maintenance is 5 %. The strong hold 10,000 each.
    """
    state = make_state()
    add_market(state, BTC, 100 * ONE, initial_margin=10_000_000, taker_fee=0)
    fund(state, BOB, 10**7 * ONE)
    add_holders(state, weak, size, 100 * ONE, 55 * size // 10)
    if strong:
        add_holders(state, strong, 100 * ONE, 100 * ONE, 10_000 * ONE, first=0x200000)
    return state


def reset_state(shorts: int) -> State:
    """The Paradex case (C10): shorts of 1 BTC at 92,600 with 7,000 over, index at 3,001."""
    state = make_state()
    rules: dict[str, Any] = {"initial_margin": 10_000_000, "taker_fee": 0}
    add_market(state, BTC, 92_600 * ONE, **rules)
    change_price(state, BTC, funding_index=3_001 * INDEX_ONE)
    fund(state, BOB, 10**7 * ONE)
    add_holders(state, shorts, -ONE, 92_600 * ONE, 7_000 * ONE)
    return state


def test_the_index_reset_trips_it_at_an_unchanged_price() -> None:
    state = reset_state(25)
    assert sweep(state) == []
    before = margin_of(state, CROWD)
    assert (before.value, before.maintenance) == (7_000 * ONE**3, 4_630 * ONE**4)
    change_price(state, BTC, funding_index=INDEX_ONE)
    assert margin_of(state, CROWD).value == 4_000 * ONE**3
    interest = 25 * 92_600 * ONE
    assert tripped(state) == f"25 of 26 accounts, {interest} of {interest} open interest"


def test_the_index_reset_without_it_takes_5592_from_each() -> None:
    state = reset_state(25)
    change_price(state, BTC, funding_index=INDEX_ONE)
    switch_off(state, Guard.TRIPWIRE)
    events = sweep(state)
    assert isinstance(events[0], GuardViolated)
    assert events[0].guard is Guard.TRIPWIRE
    # 3,000 of funding that nobody owed, and 80 % of 70 % of 4,630 for being liquidated.
    assert liquidated(events) == list(range(CROWD, CROWD + 25))
    lost = 3_000_00000000 + 2_592_80000000
    assert margin_of(state, CROWD).value == 7_000 * ONE**3 - lost * ONE**2
    assert cash_of(state, INSURANCE) == 25 * 2_592_80000000
    # It says so once: at the next tick those are known.
    assert sweep(state) == []


def zero_state() -> State:
    """One long BTC and ten long ETH against collateral of -80,000 each (C10), and a one-asset."""
    state = make_state()
    add_market(state, BTC, 92_600 * ONE, initial_margin=10_000_000, taker_fee=0)
    add_market(state, ETH, 3_000 * ONE, initial_margin=20_000_000, taker_fee=0)
    fund(state, ALICE, 42_600 * ONE)
    fund(state, CAROL, 12_600 * ONE)
    fund(state, BOB, 10**7 * ONE)
    fund(state, INSURANCE, 100_000 * ONE)
    hold(state, ALICE, BOB, 10 * ONE, 3_000 * ONE, ETH)
    hold(state, ALICE, BOB, ONE, 92_600 * ONE)
    hold(state, CAROL, STRANGER, ONE, 92_600 * ONE)
    before = margin_of(state, ALICE)
    assert (before.value, before.maintenance) == (42_600 * ONE**3, 7_630 * ONE**4)
    switch_off(state, *PRICE_GUARDS)
    move_price(state, 0)
    after = margin_of(state, ALICE)
    assert (after.value, after.maintenance) == (-50_000 * ONE**3, 3_000 * ONE**4)
    return state


def test_a_zero_price_trips_it_though_every_guard_of_prices_is_off() -> None:
    words = "2 of 4 accounts, 21520000000000 of 21520000000000 open interest"
    assert tripped(zero_state()) == words


def test_a_zero_price_without_it_costs_insurance_and_everybody() -> None:
    state = zero_state()
    switch_off(state, *PRICE_GUARDS, Guard.TRIPWIRE)
    events = sweep(state)
    assert liquidated(events) == [CAROL, ALICE]
    # 130,000 of deficits at a price that never was; insurance had 100,000.
    assert of_type(events, Covered)[:2] == [
        Covered(CAROL, 80_000 * ONE, 0),
        Covered(ALICE, 20_000 * ONE, 30_000 * ONE),
    ]
    assert state.totals.bad_debt >= 30_000 * ONE


@pytest.mark.parametrize(("weak", "trips"), [(19, False), (20, True)])
def test_twenty_accounts_and_5_percent_of_holders(weak: int, trips: bool) -> None:
    state = crowded(weak, 400 - weak - 1)
    change_price(state, BTC, mark=99 * ONE)
    if trips:
        words = "20 of 400 accounts, 198000000000 of 375408000000000 open interest"
        assert tripped(state) == words
    else:
        assert len(liquidated(sweep(state))) == weak


def test_twenty_accounts_under_5_percent_of_holders_do_not_trip_it() -> None:
    state = crowded(20, 380)
    change_price(state, BTC, mark=99 * ONE)
    assert len(liquidated(sweep(state))) == 20


@pytest.mark.parametrize(("others", "trips"), [(95 * ONE, True), (95 * ONE + 10**4, False)])
def test_5_percent_of_open_interest_by_one_account(others: int, trips: bool) -> None:
    state = crowded(1, 0, 5 * ONE)
    hold(state, ALICE, CAROL, others, 100 * ONE)
    fund(state, ALICE, 10_000 * ONE)
    fund(state, CAROL, 10_000 * ONE)
    change_price(state, BTC, mark=99 * ONE)
    if trips:
        assert tripped(state) == "1 of 4 accounts, 49500000000 of 990000000000 open interest"
    else:
        assert liquidated(sweep(state)) == [CROWD]


@pytest.mark.parametrize(
    ("fall", "explained"), [(2 * ONE - 1, False), (2 * ONE, True), (3 * ONE, True)]
)
def test_an_index_that_fell_2_percent_explains_longs(fall: int, explained: bool) -> None:
    state = crowded(20, 0)
    move_price(state, 100 * ONE - fall)
    if explained:
        assert len(liquidated(sweep(state))) == 20
        assert {row.counted for row in state.unhealthy.values()} == {False}
    else:
        tripped(state)


def test_an_index_that_rose_does_not_explain_longs() -> None:
    state = crowded(20, 0)
    move_price(state, 103 * ONE)
    change_price(state, BTC, mark=99 * ONE)
    tripped(state)


@pytest.mark.parametrize(("rise", "explained"), [(2 * ONE - 1, False), (2 * ONE, True)])
def test_an_index_that_rose_2_percent_explains_shorts(rise: int, explained: bool) -> None:
    state = make_state()
    add_market(state, BTC, 100 * ONE, initial_margin=10_000_000, taker_fee=0)
    fund(state, BOB, 10**6 * ONE)
    add_holders(state, 20, -ONE, 100 * ONE, 6 * ONE)
    move_price(state, 100 * ONE + rise)
    if explained:
        assert len(liquidated(sweep(state))) == 20
    else:
        tripped(state)


def test_a_move_before_the_window_explains_nothing() -> None:
    state = crowded(20, 0)
    move_price(state, 97 * ONE)
    old = (Extreme(NOW_MS - 60_001, 100 * ONE), Extreme(NOW_MS, 97 * ONE))
    change_price(state, BTC, highs=old)
    tripped(state)
    within = (Extreme(NOW_MS - 60_000, 100 * ONE), Extreme(NOW_MS, 97 * ONE))
    change_price(state, BTC, highs=within)
    assert len(liquidated(sweep(state))) == 20


@pytest.mark.parametrize("guard", PRICE_GUARDS)
def test_no_move_explains_anything_while_a_guard_of_prices_is_off(guard: Guard) -> None:
    state = crowded(20, 0)
    move_price(state, 97 * ONE)
    switch_off(state, guard)
    tripped(state)


@pytest.mark.parametrize(("later_ms", "trips"), [(59_999, True), (60_000, False)])
def test_two_waves_count_together_within_the_window(later_ms: int, trips: bool) -> None:
    state = crowded(10, 300)
    change_price(state, BTC, mark=99 * ONE)
    assert len(liquidated(sweep(state))) == 10
    add_holders(state, 10, ONE, 100 * ONE, 5 * ONE, first=0x300000)
    change_system(state, time_ms=NOW_MS + later_ms)
    change_price(state, BTC, index_at_ms=NOW_MS + later_ms)
    if trips:
        assert tripped(state).startswith("20 of 321 accounts")
    else:
        assert len(liquidated(sweep(state))) == 10


def test_an_account_counts_once_and_again_when_it_falls_again() -> None:
    state = crowded(1, 1)
    change_price(state, BTC, mark=99 * ONE)
    assert liquidated(sweep(state)) == [CROWD]
    first = Unhealthy(NOW_MS, 99 * ONE, counted=True)
    assert state.unhealthy == {CROWD: first}
    change_system(state, time_ms=NOW_MS + 1_000)
    sweep(state)
    assert state.unhealthy == {CROWD: Unhealthy(NOW_MS, 99 * ONE, counted=True, over=True)}
    change_system(state, time_ms=NOW_MS + 2_000)
    change_price(state, BTC, mark=90 * ONE)
    sweep(state)
    assert state.unhealthy[CROWD].since_ms == NOW_MS + 2_000
    assert not state.unhealthy[CROWD].over
    change_system(state, time_ms=NOW_MS + 62_000)
    change_price(state, BTC, index_at_ms=NOW_MS + 62_000)
    sweep(state)
    assert state.unhealthy == {}


def test_the_baseline_of_open_does_not_count() -> None:
    state = crowded(25, 0)
    change_price(state, BTC, mark=99 * ONE)
    put(state, Table.UNHEALTHY, BOB, Unhealthy(NOW_MS - 1, ONE, counted=True))
    change_system(state, mode=Mode.POST_ONLY)
    assert sweep(state) == []
    assert count_unhealthy(state) == 25
    act(state, note_baseline)
    known = Unhealthy(NOW_MS, 99 * ONE, counted=False)
    assert state.unhealthy == dict.fromkeys(range(CROWD, CROWD + 25), known)
    change_system(state, mode=Mode.OPEN)
    assert len(liquidated(sweep(state))) == 25
    assert sweep(state) == []
    assert state.unhealthy == {}


def test_insurance_is_neither_a_holder_nor_counted() -> None:
    state = crowded(1, 0)
    hold(state, INSURANCE, CAROL, ONE, 100 * ONE)
    fund(state, CAROL, 1_000 * ONE)
    change_price(state, BTC, mark=99 * ONE)
    assert count_unhealthy(state) == 1
    assert tripped(state).startswith("1 of 3 accounts")


def test_the_operator_lets_one_tick_through() -> None:
    state = crowded(25, 0)
    change_price(state, BTC, mark=99 * ONE)
    change_system(state, tick_allowed=TICK_HASH)
    tripped(state, TICK_HASH + 1)
    tripped(state, 0)
    events = sweep(state, TICK_HASH)
    assert events[0] == SettingChanged("tick_allowed")
    assert len(liquidated(events)) == 25
    assert state.system.tick_allowed == 0
    assert sweep(state, TICK_HASH) == []
    add_holders(state, 25, ONE, 100 * ONE, 5 * ONE, first=0x300000)
    assert tripped(state, TICK_HASH).startswith("25 of ")


def test_no_hash_is_no_permission() -> None:
    state = crowded(25, 0)
    change_price(state, BTC, mark=99 * ONE)
    change_system(state, tick_allowed=0)
    tripped(state, 0)


def test_a_whole_tick_is_undone_and_refused() -> None:
    """A reset index behind everybody's back, and then an ordinary tick."""
    state = reset_state(25)
    change_system(state, drill=True, guards_off=(Guard.FUNDING_STEP,))
    run(state, Fault(FaultKind.INDEX_RESET, BTC), OPERATOR)
    tick = Tick(NOW_MS + 1_000, (), TICK_HASH)
    assert refused(state, tick, OPERATOR) is Reason.HALTED_BY_TRIPWIRE
    assert state.unhealthy == {}
    run(state, AllowTick(TICK_HASH), OPERATOR)
    assert len(liquidated(run(state, tick, OPERATOR))) == 25
