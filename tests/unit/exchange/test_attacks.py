"""Ways to take others' money or to stop the chain that were once open, each kept shut."""

import pytest

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import Journal, State
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import (
    CancelAll,
    Command,
    Deposit,
    OrderPolicy,
    Reopen,
    SetGuard,
    Tick,
    Withdraw,
)
from sequencer.model.events import CloseReason, Event, Fill, OrderClosed
from sequencer.model.exchange_limits import FILLS_PER_ORDER_MAX
from sequencer.model.orders import Instruction, OrderType, Side
from sequencer.model.refusals import Reason, Refusal
from sequencer.model.rows import Guard
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    OPERATOR,
    add_market,
    change_price,
    change_system,
    fund,
    make_order,
    make_state,
    place,
    refused,
    rest,
    run,
)
from tests.unit.exchange.pricing import add_publishers, reports_of


def tick_to(state: State, price: int, other: int = 0) -> list[Event] | Refusal:
    time_ms = state.system.time_ms + 1_000
    reports = reports_of([price] * 3, time_ms)
    if other:
        reports += reports_of([other] * 3, time_ms, "ETH")
    return send(state, Tick(time_ms, reports), OPERATOR)


def send(state: State, command: Command, signer: int) -> list[Event] | Refusal:
    return transition(state, command, Context(signer), Journal(state))


def order(state: State, who: int, side: Side, size: int, price: int, **changes: object) -> Command:
    times = {"signed_at_ms": state.system.time_ms}
    return place(make_order(who, side, size, price, **times, **changes))


