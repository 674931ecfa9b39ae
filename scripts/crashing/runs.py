"""Whole runs as real processes, on a few seconds of the record and with few traders.

Promises
- What a process says is read while it runs, so that it can be struck at a moment of its story.
- A process that is still there when it is let go of is killed, and its script ends with it.
"""

import gzip
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from devnet.market_script import MARKET_DATA
from scripts.crashing.watched import Watched

RECORD_SECONDS = 8
"""Seconds of the record that a small run plays."""

SMALL = """
import devnet.run
import sequencer.cli.run_screen
devnet.run.TRADERS, devnet.run.INCIDENT_SECONDS = 50, 2
sequencer.cli.run_screen._EVERY_SECONDS = 0.0
"""
"""What makes a run small, and has it say every block."""

MAIN = """
from sequencer.__main__ import main
main()
"""

PATIENCE_SECONDS = 300.0

_MS_PER_SECOND = 1_000


def cut_record(folder: Path, seconds: int = RECORD_SECONDS, bases: Sequence[str] = ()) -> Path:
    """Write the first seconds of the project's record to a folder; `bases` none is all."""
    folder.mkdir(parents=True)
    lines = {path.name: _lines_of(path) for path in sorted(MARKET_DATA.glob("*.csv.gz"))}
    first_ms = min(_time_ms(rows[1]) for rows in lines.values())
    for name, (header, *rows) in lines.items():
        if not bases or name.partition("-")[0] in bases:
            kept = [row for row in rows if _time_ms(row) < first_ms + seconds * _MS_PER_SECOND]
            (folder / name.removesuffix(".gz")).write_text("".join([header, *kept]))
    return folder


class RunProcess:
    """A `perpchain run` in a process; `lines` are what it said so far on standard error.

    `summary` is there once it has ended, and is empty where it printed none.
    """

    def __init__(
        self,
        *options: str,
        program: str = SMALL + MAIN,
        environment: dict[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-c", program, "run", "--json", *options]
        self._watched = Watched(command, environment)
        self.process, self.lines = self._watched.process, self._watched.said
        self.summary: dict[str, Any] = {}

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
    def said(self) -> str:
        """Everything that it said."""
        return "\n".join(self.lines)

    def until(self, words: str) -> bool:
        """Wait until it says some words; False where it ended without."""
        return self._watched.until(
            lambda: any(words in line for line in self.lines), PATIENCE_SECONDS
        )

    def strike(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, if it is still there."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end, and read its summary; returns the exit code."""
        code = self._watched.end(PATIENCE_SECONDS)
        printed = "\n".join(self._watched.printed)
        self.summary = msgspec.json.decode(printed) if printed else {}
        return code


def small_options(record: Path, settlement: str = "none") -> tuple[str, ...]:
    """Return the options of a small run."""
    return ("--all", "--market-data", str(record), "--settlement", settlement)


def _lines_of(path: Path) -> list[str]:
    with gzip.open(path, "rt") as file:
        return file.readlines()


def _time_ms(row: str) -> int:
    return int(row.partition(",")[0])
