"""How a command that makes a folder or a file ends when it is told to.

Promises
- SIGTERM and the end of the terminal are what Ctrl-C is: whatever was begun is taken away.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TOLD_TO_END = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Have these signals raise KeyboardInterrupt; one that is ignored stays so, as by nohup."""
    # Nobody else than the main thread is told of signals.
    is_told = threading.current_thread() is threading.main_thread()
    taken = [each for each in _TOLD_TO_END if signal.getsignal(each) is signal.SIG_DFL]
    for each in taken if is_told else ():
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in taken if is_told else ():
            signal.signal(each, signal.SIG_DFL)
