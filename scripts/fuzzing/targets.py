"""The servers that are fuzzed: how they start, and what is sent to them.

Laws
- A server is a process of its own: what it says on stderr is a violation if it is a bug's trace.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from scripts.fuzzing.node_seeds import node_seeds
from scripts.fuzzing.seeds import TOY, Seeds

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS_MAX, _END_SECONDS_MAX, _LOOK_SECONDS = 60, 30, 0.02
_WORDS_SHOWN = 3_000
_DEVNET = ("-m", "sequencer", "devnet", "--port", "0", "--accounts", "3", "--settlement", "none")


class Target(NamedTuple):
    """A server. `ready` is found in what it prints once it serves, with its address in it."""

    command: Sequence[str]
    ready: re.Pattern[str]
    seeds: Callable[[str], Seeds]


TARGETS: Mapping[str, Target] = {
    "toy": Target(
        (sys.executable, str(_ROOT / "scripts" / "fuzzing" / "toy_server.py")),
        re.compile(r"(http://\S+)\n"),
        lambda printed: TOY,
    ),
    "node": Target(
        (sys.executable, *_DEVNET),
        re.compile(r"listening at (http://\S+) (?:.*\n)*data folder"),
        node_seeds,
    ),
}


class Served(NamedTuple):
    """A server that serves. `said`: what it has done that it should not, at the end."""

    url: str
    process: int
    seeds: Seeds
    said: list[str]


@contextmanager
def serving(target: Target) -> Iterator[Served]:
    """Run a server of its own for as long as the block lasts."""
    said: list[str] = []
    with TemporaryDirectory() as folder:
        printed, errors = Path(folder, "stdout"), Path(folder, "stderr")
        with printed.open("wb") as out, errors.open("wb") as err:
            server = subprocess.Popen(target.command, stdout=out, stderr=err, cwd=_ROOT)
        try:
            found = _wait(server, target, printed, errors)
            yield Served(found[1], server.pid, target.seeds(found.string), said)
            if server.poll() is not None:
                said.append(f"the server ended with {server.returncode}")
        finally:
            server.terminate()
            server.wait(_END_SECONDS_MAX)
            words = errors.read_text(errors="replace") + printed.read_text(errors="replace")
            if "Traceback" in words:
                said.append(f"the server said: {words[-_WORDS_SHOWN:]}")


def _wait(
    server: "subprocess.Popen[bytes]", target: Target, printed: Path, errors: Path
) -> re.Match[str]:
    until = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < until and server.poll() is None:
        if found := target.ready.search(printed.read_text(errors="replace")):
            return found
        time.sleep(_LOOK_SECONDS)
    raise SystemExit(f"no server: {errors.read_text(errors='replace')[-_WORDS_SHOWN:]}")
