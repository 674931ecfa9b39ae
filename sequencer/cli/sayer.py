"""Lines on standard error that nobody has to wait for: not even where the reader has stopped.

Promises
- Saying a line takes no time, whatever becomes of it: a paused terminal, a full pipe or a reader
  that is gone stops no block.
- Lines come whole and in order. Those for which there was no room are counted, and the count is
  said once there is.
"""

import io
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread
from types import TracebackType
from typing import IO, Self

from sequencer.model.admin_limits import LINES_ENDING_SECONDS_MAX, LINES_SAID_WAITING_MAX


def standard_error() -> IO[str]:
    """Return standard error without a buffer: a write that never ends holds no lock of Python's."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # A test's, which is no file.
        return sys.stderr
    raw = io.FileIO(descriptor, "wb")
    return io.TextIOWrapper(raw, "utf-8", errors="replace", write_through=True)


class Sayer:
    """Takes lines, and has `write` write them in a thread; when it ends it waits for it a while."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines: deque[str] = deque()
        self._lost = 0
        self._ends = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="say", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ends = True
            self._changed.notify()
        # One that writes to nobody is left behind; it ends with the process.
        self._thread.join(LINES_ENDING_SECONDS_MAX)

    def __call__(self, line: str) -> None:
        """Say a line."""
        with self._changed:
            if len(self._lines) < LINES_SAID_WAITING_MAX:
                self._lines.append(line)
            else:
                self._lost += 1
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._ends)
                if not self._lines:
                    return
                line, lost = self._lines.popleft(), 0
                if not self._lines:
                    lost, self._lost = self._lost, 0
            self._put(line)
            if lost:
                self._put(f"{lost} lines were not written: nobody read those before")

    def _put(self, line: str) -> None:
        # Where nobody reads any more there is nobody to be told.
        with suppress(OSError):
            self._write(line)
