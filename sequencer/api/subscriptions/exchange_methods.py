"""The exchange's subscriptions: `perp_subscribeBook`, Trades, Orders and Reorgs.

Promises
- Each may name the epoch that its caller believes in, and a stale one is a conflict.
"""

from collections.abc import Sequence

from sequencer.api.json_rpc import Parameter
from sequencer.api.perp_rpc.values import read_symbol
from sequencer.api.starknet_rpc.values import NUMBER_MAX, read_address, read_integer
from sequencer.api.subscriptions.beginnings import (
    Beginning,
    begin_at,
    begin_with_nothing,
    begin_with_reorgs,
)
from sequencer.api.subscriptions.exchange_topics import BookOf, Orders, Reorgs, Trades
from sequencer.api.subscriptions.feed import Feed
from sequencer.api.subscriptions.news import Topic
from sequencer.api.subscriptions.starknet_methods import Kind
from sequencer.chain.exchange_views import require_market
from sequencer.model.api_limits import BOOK_LEVELS_DEFAULT
from sequencer.model.limits import DEPTH_LEVELS_MAX
from sequencer.starknet.felt import Felt


def exchange_kinds(feed: Feed) -> Sequence[Kind]:
    """Return the exchange's subscriptions."""

    def book(market: str, levels: int) -> tuple[Topic, Beginning]:
        require_market(feed.service.latest, market)
        return BookOf(market, levels), begin_with_nothing

    def trades(market: str) -> tuple[Topic, Beginning]:
        if market:
            require_market(feed.service.latest, market)
        return Trades(market), begin_at(Trades(market), feed.service.views.view.head)

    def orders(account: Felt) -> tuple[Topic, Beginning]:
        return Orders(account), begin_at(Orders(account), feed.service.views.view.head)

    def reorgs(cursor: int) -> tuple[Topic, Beginning]:
        head = feed.service.views.view.head
        after = head.incidents if cursor < 0 else cursor
        return Reorgs(), begin_with_reorgs(feed.press, Reorgs(), head, after)

    levels = Parameter("levels", read_integer(1, DEPTH_LEVELS_MAX), BOOK_LEVELS_DEFAULT)
    return (
        ("perp_subscribeBook", (Parameter("market", read_symbol), levels), book),
        ("perp_subscribeTrades", (Parameter("market", read_symbol, ""),), trades),
        ("perp_subscribeOrders", (Parameter("account", read_address),), orders),
        ("perp_subscribeReorgs", (Parameter("cursor", read_integer(0, NUMBER_MAX), -1),), reorgs),
    )
