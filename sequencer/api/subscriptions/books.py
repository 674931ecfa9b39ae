"""Books of markets as subscribers have them, and what changed since they were last told.

Promises
- Whoever takes a snapshot and then each change, in order, has the best levels of the newest head.
- However many blocks came at once, only the newest book is told: a reader is never behind.

Laws
- Equal topics share one book; a newcomer's snapshot is what the others have by then.
"""

from collections.abc import Iterator, Mapping, Sequence

from sequencer.api.subscriptions.exchange_topics import BookOf
from sequencer.api.subscriptions.news import Message, Place
from sequencer.engine.market_reads import BookLevels, book_levels
from sequencer.engine.service import Service

_Side = Sequence[tuple[int, int]]


class Books:
    """The books that somebody follows, as they were last told."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._told: dict[BookOf, BookLevels] = {}

    def snapshot(self, topic: BookOf, place: Place) -> Message:
        """Return the whole book of the head at `place`, for one who joins once all was told."""
        self._told[topic] = self._now(topic)
        return topic.of_levels(place, is_snapshot=True, levels=self._told[topic])

    def moved(self, topics: Sequence[BookOf], place: Place) -> Iterator[tuple[BookOf, Message]]:
        """Yield what has changed for each of the topics that are followed, by the head at `place`.

        A book that was never told, or was forgotten, comes whole.
        """
        for gone in self._told.keys() - set(topics):
            del self._told[gone]
        for topic in topics:
            before, now = self._told.get(topic), self._now(topic)
            self._told[topic] = now
            if before is None:
                yield topic, topic.of_levels(place, is_snapshot=True, levels=now)
            elif before != now:
                changed = BookLevels(
                    tuple(_changed(before.bids, now.bids)), tuple(_changed(before.asks, now.asks))
                )
                yield topic, topic.of_levels(place, is_snapshot=False, levels=changed)

    def forget(self) -> None:
        """Tell all books whole: the chain is another one."""
        self._told.clear()

    def _now(self, topic: BookOf) -> BookLevels:
        state = self._service.latest
        # A rollback may have taken the market away; it has no book then, and may get one again.
        if topic.market not in state.markets:
            return BookLevels((), ())
        return book_levels(state, topic.market, topic.levels)


def _changed(before: _Side, now: _Side) -> Iterator[tuple[int, int]]:
    """Yield levels with their new sizes, 0 for those that are not among the best any more."""
    was: Mapping[int, int] = dict(before)
    is_now: Mapping[int, int] = dict(now)
    yield from ((price, 0) for price in was if price not in is_now)
    yield from (level for level in now if was.get(level[0]) != level[1])
