"""What an account has, and the running sums of the laws: the derived parts that are plain values.

Laws
- Only `State` changes them, with the rows that they follow.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sequencer.model.exchange_limits import PRICE_MAX
from sequencer.model.markets import MarketParameters
from sequencer.model.orders import Side
from sequencer.model.rows import OrderRow, Position, Price
from sequencer.model.units import ONE


class Exposure:
    """An account's orders in one market: those in the book with their sums, and those waiting.

    `reduce_only_count` is of orders in the book. No buy in the book is above `buy_bound`, no sale
    below `sell_bound`; the bounds may be wider than the orders.
    """

    __slots__ = (
        "buy_bound",
        "buy_size",
        "reduce_only_count",
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
        self.reduce_only_count = 0
        self.buy_bound = 0
        self.sell_bound = PRICE_MAX

    def is_empty(self) -> bool:
        """Say whether there is no order left."""
        return not self.resting and not self.waiting

    def count(self, row: OrderRow, change: int) -> None:
        """Let the sum of an order's side follow a change of what remains of it in the book."""
        if row.order.side is Side.BUY:
            self.buy_size += change
            self.buy_bound = max(self.buy_bound, row.price) if self.buy_size else 0
        else:
            self.sell_size += change
            self.sell_bound = min(self.sell_bound, row.price) if self.sell_size else PRICE_MAX


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


def margin_rates_of(parameters: MarketParameters) -> MarginRates:
    """Return the rates of a market."""
    initial, fee = parameters.initial_margin, parameters.taker_fee
    return MarginRates(initial + fee, initial * parameters.maintenance_factor + fee * ONE)


class Reference(msgspec.Struct, frozen=True, eq=False):
    """Prices from which moves are measured, and the rates that margin is worked out with there."""

    prices: Mapping[str, Price]
    rates: Mapping[str, MarginRates]


class Calm(NamedTuple):
    """How far prices may move from a reference before an account could be low; see `calm`."""

    reference: Reference
    room: int


def is_resize(before: OrderRow, after: OrderRow) -> bool:
    """Say whether an order in the book stays where it is, whatever is left of it."""
    stays = before.price == after.price and before.sequence == after.sequence
    return stays and not before.waiting and not after.waiting


class Holding:
    """What an account has, by market. `calm` is None where it has not been looked at since."""

    __slots__ = ("calm", "exposures", "positions")

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.exposures: dict[str, Exposure] = {}
        self.calm: Calm | None = None


NO_EXPOSURE = Exposure()
"""The orders of an account that has none in a market. Never changed."""

NOTHING = Holding()
"""What an account without orders and positions has. Never changed."""
