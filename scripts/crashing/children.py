"""Forked children: each is this process with everything imported, and dies alone.

Laws
- Whoever forks has no other thread and has never opened a database: a database's own thread would
  not be in the child.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from scripts.crashing.tracing import allow_tracing

Wait = Callable[[], None]
"""What a child calls when it is ready: returns when it may go on."""

_T = TypeVar("_T")

_BROKEN = 70
_PATIENCE_SECONDS, _PAUSE_SECONDS = 60.0, 0.001


class Child(NamedTuple):
    """A forked child: its process, and the pipes by which it waits."""

    process: int
    ready: int
    go: int


def fork_child(work: Callable[[Wait], int | None]) -> Child:
    """Fork a child that works and then exits with what that returns, None for 0."""
    ready, telling = os.pipe()
    waiting, go = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.close(ready)
        os.close(go)
        _run_and_exit(lambda: work(partial(_wait, telling, waiting)))
    os.close(telling)
    os.close(waiting)
    return Child(process, ready, go)


def _wait(telling: int, waiting: int) -> None:
    os.write(telling, b"r")
    os.read(waiting, 1)


def _run_and_exit(work: Callable[[], int | None]) -> NoReturn:
    code = _BROKEN
    try:
        allow_tracing()
        code = work() or 0
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # Whoever presses Ctrl-C stops all of them, and one says so.
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def is_ready(child: Child) -> bool:
    """Wait until a child waits; False where it has ended instead."""
    return os.read(child.ready, 1) == b"r"


def let_go(child: Child) -> None:
    """Let a child that waits go on."""
    os.write(child.go, b"g")


def end_of(child: Child) -> int:
    """Wait for a child's end: its exit code, or the signal that killed it as a negative number."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (ended := os.waitpid(child.process, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child.process, signal.SIGABRT)
        time.sleep(_PAUSE_SECONDS)
    for descriptor in (child.ready, child.go):
        os.close(descriptor)
    return os.waitstatus_to_exitcode(ended[1])


def ask(work: Callable[[], _T], kind: type[_T]) -> _T:
    """Have a child work and return what that returns. RuntimeError where the child fails."""
    reading, writing = os.pipe()

    def answer(_: Wait) -> None:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(msgspec.json.encode(work()))

    child = fork_child(answer)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    code = end_of(child)
    if code:
        raise RuntimeError(f"a child ended with {code}")
    return msgspec.json.decode(content, type=kind)
