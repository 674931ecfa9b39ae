"""Which waiting orders fire, in which order, and what a refusal leaves behind."""

from typing import Any

import msgspec
import pytest

from sequencer.exchange.state import State
from sequencer.exchange.triggers import count_due, fire_triggers
from sequencer.model.events import (
    CloseReason,
    Event,
    Fill,
    GuardViolated,
    OrderClosed,
    OrderOpened,
    OrderTriggered,
)
from sequencer.model.exchange_limits import INDEX_AGE_MS_MAX, TRIGGERS_PER_TICK_MAX
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import Instruction, OrderType, Side
from sequencer.model.rows import Guard, Mode
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    NOW_MS,
    add_market,
    change_price,
    change_system,
    fund,
    hold,
    make_order,
    make_state,
    of_type,
    rest,
)
from tests.unit.exchange.pricing import act, switch_off


def make_exchange() -> State:
    """Return BTC at 100, ALICE and BOB with 10,000 each."""
    state = make_state()
    add_market(state)
    for account in (ALICE, BOB):
        fund(state, account, 10_000 * ONE)
    return state


def stop(state: State, trigger: int, account: int = ALICE, **changes: object) -> int:
    """Let a STOP_LIMIT buy of 1 at its trigger price wait; `trigger` in whole quote."""
    price = trigger * ONE
    plain = make_order(account, Side.BUY, ONE, price, type=OrderType.STOP_LIMIT)
    order = msgspec.structs.replace(plain, **{"trigger_price": price} | changes)
    return rest(state, order, waiting=True)


def fire(state: State) -> list[Event]:
    return act(state, fire_triggers)


def fired(events: list[Event]) -> list[int]:
    return [event.order_id for event in of_type(events, OrderTriggered)]


@pytest.mark.parametrize(
    ("kind", "side", "marks"),
    [
        (OrderType.STOP_LIMIT, Side.BUY, {99: False, 100: True, 101: True}),
        (OrderType.STOP_LIMIT, Side.SELL, {99: True, 100: True, 101: False}),
        (OrderType.STOP_LOSS_LIMIT, Side.BUY, {99: False, 100: True, 101: True}),
        (OrderType.STOP_LOSS_LIMIT, Side.SELL, {99: True, 100: True, 101: False}),
        (OrderType.TAKE_PROFIT_LIMIT, Side.BUY, {99: True, 100: True, 101: False}),
        (OrderType.TAKE_PROFIT_LIMIT, Side.SELL, {99: False, 100: True, 101: True}),
    ],
)
def test_each_type_fires_on_its_side_of_mark(
    kind: OrderType, side: Side, marks: dict[int, bool]
) -> None:
    for mark, fires in marks.items():
        state = make_exchange()
        order_id = stop(state, 100, type=kind, side=side)
        change_price(state, BTC, mark=mark * ONE)
        assert count_due(state) == fires
        assert fired(fire(state)) == [order_id] * fires
        resting = [found for found, _ in state.books[BTC].side(side).walk()]
        assert resting == [order_id] * fires


def test_a_fired_order_says_so_and_rests_with_a_new_place_in_time() -> None:
    state = make_exchange()
    order_id = stop(state, 100)
    sequence = state.arrival.following
    assert fire(state) == [
        OrderTriggered(order_id, ALICE, BTC, 100 * ONE),
        OrderOpened(order_id, ALICE, BTC, ONE, False),
    ]
    assert state.orders[order_id].sequence == sequence
    assert not state.orders[order_id].waiting
    assert fire(state) == []


def test_a_fired_market_order_trades() -> None:
    state = make_exchange()
    rest(state, make_order(BOB, Side.SELL, ONE, 101 * ONE))
    kind, instruction = OrderType.STOP_MARKET, Instruction.IOC
    order_id = stop(state, 100, type=kind, price=0, instruction=instruction)
    events = fire(state)
    assert [event.price for event in events if isinstance(event, Fill)] == [101 * ONE]
    assert events[-1] == OrderClosed(order_id, ALICE, BTC, 0, CloseReason.FILLED)
    assert state.positions[ALICE, BTC].size == ONE


