"""The index of waiting orders against a plain search through all of them."""

from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.waiting import WaitingOrders
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import OrderRow
from tests.unit.exchange.builders import ALICE, make_order

_TYPES = [kind for kind in OrderType if kind not in (OrderType.LIMIT, OrderType.MARKET)]
_orders = st.tuples(st.sampled_from(list(Side)), st.sampled_from(_TYPES), st.integers(1, 9))


def _row(sequence: int, side: Side, kind: OrderType, trigger_price: int) -> OrderRow:
    order = make_order(ALICE, side, 1, 0, type=kind, trigger_price=trigger_price)
    return OrderRow(order, 1, sequence, ALICE, 0, waiting=True)


def _fires(row: OrderRow, mark: int) -> bool:
    """The rule as it is written down: stops follow the price, take-profits lean against it."""
    order = row.order
    takes_profit = order.type.value.startswith("TAKE_PROFIT")
    if order.side is Side.BUY:
        return mark <= order.trigger_price if takes_profit else mark >= order.trigger_price
    return mark >= order.trigger_price if takes_profit else mark <= order.trigger_price


@given(st.lists(_orders, max_size=30), st.integers(0, 10), st.integers(1, 5), st.data())
def test_due_orders_are_those_that_a_search_finds(
    orders: list[tuple[Side, OrderType, int]], mark: int, most: int, data: st.DataObject
) -> None:
    rows = {1_000 - number: _row(number, *order) for number, order in enumerate(orders)}
    waiting, again = WaitingOrders(), WaitingOrders()
    for order_id, row in rows.items():
        waiting.put(order_id, row)
    gone = data.draw(st.sets(st.sampled_from(sorted(rows)))) if rows else set()
    for order_id in sorted(gone):
        waiting.remove(order_id, rows[order_id])
    left = {order_id: row for order_id, row in rows.items() if order_id not in gone}
    due = [order_id for order_id, row in left.items() if _fires(row, mark)]
    assert waiting.due(mark, most) == due[:most]
    assert waiting.count_due(mark) == len(due)
    for order_id in reversed(left):
        again.put(order_id, rows[order_id])
    assert again.entries() == waiting.entries()