def test_a_deficit_is_never_closed_away() -> None:
    """A stop-loss that fires after a gap down must not leave debt with nobody to pay it."""
    state = make_state()
    add_market(state)
    add_publishers(state)
    for who, tokens in ((ALICE, 21), (BOB, 300)):
        send(state, Deposit(who, 1, who, tokens * 10**6), 0)
    tick_to(state, 100 * ONE)
    run(state, order(state, BOB, Side.SELL, 10 * ONE, 100 * ONE), BOB)
    run(state, order(state, ALICE, Side.BUY, 10 * ONE, 100 * ONE), ALICE)
    run(state, order(state, BOB, Side.BUY, 10 * ONE, 97 * ONE), BOB)
    stop = {"type": OrderType.STOP_LOSS_MARKET, "instruction": Instruction.IOC}
    trigger = {"trigger_price": 98 * ONE}
    run(state, order(state, ALICE, Side.SELL, 10 * ONE, 0, **stop, **trigger), ALICE)
    change_system(state, guards_off=(Guard.TRIPWIRE,), drill=True)
    assert not isinstance(tick_to(state, 9_550 * 10**6), Refusal)
    assert state.accounts[ALICE].cash == 0
    assert (ALICE, BTC) not in state.positions
    assert state.totals.bad_debt > 0
    run(state, Withdraw(BOB, 77, state.accounts[BOB].cash // 100 * 100, 5), BOB)
    assert state.totals.withdrawn <= state.totals.deposited
    check_laws(state)
    recount(state)


def test_a_stale_market_is_no_shelter_for_new_risk() -> None:
    state = make_state()
    add_market(state)
    add_market(state, ETH, price=100 * ONE, notional_min=0)
    add_publishers(state)
    for who, tokens in ((ALICE, 230), (BOB, 2_000), (CAROL, 100_000)):
        send(state, Deposit(who, 1, who, tokens * 10**6), 0)
    tick_to(state, 100 * ONE, 100 * ONE)
    run(state, order(state, CAROL, Side.SELL, 10**5, 100 * ONE, market=ETH), CAROL)
    run(state, order(state, ALICE, Side.BUY, 10**5, 100 * ONE, market=ETH), ALICE)
    for _ in range(31):
        tick_to(state, 100 * ONE)
    sale = order(state, BOB, Side.SELL, 100 * ONE, 100 * ONE)
    run(state, sale, BOB)
    taken = order(state, ALICE, Side.BUY, 100 * ONE, 100 * ONE)
    assert refused(state, taken, ALICE) is Reason.MARGIN_INSUFFICIENT
    assert (ALICE, BTC) not in state.positions


def test_open_interest_holds_for_an_order_cut_by_its_average_price() -> None:
    state = make_state()
    add_market(state, open_interest_max=ONE, slippage_max=10**6)
    for who in (ALICE, BOB):
        fund(state, who, 10**6 * ONE)
    run(state, order(state, BOB, Side.SELL, ONE, 100 * ONE), BOB)
    run(state, order(state, BOB, Side.SELL, 100 * ONE, 10_102 * 10**6), BOB)
    market = {"type": OrderType.MARKET, "instruction": Instruction.IOC}
    run(state, order(state, ALICE, Side.BUY, 100 * ONE, 0, **market), ALICE)
    assert state.market_sums[BTC].long == ONE


@pytest.mark.parametrize(
    ("fee", "band", "price"), [(480_000, 5_000_000, 105), (390_000, 50_000_000, 150)]
)
def test_a_fee_at_its_bound_breaks_no_law(fee: int, band: int, price: int) -> None:
    """Flipping a position at the band's edge pays the fee on the worse price."""
    sizes = set()
    for cash in range(20 * ONE, 1_200 * ONE, 25 * ONE):
        state = make_state()
        add_market(state, taker_fee=fee, band=band, initial_margin=2_000_000)
        fund(state, BOB, 10**6 * ONE)
        fund(state, ALICE, cash)
        run(state, order(state, BOB, Side.BUY, 10 * ONE, 100 * ONE), BOB)
        send(state, order(state, ALICE, Side.SELL, 10 * ONE, 100 * ONE), ALICE)
        run(state, order(state, BOB, Side.SELL, 20 * ONE, price * ONE), BOB)
        send(state, order(state, ALICE, Side.BUY, 20 * ONE, price * ONE), ALICE)
        assert margin_of(state, ALICE).is_healthy()
        held = state.positions.get((ALICE, BTC))
        sizes.add(0 if held is None else held.size)
    # Who had too little sold nothing or stayed short; with enough of it the position was flipped.
    assert sizes == {0, -10 * ONE, 10 * ONE}


def test_a_fee_that_rounds_up_breaks_no_law() -> None:
    state = make_state()
    add_market(state, price=49, price_increment=1, lot=ONE, notional_min=0)
    fund(state, BOB, ONE)
    fund(state, ALICE, 1)
    run(state, order(state, BOB, Side.SELL, ONE, 49), BOB)
    (event,) = run(state, order(state, ALICE, Side.BUY, ONE, 49), ALICE)
    assert isinstance(event, OrderClosed)
    assert event.reason is CloseReason.MARGIN


def test_who_has_nothing_waits_for_nothing() -> None:
    state = make_state()
    add_market(state)
    stop = {"type": OrderType.STOP_MARKET, "instruction": Instruction.IOC}
    command = order(state, ALICE, Side.BUY, ONE, 0, trigger_price=110 * ONE, **stop)
    assert refused(state, command, ALICE) is Reason.MARGIN_INSUFFICIENT


def test_a_taker_stops_after_a_named_number_of_fills() -> None:
    state = make_state()
    add_market(state, orders_max=FILLS_PER_ORDER_MAX + 9, notional_min=0)
    for who in (ALICE, BOB):
        fund(state, who, 10**9 * ONE)
    lot = state.markets[BTC].parameters.lot
    for _ in range(FILLS_PER_ORDER_MAX + 5):
        rest(state, make_order(ALICE, Side.SELL, lot, 100 * ONE))
    size = lot * (FILLS_PER_ORDER_MAX + 5)
    events = run(state, order(state, BOB, Side.BUY, size, 100 * ONE), BOB)
    assert sum(isinstance(event, Fill) for event in events) == FILLS_PER_ORDER_MAX
    last = events[-1]
    assert isinstance(last, OrderClosed)
    assert (last.reason, last.remaining) == (CloseReason.FILL_LIMIT, 5 * lot)


def test_an_undone_cancellation_of_a_whole_level_keeps_its_order() -> None:
    state = make_state()
    add_market(state, orders_max=2_000)
    ids = [rest(state, make_order(ALICE, Side.SELL, ONE, 101 * ONE)) for _ in range(1_500)]
    ids += [rest(state, make_order(BOB, Side.SELL, ONE, 101 * ONE)) for _ in range(5)]
    journal = Journal(state)
    transition(state, CancelAll(ALICE), Context(ALICE), journal)
    assert len(state.orders) == 5
    journal.undo()
    assert [order_id for order_id, _ in state.books[BTC].asks.walk()] == ids
    recount(state)


def test_a_price_of_zero_keeps_its_guard_off() -> None:
    state = make_state(drill=True, guards_off=(Guard.ZERO_PRICE,))
    add_market(state)
    change_price(state, BTC, index=0, mark=0)
    command = SetGuard(Guard.ZERO_PRICE, True)
    assert refused(state, command, OPERATOR) is Reason.PRICE_MISSING
    run(state, Reopen(1, OrderPolicy.KEEP), OPERATOR)
    assert state.prices[BTC].index_at_ms == 0
    assert state.system.guards_off == ()
    check_laws(state)
