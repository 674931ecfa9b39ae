"""A node as a process of its own, with its lines in the hands of a test."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

PATIENCE_SECONDS = 60


class Process:
    """A node's process, with its lines."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-m", "sequencer", "node", str(data)]
        command += ["--genesis", str(data.parent / "genesis.json")]
        command += ["--operator-key", str(data.parent / "key"), "--block-interval-ms", "5"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([*command, *options], stdin=pipe, stdout=pipe, stderr=pipe)
        self.told: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reading = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reading.start()
        # The first line is answered once everything is there.
        self.send({})
        self.wait(lambda told: told.get("line") == 1)

    def _read(self, lines: IO[bytes]) -> None:
        for line in lines:
            with self._changed:
                self.told.append(msgspec.json.decode(line))
                self._changed.notify_all()

    def wait(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line of the node."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(found, self.told)), PATIENCE_SECONDS)
            return next(each for each in self.told if found(each))

    def at_height(self, height: int) -> None:
        self.wait(lambda told: told.get("height", 0) >= height)

    def answered(self, line: int) -> None:
        """Wait until so many lines have their answers."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: sum("line" in told for told in self.told) >= line, PATIENCE_SECONDS
            )

    def send(self, line: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reading.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code
