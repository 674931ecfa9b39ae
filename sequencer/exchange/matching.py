"""Matching: a taker against the book, in price-time priority.

Laws
- Trades happen at the maker's price. The book is never crossed when matching ends.
- Before every fill both accounts pass the margin test; a maker who fails is cancelled and matching
  goes on, a taker who fails keeps what was filled and loses the rest.
- An account never trades with itself: the orders named by the taker's self-trade rule go instead.
"""

from sequencer.exchange.acceptance import may_fill
from sequencer.exchange.closing import cancel_excess_reduce_only, close_order
from sequencer.exchange.margin import Margin
from sequencer.exchange.positions import change_position
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import CloseReason, Fill, OrderClosed
from sequencer.model.exchange_limits import FILLS_PER_ORDER_MAX
from sequencer.model.markets import MarketParameters
from sequencer.model.orders import SelfTrade, Side
from sequencer.model.rows import Guard, LastTrade, OrderRow
from sequencer.model.units import ONE, divide_up, notional


class Taker:
    """An order that is matching, not yet in any table: how far it may go, what it has traded.

    `price` is its limit (for market orders the edge of the band). `average_limit` bounds the
    average price in 1e-16 for market orders, None for others. `margin` are its account's figures,
    as long as nothing has changed since. `paid` is in 1e-16.
    """

    __slots__ = ("average_limit", "filled", "fills", "margin", "order_id", "paid", "price", "row")

    def __init__(
        self,
        order_id: int,
        row: OrderRow,
        price: int,
        average_limit: int | None,
        margin: Margin | None,
    ) -> None:
        self.order_id = order_id
        self.row = row
        self.price = price
        self.average_limit = average_limit
        self.margin = margin
        self.filled = 0
        self.fills = 0
        self.paid = 0


def match(step: Step, taker: Taker) -> CloseReason | None:
    """Trade until nothing more crosses, shrinking `taker.row`.

    Returns why the remainder has to go, or None where it may stay.
    """
    order = taker.row.order
    side = step.state.books[order.market].opposite(order.side)
    buying = order.side is Side.BUY
    while taker.row.remaining:
        best = side.best()
        if best is None:
            return None
        maker_id, maker = best
        if maker.price > taker.price if buying else maker.price < taker.price:
            return None
        if 0 < maker.order.expires_at_ms <= step.state.system.time_ms:
            close_order(step, maker_id, maker, CloseReason.EXPIRED)
            continue
        if taker.fills == FILLS_PER_ORDER_MAX:
            return CloseReason.FILL_LIMIT
        if maker.order.account == order.account:
            if _expire_self(step, taker, maker_id, maker):
                return CloseReason.SELF_TRADE
            continue
        size = min(taker.row.remaining, maker.remaining)
        if not may_fill(step.state, maker, size, maker.price):
            close_order(step, maker_id, maker, CloseReason.MARGIN)
            continue
        size, reason = _bounded(step, taker, maker, size)
        if size and not _taker_may_fill(step, taker, size, maker.price):
            return CloseReason.MARGIN
        if size:
            _fill(step, taker, maker_id, maker, size)
        if reason is not None:
            return reason
    return None


def _taker_may_fill(step: Step, taker: Taker, size: int, price: int) -> bool:
    known, taker.margin = taker.margin, None
    return may_fill(step.state, taker.row, size, price, is_extra=True, known=known)


def _expire_self(step: Step, taker: Taker, maker_id: int, maker: OrderRow) -> bool:
    """Apply the taker's self-trade rule; True where the taker goes."""
    rule = taker.row.order.self_trade
    if rule is not SelfTrade.EXPIRE_TAKER:
        close_order(step, maker_id, maker, CloseReason.SELF_TRADE)
    return rule is not SelfTrade.EXPIRE_MAKER


def _bounded(
    step: Step, taker: Taker, maker: OrderRow, size: int
) -> tuple[int, CloseReason | None]:
    """Cut a fill to what the average price and the open interest allow."""
    parameters = step.state.markets[maker.order.market].parameters
    allowed = _allowed_by_average(taker, maker.price, size, parameters)
    grows = _grows_over_limit(step, taker.row, maker, allowed, parameters)
    if step.guarded(Guard.OPEN_INTEREST, grows, f"{parameters.symbol}: {allowed} more"):
        return 0, CloseReason.OPEN_INTEREST
    return allowed, CloseReason.SLIPPAGE if allowed < size else None


def _allowed_by_average(taker: Taker, price: int, size: int, parameters: MarketParameters) -> int:
    """Return the largest part of a fill that keeps the average price within its limit.

    For a buy at p above the limit L: paid + p x q <= L x (filled + q), so
    q <= (L x filled - paid) / (p - L); a sale mirrors it.
    """
    limit = taker.average_limit
    if limit is None:
        return size
    sign = 1 if taker.row.order.side is Side.BUY else -1
    excess = (price * ONE - limit) * sign
    if excess <= 0:
        return size
    slack = (limit * taker.filled - taker.paid * ONE) * sign
    allowed = max(slack, 0) // excess
    return min(size, allowed - allowed % parameters.lot)


def _grows_over_limit(
    step: Step, taker: OrderRow, maker: OrderRow, size: int, parameters: MarketParameters
) -> bool:
    sums = step.state.market_sums[parameters.symbol]
    if sums.long + size <= parameters.open_interest_max:
        return False
    buyer, seller = (taker, maker) if taker.order.side is Side.BUY else (maker, taker)
    bought = step.state.size_of(buyer.order.account, parameters.symbol)
    sold = step.state.size_of(seller.order.account, parameters.symbol)
    before = max(bought, 0) + max(sold, 0)
    after = max(bought + size, 0) + max(sold - size, 0)
    return after > before and sums.long + after - before > parameters.open_interest_max


def _fill(step: Step, taker: Taker, maker_id: int, maker: OrderRow, size: int) -> None:
    order = taker.row.order
    market, price = order.market, maker.price
    parameters = step.state.markets[market].parameters
    amount = notional(size, price)
    taker_fee = divide_up(amount * parameters.taker_fee, ONE)
    maker_fee = divide_up(amount * parameters.maker_fee, ONE)
    signed = size if order.side is Side.BUY else -size
    taker.fills += 1
    taker.filled += size
    taker.paid += size * price
    taker.row = _shrunk(taker.row, size)
    if maker.remaining > size:
        step.put(Table.ORDER, maker_id, _shrunk(maker, size))
    else:
        step.put(Table.ORDER, maker_id, None)
    change_position(step, order.account, market, signed, price, taker_fee)
    change_position(step, maker.order.account, market, -signed, price, maker_fee)
    if taker_fee + maker_fee:
        step.add_cash(step.state.system.fees, taker_fee + maker_fee)
    step.put(Table.TRADE, market, LastTrade(price, step.state.system.time_ms))
    accounts = (order.account, maker.order.account)
    orders = (taker.order_id, maker_id)
    step.emit(Fill(market, price, signed, *accounts, *orders, taker_fee, maker_fee))
    if maker.remaining == size:
        reason = CloseReason.FILLED
        step.emit(OrderClosed(maker_id, maker.order.account, market, 0, reason))
    cancel_excess_reduce_only(step, maker.order.account, market)


def _shrunk(row: OrderRow, size: int) -> OrderRow:
    remaining = row.remaining - size
    return OrderRow(row.order, remaining, row.sequence, row.signer, row.price, row.waiting)
