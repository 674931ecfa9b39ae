"""An order as a trader signs it: every field that changes what it may do.

Units: price, trigger price and size are integers of 1e-8 (quote per base, and base); times are
milliseconds since 1970.
"""

from enum import StrEnum

import msgspec


class Side(StrEnum):
    """Which way an order moves a position."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """When an order becomes active, and whether it names a price.

    STOP_* and STOP_LOSS_*, TAKE_PROFIT_* wait for the mark price to reach their trigger price.
    """

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_LIMIT = "STOP_LIMIT"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    STOP_LOSS_MARKET = "STOP_LOSS_MARKET"


MARKET_TYPES = frozenset(
    (
        OrderType.MARKET,
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.STOP_LOSS_MARKET,
    )
)
"""Types without a price of their own."""

PLAIN_TYPES = frozenset((OrderType.LIMIT, OrderType.MARKET))
"""Types without a trigger."""

TAKE_PROFIT_TYPES = frozenset((OrderType.TAKE_PROFIT_LIMIT, OrderType.TAKE_PROFIT_MARKET))
"""Types that close a position at a profit."""

STOP_LOSS_TYPES = frozenset((OrderType.STOP_LOSS_LIMIT, OrderType.STOP_LOSS_MARKET))
"""Types that close a position at a loss."""


class Instruction(StrEnum):
    """What becomes of the part that does not trade at once."""

    GTC = "GTC"
    IOC = "IOC"
    POST_ONLY = "POST_ONLY"
    RPI = "RPI"


class SelfTrade(StrEnum):
    """Which order goes when both sides of a match belong to one account."""

    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class Order(msgspec.Struct, frozen=True, gc=False):
    """A signed intent to trade.

    `account` is traded for: the signer's own, or an isolated account of the signer. `price` is 0
    for market orders, `trigger_price` 0 where there is no trigger. `client_id` is the trader's own
    name for the order, 0 for none. `pair_id` ties a take-profit and a stop-loss together, so that
    the first to act cancels the other; 0 for none. `replaces` is the id of the order that this one
    modifies, 0 for a new one. `expires_at_ms` 0 is never. The order is refused when it arrives more
    than `receive_window_ms` after `signed_at_ms`.
    """

    account: int
    market: str
    side: Side
    type: OrderType
    size: int
    price: int
    trigger_price: int
    instruction: Instruction
    self_trade: SelfTrade
    reduce_only: bool
    client_id: int
    pair_id: int
    replaces: int
    signed_at_ms: int
    receive_window_ms: int
    expires_at_ms: int
