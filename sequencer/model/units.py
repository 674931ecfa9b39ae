"""Units and rounding: every number of the exchange is an integer, every rounding has a name.

Laws
- Price, trigger price, size, quote amount and rate are integers of 1e-8 (`ONE` is 1).
- A funding index is an integer of 1e-18 quote per base (`INDEX_ONE` is 1).
- Size x index is an integer of 1e-26 quote, the unit of the dust row (`DUST_PER_QUOTE` to 1e-8).
- A rate of the oracle (basis, averages) is an integer of 1e-9 (`BASIS_ONE` is 1).
- The settlement token has 6 decimals: `QUOTE_PER_TOKEN` units of 1e-8 make its smallest unit.
"""

from sequencer.model.limits import DECIMAL_CHARACTERS_MAX
from sequencer.model.refusals import Reason, Refused

ONE = 10**8
"""1 in units of price, size, quote and rate."""

INDEX_ONE = 10**18
"""1 in units of a funding index."""

DUST_PER_QUOTE = 10**18
"""Units of the dust row (1e-26 quote) in one unit of quote (1e-8)."""

MS_PER_SECOND = 1_000
"""Milliseconds in a second."""

BASIS_ONE = 10**9
"""1 in units of basis and of the averages that make it."""

QUOTE_PER_TOKEN = 100
"""Units of quote (1e-8) in the settlement token's smallest unit (1e-6)."""

BASIS_POINT = 10**4
"""One hundredth of a percent as a rate of 1e-8."""


def divide_toward_zero(numerator: int, denominator: int) -> int:
    """Divide with the fraction dropped, whichever the sign. `denominator` is positive."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def divide_up(numerator: int, denominator: int) -> int:
    """Divide toward plus infinity: what an account has to pay."""
    return -(-numerator // denominator)


def notional(size: int, price: int) -> int:
    """Return size x price in quote, exact for a size on the lot and a price on the increment."""
    return size * price // ONE


def clamp(value: int, low: int, high: int) -> int:
    """Return the nearest value inside low .. high."""
    return low if value < low else min(value, high)


def parse_units(text: str, decimals: int = 8) -> int:
    """Read a plain decimal ("61800.30") as an integer of 10^-decimals.

    Refusal: AMOUNT_INVALID for a sign, an exponent, spaces, or a place that does not fit.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction.ljust(decimals, "0")
    plain = text.isascii() and whole.isdigit() and (fraction.isdigit() or "." not in text)
    if not plain or len(fraction) > decimals or len(text) > DECIMAL_CHARACTERS_MAX:
        raise Refused(Reason.AMOUNT_INVALID, f"no decimal of {decimals} places: {text!r:.60}")
    return int(digits)
