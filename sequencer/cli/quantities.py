"""Quantities and times as people read them."""

from datetime import UTC, datetime

from sequencer.model.units import ONE

_DECIMALS = 8
_DECIMALS_MIN = 2
_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_SMALLER = {"day": "hour", "hour": "minute"}


def decimal(units: int) -> str:
    """Write units of 1e-8 as a decimal number."""
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // ONE}.{abs(units) % ONE:08d}"


def grouped(units: int) -> str:
    """Write units of 1e-8 with thousands apart, and without zeros that say nothing: 1,250.50."""
    sign = "-" if units < 0 else ""
    fraction = f"{abs(units) % ONE:08d}".rstrip("0").ljust(_DECIMALS_MIN, "0")
    return f"{sign}{abs(units) // ONE:,}.{fraction}"


def column(units: int, width: int, *, signed: bool = False) -> str:
    """Write units of 1e-8 for a column of so many characters, with the points below one another."""
    text = grouped(units)
    text = f"+{text}" if signed and units > 0 else text
    decimals = len(text) - text.index(".") - 1
    return (text + " " * (_DECIMALS - decimals)).rjust(width)


def duration(seconds: int) -> str:
    """Write a time in the words that one would use: 18 minutes, 2 hours and 5 minutes."""
    seconds = max(seconds, 0)
    for name, length in _SECONDS.items():
        count = seconds // length
        if count or length == 1:
            smaller = _SMALLER.get(name)
            rest = 0 if smaller is None else seconds % length // _SECONDS[smaller]
            words = _counted(count, name)
            return (
                words if smaller is None or not rest else f"{words} and {_counted(rest, smaller)}"
            )
    return ""


def moment(seconds: int) -> str:
    """Write a time since 1970 as a date and a time of day."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
