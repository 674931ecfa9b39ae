"""Processes whose lines are read while they run, so that they can be met at a moment of theirs.

Promises
- A process that is still there when it is let go of is killed.
- Ctrl-C and the end of a terminal reach it, wherever the tests themselves run.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).parents[2]


class Watched:
    """A process in a group of its own, and the lines that it wrote so far.

    They are `printed` on its standard output, and `said` on its standard error.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
    ) -> None:
        with interruptible():
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self.printed: list[str] = []
        self.said: list[str] = []
        self._changed = threading.Condition()
        pairs = ((self.process.stdout, self.printed), (self.process.stderr, self.said))
        self._reading = [threading.Thread(target=self._read, args=pair) for pair in pairs]
        self._open = len(pairs)
        for thread in self._reading:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill it if it is still there, and read to the end what it wrote."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._reading:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something of its lines holds; False where it ended, or that took too long."""
        with self._changed:
            self._changed.wait_for(lambda: holds() or not self._open, seconds)
            return holds()

    def end(self, seconds: float) -> int:
        """Wait until it has ended and all that it wrote is here; returns its exit code."""
        code = self.process.wait(seconds)
        for thread in self._reading:
            thread.join()
        return code

    def _read(self, stream: IO[bytes], lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()


@contextmanager
def interruptible() -> Iterator[None]:
    """Start programs as a terminal does.

    A shell has what it runs in the background ignore SIGINT, and nohup SIGHUP; a program hands that
    on to each that it starts, and Python leaves it so: whatever is sent to those is lost.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGHUP, hung_up)
