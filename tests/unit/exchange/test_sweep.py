"""Who is looked at after a tick, whose orders go, and who is left alone."""

from typing import Any

import pytest

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import State, Table
from sequencer.exchange.sweep import sweep_accounts
from sequencer.model.events import (
    CloseReason,
    Covered,
    Event,
    GuardViolated,
    OrderClosed,
)
from sequencer.model.exchange_limits import INDEX_AGE_MS_MAX, LIQUIDATIONS_PER_TICK_MAX
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import Account, Guard, Mode, Position, Risk
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    INSURANCE,
    NOW_MS,
    add_market,
    change_price,
    change_system,
    fund,
    hold,
    make_order,
    make_state,
    of_type,
    put,
    rest,
)
from tests.unit.exchange.crowds import add_holders, liquidated, move_price
from tests.unit.exchange.pricing import act, switch_off


def sweep(state: State, *moved: str) -> list[Event]:
    """Sweep the accounts in BTC, or in the markets named, and check every law afterwards."""
    events = act(state, lambda step: sweep_accounts(step, moved or (BTC,), 0))
    check_laws(state)
    recount(state)
    return events


def closed(events: list[Event]) -> list[int]:
    return [event.order_id for event in of_type(events, OrderClosed)]


def falling(cash: int = 10) -> State:
    """ALICE is long 1 BTC from 100 and BOB is short; BTC falls to 95. Cash in whole quote."""
    state = make_state()
    rules: dict[str, Any] = {"initial_margin": 20_000_000, "taker_fee": 0}
    add_market(state, BTC, 100 * ONE, **rules)
    add_market(state, ETH, 10 * ONE, **rules)
    fund(state, ALICE, cash * ONE)
    fund(state, BOB, 10_000 * ONE)
    hold(state, ALICE, BOB, ONE, 100 * ONE)
    move_price(state, 95 * ONE)
    return state


def docs_orders(cash: int) -> tuple[State, dict[str, int]]:
    """Long 10 at 2,000; buy 2@1900, sells 5@2150, 3@2100, 3@2200."""
    state = make_state()
    add_market(state, ETH, 2_000 * ONE, initial_margin=10_000_000, taker_fee=0)
    fund(state, ALICE, cash)
    fund(state, BOB, 100_000 * ONE)
    hold(state, ALICE, BOB, 10 * ONE, 2_000 * ONE, ETH)
    orders = [(Side.BUY, 2, 1_900), (Side.SELL, 5, 2_150), (Side.SELL, 3, 2_100)]
    orders.append((Side.SELL, 3, 2_200))
    ids = {
        f"{size}@{price}": rest(state, make_order(ALICE, side, size * ONE, price * ONE, market=ETH))
        for side, size, price in orders
    }
    return state, ids


def test_the_docs_example_of_cancellations() -> None:
    state, ids = docs_orders(1_999 * ONE)
    assert sweep(state, ETH) == [
        OrderClosed(ids["2@1900"], ALICE, ETH, 2 * ONE, CloseReason.MARGIN),
        OrderClosed(ids["3@2200"], ALICE, ETH, 3 * ONE, CloseReason.MARGIN),
    ]
    exposure = state.holding(ALICE).exposures[ETH]
    assert (exposure.buy_size, exposure.sell_size) == (0, 8 * ONE)
    assert sweep(state, ETH) == []


def test_no_more_is_cancelled_than_margin_needs() -> None:
    # The buy of 2 asks for 2,400; without it the position asks for 2,000.
    state, ids = docs_orders(2_000 * ONE)
    assert closed(sweep(state, ETH)) == [ids["2@1900"]]
    state, ids = docs_orders(2_400 * ONE)
    assert sweep(state, ETH) == []
    state, ids = docs_orders(2_400 * ONE - 1)
    assert closed(sweep(state, ETH)) == [ids["2@1900"]]


