"""A queue that is looked into without waiting, and waited for without taking.

asyncio's own queue takes while it waits, and a wait that is cancelled may lose what it took. Bounds
are those of admission, which counts what is anywhere on its way.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Inbox(Generic[_T]):
    """First in, first out."""

    __slots__ = ("_event", "_items")

    def __init__(self) -> None:
        self._items: deque[_T] = deque()
        self._event = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: _T) -> None:
        """Add an item at the end and wake whoever waits."""
        self._items.append(item)
        self._event.set()

    def wake(self) -> None:
        """Wake whoever waits: something else has happened."""
        self._event.set()

    def take(self, count_max: int) -> list[_T]:
        """Take up to so many items, without waiting."""
        return [self._items.popleft() for _ in range(min(count_max, len(self._items)))]

    def take_run(self, count_max: int, joins: Callable[[_T], bool]) -> list[_T]:
        """Take the first item, and with one that joins others up to so many that join it."""
        taken: list[_T] = []
        while self._items and len(taken) < count_max:
            if taken and not (joins(taken[-1]) and joins(self._items[0])):
                break
            taken.append(self._items.popleft())
        return taken

    async def wait(self, seconds_max: float | None = None) -> None:
        """Wait until there is something to take, or somebody wakes, or the time is over."""
        if self._items:
            return
        self._event.clear()
        try:
            async with asyncio.timeout(seconds_max):
                await self._event.wait()
        except TimeoutError:
            return
