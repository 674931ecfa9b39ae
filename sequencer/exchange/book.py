"""One market's book: resting orders by price and time. Derived from order rows, never stored.

Laws
- Best prices stand at the end of their list, so the common case pops from the end.
- A level keeps its orders in sequence order in an OrderedDict: a plain dict walks over its deleted
  slots and makes a thousand one-lot orders at one price a quadratic trap.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from sequencer.model.orders import Side
from sequencer.model.rows import OrderRow


class BookSide:
    """The resting orders of one side."""

    __slots__ = ("_keys", "_levels", "_sign", "_unsorted")

    def __init__(self, side: Side) -> None:
        # Keys ascend toward the best price: prices of bids, negated prices of asks.
        self._sign = 1 if side is Side.BUY else -1
        self._keys: list[int] = []
        self._levels: dict[int, OrderedDict[int, OrderRow]] = {}
        self._unsorted: set[int] = set()

    def put(self, order_id: int, row: OrderRow) -> None:
        """Insert an order at its place in time, or replace one that rests under the same id."""
        key = self._sign * row.price
        level = self._levels.get(key)
        if level is None:
            insort(self._keys, key)
            self._levels[key] = OrderedDict({order_id: row})
            return
        if order_id not in level and row.sequence < next(reversed(level.values())).sequence:
            # An undone cancellation. The level is sorted once, when somebody looks at it again.
            self._unsorted.add(key)
        level[order_id] = row

    def remove(self, order_id: int, row: OrderRow) -> None:
        """Take an order out."""
        key = self._sign * row.price
        level = self._levels[key]
        del level[order_id]
        if not level:
            del self._levels[key]
            self._unsorted.discard(key)
            del self._keys[bisect_left(self._keys, key)]

    def best(self) -> tuple[int, OrderRow] | None:
        """Return the order that trades first, with its id."""
        if not self._keys:
            return None
        return next(iter(self._level(self._keys[-1]).items()))

    def _level(self, key: int) -> OrderedDict[int, OrderRow]:
        """Return a level in the order of time."""
        level = self._levels[key]
        if key in self._unsorted:
            level = OrderedDict(sorted(level.items(), key=lambda item: item[1].sequence))
            self._levels[key] = level
            self._unsorted.discard(key)
        return level

    def best_price(self) -> int | None:
        """Return the best price."""
        return self._sign * self._keys[-1] if self._keys else None

    def walk(self) -> Iterator[tuple[int, OrderRow]]:
        """Go through all orders in priority. The side must not change meanwhile."""
        for key in reversed(self._keys):
            yield from self._level(key).items()

    def prices(self) -> Iterator[tuple[int, int]]:
        """Go through the levels from the best on: price and the sum of what remains."""
        for key in reversed(self._keys):
            yield self._sign * key, sum(row.remaining for row in self._levels[key].values())


class Book:
    """Both sides of one market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)

    def side(self, side: Side) -> BookSide:
        """Return the side that orders of a direction rest on."""
        return self.bids if side is Side.BUY else self.asks

    def opposite(self, side: Side) -> BookSide:
        """Return the side that orders of a direction trade against."""
        return self.asks if side is Side.BUY else self.bids
