"""Threads of their own, as the engine's port takes them: for the node, or for askers in turn.

Promises
- One piece of work at a time; one that has begun is always finished, also when cancelled.
- However much one asker has waiting at a `FairWorker`, another one's turn is the next but one.
  Whoever gives up there goes only when what it had begun has ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from sequencer.ports import Worker

_T = TypeVar("_T")

ASKER: ContextVar[str] = ContextVar("asker", default="")
"""For whom the present task works: a client's address, "" for the node itself."""

# One that is done, and the next: the thread does not wait for the loop to hand it more.
_HANDED_OVER = 2


class ThreadWorker:
    """One thread: pieces of work run there one at a time, in the order in which they came."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work there. One that has begun is always finished, also when cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Wait for what has begun, and end the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class FairWorker:
    """One worker for many askers: each one's work in its order, the askers in turn."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._handed_over = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work there when it is its asker's turn."""
        if self._handed_over < _HANDED_OVER:
            self._handed_over += 1
        else:
            await self._turn()
        try:
            return await self._worker.run(work)
        except asyncio.CancelledError:
            # What has begun goes on in the thread, and what it was lent, a view of the store above
            # all, has to stay until then: whatever is done next there is done behind it.
            await self._worker.run(lambda: None)
            raise
        finally:
            self._pass_on()

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(ASKER.get(), deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It came in the same moment.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            asker = next(iter(self._waiting))
            queue = self._waiting.pop(asker)
            turn = queue.popleft()
            if queue:
                # Behind all others.
                self._waiting[asker] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._handed_over -= 1
