"""One market's orders that wait for the mark price. Derived from order rows, never stored.

Laws
- A stop to buy fires at mark >= trigger, a stop to sell at mark <= trigger. A take-profit is the
  other way round.
- Both lists are sorted by trigger price, so what is due stands at one end and is found without
  looking at the rest.
"""

from bisect import bisect_left, insort
from heapq import nsmallest
from operator import itemgetter
from typing import TypeAlias

from sequencer.model.orders import TAKE_PROFIT_TYPES, Order, Side
from sequencer.model.rows import OrderRow

Entry: TypeAlias = tuple[int, int, int]
"""Trigger price, sequence, order id."""


class WaitingOrders:
    """Waiting orders by the way that mark has to go: rising to the trigger, or falling to it."""

    __slots__ = ("_falling", "_rising")

    def __init__(self) -> None:
        self._rising: list[Entry] = []
        self._falling: list[Entry] = []

    def put(self, order_id: int, row: OrderRow) -> None:
        """Add an order."""
        insort(self._list_of(row.order), (row.order.trigger_price, row.sequence, order_id))

    def remove(self, order_id: int, row: OrderRow) -> None:
        """Take an order out."""
        entries = self._list_of(row.order)
        del entries[bisect_left(entries, (row.order.trigger_price, row.sequence, order_id))]

    def due(self, mark: int, most: int) -> list[int]:
        """Return the ids of at most so many orders that a mark price fires, oldest first."""
        rising, falling = self._bounds(mark)
        entries = self._rising[:rising] + self._falling[falling:]
        return [order_id for _, _, order_id in nsmallest(most, entries, key=_sequence)]

    def count_due(self, mark: int) -> int:
        """Count the orders that a mark price fires."""
        rising, falling = self._bounds(mark)
        return rising + len(self._falling) - falling

    def entries(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Return all orders, rising and falling, by trigger price."""
        return tuple(self._rising), tuple(self._falling)

    def _bounds(self, mark: int) -> tuple[int, int]:
        above = (mark + 1, -1, -1)
        return bisect_left(self._rising, above), bisect_left(self._falling, (mark, -1, -1))

    def _list_of(self, order: Order) -> list[Entry]:
        rises = (order.side is Side.BUY) != (order.type in TAKE_PROFIT_TYPES)
        return self._rising if rises else self._falling


_sequence = itemgetter(1)
