"""How long things took in a run, kept beside its chain: answers to orders, and blocks.

Promises
- What one process of a run measured is there for the next one, also where it was killed.
- A last line that a kill cut off is left out; so is whatever is no line of ours.

Laws
- Times are of this machine's clock, in microseconds. None of them is ever in a block.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sequencer.model.recorded_limits import TIMINGS_FILE_BYTES_MAX

TIMINGS_FILE = "times.jsonl"


class Timed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A block's times, or the time of one answer; 0 for what a line is not about.

    `closed_us` is from the call for a block to its being closed, `durable_us` from there until it
    is on the disk, `answer_us` from the sending of an order to its answer.
    """

    height: int = 0
    closed_us: int = 0
    durable_us: int = 0
    answer_us: int = 0


class Stopwatch:
    """Adds lines to the file of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._file = (data_dir / TIMINGS_FILE).open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def block(self, height: int, closed_us: int, durable_us: int) -> None:
        """Keep what a block took, and all answers up to it."""
        self._write(Timed(height, closed_us, durable_us))
        self._file.flush()

    def answer(self, answer_us: int) -> None:
        """Keep what an answer took."""
        self._write(Timed(answer_us=answer_us))

    def _write(self, timed: Timed) -> None:
        self._file.write(msgspec.json.encode(timed) + b"\n")


def read_timings(data_dir: Path) -> list[Timed]:
    """Read every line, in the order of their writing; none where there is no file."""
    path = data_dir / TIMINGS_FILE
    if not path.exists():
        return []
    with path.open("rb") as file:
        lines = file.read(TIMINGS_FILE_BYTES_MAX).split(b"\n")
    found: list[Timed] = []
    for line in lines[:-1]:
        try:
            found.append(msgspec.json.decode(line, type=Timed))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return found
