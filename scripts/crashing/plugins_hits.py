"""How a node with plugins is hit: from within, by strace, from outside, and in its plugins.

Promises
- Every process of a plugin is noted in the folder of a run, so that it can be killed, or missed.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from scripts.crashing.checking import Violation
from scripts.crashing.children import end_of, fork_child
from scripts.crashing.commands import PATIENCE_SECONDS
from scripts.crashing.tracing import Strike
from scripts.crashing.traps import Trap, write_anew

CALL_TRAP = "plugin trap"
"""The file, in the folder of a run, of a trap for a plugin's process."""

_STARTED, _KILLED = "started", "killed"
_CHILD = b"sequencer.plugins.host.child"
_PAUSE_SECONDS = 0.01


class InCall(NamedTuple):
    """Where a plugin's process dies: so long after it was told a call for the n-th time."""

    name: str
    number: int
    microseconds: int

    def __str__(self) -> str:
        return f"in {self.name} {self.number} after {self.microseconds} us"


class Instant(NamedTuple):
    """A kill some time after a window has begun: of a plugin's process, of the node, or of both."""

    plugin: str
    of_node: bool
    seconds: float

    def __str__(self) -> str:
        whom = " and ".join(filter(None, (self.plugin, "the node" if self.of_node else "")))
        return f"{whom} after {self.seconds:.3f} s"


Hit: TypeAlias = Trap | Strike | InCall | Instant
"""How a window is struck."""


class Started(NamedTuple):
    """A plugin's process."""

    process: int
    name: str


def set_call_trap(folder: Path, trap: InCall | None) -> None:
    """Set a trap for a plugin's process in place of another one; None takes it away."""
    words = None if trap is None else f"{trap.number} {trap.microseconds} {trap.name}"
    write_anew(folder / CALL_TRAP, words)


def note_started(folder: Path, process: int, name: str) -> None:
    """Note a process of a plugin."""
    _note(folder / _STARTED, f"{process} {name}")


def started_so_far(folder: Path) -> list[Started]:
    """List the processes of plugins that were started in a run."""
    parts = [line.split() for line in _noted(folder / _STARTED)]
    return [Started(int(process), name) for process, name in parts]


def killed_so_far(folder: Path) -> list[str]:
    """List the plugins that were killed in a run, with the call that was under way if it counts."""
    return _noted(folder / _KILLED)


def kill_plugin(folder: Path, process: int, words: str) -> None:
    """Kill a plugin's process, if it is there, and note whose it was."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        _note(folder / _KILLED, words)


@contextmanager
def killing(folder: Path, node: int, instant: Instant) -> Iterator[None]:
    """Have somebody kill after a time, unless the context has ended before."""

    def kill(_: object) -> None:
        time.sleep(instant.seconds)
        own = [each for each in started_so_far(folder) if each.name == instant.plugin]
        for each in own[-1:]:
            kill_plugin(folder, *each)
        if instant.of_node:
            os.kill(node, signal.SIGKILL)

    killer = fork_child(kill)
    try:
        yield
    finally:
        os.kill(killer.process, signal.SIGKILL)
        end_of(killer)


def require_gone(started: Sequence[Started]) -> None:
    """Wait until processes of plugins have ended whose node has. Raises Violation."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = [each for each in started if _is_there(each.process)]
    while left and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        left = [each for each in left if _is_there(each.process)]
    if left:
        raise Violation(f"left behind: {left}")


def _is_there(process: int) -> bool:
    """Say whether a process is that of a plugin; one that nobody has waited for yet is none."""
    try:
        return _CHILD in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _noted(path: Path) -> list[str]:
    return path.read_text("ascii").splitlines() if path.exists() else []


def _note(path: Path, line: str) -> None:
    with path.open("a", encoding="ascii") as file:
        file.write(f"{line}\n")
