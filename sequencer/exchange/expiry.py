"""What time alone ends: orders that expire, and ids that need no longer be remembered.

Laws
- An order id is remembered as long as its signed order could still arrive.
- Orders expire oldest first, a named number in a tick; matching passes over the others.
- Ids are forgotten a named number in a tick, oldest first: later is never wrong.
"""

from sequencer.exchange.closing import close_order
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import CloseReason
from sequencer.model.exchange_limits import EXPIRED_PER_TICK_MAX, FORGOTTEN_PER_TICK_MAX
from sequencer.model.units import MS_PER_SECOND


def forget_used_orders(step: Step) -> None:
    """Forget order ids whose receive window is over, by whole seconds."""
    forgetting, now = step.state.forgetting, step.state.system.time_ms // MS_PER_SECOND
    left = FORGOTTEN_PER_TICK_MAX
    for second in sorted(second for second in forgetting if second < now):
        due = sorted(forgetting[second])[:left]
        for order_id in due:
            step.put(Table.USED_ORDER, order_id, None)
        left -= len(due)
        if not left:
            return


def expire_orders(step: Step) -> None:
    """Close orders, resting and waiting, whose time is over."""
    state, now_ms = step.state, step.state.system.time_ms
    due = [order_id for order_id, at_ms in state.expiring.items() if at_ms <= now_ms]
    due.sort(key=lambda order_id: state.orders[order_id].sequence)
    for order_id in due[:EXPIRED_PER_TICK_MAX]:
        close_order(step, order_id, state.orders[order_id], CloseReason.EXPIRED)
