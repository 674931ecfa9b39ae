"""What a market is at, as of one state: parameters, prices, book, and what the exchange allows."""

from collections.abc import Sequence
from itertools import islice

import msgspec

from sequencer.chain.exchange_views import require_market
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.funding import funding_rate
from sequencer.exchange.state import State
from sequencer.model.rows import LastTrade, Market, Price


class MarketFigures(msgspec.Struct, frozen=True):
    """A market. Prices and sizes in 1e-8; `rate` of funding per period in 1e-9, as the basis is.

    `is_stale`: the index is too old to trade, trigger or fund on. `last_trade` is zeros for none.
    """

    row: Market
    price: Price
    is_stale: bool
    rate: int
    open_interest: int
    last_trade: LastTrade


class BookLevels(msgspec.Struct, frozen=True):
    """The best levels of each side, best first: (price, size) in 1e-8."""

    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]


def market_figures(state: State, market: str) -> MarketFigures:
    """Return a market. Refusal: MARKET_UNKNOWN."""
    row, price = require_market(state, market), state.prices[market]
    return MarketFigures(
        row=row,
        price=price,
        is_stale=is_stale(state, market),
        rate=funding_rate(row.parameters.funding, price.basis),
        open_interest=state.market_sums[market].long,
        last_trade=state.trades.get(market, LastTrade(0, 0)),
    )


def all_markets(state: State) -> list[MarketFigures]:
    """Return every market by symbol, delisted ones too."""
    return [market_figures(state, market) for market in sorted(state.markets)]


def book_levels(state: State, market: str, levels: int) -> BookLevels:
    """Return the best levels of a market's book. Refusal: MARKET_UNKNOWN."""
    require_market(state, market)
    book = state.books[market]
    bids, asks = (tuple(islice(side.prices(), levels)) for side in (book.bids, book.asks))
    return BookLevels(bids, asks)