def test_the_oldest_fire_first_and_the_rest_at_the_next_tick() -> None:
    state = make_exchange()
    add_market(state, ETH)
    # The youngest has the trigger that was reached first.
    ids = [stop(state, 60 - number // 2) for number in range(TRIGGERS_PER_TICK_MAX + 3)]
    change_price(state, BTC, mark=60 * ONE)
    others = [stop(state, 90, market=ETH) for _ in range(2)]
    assert count_due(state) == TRIGGERS_PER_TICK_MAX + 5
    assert fired(fire(state)) == ids[:TRIGGERS_PER_TICK_MAX] + others
    assert fired(fire(state)) == ids[TRIGGERS_PER_TICK_MAX:]


def test_the_first_of_a_pair_cancels_the_other_also_where_both_are_due() -> None:
    state = make_exchange()
    hold(state, ALICE, BOB, ONE, 100 * ONE)
    pair: dict[str, Any] = {
        "side": Side.SELL,
        "pair_id": 7,
        "reduce_only": True,
        "price": 100 * ONE,
    }
    loss = stop(state, 110, type=OrderType.STOP_LOSS_LIMIT, **pair)
    profit = stop(state, 90, type=OrderType.TAKE_PROFIT_LIMIT, **pair)
    foreign = stop(state, 200, CAROL, type=OrderType.STOP_LOSS_LIMIT, pair_id=7)
    assert fire(state) == [
        OrderTriggered(loss, ALICE, BTC, 100 * ONE),
        OrderClosed(profit, ALICE, BTC, ONE, CloseReason.PAIR),
        OrderOpened(loss, ALICE, BTC, ONE, False),
    ]
    assert sorted(state.orders) == sorted((loss, foreign))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 10**6 * ONE}, CloseReason.POSITION_LIMIT),
        ({"size": 290 * ONE, "account": CAROL}, CloseReason.MARGIN),
        ({"price": 106 * ONE}, CloseReason.BAND),
        ({"reduce_only": True}, CloseReason.REDUCE_ONLY),
        (
            {"price": 102 * ONE, "instruction": Instruction.POST_ONLY},
            CloseReason.POST_ONLY_WOULD_CROSS,
        ),
    ],
)
def test_a_refused_order_is_gone_with_its_reason(
    changes: dict[str, Any], reason: CloseReason
) -> None:
    state = make_exchange()
    rest(state, make_order(BOB, Side.SELL, ONE, 101 * ONE))
    order_id = stop(state, 100, **changes)
    row = state.orders[order_id]
    following, book = state.arrival, len(state.orders)
    events = fire(state)
    assert events == [
        OrderTriggered(order_id, row.order.account, BTC, 100 * ONE),
        OrderClosed(order_id, row.order.account, BTC, row.remaining, reason),
    ]
    assert order_id not in state.orders
    assert (state.arrival, len(state.orders)) == (following, book - 1)
    assert state.positions == {}


def test_a_refusal_takes_its_guard_events_back_with_it() -> None:
    state = make_exchange()
    switch_off(state, Guard.ORDER_BAND)
    order_id = stop(state, 100, CAROL, price=200 * ONE)
    reasons = [event for event in fire(state) if not isinstance(event, OrderTriggered)]
    assert reasons == [OrderClosed(order_id, CAROL, BTC, ONE, CloseReason.MARGIN)]


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.CANCEL_ONLY, Mode.POST_ONLY])
def test_nothing_fires_outside_open(mode: Mode) -> None:
    state = make_exchange()
    stop(state, 100)
    change_system(state, mode=mode)
    assert fire(state) == []
    assert count_due(state) == 1


@pytest.mark.parametrize("status", [MarketStatus.PAUSED, MarketStatus.DELISTED])
def test_nothing_fires_in_a_market_that_is_not_active(status: MarketStatus) -> None:
    state = make_state()
    add_market(state, status=status)
    stop(state, 100)
    assert fire(state) == []
    assert count_due(state) == 0


def test_nothing_fires_without_a_price() -> None:
    state = make_exchange()
    stop(state, 100, side=Side.SELL)
    change_price(state, BTC, mark=0, index=0, index_at_ms=0)
    switch_off(state, Guard.ZERO_PRICE)
    assert fire(state) == []
    assert count_due(state) == 0


def test_a_zero_price_fires_sales_only_where_its_guard_is_off() -> None:
    state = make_exchange()
    order_id = stop(state, 100, side=Side.SELL)
    change_price(state, BTC, mark=0, index=0)
    assert fire(state) == []
    switch_off(state, Guard.ZERO_PRICE)
    assert fired(fire(state)) == [order_id]


def test_a_stale_price_fires_only_where_its_guard_is_off() -> None:
    state = make_exchange()
    order_id = stop(state, 100)
    change_system(state, time_ms=NOW_MS + INDEX_AGE_MS_MAX)
    assert count_due(state) == 1
    change_system(state, time_ms=NOW_MS + INDEX_AGE_MS_MAX + 1)
    assert count_due(state) == 0
    assert fire(state) == []
    switch_off(state, Guard.STALE_PRICE)
    assert count_due(state) == 1
    events = fire(state)
    assert fired(events) == [order_id]
    detail = f"{BTC}: 1 triggers fire"
    assert of_type(events, GuardViolated)[0] == GuardViolated(Guard.STALE_PRICE, detail)
