"""How a command that moves money hears Ctrl-C.

Promises
- The first one raises nothing where it falls: it cancels the work that is done, or the work that
  would be done next. Raised from a handler, it would be lost where an object is let go of just
  then, and would leave half made what the loop is made of.
- The second one ends the command at once.
- Whoever has it ignored is not asked again: a shell does so for what it runs in the background.
"""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

_T = TypeVar("_T")


class Interrupts:
    """Whether Ctrl-C came, and what it cancels."""

    def __init__(self) -> None:
        self._came = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None

    def run(self, work: Coroutine[None, None, _T]) -> _T:
        """Do the work, and return what it does; KeyboardInterrupt if Ctrl-C came before its end."""
        if self._came:
            work.close()
            raise KeyboardInterrupt
        try:
            result = asyncio.run(self._cancellable(work))
        except asyncio.CancelledError:
            if self._came:
                raise KeyboardInterrupt from None
            raise
        if self._came:
            raise KeyboardInterrupt
        return result

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        """Take note of a signal, and have the next one raise KeyboardInterrupt."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._came = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel)

    async def _cancellable(self, work: Coroutine[None, None, _T]) -> _T:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            # It may have come since we looked, while there was no loop to tell.
            self._cancel()
            return await work
        finally:
            self._loop = None

    def _cancel(self) -> None:
        """Cancel once: what is let go of after that is not to be broken off."""
        if self._came and self._task is not None:
            task, self._task = self._task, None
            task.cancel()


@contextmanager
def interrupts_heard() -> Iterator[Interrupts]:
    """Hear Ctrl-C for a while; after that it is as it was before."""
    interrupts = Interrupts()
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.hear)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
