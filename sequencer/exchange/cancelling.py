"""Cancelling by the trader: one order by its id or client id, or many at once."""

from sequencer.exchange.authority import require_trader
from sequencer.exchange.closing import close_order, orders_of
from sequencer.exchange.step import Step
from sequencer.model.commands import CancelAll, CancelClientOrder, CancelOrder
from sequencer.model.events import CloseReason
from sequencer.model.refusals import Reason, Refused


def cancel_order(step: Step, command: CancelOrder) -> None:
    """Cancel one order. Refusals: ORDER_UNKNOWN, NOT_AUTHORIZED, MODE_FORBIDS."""
    require_trader(step, command.account)
    row = step.state.orders.get(command.order_id)
    if row is None or row.order.account != command.account:
        raise Refused(Reason.ORDER_UNKNOWN, f"no open order {command.order_id:#x}")
    close_order(step, command.order_id, row, CloseReason.USER)


def cancel_client_order(step: Step, command: CancelClientOrder) -> None:
    """Cancel the oldest order with a client id. Refusals as above."""
    require_trader(step, command.account)
    for order_id, row in orders_of(step.state, command.account, command.market):
        if command.client_id and row.order.client_id == command.client_id:
            close_order(step, order_id, row, CloseReason.USER)
            return
    raise Refused(Reason.ORDER_UNKNOWN, f"no open order with client id {command.client_id}")


def cancel_all(step: Step, command: CancelAll) -> None:
    """Cancel all orders of a market or of every market; none is no refusal."""
    require_trader(step, command.account)
    for order_id, row in orders_of(step.state, command.account, command.market):
        close_order(step, order_id, row, CloseReason.USER)
