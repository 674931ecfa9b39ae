"""Names for the moments between two writes, so that a test can end the process right there.

In the product nobody listens, and a moment costs a call of a function that does nothing.
"""

from collections.abc import Callable


def _nobody(_: str) -> None:
    """Go on."""


on_reached: Callable[[str], None] = _nobody
"""Who is told; a test puts itself here, in a process of its own."""


def reached(point: str) -> None:
    """Say that a moment has come."""
    on_reached(point)
