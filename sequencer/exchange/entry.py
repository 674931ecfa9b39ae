"""An order's way in: checks, matching, rest. Also for orders whose trigger has fired.

Laws
- A refused order changes nothing; an accepted one uses up its id, filled or not.
- In a market whose index price is stale nobody takes.
"""

import msgspec

from sequencer.exchange.acceptance import margin_to_open
from sequencer.exchange.authority import require_mode, require_trader
from sequencer.exchange.closing import cancel_excess_reduce_only, close_order
from sequencer.exchange.derived import NO_EXPOSURE
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.matching import Taker, match
from sequencer.exchange.orders import (
    exceeds_position_limit,
    reduce_only_fits,
    require_fresh_id,
    require_market,
    require_notional,
    require_pair,
    require_room,
    require_shape,
    require_time,
)
from sequencer.exchange.state import ONLY, Table
from sequencer.exchange.step import Step
from sequencer.model.commands import PlaceOrder
from sequencer.model.events import CloseReason, OrderClosed, OrderOpened
from sequencer.model.exchange_limits import POST_ONLY_BAND, PRICE_MAX
from sequencer.model.markets import MarketParameters
from sequencer.model.orders import MARKET_TYPES, PLAIN_TYPES, Instruction, Order, Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Arrival, Guard, Mode, OrderRow, Price, UsedOrder
from sequencer.model.units import BASIS_ONE, ONE


def place_order(step: Step, command: PlaceOrder) -> None:
    """Place an order, or replace another. Refusals: those of every check below, by name."""
    order, order_id = command.order, command.order_id
    require_trader(step, order.account)
    require_mode(step, Mode.POST_ONLY)
    parameters = require_market(step, order.market).parameters
    _require_isolated_market(step, order)
    require_fresh_id(step, order_id)
    require_time(step, order)
    require_shape(order, parameters)
    if order.replaces:
        _close_replaced(step, order)
    exposure = step.state.holding(order.account).exposures.get(order.market, NO_EXPOSURE)
    require_room(order, exposure, parameters)
    require_pair(order, exposure)
    price = step.state.prices[order.market]
    if not price.mark:
        raise Refused(Reason.PRICE_MISSING, f"{order.market} has no price yet")
    require_notional(step, order, parameters, price.mark)
    until_ms = order.signed_at_ms + order.receive_window_ms
    step.put(Table.USED_ORDER, order_id, UsedOrder(until_ms))
    if order.type in PLAIN_TYPES:
        enter_book(step, order_id, order, step.context.signer)
    else:
        _wait(step, order_id, order)


def enter_book(step: Step, order_id: int, order: Order, signer: int) -> None:
    """Match an active order and let the rest of it rest, as its instruction says.

    Refusals: PRICE_STALE, ORDER_OUTSIDE_BAND, POSITION_LIMIT, ORDER_REDUCE_ONLY,
    ORDER_WOULD_CROSS, MODE_FORBIDS, MARGIN_INSUFFICIENT.
    """
    price = step.state.prices[order.market]
    parameters = step.state.markets[order.market].parameters
    limit = _limit_price(step, order, parameters, price)
    _require_limits(step, order, parameters)
    at_market = order.type in MARKET_TYPES
    resting_price = price.mark if at_market else order.price
    sequence = step.state.arrival.following
    row = OrderRow(order, order.size, sequence, signer, resting_price)
    crosses = _crosses(step, order, limit)
    if order.instruction is Instruction.POST_ONLY and crosses:
        raise Refused(Reason.ORDER_WOULD_CROSS, "a post-only order would trade")
    if step.state.system.mode is not Mode.OPEN:
        _require_post_only_mode(order, price)
    _require_fresh_price(step, order)
    margin = margin_to_open(step.state, row)
    if margin is None:
        raise Refused(Reason.MARGIN_INSUFFICIENT, f"account {order.account:#x}")
    if not crosses:
        _finish(step, order_id, row, None)
        return
    average = _average_limit(step, order, parameters) if at_market else None
    taker = Taker(order_id, row, limit, average, margin)
    reason = match(step, taker)
    _finish(step, order_id, taker.row, reason)


def _finish(step: Step, order_id: int, row: OrderRow, reason: CloseReason | None) -> None:
    """Rest what is left of an order, or say why it is gone."""
    order = row.order
    if row.remaining == 0:
        reason = CloseReason.FILLED
    elif reason is None and order.instruction is Instruction.IOC:
        reason = CloseReason.IOC_REMAINDER
    if reason is None:
        step.put(Table.ARRIVAL, ONLY, Arrival(row.sequence + 1))
        step.put(Table.ORDER, order_id, row)
        step.emit(OrderOpened(order_id, order.account, order.market, row.remaining, False))
    else:
        step.emit(OrderClosed(order_id, order.account, order.market, row.remaining, reason))
    cancel_excess_reduce_only(step, order.account, order.market)


