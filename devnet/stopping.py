"""How a run hears that it is to stop, by SIGINT or SIGTERM.

Promises
- What was set for these signals before is set again afterwards.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupting(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call for an end where a block has to be finished first: once a loop is running."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOPS}
    for number in _STOPS:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@contextmanager
def raising() -> Iterator[None]:
    """Stop at once where there is no block to finish: keys, start, proof. A second time is late."""
    before = {number: signal.getsignal(number) for number in _STOPS}

    def stop(_number: int, _frame: object) -> None:
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
        # Whatever runs now may make something of its own of any other exception.
        raise KeyboardInterrupt

    for number in _STOPS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
