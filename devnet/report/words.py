"""Numbers of a report as people read them.

Laws
- Nothing is rounded but where the name or the docstring says so.
"""

from datetime import UTC, datetime

from sequencer.model.units import MS_PER_SECOND, ONE

_HASH_CHARACTERS = 10
_CENTS = 100
_US_PER_MS = 1_000
_MS_ONLY_FROM = 100 * _US_PER_MS


def money(units: int) -> str:
    """Write quote of 1e-8 to the cent, down: 61,832.67."""
    cents = units * _CENTS // ONE
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // _CENTS:,}.{abs(cents) % _CENTS:02d}"


def size(units: int) -> str:
    """Write a size of 1e-8 in full, without the zeros at its end: 39.024."""
    fraction = f"{abs(units) % ONE:08d}".rstrip("0")
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // ONE:,}" + (f".{fraction}" if fraction else "")


def short(number: int) -> str:
    """Write the first digits of a hash or an address."""
    text = f"{number:#x}"
    return text if len(text) <= _HASH_CHARACTERS else f"{text[:_HASH_CHARACTERS]}…"


def clock(seconds: int) -> str:
    """Write a chain time as a time of day."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def moment(ms: int) -> str:
    """Write a time of the chain's clock as a date and a time of day."""
    return f"{datetime.fromtimestamp(ms // MS_PER_SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def milliseconds(microseconds: int) -> str:
    """Write a measured time in milliseconds: to the tenth below 100, whole above."""
    if microseconds >= _MS_ONLY_FROM:
        return f"{microseconds // _US_PER_MS:,}"
    tenths = microseconds * 10 // _US_PER_MS
    return f"{tenths // 10}.{tenths % 10}"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def base_of(market: str) -> str:
    """Return what a market trades, for a unit."""
    return market.partition("-")[0]


def plain(value: object) -> str:
    """Write a value of the summary as the run prints it."""
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case dict():
            return ", ".join(f"{name}: {plain(each)}" for name, each in value.items())
        case _:
            return str(value)
