"""What the writer is told beside commands: to make a block now, or to leave the chain to somebody.

Laws
- Whoever asks is answered once, also where the writer ends before.
- A decision is work on the store while nothing else touches it; after it the writer ends, for its
  state is not the store's any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreError, StoreRefused

_T = TypeVar("_T")


class _Waiting:
    """Work, and the answer that somebody waits for."""

    __slots__ = ("answer", "work")

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.work = work
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def refuse(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            # Whoever asked may be gone.
            self.answer.exception()


class Decisions:
    """The decisions and calls that wait, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._calls: list[asyncio.Future[None]] = []
        self._ended = False
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_called(self) -> bool:
        """Say whether somebody waits for a block."""
        return bool(self._calls)

    async def call(self) -> None:
        """Wait until a block has been made, or there can be none."""
        if self._ended:
            return
        called = asyncio.get_running_loop().create_future()
        self._calls.append(called)
        self._news.set()
        await called

    async def decide(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Wait until some work has been done. Refusals: those of the work, and SHUTTING_DOWN."""
        if self._ended:
            raise Refused(Reason.SHUTTING_DOWN, "the writer is stopping")
        waiting = _Waiting(work)
        self._waiting.append(waiting)
        self._news.set()
        answer: _T = await waiting.answer
        return answer

    def wake(self) -> None:
        """Have whoever waits for news look again."""
        self._news.set()

    async def wait(self) -> None:
        """Wait for a call, a decision, or whoever wakes."""
        self._news.clear()
        if not (self._waiting or self._calls or self._ended):
            await self._news.wait()

    def answer_call(self) -> None:
        """Tell the first who waits for a block that it is made."""
        if self._calls:
            called = self._calls.pop(0)
            if not called.done():
                called.set_result(None)

    def refuse_next(self, error: Exception) -> None:
        """Answer the next decision without doing it."""
        self._waiting.pop(0).refuse(error)

    async def carry_out(self) -> None:
        """Do the next decision's work; its refusals are its answer. Failures: the store's."""
        decision = self._waiting.pop(0)
        try:
            answer = await decision.work()
        except (Refused, StoreRefused) as refused:
            decision.refuse(refused)
            return
        except StoreError as error:
            decision.refuse(Refused(Reason.OUTCOME_UNKNOWN, str(error)))
            raise
        if not decision.answer.done():
            decision.answer.set_result(answer)

    def end(self, reason: Reason, detail: str) -> None:
        """Answer all that waits; nothing is taken any more."""
        self._ended = True
        while self._waiting:
            self.refuse_next(Refused(reason, detail))
        while self._calls:
            self.answer_call()