def _wait(step: Step, order_id: int, order: Order) -> None:
    """Let an order wait for its trigger. It needs no margin until then, but could have it now."""
    if step.state.system.mode is not Mode.OPEN:
        raise Refused(Reason.MODE_FORBIDS, "only post-only orders in POST_ONLY")
    sequence = step.state.arrival.following
    row = OrderRow(order, order.size, sequence, step.context.signer, order.price, waiting=True)
    price = order.price or step.state.prices[order.market].mark
    active = msgspec.structs.replace(row, price=price, waiting=False)
    if margin_to_open(step.state, active) is None:
        raise Refused(Reason.MARGIN_INSUFFICIENT, f"account {order.account:#x}")
    step.put(Table.ARRIVAL, ONLY, Arrival(sequence + 1))
    step.put(Table.ORDER, order_id, row)
    step.emit(OrderOpened(order_id, order.account, order.market, order.size, True))


def _limit_price(step: Step, order: Order, parameters: MarketParameters, price: Price) -> int:
    """Return how far an order may trade: its own price inside the band, or the band's edge."""
    buying = order.side is Side.BUY
    edge = price.mark * (ONE + parameters.band if buying else ONE - parameters.band)
    if order.type in MARKET_TYPES:
        limit = edge // ONE if buying else -(-edge // ONE)
        if Guard.ORDER_BAND not in step.state.system.guards_off:
            return limit
        past = _reaches_past(step, order, limit)
        step.guarded(Guard.ORDER_BAND, past, f"{order.market}: a market order past {limit}")
        return PRICE_MAX if buying else 0
    outside = order.price * ONE > edge if buying else order.price * ONE < edge
    if step.guarded(Guard.ORDER_BAND, outside, f"{order.market}: {order.price}"):
        raise Refused(Reason.ORDER_OUTSIDE_BAND, f"{order.price} against mark {price.mark}")
    return order.price


def _reaches_past(step: Step, order: Order, limit: int) -> bool:
    """Say whether the book holds less than an order's size before a price, and more behind it."""
    left = order.size
    for price, size in step.state.books[order.market].opposite(order.side).prices():
        if price > limit if order.side is Side.BUY else price < limit:
            return True
        left -= size
        if left <= 0:
            return False
    return False


def _require_limits(step: Step, order: Order, parameters: MarketParameters) -> None:
    exposure = step.state.holding(order.account).exposures.get(order.market, NO_EXPOSURE)
    over = exceeds_position_limit(step, order, exposure, parameters.position_max)
    if step.guarded(Guard.POSITION_LIMIT, over, f"{order.market}: {order.size} more"):
        raise Refused(Reason.POSITION_LIMIT, f"{parameters.position_max} in {order.market}")
    if order.reduce_only and not reduce_only_fits(step, order, exposure):
        raise Refused(Reason.ORDER_REDUCE_ONLY, "it would not only reduce the position")


def _crosses(step: Step, order: Order, limit: int) -> bool:
    best = step.state.books[order.market].opposite(order.side).best_price()
    if best is None:
        return False
    return best <= limit if order.side is Side.BUY else best >= limit


def _require_post_only_mode(order: Order, price: Price) -> None:
    """Refuse what POST_ONLY forbids: all but post-only orders near fair price."""
    if order.instruction is not Instruction.POST_ONLY:
        raise Refused(Reason.MODE_FORBIDS, "only post-only orders in POST_ONLY")
    if is_outside_post_only_band(order, price):
        raise Refused(Reason.ORDER_OUTSIDE_BAND, f"{order.price} is too far over fair price")


def is_outside_post_only_band(order: Order, price: Price) -> bool:
    """Say whether an order lies over 5 bps on the wrong side of index x (1 + basis)."""
    fair = price.index * (BASIS_ONE + price.basis)
    if order.side is Side.BUY:
        return order.price * BASIS_ONE * ONE > fair * (ONE + POST_ONLY_BAND)
    return order.price * BASIS_ONE * ONE < fair * (ONE - POST_ONLY_BAND)


def _require_fresh_price(step: Step, order: Order) -> None:
    takes = order.instruction is not Instruction.POST_ONLY
    stale = is_stale(step.state, order.market)
    if step.guarded(Guard.STALE_PRICE, takes and stale, f"{order.market}: an order takes"):
        raise Refused(Reason.PRICE_STALE, f"{order.market} has an old index price")


def _average_limit(step: Step, order: Order, parameters: MarketParameters) -> int:
    """Return the worst average price of a market order, in 1e-16: best opposite and slippage."""
    best = step.state.books[order.market].opposite(order.side).best_price() or 0
    slippage = parameters.slippage_max
    return best * (ONE + slippage if order.side is Side.BUY else ONE - slippage)


def _close_replaced(step: Step, order: Order) -> None:
    replaced = step.state.orders.get(order.replaces)
    if replaced is None or replaced.order.account != order.account:
        raise Refused(Reason.ORDER_UNKNOWN, f"no order {order.replaces:#x} to replace")
    if replaced.order.market != order.market:
        raise Refused(Reason.ORDER_UNKNOWN, "the order to replace is in another market")
    close_order(step, order.replaces, replaced, CloseReason.REPLACED)


def _require_isolated_market(step: Step, order: Order) -> None:
    row = step.state.accounts.get(order.account)
    if row is not None and row.market and row.market != order.market:
        raise Refused(Reason.NOT_AUTHORIZED, f"an isolated account of {row.market}")
