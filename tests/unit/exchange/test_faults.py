"""Faults: the harm of the incidents, in drills alone, and the laws that meet it."""

import pytest

from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import State
from sequencer.model.commands import Fault, FaultKind
from sequencer.model.events import FaultDone, GuardViolated
from sequencer.model.exchange_limits import QUOTE_MAX
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Price
from sequencer.model.units import DUST_PER_QUOTE, INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    ETH,
    OPERATOR,
    USD,
    add_market,
    change_price,
    fund,
    hold,
    make_order,
    make_state,
    refused,
    rest,
    run,
    unaccounted,
)
from tests.unit.exchange.pricing import violations

VALUE = 10**24 // ONE


PRICE_FAULTS = {
    FaultKind.ZERO_PRICE: Guard.ZERO_PRICE,
    FaultKind.WRONG_DECIMALS: Guard.PRICE_STEP,
    FaultKind.INDEX_RESET: Guard.FUNDING_STEP,
}


def drill(drill: bool = True, guarded: bool = False) -> State:
    """Alice is short 1 BTC from 92,600 with 7,000, Bob is long; funding index 3,001."""
    guards_off = () if guarded else tuple(sorted(PRICE_FAULTS.values()))
    state = make_state(drill=drill, guards_off=guards_off)
    add_market(state, price=92_600 * USD)
    add_market(state, ETH, price=3_000 * USD)
    change_price(state, BTC, funding_index=3_001 * INDEX_ONE)
    fund(state, ALICE, 7_000 * USD)
    fund(state, BOB, 6_600 * USD)
    hold(state, BOB, ALICE, ONE, 92_600 * USD)
    return state


def harm(
    state: State, kind: FaultKind, market: str = "", account: int = 0, amount: int = 0
) -> None:
    expected = FaultDone(kind.value, market, account, amount)
    events = run(state, Fault(kind, market, account, amount), OPERATOR)
    assert [event for event in events if not isinstance(event, GuardViolated)] == [expected]
    assert violations(events) == [guard for fault, guard in PRICE_FAULTS.items() if fault is kind]


@pytest.mark.parametrize("kind", PRICE_FAULTS)
def test_a_guard_that_is_on_stops_the_fault(kind: FaultKind) -> None:
    state = drill(guarded=True)
    assert refused(state, Fault(kind, BTC, 0, 2), OPERATOR) is Reason.GUARD_STOPPED


@pytest.mark.parametrize("kind", FaultKind)
def test_there_are_no_faults_outside_drills(kind: FaultKind) -> None:
    command = Fault(kind, BTC, ALICE, 1)
    assert refused(drill(drill=False), command, OPERATOR) is Reason.NOT_A_DRILL
    assert refused(drill(), command, ALICE) is Reason.NOT_OPERATOR


@pytest.mark.parametrize(
    "command",
    [
        Fault(FaultKind.ZERO_PRICE, "DOGE"),
        Fault(FaultKind.WRONG_DECIMALS, "DOGE", 0, 2),
        Fault(FaultKind.WRONG_DECIMALS, BTC, 0, 0),
        Fault(FaultKind.WRONG_DECIMALS, BTC, 0, 19),
        Fault(FaultKind.INDEX_RESET, ""),
        Fault(FaultKind.LOST_POSITION, ETH, ALICE),
        Fault(FaultKind.LOST_POSITION, BTC, OPERATOR),
        Fault(FaultKind.LOST_ORDER, "", ALICE),
        Fault(FaultKind.CASH_MINTED, "", 0x404, 1),
        Fault(FaultKind.CASH_MINTED, "", ALICE, 0),
        Fault(FaultKind.CASH_MINTED, "", ALICE, QUOTE_MAX + 1),
    ],
)
def test_a_fault_needs_its_target(command: Fault) -> None:
    assert refused(drill(), command, OPERATOR) is Reason.FAULT_INVALID


def test_a_price_of_zero() -> None:
    state = drill()
    before = state.prices[BTC]
    harm(state, FaultKind.ZERO_PRICE, BTC)
    after = state.prices[BTC]
    assert (after.index, after.mark) == (0, 0)
    assert after.index_at_ms == before.index_at_ms
    assert margin_of(state, BOB).value == (6_600 - 92_600) * USD * VALUE


def test_decimals_shifted_by_ten() -> None:
    state = drill()
    harm(state, FaultKind.WRONG_DECIMALS, BTC, amount=10)
    assert (state.prices[BTC].index, state.prices[BTC].mark) == (926, 926)
    harm(state, FaultKind.WRONG_DECIMALS, BTC, amount=18)
    assert (state.prices[BTC].index, state.prices[BTC].mark) == (0, 0)


def test_a_funding_index_reset_takes_3000_from_shorts() -> None:
    state = drill()
    harm(state, FaultKind.INDEX_RESET, BTC)
    assert state.prices[BTC].funding_index == INDEX_ONE
    assert margin_of(state, ALICE).value == 4_000 * USD * VALUE
    assert margin_of(state, BOB).value == 9_600 * USD * VALUE
    assert unaccounted(state) == 0


def test_a_lost_position_breaks_zero_sum_and_conservation() -> None:
    state = drill()
    harm(state, FaultKind.LOST_POSITION, BTC, ALICE)
    assert state.market_sums[BTC].net == ONE
    assert (ALICE, BTC) not in state.positions
    assert unaccounted(state) == -92_600 * USD * DUST_PER_QUOTE + 3_001 * ONE * INDEX_ONE


def test_the_oldest_order_is_lost_without_a_word() -> None:
    state = drill()
    rest(state, make_order(BOB, Side.BUY, ONE, 90_000 * USD))
    oldest = rest(state, make_order(ALICE, Side.SELL, ONE, 95_000 * USD))
    newest = rest(state, make_order(ALICE, Side.SELL, ONE, 94_000 * USD))
    harm(state, FaultKind.LOST_ORDER, account=ALICE)
    assert oldest not in state.orders
    assert newest in state.orders
    other = Fault(FaultKind.LOST_ORDER, ETH, ALICE)
    assert refused(state, other, OPERATOR) is Reason.FAULT_INVALID


@pytest.mark.parametrize("amount", [1, -1, 10**6 * USD])
def test_minted_cash_breaks_conservation(amount: int) -> None:
    state = drill()
    harm(state, FaultKind.CASH_MINTED, account=ALICE, amount=amount)
    assert state.accounts[ALICE].cash == 7_000 * USD + amount
    assert unaccounted(state) == amount * DUST_PER_QUOTE


def test_prices_keep_everything_else() -> None:
    state = drill()
    before = state.prices[ETH]
    harm(state, FaultKind.ZERO_PRICE, ETH)
    expected = Price(0, before.index_at_ms, 0, accepted_in_row=before.accepted_in_row)
    assert state.prices[ETH] == expected
