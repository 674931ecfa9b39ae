"""Who pays what an account cannot: insurance first and never more than it has, then bad debt."""

import pytest

from sequencer.exchange.invariants import check_laws
from sequencer.exchange.liquidation import liquidate_worst
from sequencer.exchange.losses import cover_deficit, insurance_cash, settle_insurance
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context, Step
from sequencer.model.events import Covered, Event, Liquidated, LiquidationEnded
from sequencer.model.orders import Side
from sequencer.model.rows import Account
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    FEES,
    INSURANCE,
    ISOLATED,
    OPERATOR,
    add_market,
    change_price,
    fund,
    hold,
    make_order,
    make_state,
    of_type,
    place,
    put,
    rest,
    run,
)
from tests.unit.exchange.crowds import cash_of
from tests.unit.exchange.pricing import act


def halt_case(insurance: int) -> State:
    """The halt of October 2025: 149 in the pool, 200 to send, so insurance owes 51."""
    state = make_state()
    add_market(state, ETH, 300 * ONE, taker_fee=0)
    fund(state, ALICE, 1_000 * ONE)
    fund(state, BOB, 1_000 * ONE)
    fund(state, INSURANCE, insurance)
    fund(state, ISOLATED, 149 * ONE, ALICE, ETH)
    hold(state, ISOLATED, BOB, ONE, 500 * ONE, ETH)
    return state


@pytest.mark.parametrize(
    ("insurance", "paid", "bad_debt"),
    [(1_000, 51, 0), (51, 51, 0), (50, 50, 1), (0, 0, 51)],
)
def test_insurance_pays_up_to_its_last_unit(insurance: int, paid: int, bad_debt: int) -> None:
    state = halt_case(insurance * ONE)
    events = act(state, lambda step: cover_deficit(step, ISOLATED))
    assert events == [Covered(ISOLATED, paid * ONE, bad_debt * ONE)]
    assert cash_of(state, ISOLATED) == 200 * ONE
    assert insurance_cash(state) == (insurance - paid) * ONE
    assert state.totals.bad_debt == bad_debt * ONE
    check_laws(state)
    assert act(state, lambda step: cover_deficit(step, ISOLATED)) == []


def test_the_deficit_is_paid_before_the_position_of_a_whole_market_moves() -> None:
    """The one long of a market is closed whole: 149, then 200, then 0, and never below."""
    state = halt_case(1_000 * ONE)
    journal = Journal(state)
    step = Step(state, journal, Context(OPERATOR))
    liquidate_worst(step, {ISOLATED: margin_of(state, ISOLATED)})
    cash = [
        (key, row.cash)
        for table, key, _, row in journal.changes
        if table is Table.ACCOUNT and key in (ISOLATED, INSURANCE)
    ]
    assert cash == [
        (INSURANCE, 949 * ONE),
        (ISOLATED, 200 * ONE),
        (ISOLATED, 0),
    ]
    assert step.events == [
        Covered(ISOLATED, 51 * ONE, 0),
        Liquidated(ISOLATED, ETH, ONE, 300 * ONE),
        LiquidationEnded(ISOLATED, ONE, 0),
    ]
    assert state.market_sums[ETH].long == ONE
    check_laws(state)


def test_an_isolated_loss_never_touches_its_owner() -> None:
    state = halt_case(0)
    before = state.accounts[ALICE]
    act(state, lambda step: liquidate_worst(step, {ISOLATED: margin_of(state, ISOLATED)}))
    assert state.accounts[ALICE] is before
    assert state.accounts[ISOLATED] == Account(0, ALICE, ETH)
    assert state.totals.bad_debt == 51 * ONE
    check_laws(state)


def test_a_part_of_a_unit_is_covered_as_a_whole_one() -> None:
    state = make_state()
    add_market(state)
    # A mark off the grid: the position of a tenth is worth a tenth of a unit less than nothing.
    hold(state, ALICE, BOB, ONE // 10, 100 * ONE)
    change_price(state, BTC, mark=100 * ONE - 1)
    assert act(state, lambda step: cover_deficit(step, ALICE)) == [Covered(ALICE, 0, 1)]
    assert margin_of(state, ALICE).value == 9 * ONE**2 // 10


def test_accrued_funding_is_part_of_a_deficit() -> None:
    state = make_state()
    add_market(state)
    fund(state, INSURANCE, 10 * ONE)
    hold(state, ALICE, BOB, -ONE, 100 * ONE)
    change_price(state, BTC, funding_index=INDEX_ONE - 3 * INDEX_ONE // 10**3)
    events = act(state, lambda step: cover_deficit(step, ALICE))
    assert events == [Covered(ALICE, 3 * ONE // 10**3, 0)]


def test_covered_accounts_with_money_are_left_alone() -> None:
    state = halt_case(1_000 * ONE)
    assert act(state, lambda step: cover_deficit(step, ALICE)) == []
    assert act(state, settle_insurance) == []


def test_insurance_without_a_row_pays_nothing() -> None:
    state = halt_case(0)
    put(state, Table.ACCOUNT, INSURANCE, None)
    assert insurance_cash(state) == 0
    events = act(state, lambda step: cover_deficit(step, ISOLATED))
    assert events == [Covered(ISOLATED, 0, 51 * ONE)]


def test_what_insurance_loses_by_trading_over_its_cash_is_bad_debt() -> None:
    """Its open profit of 100 in ETH is not cash."""
    state = make_state()
    add_market(state, BTC, 95 * ONE)
    fund(state, INSURANCE, 5 * ONE)
    fund(state, CAROL, 1_000 * ONE)
    hold(state, INSURANCE, BOB, ONE, 100 * ONE)
    add_market(state, ETH, 110 * ONE)
    hold(state, INSURANCE, BOB, ONE, 10 * ONE, ETH)
    rest(state, make_order(CAROL, Side.BUY, ONE, 94 * ONE))
    order = make_order(INSURANCE, Side.SELL, ONE, 94 * ONE, reduce_only=True)
    events: list[Event] = run(state, place(order), INSURANCE)
    # 5 - 6 - the taker fee of 3 bps of 94.
    assert of_type(events, Covered) == [Covered(INSURANCE, 0, 102_820_000)]
    assert insurance_cash(state) == 0
    assert state.totals.bad_debt == 102_820_000
    assert cash_of(state, FEES) == 2_820_000
    check_laws(state)
