"""What an order must look like before the book sees it. Every check refuses, none changes."""

from sequencer.exchange.derived import Exposure
from sequencer.exchange.step import Step
from sequencer.model.exchange_limits import (
    CLOCK_TOLERANCE_MS,
    PRICE_MAX,
    RECEIVE_WINDOW_MS_MAX,
    SIZE_MAX,
)
from sequencer.model.markets import MarketParameters, MarketStatus
from sequencer.model.orders import (
    MARKET_TYPES,
    PLAIN_TYPES,
    STOP_LOSS_TYPES,
    TAKE_PROFIT_TYPES,
    Instruction,
    Order,
    OrderType,
    Side,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Market
from sequencer.model.units import ONE

_POST_ONLY_TYPES = frozenset((OrderType.LIMIT, OrderType.STOP_LIMIT))
_PAIR_ORDERS = 2


def require_market(step: Step, symbol: str) -> Market:
    """Return a market that takes orders. Refusals: MARKET_UNKNOWN, MARKET_CLOSED."""
    market = step.state.markets.get(symbol)
    if market is None:
        raise Refused(Reason.MARKET_UNKNOWN, f"no market {symbol!r:.40}")
    if market.status is not MarketStatus.ACTIVE:
        raise Refused(Reason.MARKET_CLOSED, f"{symbol} is {market.status.value}")
    return market


def require_fresh_id(step: Step, order_id: int) -> None:
    """Refuse with ORDER_ID_USED an order that was seen before."""
    if order_id in step.state.used_orders or order_id in step.state.orders:
        raise Refused(Reason.ORDER_ID_USED, f"order {order_id:#x} was placed before")


def require_time(step: Step, order: Order) -> None:
    """Refuse with ORDER_EXPIRED or ORDER_FROM_FUTURE what does not belong to now."""
    now, window = step.state.system.time_ms, order.receive_window_ms
    if order.signed_at_ms > now + CLOCK_TOLERANCE_MS:
        raise Refused(Reason.ORDER_FROM_FUTURE, f"signed at {order.signed_at_ms}, it is {now}")
    if not 0 < window <= RECEIVE_WINDOW_MS_MAX or now > order.signed_at_ms + window:
        raise Refused(Reason.ORDER_EXPIRED, f"signed at {order.signed_at_ms}, it is {now}")
    if order.expires_at_ms and order.expires_at_ms <= now:
        raise Refused(Reason.ORDER_EXPIRED, f"expired at {order.expires_at_ms}, it is {now}")


def require_shape(order: Order, parameters: MarketParameters) -> None:
    """Refuse an order whose fields contradict each other or the market's grid.

    Refusals: ORDER_RPI_UNSUPPORTED, ORDER_INSTRUCTION_INVALID, ORDER_PRICE_INVALID,
    ORDER_TRIGGER_INVALID, ORDER_SIZE_INVALID, ORDER_PAIR_INVALID.
    """
    _require_instruction(order)
    increment = parameters.price_increment
    at_market = order.type in MARKET_TYPES
    if order.price != 0 if at_market else not _on_grid(order.price, increment, PRICE_MAX):
        raise Refused(Reason.ORDER_PRICE_INVALID, f"price {order.price} for {order.type.value}")
    waits = order.type not in PLAIN_TYPES
    on_grid = _on_grid(order.trigger_price, increment, PRICE_MAX)
    if not on_grid if waits else order.trigger_price != 0:
        raise Refused(Reason.ORDER_TRIGGER_INVALID, f"trigger price {order.trigger_price}")
    size_max = min(parameters.order_size_max, SIZE_MAX)
    if not _on_grid(order.size, parameters.lot, size_max):
        raise Refused(Reason.ORDER_SIZE_INVALID, f"size {order.size}, lot {parameters.lot}")
    if order.pair_id and order.type not in TAKE_PROFIT_TYPES | STOP_LOSS_TYPES:
        raise Refused(Reason.ORDER_PAIR_INVALID, "only take-profit and stop-loss orders pair up")


def _on_grid(value: int, step: int, most: int) -> bool:
    return 0 < value <= most and value % step == 0


def _require_instruction(order: Order) -> None:
    if order.instruction is Instruction.RPI:
        raise Refused(Reason.ORDER_RPI_UNSUPPORTED, "RPI orders are not supported")
    if order.type in MARKET_TYPES:
        sound = order.instruction is Instruction.IOC
    else:
        sound = order.instruction is not Instruction.POST_ONLY or order.type in _POST_ONLY_TYPES
    if not sound:
        words = f"{order.instruction.value} with {order.type.value}"
        raise Refused(Reason.ORDER_INSTRUCTION_INVALID, words)


def require_room(order: Order, exposure: Exposure, parameters: MarketParameters) -> None:
    """Refuse with ORDER_LIMIT an order over the account's cap of open orders in a market."""
    if len(exposure.resting) + len(exposure.waiting) >= parameters.orders_max:
        raise Refused(Reason.ORDER_LIMIT, f"{parameters.orders_max} orders in {order.market}")


def require_pair(order: Order, exposure: Exposure) -> None:
    """Refuse with ORDER_PAIR_INVALID what does not make one take-profit and one stop-loss."""
    if not order.pair_id:
        return
    paired = [row.order for row in exposure.waiting.values() if row.order.pair_id == order.pair_id]
    kinds = {other.type in TAKE_PROFIT_TYPES for other in (*paired, order)}
    sides = {other.side for other in (*paired, order)}
    if len(paired) >= _PAIR_ORDERS or len(kinds) != len(paired) + 1 or len(sides) != 1:
        raise Refused(Reason.ORDER_PAIR_INVALID, "a pair is one take-profit and one stop-loss")


def require_notional(step: Step, order: Order, parameters: MarketParameters, mark: int) -> None:
    """Refuse with ORDER_NOTIONAL_TOO_SMALL; a reduce-only that closes the position may be small."""
    held = step.state.size_of(order.account, order.market)
    closes = order.reduce_only and order.size == abs(held)
    if not closes and order.size * mark < parameters.notional_min * ONE:
        raise Refused(Reason.ORDER_NOTIONAL_TOO_SMALL, f"less than {parameters.notional_min}")


def reduce_only_fits(step: Step, order: Order, exposure: Exposure) -> bool:
    """Say whether a reduce-only order only reduces, after the orders with priority over it."""
    size = step.state.size_of(order.account, order.market)
    if size == 0 or (order.side is Side.SELL) != (size > 0):
        return False
    before = 0
    if order.type not in MARKET_TYPES:
        for row in exposure.resting.values():
            same_side = row.order.side is order.side
            sign = 1 if order.side is Side.SELL else -1
            if same_side and (row.price - order.price) * sign <= 0:
                before += row.remaining
    return before + order.size <= abs(size)


def exceeds_position_limit(step: Step, order: Order, exposure: Exposure, limit: int) -> bool:
    """Say whether a position could pass its limit: order + same-side orders + side x position."""
    size = step.state.size_of(order.account, order.market)
    if order.side is Side.BUY:
        return order.size + exposure.buy_size + size > limit
    return order.size + exposure.sell_size - size > limit
