"""What stands around a simulated node: its threads, clock, note and free space.

Laws
- A worker's work takes time before and after, decided by the seed; it is done at once in between,
  one piece at a time and in order. What has begun is finished, also where whoever asked has gone.
- After a power cut a worker does nothing and answers nobody.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import TypeVar

_T = TypeVar("_T")

DELAY_SECONDS = (0.0005, 0.02)
"""Virtual time of each half of a piece of work, the least and the most."""

_SLOW_EVERY, _SLOW_TIMES = 12, 8


class PowerCut(BaseException):
    """The process ends here. No handler of the product may see it."""


class SimulatedWorker:
    """A thread in virtual time. `on_cut` is told when a piece of work met a power cut."""

    def __init__(
        self, random: Random, delay: tuple[float, float], on_cut: Callable[[], None]
    ) -> None:
        self.is_dead = False
        self._random = random
        self._range = delay
        self._on_cut = on_cut
        self._free_at = 0.0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work in its turn."""
        if self.is_dead:
            # Whoever asks while a dead process is cleared away must not wait for it.
            raise asyncio.CancelledError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        begins = max(loop.time(), self._free_at) + self._delay()
        ends = begins + self._delay()
        self._free_at = ends
        loop.call_at(begins, self._begin, work, answer, ends)
        return await answer

    def close(self) -> None:
        """Do no more."""
        self.is_dead = True

    def _delay(self) -> float:
        if self._random.randrange(_SLOW_EVERY) == 0:
            return self._random.uniform(self._range[1], self._range[1] * _SLOW_TIMES)
        return self._random.uniform(*self._range)

    def _begin(self, work: Callable[[], _T], answer: "asyncio.Future[_T]", ends: float) -> None:
        if self.is_dead or answer.cancelled():
            return
        tell: Callable[[], None]
        try:
            done = work()
        except PowerCut:
            self.is_dead = True
            self._on_cut()
            return
        except Exception as error:  # Whoever asked gets it, as from a thread.
            failure = error
            tell = lambda: answer.set_exception(failure)  # noqa: E731
        else:
            tell = lambda: answer.set_result(done)  # noqa: E731
        asyncio.get_running_loop().call_at(ends, self._tell, answer, tell)

    def _tell(self, answer: "asyncio.Future[_T]", tell: Callable[[], None]) -> None:
        if not (self.is_dead or answer.done()):
            tell()


class LoopClock:
    """A wall clock that follows a loop's virtual seconds, from a moment on."""

    def __init__(self, started_ms: int, seconds: Callable[[], float]) -> None:
        self._started_ms = started_ms
        self._seconds = seconds

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return self._started_ms + int(self._seconds() * 1_000)


class MemoryNote:
    """A halt note that outlives the node, as the file does."""

    def __init__(self) -> None:
        self.text = ""

    def read(self) -> str:
        """Return why the chain was halted, "" where there is no note."""
        return self.text

    def write(self, reason: str) -> None:
        """Leave a note."""
        self.text = reason

    def clear(self) -> None:
        """Take the note away."""
        self.text = ""


class PlentyOfSpace:
    """A disk that is never full."""

    def free_bytes(self) -> int:
        """Return bytes that may still be written."""
        return 2**50
