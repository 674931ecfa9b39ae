"""Orders that wait for the mark price: which of them fire at a tick, and what becomes of them.

Promises
- At most TRIGGERS_PER_TICK_MAX fire per market and tick, oldest first; the rest at later ticks.
- An order fires once. The others of its pair go with it, also where the book then refuses it.

Laws
- Nothing fires outside OPEN, in a market that is not active, or at a missing or stale price.
- An order that is refused when it fires leaves nothing behind but the reason why it is gone.
"""

from sequencer.exchange.closing import close_order
from sequencer.exchange.derived import NO_EXPOSURE
from sequencer.exchange.entry import enter_book
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.events import CloseReason, OrderClosed, OrderTriggered
from sequencer.model.exchange_limits import TRIGGERS_PER_TICK_MAX
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import Order
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode, OrderRow

_CLOSE_REASONS = {
    Reason.MARGIN_INSUFFICIENT: CloseReason.MARGIN,
    Reason.ORDER_OUTSIDE_BAND: CloseReason.BAND,
    Reason.ORDER_REDUCE_ONLY: CloseReason.REDUCE_ONLY,
    Reason.ORDER_WOULD_CROSS: CloseReason.POST_ONLY_WOULD_CROSS,
    Reason.POSITION_LIMIT: CloseReason.POSITION_LIMIT,
}


def fire_triggers(step: Step) -> None:
    """Fire what the present mark prices reach, market by market, oldest first."""
    if step.state.system.mode is not Mode.OPEN:
        return
    for market in sorted(step.state.waiting):
        if _has_live_price(step.state, market):
            _fire_market(step, market)


def count_due(state: State) -> int:
    """Count the orders that would fire in OPEN at the present prices, those over the cap too."""
    unchecked = Guard.STALE_PRICE in state.system.guards_off
    return sum(
        orders.count_due(state.prices[market].mark)
        for market, orders in state.waiting.items()
        if _has_live_price(state, market) and (unchecked or not is_stale(state, market))
    )


def _has_live_price(state: State, market: str) -> bool:
    if state.markets[market].status is not MarketStatus.ACTIVE:
        return False
    price = state.prices[market]
    # A zero that was accepted because its guard is off does the harm that a drill wants to see.
    zero_accepted = price.index_at_ms > 0 and Guard.ZERO_PRICE in state.system.guards_off
    return price.mark > 0 or zero_accepted


def _fire_market(step: Step, market: str) -> None:
    state = step.state
    mark = state.prices[market].mark
    due = state.waiting[market].due(mark, TRIGGERS_PER_TICK_MAX)
    stale = bool(due) and is_stale(state, market)
    if step.guarded(Guard.STALE_PRICE, stale, f"{market}: {len(due)} triggers fire"):
        return
    for order_id in due:
        row = state.orders.get(order_id)
        # It may have gone with the other of its pair, which fired a moment before.
        if row is not None:
            _fire(step, order_id, row, mark)


def _fire(step: Step, order_id: int, row: OrderRow, mark: int) -> None:
    order = row.order
    step.put(Table.ORDER, order_id, None)
    step.emit(OrderTriggered(order_id, order.account, order.market, mark))
    _cancel_pair(step, order)
    journal_mark, event_mark = step.journal.mark(), len(step.events)
    try:
        enter_book(step, order_id, order, row.signer)
    except Refused as refused:
        step.journal.undo(journal_mark)
        del step.events[event_mark:]
        reason = _CLOSE_REASONS.get(refused.reason, CloseReason.NOT_ACCEPTED)
        step.emit(OrderClosed(order_id, order.account, order.market, row.remaining, reason))


def _cancel_pair(step: Step, order: Order) -> None:
    if not order.pair_id:
        return
    exposures = step.state.holding(order.account).exposures
    waiting = exposures.get(order.market, NO_EXPOSURE).waiting
    pair = [item for item in waiting.items() if item[1].order.pair_id == order.pair_id]
    for order_id, row in sorted(pair, key=_sequence):
        close_order(step, order_id, row, CloseReason.PAIR)


def _sequence(item: tuple[int, OrderRow]) -> int:
    return item[1].sequence
