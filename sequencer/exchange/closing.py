"""Taking orders out: by their owner, by a rule, or by what happened to their account."""

from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.events import CloseReason, OrderClosed
from sequencer.model.orders import Side
from sequencer.model.rows import OrderRow


def close_order(step: Step, order_id: int, row: OrderRow, reason: CloseReason) -> None:
    """Remove an order from its book or from the waiting ones, and say why."""
    order = row.order
    step.put(Table.ORDER, order_id, None)
    step.emit(OrderClosed(order_id, order.account, order.market, row.remaining, reason))


def orders_of(state: State, account: int, market: str = "") -> list[tuple[int, OrderRow]]:
    """List an account's orders, resting and waiting, of one market or of all, oldest first."""
    exposures = state.holding(account).exposures
    found = [
        item
        for name, exposure in exposures.items()
        if not market or name == market
        for orders in (exposure.resting, exposure.waiting)
        for item in orders.items()
    ]
    return sorted(found, key=lambda item: item[1].sequence)


def cancel_excess_reduce_only(step: Step, account: int, market: str) -> None:
    """Cancel reduce-only orders that would no longer only reduce.

    In price-time priority the orders opposite to the position are summed up; a reduce-only order
    that takes the sum over the position goes, and so does one on the position's own side.
    """
    exposure = step.state.holding(account).exposures.get(market)
    if exposure is None or not exposure.reduce_only_count:
        return
    size = step.state.size_of(account, market)
    closing = Side.SELL if size > 0 else Side.BUY
    total = 0
    for order_id, row in sorted(exposure.resting.items(), key=_priority):
        opposite = size != 0 and row.order.side is closing
        if row.order.reduce_only and not (opposite and total + row.remaining <= abs(size)):
            close_order(step, order_id, row, CloseReason.REDUCE_ONLY)
        elif opposite:
            total += row.remaining


def _priority(item: tuple[int, OrderRow]) -> tuple[int, int]:
    row = item[1]
    return (-row.price if row.order.side is Side.BUY else row.price, row.sequence)
