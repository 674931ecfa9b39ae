"""A `perpchain devnet` in a process of its own, with its facts and log in the hands of a test."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from scripts.crashing.runs import MAIN
from scripts.crashing.watched import Watched

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.02


class LocalDevnet:
    """A devnet's process. `TMPDIR` of it is `folder`, so that what it leaves behind is seen.

    `change` is executed in there first.
    """

    def __init__(self, folder: Path, *options: str, change: str = "") -> None:
        command = [sys.executable, "-c", f"{change}\n{MAIN}", "devnet", "--json", "--port", "0"]
        command += options
        # Read here: a test has devnets start elsewhere.
        self._watched = Watched(command, {"TMPDIR": str(folder)}, ROOT)
        self.process = self._watched.process
        self.printed, self.log = self._watched.printed, self._watched.said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watched.close()

    @property
    def facts(self) -> dict[str, Any]:
        """Wait for the first line, and return what it says."""
        return self.line(0)

    def line(self, number: int) -> dict[str, Any]:
        """Wait for a line of its output."""
        assert self.until(lambda: len(self.printed) > number), self.log
        told: dict[str, Any] = msgspec.json.decode(self.printed[number])
        return told

    def until(self, holds: Callable[[], bool]) -> bool:
        """Wait until something of what it says holds; False where it ended without."""
        return self._watched.until(holds, PATIENCE_SECONDS)

    def logged(self, words: str) -> bool:
        """Wait until it logs some words."""
        return self.until(lambda: any(words in line for line in self.log))

    def strike(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        """Send a signal, as a terminal does to everybody or as a supervisor does to it alone."""
        if whole_group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop, and return its code."""
        if self.process.poll() is None:
            self.strike(number)
        return self.process.wait(PATIENCE_SECONDS)

    async def call(self, method: str, params: object = ()) -> Any:  # noqa: ANN401
        """Call a method, and return its result or its error."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.facts["http"], data=msgspec.json.encode(request)) as response,
        ):
            assert response.status == 200
            told = msgspec.json.decode(await response.read())
        return told.get("result", told.get("error"))


def seen(holds: Callable[[], bool]) -> bool:
    """Look again and again until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
