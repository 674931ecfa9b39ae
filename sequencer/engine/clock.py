"""The wall clock: the one place that reads it."""

import time

_NANOSECONDS_PER_MS = 1_000_000


class SystemClock:
    """The system's clock, as the engine's port takes it."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // _NANOSECONDS_PER_MS
