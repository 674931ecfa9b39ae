"""An event loop in virtual time that takes what is ready in an order of its own.

Promises
- The same seed gives the same run: time jumps to the next timer when nothing is ready, and what is
  ready together is shuffled by the seed.
- There are no sockets, no threads and no real waiting.
- `Deadlock`: nothing is ready and nothing ever will be. `RunAway`: too many steps for one run.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

_T = TypeVar("_T")

STEPS_MAX = 400_000
"""Callbacks of one run; a run of this campaign takes a tenth of it."""


class Deadlock(Exception):
    """Everybody waits for somebody else."""


class RunAway(Exception):
    """A run that does not end."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one run. `steps` counts callbacks, `failures` are those that nobody awaited,
    `left` the tasks that a run left behind."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.steps = 0
        self.steps_max = STEPS_MAX
        self._seconds = 0.0
        self._random = Random(f"loop {seed}")
        self.failures: list[str] = []
        self.left: list[str] = []
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._seconds

    def _note_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        self._forget_cancelled()
        if not self._ready:
            if not self._scheduled:
                raise Deadlock("nothing is ready, and no timer runs")
            self._seconds = max(self._seconds, self._scheduled[0].when())
        while self._scheduled and self._scheduled[0].when() <= self._seconds:
            self._ready.append(self._popped())
        handles = [*self._ready]
        self._ready.clear()
        self._random.shuffle(handles)
        for handle in handles:
            self.steps += 1
            if not handle.cancelled():
                handle._run()
        if self.steps > self.steps_max:
            raise RunAway(f"{self.steps} steps")

    def _forget_cancelled(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            self._popped()

    def _popped(self) -> asyncio.TimerHandle:
        handle = heapq.heappop(self._scheduled)
        # A timer that is cancelled after this is not looked for among those that wait.
        vars_of_handle: Any = handle
        vars_of_handle._scheduled = False
        return handle


def run_simulated(loop: SimulatedLoop, coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end and close the loop, whatever comes of it."""
    try:
        return loop.run_until_complete(coroutine)
    finally:
        _cancel_rest(loop)
        loop.close()


def _cancel_rest(loop: SimulatedLoop) -> None:
    """End what a run that failed has left, as far as it lets itself be ended."""
    left = asyncio.all_tasks(loop)
    loop.left += [_place_of(task) for task in left]
    for task in left:
        task.cancel()
    if not left:
        return
    loop.steps_max = loop.steps + STEPS_MAX
    try:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    except (Deadlock, RunAway) as error:
        loop.failures.append(f"left after the run: {error}")


def _place_of(task: "asyncio.Task[Any]") -> str:
    """Say where a task waits, from the outermost call to the innermost."""
    stack: list[str] = []
    waits: Any = task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None)
        if frame is None:
            break
        stack.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        waits = getattr(waits, "cr_await", None)
    return " > ".join(stack)