def test_open_loss_counts_and_the_newest_go_first() -> None:
    state = falling(cash=26)
    # Value 21. The position asks for 19, each order for 0.02, the last one for a loss of 1 too.
    ids = [
        rest(state, make_order(ALICE, Side.BUY, ONE // 10**3, price * ONE))
        for price in (90, 91, 92)
    ]
    worse = rest(state, make_order(ALICE, Side.BUY, ONE // 10, 105 * ONE))
    elsewhere = rest(state, make_order(ALICE, Side.SELL, ONE, 11 * ONE, market=ETH))
    assert margin_of(state, ALICE).initial - margin_of(state, ALICE).value == (
        (190 + 19 + 20 + 10 - 210) * ONE**3 // 10 + 3 * 19 * ONE**3 // 10**3
    )
    assert closed(sweep(state)) == [elsewhere, worse]
    assert sorted(state.orders) == ids


def test_reducing_orders_go_most_passive_first_and_market_by_market() -> None:
    state = falling(cash=6)
    hold(state, ALICE, BOB, -ONE, 10 * ONE, ETH)
    sells = [
        rest(state, make_order(ALICE, Side.SELL, size, price * ONE))
        for size, price in ((ONE, 99), (ONE // 2, 98), (ONE // 2, 99))
    ]
    buys = [
        rest(state, make_order(ALICE, Side.BUY, ONE, price * ONE, market=ETH)) for price in (9, 8)
    ]
    stop = make_order(ALICE, Side.SELL, ONE, 0, type=OrderType.STOP_MARKET, trigger_price=ONE)
    waiting = rest(state, stop, waiting=True)
    change_price(state, BTC, mark=104 * ONE, index=104 * ONE)
    # Value 10 and maintenance 11.4 would liquidate: give it as much as maintenance asks for.
    fund(state, ALICE, 2 * ONE)
    assert closed(sweep(state)) == [sells[2], sells[0], buys[1]]
    assert sorted(state.orders) == [sells[1], buys[0], waiting]


def test_accounts_in_markets_that_did_not_move_wait() -> None:
    state = falling(cash=5)
    assert sweep(state, ETH) == []
    assert liquidated(sweep(state)) == [ALICE]


def test_an_account_at_exactly_maintenance_keeps_its_position() -> None:
    # Maintenance 9.5 at 95.
    state = falling(cash=0)
    fund(state, ALICE, 14 * ONE + ONE // 2 - 1)
    assert liquidated(sweep(state)) == [ALICE]
    state = falling(cash=0)
    fund(state, ALICE, 14 * ONE + ONE // 2)
    assert sweep(state) == []


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.CANCEL_ONLY, Mode.POST_ONLY])
def test_nothing_happens_outside_open(mode: Mode) -> None:
    state = falling(cash=5)
    rest(state, make_order(ALICE, Side.BUY, ONE, 90 * ONE))
    change_system(state, mode=mode)
    assert sweep(state) == []


def test_orders_are_cancelled_after_the_liquidation_where_still_needed() -> None:
    state = falling(cash=12)
    other = rest(state, make_order(ALICE, Side.BUY, 10 * ONE, 9 * ONE, market=ETH))
    own = rest(state, make_order(ALICE, Side.BUY, ONE, 90 * ONE))
    events = sweep(state)
    reasons = [(event.order_id, event.reason) for event in events if isinstance(event, OrderClosed)]
    assert reasons == [(own, CloseReason.LIQUIDATION), (other, CloseReason.MARGIN)]
    assert liquidated(events) == [ALICE]


def test_orders_elsewhere_stay_where_what_is_left_covers_them() -> None:
    state = falling(cash=6)
    change_system(state, risk=Risk(liquidation_fee=0))
    other = rest(state, make_order(ALICE, Side.BUY, ONE // 2, 9 * ONE, market=ETH))
    assert liquidated(sweep(state)) == [ALICE]
    assert list(state.orders) == [other]
    assert margin_of(state, ALICE).value == margin_of(state, ALICE).initial == ONE**3


def test_those_over_the_cap_go_at_the_next_tick_even_where_nothing_moved() -> None:
    state = falling(cash=100)
    crowd = add_holders(state, LIQUIDATIONS_PER_TICK_MAX + 3, ONE, 100 * ONE, 14 * ONE)
    assert liquidated(sweep(state)) == crowd[:LIQUIDATIONS_PER_TICK_MAX]
    assert liquidated(sweep(state, ETH)) == crowd[LIQUIDATIONS_PER_TICK_MAX:]
    assert sweep(state, ETH) == []


def test_stale_holders_are_neither_counted_nor_liquidated_nor_cancelled() -> None:
    """A restart with an old price: nobody is harmed by it."""
    state = falling(cash=5)
    add_holders(state, 30, ONE, 100 * ONE, 12 * ONE)
    rest(state, make_order(ALICE, Side.BUY, ONE, 90 * ONE))
    change_system(state, time_ms=NOW_MS + INDEX_AGE_MS_MAX + 1)
    assert sweep(state) == []
    assert state.unhealthy == {}


def test_stale_prices_liquidate_only_where_their_guard_is_off() -> None:
    """The harm of the October 2025 restart: insurance pays for a price that nobody has."""
    state = falling(cash=4)
    fund(state, INSURANCE, 10 * ONE)
    change_system(state, time_ms=NOW_MS + INDEX_AGE_MS_MAX + 1)
    switch_off(state, Guard.STALE_PRICE, Guard.TRIPWIRE)
    events = sweep(state)
    detail = f"{BTC}: account {ALICE:#x} is low"
    assert events[0] == GuardViolated(Guard.STALE_PRICE, detail)
    assert of_type(events, Covered) == [Covered(ALICE, ONE, 0)]
    assert liquidated(events) == [ALICE]


def test_a_stale_market_freezes_the_accounts_that_hold_it_and_no_others() -> None:
    state = falling(cash=5)
    fund(state, CAROL, 5 * ONE)
    hold(state, ALICE, BOB, ONE, 10 * ONE, ETH)
    hold(state, CAROL, BOB, ONE, 100 * ONE)
    hold(state, ALICE, BOB, 2 * ONE, 100 * ONE)
    hold(state, CAROL, INSURANCE, ONE, 100 * ONE)
    change_price(state, ETH, index_at_ms=NOW_MS - INDEX_AGE_MS_MAX - 1)
    assert liquidated(sweep(state)) == [CAROL]


def test_insurance_is_never_liquidated_but_its_orders_go() -> None:
    state = falling(cash=100)
    hold(state, INSURANCE, CAROL, ONE, 100 * ONE)
    fund(state, CAROL, 1_000 * ONE)
    order_id = rest(state, make_order(INSURANCE, Side.BUY, ONE, 90 * ONE))
    assert sweep(state) == [OrderClosed(order_id, INSURANCE, BTC, ONE, CloseReason.MARGIN)]
    assert state.positions[INSURANCE, BTC].size == ONE
    assert state.unhealthy == {}


@pytest.mark.parametrize(
    ("collateral", "healthy"), [(-4_000, True), (-4_500, True), (-4_501, False), (-5_100, False)]
)
def test_a_tenth_of_a_bitcoin_at_50000_and_10_percent(collateral: int, healthy: bool) -> None:
    state = make_state()
    add_market(state, BTC, 50_000 * ONE, initial_margin=20_000_000, taker_fee=0)
    put(state, Table.POSITION, (ALICE, BTC), Position(ONE // 10, 0, INDEX_ONE))
    put(state, Table.ACCOUNT, ALICE, Account(collateral * ONE))
    assert margin_of(state, ALICE).is_healthy() is healthy
    put(state, Table.POSITION, (ALICE, BTC), None)
    assert margin_of(state, ALICE).is_healthy()


@pytest.mark.parametrize(
    ("price", "funding", "value", "healthy"),
    [
        (100, 0, 5, True),
        (100, 2, 1, False),
        (100, 4, -3, False),
        (102, 4, 1, False),
        (103, 4, 3, True),
    ],
)
def test_the_ladder_of_a_long_of_2_at_1_percent(
    price: int, funding: int, value: int, healthy: bool
) -> None:
    state = make_state()
    add_market(state, BTC, price * ONE, taker_fee=0)
    put(state, Table.POSITION, (ALICE, BTC), Position(2 * ONE, 0, INDEX_ONE))
    put(state, Table.ACCOUNT, ALICE, Account(-195 * ONE))
    change_price(state, BTC, funding_index=(1 + funding) * INDEX_ONE)
    margin = margin_of(state, ALICE)
    assert margin.value == value * ONE**3
    assert margin.maintenance == 2 * price * ONE**4 // 100
    assert margin.is_healthy() is healthy


def test_nothing_is_rounded_before_it_is_compared() -> None:
    """CS-009: nine units at 1e-6 against -9e-6 are worth nothing, and that is not healthy."""
    state = make_state()
    add_market(state, BTC, 100, initial_margin=20_000_000, taker_fee=0)
    put(state, Table.POSITION, (ALICE, BTC), Position(9 * ONE, 0, INDEX_ONE))
    put(state, Table.ACCOUNT, ALICE, Account(-900))
    margin = margin_of(state, ALICE)
    assert (margin.value, margin.maintenance) == (0, 90 * ONE**3)
    assert not margin.is_healthy()
