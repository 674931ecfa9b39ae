"""Campaigns that are stopped before their end.

Promises
- Ctrl-C and SIGTERM end a campaign with one line, and the exit code that shells give to that.
- No process that plays seeds outlives the campaign, however that ends, and each unwinds before.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

STOPPED = 130
"""Exit code of what somebody stopped."""

_LOOK_SECONDS = 0.1

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


def stoppable(work: Callable[[], int]) -> int:
    """Do a campaign's work; returns its exit code, or `STOPPED`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    except KeyboardInterrupt:
        print("stopped; make campaigns says what is left of a release", file=sys.stderr)
        return STOPPED


def work_many(work: Callable[[_Item], _Done], items: Iterable[_Item], jobs: int) -> Iterator[_Done]:
    """Work on items in so many processes; results come in their order.

    Each process is one of its own from the start: what somebody replaces by name there is not
    replaced here.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_obey_parent) as pool:
        waiting = deque(pool.submit(_obeying, work, item) for item in items)
        try:
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            # None is cancelled: a pool that loses a process while it begins stumbles over those.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


class _Worker:
    """What a process does that works for another one."""

    is_working = False
    is_told_to_end = False


def _obey_parent() -> None:
    # Ctrl-C reaches all of them; whether they end is for the one to say that waits for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end(*_: object) -> None:
    # Who waits for work is ended by the pool, which takes anything else for a crash.
    _Worker.is_told_to_end = True
    if _Worker.is_working:
        raise SystemExit


def _obeying(work: Callable[[_Item], _Done], item: _Item) -> _Done:
    if _Worker.is_told_to_end:
        raise SystemExit
    _Worker.is_working = True
    try:
        return work(item)
    finally:
        _Worker.is_working = False


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    while _Worker.is_working:
        time.sleep(_LOOK_SECONDS)
    os._exit(STOPPED)
