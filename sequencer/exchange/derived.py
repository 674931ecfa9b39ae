"""What an account has, and the running sums of the laws: the derived parts that are plain values.

Laws
- Only `State` changes them, with the rows that they follow.
"""

import msgspec

from sequencer.model.limits import PRICE_MAX
from sequencer.model.rows import OrderRow, Position


class Exposure:
    """An account's orders in one market: those in the book with their sums, and those waiting.

    `reduce_only` counts such orders in the book. No buy in the book is above `buy_bound`, no sale
    below `sell_bound`; the bounds may be wider than the orders.
    """

    __slots__ = (
        "buy_bound",
        "buy_size",
        "reduce_only",
        "resting",
        "sell_bound",
        "sell_size",
        "waiting",
    )

    def __init__(self) -> None:
        self.resting: dict[int, OrderRow] = {}
        self.waiting: dict[int, OrderRow] = {}
        self.buy_size = 0
        self.sell_size = 0
        self.reduce_only = 0
        self.buy_bound = 0
        self.sell_bound = PRICE_MAX

    def is_empty(self) -> bool:
        """Say whether there is no order left."""
        return not self.resting and not self.waiting


class Holding:
    """What an account has, by market."""

    __slots__ = ("exposures", "positions")

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.exposures: dict[str, Exposure] = {}


class Sums(msgspec.Struct):
    """Running sums of the laws. `funding` is the sum of size x cached index, in 1e-26."""

    cash: int = 0
    cost: int = 0
    funding: int = 0


class MarketSums(msgspec.Struct):
    """Running sums of one market: all sizes, and the long ones (the open interest)."""

    net: int = 0
    long: int = 0


class MarginRates(msgspec.Struct, frozen=True, gc=False):
    """What a market's margin is worked out with: rates with the taker fee, in 1e-8 and 1e-16."""

    initial: int
    maintenance: int


NO_EXPOSURE = Exposure()
"""The orders of an account that has none in a market. Never changed."""

NOTHING = Holding()
"""What an account without orders and positions has. Never changed."""
