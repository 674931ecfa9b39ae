"""Points of the STARK curve by the school's formulas: who signs without asking a library.

Promises
- Nothing here shares code with the native core or with the wheels.
"""

from random import Random
from typing import NamedTuple, TypeAlias

from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER

Point: TypeAlias = tuple[int, int]
"""Both coordinates; infinity is no point here."""

BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
"""The b of y^2 = x^3 + x + b."""

GENERATOR: Point = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
)

_STEPS = 32


class Multiple(NamedTuple):
    """A scalar and that multiple of the generator."""

    scalar: int
    point: Point


def add(left: Point, right: Point) -> Point:
    """Add two points that are not opposite."""
    if left == right:
        slope = (3 * left[0] ** 2 + 1) * pow(2 * left[1], -1, FELT_PRIME)
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, FELT_PRIME)
    x = (slope * slope - left[0] - right[0]) % FELT_PRIME
    return x, (slope * (left[0] - x) - left[1]) % FELT_PRIME


def times(scalar: int, point: Point) -> Point:
    """Return a multiple of a point; the scalar is in 1 .. order - 1."""
    found = point
    for bit in bin(scalar)[3:]:
        found = add(found, found)
        if bit == "1":
            found = add(found, point)
    return found


def is_on_curve(x: int) -> bool:
    """Say whether a field element other than 0 is the x of a point."""
    return pow(_square(x), (FELT_PRIME - 1) // 2, FELT_PRIME) in (0, 1)


def point_of(x: int) -> Point:
    """Return one of the two points with an x that is on the curve."""
    return x, _root(_square(x))


class Walk:
    """Multiples of the generator at random, each for the price of one addition."""

    def __init__(self, random: Random) -> None:
        self._steps = [_multiple(random.randrange(1, CURVE_ORDER)) for _ in range(_STEPS)]
        self._at = _multiple(random.randrange(1, CURVE_ORDER))

    def next(self, random: Random) -> Multiple:
        """Go on by one of the steps."""
        step = random.choice(self._steps)
        scalar = (self._at.scalar + step.scalar) % CURVE_ORDER
        self._at = Multiple(scalar, add(self._at.point, step.point))
        return self._at


def _multiple(scalar: int) -> Multiple:
    return Multiple(scalar, times(scalar, GENERATOR))


def _square(x: int) -> int:
    return (x**3 + x + BETA) % FELT_PRIME


def _root(square: int) -> int:
    """Find a square root by Tonelli and Shanks; 3 is no square in this field."""
    twos = 192
    odd = (FELT_PRIME - 1) >> twos
    factor = pow(3, odd, FELT_PRIME)
    root, rest = pow(square, (odd + 1) // 2, FELT_PRIME), pow(square, odd, FELT_PRIME)
    while rest != 1:
        order, power = 0, rest
        while power != 1:
            order, power = order + 1, power * power % FELT_PRIME
        factor = pow(factor, 1 << (twos - order - 1), FELT_PRIME)
        root = root * factor % FELT_PRIME
        factor = factor * factor % FELT_PRIME
        rest, twos = rest * factor % FELT_PRIME, order
    return root
