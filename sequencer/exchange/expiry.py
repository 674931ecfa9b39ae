"""What time alone ends: orders that expire, and ids that need no longer be remembered.

Laws
- An order id is remembered as long as its signed order could still arrive.
- Orders expire oldest first.
"""

from sequencer.exchange.closing import close_order
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import CloseReason


def forget_used_orders(step: Step, elapsed_ms: int) -> None:
    """Forget the order ids whose receive window is over; earlier ticks forgot earlier ones."""
    forgetting = step.state.forgetting
    now_ms = step.state.system.time_ms
    if elapsed_ms < len(forgetting):
        due = [at_ms for at_ms in range(now_ms - elapsed_ms, now_ms) if at_ms in forgetting]
    else:
        due = sorted(at_ms for at_ms in forgetting if at_ms < now_ms)
    for at_ms in due:
        for order_id in sorted(forgetting[at_ms]):
            step.put(Table.USED_ORDER, order_id, None)


def expire_orders(step: Step) -> None:
    """Close the orders, resting and waiting, whose time is over."""
    state, now_ms = step.state, step.state.system.time_ms
    due = [order_id for order_id, at_ms in state.expiring.items() if at_ms <= now_ms]
    for order_id in sorted(due, key=lambda order_id: state.orders[order_id].sequence):
        close_order(step, order_id, state.orders[order_id], CloseReason.EXPIRED)
