"""A node as a process of its own, with its lines in the hands of a test."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from scripts.crashing.watched import Watched
from tests.unit.chain.network import PRIVATE
from tests.unit.engine.builders import genesis_text

PATIENCE_SECONDS = 60


class Process:
    """A node's process, with its lines."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-m", "sequencer", "node", str(data)]
        command += ["--genesis", str(data.parent / "genesis.json")]
        command += ["--operator-key", str(data.parent / "key"), "--block-interval-ms", "5"]
        self._watched = Watched([*command, *options])
        self.process, self.said = self._watched.process, self._watched.said
        self.told: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Wait until everything is there: then the first line is answered."""
        self.send({})
        self.wait(lambda told: told.get("line") == 1)

    def wait(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line of the node."""
        self._until(lambda: any(map(found, self.told)))
        return next(each for each in self.told if found(each))

    def at_height(self, height: int) -> None:
        self.wait(lambda told: told.get("height", 0) >= height)

    def answered(self, line: int) -> None:
        """Wait until so many lines have their answers."""
        self._until(lambda: sum("line" in told for told in self.told) >= line)

    def send(self, line: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self._watched.end(PATIENCE_SECONDS)
        finally:
            self._watched.close()

    def _until(self, holds: Callable[[], bool]) -> None:
        def read() -> bool:
            fresh = self._watched.printed[len(self.told) :]
            self.told += map(msgspec.json.decode, fresh)
            return holds()

        assert self._watched.until(read, PATIENCE_SECONDS), self.said


Start = Callable[..., Process]
"""Starts nodes, with options."""


def write_node_files(folder: Path, *, drill: bool = False) -> None:
    """Write what a node begins with: its genesis and its operator's key."""
    (folder / "genesis.json").write_text(genesis_text(drill=drill))
    (folder / "key").write_text(f"{PRIVATE['op']:#x}")


@contextmanager
def starting() -> Iterator[Start]:
    """Start nodes, and leave none behind."""
    started: list[Process] = []

    def begin(data: Path, *options: str) -> Process:
        started.append(Process(data, *options))
        started[-1].begin()
        return started[-1]

    try:
        yield begin
    finally:
        for process in started:
            process.end(signal.SIGKILL)
