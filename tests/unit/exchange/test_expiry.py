"""Orders and ids that end by time."""

from typing import Any

import pytest

from sequencer.exchange.expiry import expire_orders, forget_used_orders
from sequencer.exchange.state import Table
from sequencer.model.events import CloseReason, OrderClosed
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
    make_order,
    make_state,
    put,
    rest,
)
from tests.unit.exchange.pricing import act


@pytest.mark.parametrize("elapsed_ms", [1, 3, 1_000, 86_400_000])
def test_an_id_is_forgotten_when_it_can_no_longer_arrive(elapsed_ms: int) -> None:
    state = make_state()
    for order_id, until_ms in ((9, NOW_MS - 1), (8, NOW_MS - 1), (7, NOW_MS), (6, NOW_MS + 1)):
        put(state, Table.USED_ORDER, order_id, UsedOrder(until_ms))
    assert act(state, lambda step: forget_used_orders(step, elapsed_ms)) == []
    assert sorted(state.used_orders) == [6, 7]


def test_many_ids_are_forgotten_whichever_way_is_shorter() -> None:
    state = make_state()
    for order_id in range(100):
        put(state, Table.USED_ORDER, order_id, UsedOrder(NOW_MS + order_id))
    for elapsed_ms, left in ((10, 90), (60, 30), (1, 29), (200, 0)):
        change_system(state, time_ms=state.system.time_ms + elapsed_ms)
        act(state, lambda step, elapsed_ms=elapsed_ms: forget_used_orders(step, elapsed_ms))  # type: ignore[misc]
        assert len(state.used_orders) == left


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
