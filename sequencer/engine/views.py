"""The last committed head for readers: one snapshot at a time, shared, let go when nobody reads it.

Promises
- Whoever reads sees one height and one epoch from the beginning to the end, whatever is committed
  meanwhile.
- A read costs no snapshot of its own, and blocks no commit.

Laws
- Only who has committed moves on to another head. A snapshot that somebody else takes meanwhile may
  hold a block whose witness is not on the disk: it is not shown.
- Only the event loop's thread shares and retires snapshots; reading may happen anywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sequencer.ports import ChainView, Store, Worker

_T = TypeVar("_T")


class _Shared:
    """A snapshot with the number of those who read it."""

    __slots__ = ("close", "readers", "retired", "view")

    def __init__(self, view: ChainView, close: Callable[[], None]) -> None:
        self.view = view
        self.close = close
        self.readers = 0
        self.retired = False

    def retire(self) -> None:
        self.retired = True
        self.let_go()

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

    def advance(self) -> None:
        """Move on to the head. For whoever has committed it, while nothing else is committed."""
        self._show(_Shared(*self._store.snapshot()))

    async def change(self, worker: Worker, work: Callable[[], _T]) -> _T:
        """Have the thread that changes the store write what makes no block, and show it.

        It is shown too where the work fails: whoever gave up before may have written by then.
        """
        taken: list[_Shared] = []

        def written() -> _T:
            try:
                return work()
            finally:
                taken.append(_Shared(*self._store.snapshot()))

        try:
            return await worker.run(written)
        finally:
            for each in taken:
                self._show_at_same_head(each)

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
        self._current.retire()

    def _show_at_same_head(self, taken: _Shared) -> None:
        """Show a snapshot, unless there is a commit between it and what is shown."""
        if taken.view.head.sequence == self.view.head.sequence:
            self._show(taken)
        else:
            taken.retire()

    def _show(self, taken: _Shared) -> None:
        shown, self._current = self._current, taken
        shown.retire()
