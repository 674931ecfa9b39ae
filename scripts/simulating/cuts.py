"""Where the power goes: at a moment between two writes of a decision, or at any moment.

Laws
- The store tells of its moments by name (`storage/reached.py`); a cut there leaves exactly what a
  process that died there leaves.
"""

from collections.abc import Callable
from random import Random

from scripts.simulating.surroundings import PowerCut
from sequencer.storage import reached
from sequencer.storage.simulated import Fault, SimulatedDisk, Trace

_MOMENTS = (1, 2, 3, 4, 4, 5, 5, 5)
"""Which of the next moments it is: those of the batch itself are met more seldom."""


class Cuts:
    """Power cuts and failing writes of one run; both strike within decisions of the operator."""

    def __init__(self, disk: SimulatedDisk, random: Random, count: Callable[[str], None]) -> None:
        self.is_failing = False
        self._disk = disk
        self._random = random
        self._count = count
        self._left = 0
        self._place = ""
        self._is_prepared: Callable[[], bool] | None = None

    def install(self) -> None:
        """Listen to the store, in this process."""
        vars(reached)["on_reached"] = self._on_reached

    def arm(self) -> None:
        """Have the power go at one of the next moments of a decision."""
        self._left = self._random.choice(_MOMENTS)

    def fail_write(self) -> None:
        """Have one of the next writes fail."""
        at = self._disk.writes + self._random.randrange(1, 4)
        self._disk.fault = Fault(at, trace=self._random.choice(tuple(Trace)))
        self.is_failing = True

    def begin(self, is_prepared: Callable[[], bool]) -> None:
        """Begin a decision; `is_prepared` says whether a rollback has been announced."""
        self._is_prepared = is_prepared

    def end(self) -> None:
        """End a decision."""
        self._is_prepared = None

    def disarm(self) -> None:
        """Let everything go well from here on."""
        self._left, self._is_prepared, self.is_failing = 0, None, False
        self._disk.fault = Fault()

    def _on_reached(self, point: str) -> None:
        if self._is_prepared is None or not self._left:
            return
        if point == "batch.begins":
            self._place = "the batch" if self._is_prepared() else "announcing, or an undo"
        self._left -= 1
        if self._left == 0:
            self._count(f"power cut in {self._place} at {point}")
            raise PowerCut
