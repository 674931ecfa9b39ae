"""Kills from within: at the names that the store reaches, and in the middle of a batch."""

import os
import signal
from collections.abc import Iterator

from scripts.crashing.phases import Phase
from sequencer.storage import reached as reaching
from sequencer.storage.key_value import Batch
from sequencer.storage.leveldb import LevelStore

_WRITING = ("batch.begins", "batch.written", "witness.written")
_OPENING = {"start": ("database.made", "chain.opened"), "recovery": ("chain.opened",)}
_BROKEN_OFF = "batch broken off"
"""Somebody presses Ctrl-C, or memory runs out, before the last put of a batch."""


def names_in(phase: Phase) -> tuple[str, ...]:
    """List the names that the store says in a phase."""
    return (*_WRITING, _BROKEN_OFF, *_OPENING.get(phase.scenario, ()))


def arm(name: str, number: int) -> None:
    """Die of SIGKILL where a name is reached for the n-th time."""
    if name == _BROKEN_OFF:
        _break_off(number)
        return
    left = [number]

    def die(point: str) -> None:
        left[0] -= point == name
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    reaching.on_reached = die


def _break_off(number: int) -> None:
    """Raise within the n-th batch of several puts, let the database do what it does, and die."""
    whole, left = LevelStore.write, [number]

    def write(self: LevelStore, batch: Batch) -> None:
        left[0] -= len(batch) > 1
        if left[0] or len(batch) == 1:
            whole(self, batch)
            return
        try:
            # It is a list to everybody else, and is only ever gone through.
            whole(self, _broken(batch))  # type: ignore[arg-type]
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    type.__setattr__(LevelStore, "write", write)


def _broken(batch: Batch) -> Iterator[tuple[bytes, bytes | None]]:
    yield from [*batch][:-1]
    raise KeyboardInterrupt
