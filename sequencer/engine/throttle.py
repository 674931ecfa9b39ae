"""A small share of the processor: whoever works in the background rests in between.

Promises
- Work is never longer than BACKGROUND_WORK_MS before it rests, as long as it calls `pause` often.
- A rest is a multiple of the work before it, so the share holds whatever the pieces of work are.

Laws
- One thread works; any thread may tell it to stop, and it stops at its next pause, resting or not.
"""

import threading
from collections.abc import Callable
from time import monotonic

from sequencer.model.limits import BACKGROUND_WORK_MS
from sequencer.model.units import MS_PER_SECOND

_WORK_SECONDS = BACKGROUND_WORK_MS / MS_PER_SECOND


class Stopped(Exception):
    """The work was told to stop; what it had so far is worth nothing."""


class Throttle:
    """Rests `rest_times` as long as it worked. `now` and `rest` are in seconds."""

    def __init__(
        self,
        rest_times: int,
        now: Callable[[], float] = monotonic,
        rest: Callable[[float], object] | None = None,
    ) -> None:
        self._rest_times = rest_times
        self._told = threading.Event()
        self._now = now
        self._rest = rest or self._told.wait
        self._since = now()

    def begin(self) -> None:
        """Begin to work: the time before was none of it."""
        self._since = self._now()

    def pause(self) -> None:
        """Rest, if there was work for long enough. Stopped: somebody called `stop`."""
        if self._told.is_set():
            raise Stopped
        if self._now() - self._since >= _WORK_SECONDS:
            self.rest()

    def rest(self) -> None:
        """Rest for what was worked since the last rest."""
        self._rest((self._now() - self._since) * self._rest_times)
        self._since = self._now()

    def stop(self) -> None:
        """End the rest, and the work at its next pause."""
        self._told.set()
