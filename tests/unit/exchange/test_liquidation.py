"""Liquidations: the published examples to the unit, the order, the cap, and the roundings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.liquidation import liquidate_worst
from sequencer.exchange.margin import Margin, margin_of
from sequencer.exchange.state import State
from sequencer.model.events import (
    CloseReason,
    Covered,
    Event,
    FundingPaid,
    GuardViolated,
    Liquidated,
    LiquidationEnded,
    OrderClosed,
)
from sequencer.model.exchange_limits import LIQUIDATIONS_PER_TICK_MAX
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import Guard, Risk
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    INSURANCE,
    STRANGER,
    add_market,
    change_price,
    fund,
    hold,
    make_order,
    make_state,
    of_type,
    rest,
)
from tests.unit.exchange.crowds import CROWD, add_holders, cash_of, liquidated
from tests.unit.exchange.pricing import act, switch_off

CENT = ONE // 100
VALUE = ONE**3
MAINTENANCE = ONE**4
"""1 quote in units of value and of maintenance."""


def liquidate(state: State, *accounts: int) -> list[Event]:
    """Liquidate accounts (ALICE unless told otherwise) and check every law afterwards."""
    unhealthy = {account: margin_of(state, account) for account in accounts or (ALICE,)}
    events = act(state, lambda step: liquidate_worst(step, unhealthy))
    check_laws(state)
    recount(state)
    return events


def docs_example(liquidation_fee: int) -> State:
    """Long 0.1 BTC from 60,000 at 54,800, short 1 ETH from 3,000 at 3,400, 1,000 of cash."""
    state = make_state(risk=Risk(liquidation_fee=liquidation_fee))
    add_market(state, BTC, 54_800 * ONE, taker_fee=0)
    add_market(state, ETH, 3_400 * ONE, taker_fee=0)
    fund(state, ALICE, 1_000 * ONE)
    fund(state, BOB, 100_000 * ONE)
    hold(state, ALICE, BOB, ONE // 10, 60_000 * ONE, BTC)
    hold(state, ALICE, BOB, -ONE, 3_000 * ONE, ETH)
    return state


@pytest.mark.parametrize(
    ("fee", "share", "penalty", "cash"),
    [
        (50_000_000, 40_000_000, 1_776_000_000, 61_424_000_000),
        # 1,000 - 0.06 x 5,200 - 0.6 x 400 - 37.296
        (70_000_000, 60_000_000, 3_729_600_000, 41_070_400_000),
        # 1,000 - 0.04 x 5,200 - 0.4 x 400 - 7.104
        (20_000_000, 40_000_000, 710_400_000, 62_489_600_000),
    ],
)
def test_the_docs_example_at_each_fee(fee: int, share: int, penalty: int, cash: int) -> None:
    state = docs_example(fee)
    before = margin_of(state, ALICE)
    assert (before.value, before.maintenance) == (80 * VALUE, 888 * MAINTENANCE // 10)
    part = share // 10**7
    assert liquidate(state) == [
        Liquidated(ALICE, ETH, -part * 10**7, 3_400 * ONE),
        Liquidated(ALICE, BTC, part * 10**6, 54_800 * ONE),
        LiquidationEnded(ALICE, share, penalty),
    ]
    assert cash_of(state, ALICE) == cash
    assert cash_of(state, INSURANCE) == penalty
    assert state.positions[ALICE, BTC].size == (10 - part) * 10**6
    assert state.positions[ALICE, ETH].size == -(10 - part) * 10**7
    assert state.positions[INSURANCE, BTC].size == part * 10**6
    assert state.positions[INSURANCE, ETH].size == -part * 10**7
    assert margin_of(state, ALICE).value == 80 * VALUE - penalty * ONE**2
    assert margin_of(state, ALICE).is_healthy()


def one_long(cash: int, insurance: int = 0, lot: int = 10**4, increment: int = 10**6) -> State:
    """Give ALICE 1 BTC bought at 100 with some cash; 5 % maintenance, penalty 70 % of it."""
    state = make_state()
    rules: dict[str, Any] = {"initial_margin": 10_000_000, "taker_fee": 0}
    add_market(state, BTC, 100 * ONE, lot=lot, price_increment=increment, **rules)
    fund(state, ALICE, cash)
    fund(state, BOB, 1_000 * ONE)
    fund(state, INSURANCE, insurance)
    hold(state, ALICE, BOB, ONE, 100 * ONE)
    return state


def test_a_penalty_that_cannot_be_paid_closes_everything() -> None:
    # At 98: maintenance 4.90, penalty of the whole 3.43, value 2.
    state = one_long(4 * ONE)
    change_price(state, BTC, mark=98 * ONE)
    events = liquidate(state)
    assert events[-1] == LiquidationEnded(ALICE, ONE, 2 * ONE)
    assert (ALICE, BTC) not in state.positions
    assert cash_of(state, ALICE) == 0
    assert cash_of(state, INSURANCE) == 2 * ONE
    assert state.totals.bad_debt == 0


def test_the_owner_keeps_all_but_the_penalty() -> None:
    """CS-003: value 5,000 of 10,000 maintenance; a close must not take the 5,000."""
    state = make_state(risk=Risk(liquidation_fee=10_000_000))
    rules: dict[str, Any] = {
        "initial_margin": ONE,
        "maintenance_factor": 66_666_667,
        "taker_fee": 0,
    }
    add_market(state, ETH, 1_500 * ONE, **rules)
    fund(state, ALICE, 5_000 * ONE)
    fund(state, BOB, 100_000 * ONE)
    hold(state, ALICE, BOB, 10 * ONE, 1_500 * ONE, ETH)
    # 60 % leaves 4,000 of 4,400, which is over 90 %. Maintenance is 10,000.00005.
    assert liquidate(state)[-1] == LiquidationEnded(ALICE, 80_000_000, 800_00000400)
    assert margin_of(state, ALICE).value == 4_199_99999600 * ONE**2


def test_an_account_below_zero_is_closed_whole_and_topped_up_to_zero() -> None:
    """M-01: a position with a negative value closes; insurance pays exactly what is missing."""
    state = one_long(5 * ONE, insurance=100 * ONE)
    change_price(state, BTC, mark=90 * ONE)
    assert liquidate(state) == [
        Covered(ALICE, 5 * ONE, 0),
        Liquidated(ALICE, BTC, ONE, 90 * ONE),
        LiquidationEnded(ALICE, ONE, 0),
    ]
    assert cash_of(state, ALICE) == 0
    assert cash_of(state, INSURANCE) == 95 * ONE
    assert state.positions[INSURANCE, BTC].cost == 90 * ONE


def test_a_one_asset_long_at_price_zero_is_closed_in_full() -> None:
    """C10: collateral -80,000 and 1 BTC; at a price of 0 the deficit is all of the 80,000."""
    state = make_state()
    add_market(state, BTC, 92_600 * ONE, initial_margin=10_000_000, taker_fee=0)
    fund(state, ALICE, 12_600 * ONE)
    fund(state, BOB, 100_000 * ONE)
    fund(state, INSURANCE, 50_000 * ONE)
    hold(state, ALICE, BOB, ONE, 92_600 * ONE)
    assert margin_of(state, ALICE).value == 12_600 * VALUE
    assert margin_of(state, ALICE).maintenance == 4_630 * MAINTENANCE
    switch_off(state, Guard.ZERO_PRICE)
    change_price(state, BTC, index=0, mark=0)
    assert margin_of(state, ALICE) == Margin(-80_000 * VALUE, 0, 0, True)
    assert liquidate(state) == [
        Covered(ALICE, 50_000 * ONE, 30_000 * ONE),
        Liquidated(ALICE, BTC, ONE, 0),
        LiquidationEnded(ALICE, ONE, 0),
    ]
    assert cash_of(state, ALICE) == 0
    assert cash_of(state, INSURANCE) == 0
    assert state.totals.bad_debt == 30_000 * ONE
    assert state.positions[INSURANCE, BTC].size == ONE


def test_funding_is_settled_on_both_sides() -> None:
    state = one_long(4 * ONE)
    change_price(state, BTC, funding_index=2 * INDEX_ONE, mark=99 * ONE)
    # Value 4 - 1 - 1 of a maintenance of 4.95: every share costs too much.
    events = liquidate(state)
    assert of_type(events, FundingPaid) == [FundingPaid(ALICE, BTC, -ONE)]
    assert events[-1] == LiquidationEnded(ALICE, ONE, 2 * ONE)
    assert state.positions[INSURANCE, BTC].index == 2 * INDEX_ONE


def test_orders_in_the_markets_of_its_positions_go_first() -> None:
    state = one_long(5 * ONE)
    add_market(state, ETH, 10 * ONE)
    change_price(state, BTC, mark=99 * ONE)
    resting = rest(state, make_order(ALICE, Side.SELL, ONE, 105 * ONE))
    stop = make_order(ALICE, Side.SELL, ONE, 0, type=OrderType.STOP_MARKET, trigger_price=ONE)
    waiting = rest(state, stop, waiting=True)
    elsewhere = rest(state, make_order(ALICE, Side.BUY, ONE, 9 * ONE, market=ETH))
    events = liquidate(state)
    assert events[:2] == [
        OrderClosed(order_id, ALICE, BTC, ONE, CloseReason.LIQUIDATION)
        for order_id in (resting, waiting)
    ]
    assert list(state.orders) == [elsewhere]


def test_parts_are_rounded_up_to_the_lot_and_leave_no_dust() -> None:
    # A fifth of 1 is 0.2; with a lot of 0.3 that is 0.3, and one step is enough.
    state = one_long(5 * ONE, lot=3 * 10**7, increment=10**7)
    hold(state, ALICE, BOB, 9 * 10**7, 100 * ONE)
    change_price(state, BTC, mark=9_940 * CENT)
    # Value 4.46, maintenance 4.473.
    events = liquidate(state)
    assert of_type(events, Liquidated) == [Liquidated(ALICE, BTC, 3 * 10**7, 994 * 10**7)]
    assert state.positions[ALICE, BTC].size == 6 * 10**7


def test_the_price_increment_costs_the_account_nothing() -> None:
    # A mark off the grid of 1: the long sells at 99, the short buys back at 98.
    state = one_long(6 * ONE, increment=ONE)
    change_price(state, BTC, mark=9_850 * CENT)
    fund(state, CAROL, 3 * ONE)
    hold(state, CAROL, STRANGER, -ONE, 100 * ONE)
    # 60 % of 70 % of 4.925; both are worth 4.5.
    penalty = 206_850_000
    for account, part, price in ((ALICE, 6 * 10**7, 99), (CAROL, -6 * 10**7, 98)):
        before = margin_of(state, account)
        assert liquidate(state, account) == [
            Liquidated(account, BTC, part, price * ONE),
            LiquidationEnded(account, 60_000_000, penalty),
        ]
        assert before.value - margin_of(state, account).value == penalty * ONE**2
    # 0.3 more from each, as the price was that much better for it; 0.6 lost from 99 to 98.
    assert cash_of(state, INSURANCE) == 2 * (penalty + 30_000_000) - 60_000_000


def test_gains_are_realized_before_losses() -> None:
    """Cash rises and falls, but is never below both its start and its end."""
    state = docs_example(50_000_000)
    change_price(state, BTC, mark=80_000 * ONE)
    change_price(state, ETH, mark=6_100 * ONE)
    # 2,000 from BTC and -3,100 from ETH: 100 less than nothing.
    fund(state, INSURANCE, 100 * ONE)
    events = liquidate(state)
    assert events == [
        Covered(ALICE, 100 * ONE, 0),
        Liquidated(ALICE, BTC, ONE // 10, 80_000 * ONE),
        Liquidated(ALICE, ETH, -ONE, 6_100 * ONE),
        LiquidationEnded(ALICE, ONE, 0),
    ]
    assert cash_of(state, ALICE) == 0


def test_insurance_nets_positions_and_its_own_losses_become_bad_debt() -> None:
    state = one_long(5 * ONE)
    change_price(state, BTC, mark=99 * ONE)
    hold(state, INSURANCE, CAROL, -ONE, 50 * ONE)
    fund(state, CAROL, 100 * ONE)
    own = rest(state, make_order(INSURANCE, Side.BUY, ONE, 40 * ONE, reduce_only=True))
    # Value 4, maintenance 4.95: 60 % leaves 1.98 of 1.921, 80 % leaves 0.99 of 1.228.
    events = liquidate(state)
    # Insurance closes 0.8 of a short from 50 at 99: 39.2 lost, 2.772 earned.
    assert of_type(events, Covered) == [Covered(INSURANCE, 0, 3_642_800_000)]
    assert of_type(events, OrderClosed) == [
        OrderClosed(own, INSURANCE, BTC, ONE, CloseReason.REDUCE_ONLY)
    ]
    assert cash_of(state, INSURANCE) == 0
    assert state.totals.bad_debt == 3_642_800_000
    assert state.positions[INSURANCE, BTC].size == -2 * 10**7


def test_the_worst_go_first_and_ties_by_address() -> None:
    state = make_state()
    add_market(state, BTC, 100 * ONE, initial_margin=10_000_000, taker_fee=0)
    add_holders(state, 3, ONE, 100 * ONE, 6 * ONE)
    worse = add_holders(state, 2, 2 * ONE, 100 * ONE, 11 * ONE, first=0x200000)
    change_price(state, BTC, mark=98 * ONE)
    fund(state, BOB, 10_000 * ONE)
    accounts = [*worse, *range(CROWD, CROWD + 3)]
    assert liquidated(liquidate(state, *reversed(accounts))) == accounts


def test_a_zero_maintenance_ranks_below_every_ratio() -> None:
    state = make_state()
    for symbol in (BTC, ETH):
        add_market(state, symbol, 100 * ONE, initial_margin=10_000_000, taker_fee=0)
    fund(state, ALICE, 10 * ONE)
    fund(state, CAROL, 101 * ONE)
    hold(state, ALICE, BOB, ONE, 100 * ONE, BTC)
    hold(state, CAROL, BOB, ONE, 102 * ONE, ETH)
    change_price(state, BTC, mark=50 * ONE)
    switch_off(state, Guard.ZERO_PRICE)
    change_price(state, ETH, mark=0)
    fund(state, INSURANCE, 1_000 * ONE)
    assert liquidated(liquidate(state, ALICE, CAROL)) == [CAROL, ALICE]


@pytest.mark.parametrize("guard_off", [False, True])
def test_the_cap_is_exact_and_off_everybody_goes(guard_off: bool) -> None:
    state = make_state()
    add_market(state, BTC, 100 * ONE, initial_margin=10_000_000, taker_fee=0)
    accounts = add_holders(state, 120, ONE, 100 * ONE, 5 * ONE)
    change_price(state, BTC, mark=99 * ONE)
    fund(state, BOB, 100_000 * ONE)
    if guard_off:
        switch_off(state, Guard.LIQUIDATION_CAP)
    events = liquidate(state, *accounts)
    done = liquidated(events)
    assert done == (accounts if guard_off else accounts[:LIQUIDATIONS_PER_TICK_MAX])
    detail = "120 liquidations in a tick"
    expected = [GuardViolated(Guard.LIQUIDATION_CAP, detail)] if guard_off else []
    assert of_type(events, GuardViolated) == expected
    # Each hands over 0.8 of 1 BTC and pays 80 % of 70 % of 4.95.
    assert state.positions[INSURANCE, BTC].size == len(done) * 8 * 10**7
    assert cash_of(state, INSURANCE) == len(done) * 277_200_000


@given(
    st.integers(-30, 30).filter(bool),
    st.integers(-30, 30),
    st.integers(0, 3_000),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, ONE),
    st.integers(0, 5_000),
)
def test_no_account_loses_more_than_the_penalty(
    lots: int, other_lots: int, cash: int, mark: int, other: int, fee: int, insurance: int
) -> None:
    state = make_state(risk=Risk(liquidation_fee=fee))
    add_market(state, BTC, 100 * ONE, lot=10**7, price_increment=70, initial_margin=10_000_000)
    add_market(state, ETH, 100 * ONE, lot=10**7, price_increment=130)
    fund(state, ALICE, cash * ONE)
    fund(state, BOB, 10**6 * ONE)
    fund(state, INSURANCE, insurance * ONE)
    hold(state, ALICE, BOB, lots * 10**7, 100 * ONE, BTC)
    if other_lots:
        hold(state, ALICE, BOB, other_lots * 10**7, 100 * ONE, ETH)
    change_price(state, BTC, mark=mark * ONE + 33, funding_index=INDEX_ONE + 7)
    change_price(state, ETH, mark=other * ONE + 1)
    before = margin_of(state, ALICE)
    if before.is_healthy():
        return
    ended = liquidate(state)[-1]
    after = margin_of(state, ALICE)
    assert isinstance(ended, LiquidationEnded)
    assert after.is_healthy()
    assert after.value >= 0
    kept = before.value - ended.penalty * ONE**2
    assert after.value >= kept
    if before.value > 0:
        assert after.value < kept + ONE**2
