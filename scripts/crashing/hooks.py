"""Kills from within, at the names that the store reaches: for systems without strace."""

import os
import signal

from scripts.crashing.phases import Phase
from sequencer.storage import reached as reaching

_WRITING = ("batch.begins", "batch.written", "witness.written")
_OPENING = {"start": ("database.made", "chain.opened"), "recovery": ("chain.opened",)}


def names_in(phase: Phase) -> tuple[str, ...]:
    """List the names that the store says in a phase."""
    return _WRITING + _OPENING.get(phase.scenario, ())


def arm(name: str, number: int) -> None:
    """Die of SIGKILL where a name is reached for the n-th time."""
    left = [number]

    def die(point: str) -> None:
        left[0] -= point == name
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    reaching.on_reached = die
