"""The last committed head for readers: one snapshot at a time, shared, let go when nobody reads it.

Promises
- Whoever reads sees one height and one epoch from the beginning to the end, whatever is committed
  meanwhile.
- A read costs no snapshot of its own, and blocks no commit.

Laws
- Only the event loop's thread opens, shares and retires snapshots; reading may happen anywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sequencer.ports import ChainView, Store


class _Shared:
    """A snapshot with the number of those who read it."""

    __slots__ = ("close", "readers", "retired", "view")

    def __init__(self, view: ChainView, close: Callable[[], None]) -> None:
        self.view = view
        self.close = close
        self.readers = 0
        self.retired = False

    def let_go(self) -> None:
        if self.retired and self.readers == 0:
            self.close()


class Views:
    """Reads of a store at its last committed head."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._current = _Shared(*store.snapshot())

    @property
    def view(self) -> ChainView:
        """The view of this moment, for a look without waiting in between."""
        return self._current.view

    def refresh(self) -> None:
        """Move on to what has been committed by now."""
        retired, self._current = self._current, _Shared(*self._store.snapshot())
        retired.retired = True
        retired.let_go()

    @contextmanager
    def at_head(self) -> Iterator[ChainView]:
        """Hold on to the present view."""
        shared = self._current
        shared.readers += 1
        try:
            yield shared.view
        finally:
            shared.readers -= 1
            shared.let_go()

    def close(self) -> None:
        """Retire the last view."""
        self._current.retired = True
        self._current.let_go()
