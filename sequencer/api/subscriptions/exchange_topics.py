"""What the exchange's own subscriptions tell: trades, the orders of one account, reorgs, books.

Promises
- Only what is on the disk is told, each result with height, block hash and epoch of its block.
- A result has a `type`: START, TRADES, ORDERS, SNAPSHOT, CHANGE or REORG. After START come all
  blocks above its height; a REORG says which blocks are gone, or are back and told again.

Laws
- Amounts and felts are written as the `perp_*` methods write them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from sequencer.api.perp_rpc.wire import (
    Fields,
    block_fields,
    book_fields,
    decimal,
    fill_fields,
    reorg_fields,
)
from sequencer.api.subscriptions.news import Message, News, Place, Topic
from sequencer.chain.exchange_contract import read_event
from sequencer.engine.market_reads import BookLevels
from sequencer.engine.reorgs import Reorg
from sequencer.model.events import (
    CancelRefused,
    Event,
    Fill,
    OrderClosed,
    OrderOpened,
    OrderRefused,
    OrderTriggered,
)
from sequencer.starknet.felt import Felt, format_felt

_METHOD = "perp_subscription"


class ExchangeTopic(Topic, frozen=True):
    """A topic of the exchange's: each of them is told of rollbacks and undos, with the record."""

    def of_start(self, place: Place) -> Message:
        """Return from which block on everything is told."""
        return told(place.fields(), "START", {})

    def of_reorg(self, reorg: Reorg) -> Sequence[Message]:
        """Return the record of a rollback or an undo, at the head that it made."""
        head = block_fields(reorg.new_head) | {"epoch": reorg.reorg_id}
        return (told(head, "REORG", {"reorg": reorg_fields(reorg)}),)


class Trades(ExchangeTopic, frozen=True):
    """Trades of one market, or of all ("")."""

    market: str = ""

    def of_block(self, news: News) -> Sequence[Message]:
        """Return the trades of a block in one message."""
        trades = news.once("trades", lambda: tuple(_trades(news)))
        wanted = [trade for trade in trades if self.market in ("", trade["market"])]
        return _of_block(news, "TRADES", {"trades": wanted}) if wanted else ()


class Orders(ExchangeTopic, frozen=True):
    """What became of the orders of one account."""

    account: Felt

    def of_block(self, news: News) -> Sequence[Message]:
        """Return what happened to its orders in a block, in one message."""
        mine = news.once("orders", lambda: _by_account(news)).get(self.account)
        fields = {"account": format_felt(self.account), "orders": mine}
        return _of_block(news, "ORDERS", fields) if mine else ()


class Reorgs(ExchangeTopic, frozen=True):
    """Every rollback and undo."""

    follows_blocks: ClassVar[bool] = False


class BookOf(Topic, frozen=True):
    """The best levels of a market's book; told of heads, and anew after a reorg."""

    follows_blocks: ClassVar[bool] = False
    market: str
    levels: int

    def of_levels(self, place: Place, is_snapshot: bool, levels: BookLevels) -> Message:
        """Return a whole book, or the levels that changed: those that are gone have size 0."""
        kind = "SNAPSHOT" if is_snapshot else "CHANGE"
        return told(place.fields(), kind, {"market": self.market, **book_fields(levels)})


def told(place: Fields, kind: str, fields: Fields) -> Message:
    """Return the notification of something that is true at a place."""
    return Message(_METHOD, msgspec.json.encode({**place, "type": kind, **fields}))


def _of_block(news: News, kind: str, fields: Fields) -> Sequence[Message]:
    timestamp = 0 if news.header is None else news.header.timestamp
    return (told(news.place.fields(), kind, {"timestamp": timestamp, **fields}),)


def _said(news: News) -> Iterator[tuple[Felt, Event]]:
    for emitted in news.emitted:
        event = read_event(emitted.event)
        if event is not None:
            yield emitted.transaction_hash, event


def _trades(news: News) -> Iterator[Fields]:
    for hash_, event in _said(news):
        if isinstance(event, Fill):
            yield {"transaction_hash": format_felt(hash_), **fill_fields(event)}


def _by_account(news: News) -> Mapping[Felt, Sequence[Fields]]:
    found: defaultdict[Felt, list[Fields]] = defaultdict(list)
    for hash_, event in _said(news):
        for account, fields in _of_orders(event):
            found[account].append({"transaction_hash": format_felt(hash_), **fields})
    return found


def _of_orders(event: Event) -> Iterator[tuple[Felt, Fields]]:
    """Yield whose orders an event is about, and what it says of them."""
    match event:
        case OrderOpened(account=account, market=market, remaining=left):
            kind = "WAITING" if event.waiting else "OPENED"
            yield account, _order(kind, event.order_id, market=market, remaining=decimal(left))
        case OrderClosed(account=account, market=market, remaining=left):
            fields = {"market": market, "remaining": decimal(left), "reason": event.reason.value}
            yield account, _order("CLOSED", event.order_id, **fields)
        case OrderTriggered(account=account, market=market, mark=mark):
            yield account, _order("TRIGGERED", event.order_id, market=market, mark=decimal(mark))
        case OrderRefused(account=account, reason=reason):
            yield account, _order("REFUSED", event.order_id, reason=reason)
        case CancelRefused(account=account, reason=reason):
            yield account, _order("CANCEL_REFUSED", event.order_id, reason=reason)
        case Fill():
            fill = fill_fields(event)
            yield event.taker, _order("FILLED", event.taker_order, role="TAKER", **fill)
            yield event.maker, _order("FILLED", event.maker_order, role="MAKER", **fill)


def _order(kind: str, order_id: Felt, **fields: str) -> Fields:
    return {"event": kind, "order_id": format_felt(order_id), **fields}
