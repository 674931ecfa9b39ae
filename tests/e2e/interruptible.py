"""Programs that Ctrl-C reaches, wherever the tests themselves run."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Start programs as a terminal does.

    A shell has what it runs in the background ignore SIGINT, a program hands that on to each that
    it starts, and Python leaves it so: whatever is sent to those is lost.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
