"""Orders and ids that end by time."""

from typing import Any

from sequencer.exchange.expiry import expire_orders, forget_used_orders
from sequencer.exchange.state import Table
from sequencer.model.events import CloseReason, OrderClosed
from sequencer.model.exchange_limits import EXPIRED_PER_TICK_MAX, FORGOTTEN_PER_TICK_MAX
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import UsedOrder
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    NOW_MS,
    add_market,
    change_system,
    fund,
    make_order,
    make_state,
    place,
    put,
    rest,
    run,
)
from tests.unit.exchange.pricing import act


def test_an_id_is_forgotten_when_it_can_no_longer_arrive() -> None:
    """By whole seconds: never before its time, and at most a second after it."""
    state = make_state()
    second = NOW_MS // 1_000 * 1_000
    change_system(state, time_ms=second)
    for order_id, until_ms in ((9, second - 1), (8, second - 999), (7, second), (6, second + 1)):
        put(state, Table.USED_ORDER, order_id, UsedOrder(until_ms))
    assert act(state, forget_used_orders) == []
    assert sorted(state.used_orders) == [6, 7]
    change_system(state, time_ms=second + 999)
    act(state, forget_used_orders)
    assert sorted(state.used_orders) == [6, 7]
    change_system(state, time_ms=second + 1_000)
    act(state, forget_used_orders)
    assert not state.used_orders


def test_a_tick_forgets_a_named_number_and_the_next_goes_on() -> None:
    state = make_state()
    for order_id in range(FORGOTTEN_PER_TICK_MAX + 5):
        put(state, Table.USED_ORDER, order_id, UsedOrder(NOW_MS - 5_000))
    act(state, forget_used_orders)
    assert sorted(state.used_orders) == list(
        range(FORGOTTEN_PER_TICK_MAX, FORGOTTEN_PER_TICK_MAX + 5)
    )
    act(state, forget_used_orders)
    assert not state.used_orders


def test_a_tick_closes_a_named_number_of_orders_and_matching_passes_over_the_rest() -> None:
    state = make_state()
    add_market(state, orders_max=EXPIRED_PER_TICK_MAX + 9)
    fund(state, ALICE, 10**9 * ONE)
    fund(state, BOB, 10**9 * ONE)
    changes: dict[str, Any] = {"expires_at_ms": NOW_MS}
    order = make_order(ALICE, Side.SELL, ONE, 101 * ONE, **changes)
    ids = [rest(state, order) for _ in range(EXPIRED_PER_TICK_MAX + 2)]
    act(state, expire_orders)
    assert sorted(state.orders) == sorted(ids[-2:])
    taker = make_order(BOB, Side.BUY, 5 * ONE, 101 * ONE)
    events = run(state, place(taker), BOB)
    assert [type(event).__name__ for event in events] == [
        "OrderClosed",
        "OrderClosed",
        "OrderOpened",
    ]


def test_orders_expire_oldest_first() -> None:
    state = make_state()
    add_market(state)
    limits: tuple[tuple[int, dict[str, Any]], ...] = (
        (ALICE, {"expires_at_ms": NOW_MS}),
        (BOB, {"expires_at_ms": NOW_MS - 5}),
        (BOB, {"expires_at_ms": NOW_MS + 1}),
        (ALICE, {}),
    )
    orders = [make_order(who, Side.BUY, ONE, 90 * ONE, **changes) for who, changes in limits]
    ids = [rest(state, order) for order in orders]
    stop = make_order(
        ALICE,
        Side.SELL,
        ONE,
        0,
        type=OrderType.STOP_MARKET,
        trigger_price=80 * ONE,
        expires_at_ms=NOW_MS,
    )
    ids.append(rest(state, stop, waiting=True))
    expired = CloseReason.EXPIRED
    assert act(state, expire_orders) == [
        OrderClosed(ids[0], ALICE, BTC, ONE, expired),
        OrderClosed(ids[1], BOB, BTC, ONE, expired),
        OrderClosed(ids[4], ALICE, BTC, ONE, expired),
    ]
    assert sorted(state.orders) == sorted((ids[2], ids[3]))
    assert act(state, expire_orders) == []
