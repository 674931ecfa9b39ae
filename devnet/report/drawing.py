"""Drawing: numbers to inline SVG, by functions that know nothing of a chain.

Promises
- The same numbers give the same text. Every word is escaped, whoever wrote it.
- A series may be empty, may have one point and may have gaps: a gap is a break in the line.

Laws
- Colours are classes, never values: the page decides, for light, for dark and for paper.
- Nothing is loaded: no image, no font, no script.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from math import floor, log10

import msgspec

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

Point = tuple[float, float | None]
"""A place on the axes of a frame; None is a gap."""


class Frame(msgspec.Struct, frozen=True):
    """A rectangle of a drawing and what its edges stand for."""

    left: float
    top: float
    width: float
    height: float
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    @property
    def right(self) -> float:
        """Return where it ends, to the right."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Return where it ends, below."""
        return self.top + self.height

    def x(self, value: float) -> float:
        """Place a value, no further than the edges."""
        return self.left + self.width * _part(value, self.low_x, self.high_x)

    def y(self, value: float) -> float:
        """Place a value, no further than the edges; more is higher."""
        return self.bottom - self.height * _part(value, self.low_y, self.high_y)


def _part(value: float, low: float, high: float) -> float:
    if high <= low:
        return 0.5
    return min(1.0, max(0.0, (value - low) / (high - low)))


def svg(width: float, height: float, title: str, parts: Iterable[str], kind: str = "chart") -> str:
    """Put a drawing together; `title` is what it shows, for whoever cannot see it; "" for an
    ornament."""
    size = f'viewBox="0 0 {_number(width)} {_number(height)}"'
    role = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    return f'<svg class="{escape(kind)}" {size} {role}>{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Write words; `anchor` is start, middle or end."""
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{escape(anchor)}"'
    return f'<text class="{escape(kind)}" {place}>{escape(words)}</text>'


def segment(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    """Draw a straight line."""
    ends = f'x1="{_number(x)}" y1="{_number(y)}" x2="{_number(to_x)}" y2="{_number(to_y)}"'
    return f'<line class="{escape(kind)}" {ends}/>'


def rectangle(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """Draw a filled rectangle; `title` is said where a pointer rests on it."""
    size = f'width="{_number(max(0.0, width))}" height="{_number(max(0.0, height))}"'
    place = f'<rect class="{escape(kind)}" x="{_number(x)}" y="{_number(y)}" {size}'
    return f"{place}><title>{escape(title)}</title></rect>" if title else f"{place}/>"


def dot(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """Draw a filled circle."""
    place = f'cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"'
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{escape(kind)}" {place}>{inner}</circle>'


def path(steps: str, kind: str) -> str:
    """Draw a path that somebody else has worked out."""
    return f'<path class="{escape(kind)}" d="{escape(steps)}"/>'


def badge(x: float, y: float, words: str, kind: str) -> str:
    """Draw a number in a circle."""
    return dot(x, y, 9, f"badge {kind}") + text(x, y + 4, words, "badge-number", "middle")


def polyline(frame: Frame, points: Sequence[Point], kind: str) -> str:
    """Draw a line through points in a frame, broken at gaps; a lone point is a dot."""
    drawn: list[str] = []
    for run in _runs(points):
        places = [f"{_number(frame.x(x))} {_number(frame.y(y))}" for x, y in run]
        if len(places) == 1:
            drawn.append(dot(frame.x(run[0][0]), frame.y(run[0][1]), 2, f"{kind} lone"))
        else:
            drawn.append(path("M" + " L".join(places), kind))
    return "".join(drawn)


def _runs(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def ticks(low: float, high: float, count_max: int) -> list[float]:
    """Return round numbers from low to high, at equal distances, no more than asked for."""
    if high <= low or count_max < 1:
        return [low]
    raw = (high - low) / count_max
    scale = 10.0 ** floor(log10(raw))
    step = next(scale * each for each in _STEPS if scale * each >= raw)
    first = -floor(-low / step)
    found = [each * step for each in range(first, floor(high / step) + 1)]
    return [round(each, 10) for each in found]


def decimals_of(values: Sequence[float]) -> int:
    """Return the decimals that tell ticks apart."""
    gaps = [later - earlier for earlier, later in pairwise(values)]
    step = min(gaps, default=1.0)
    return next((digits for digits in range(8) if abs(round(step, digits) - step) < step / 100), 8)


def padded(low: float, high: float, part: float) -> tuple[float, float]:
    """Return limits with room above and below; something also where both are the same."""
    room = (high - low) * part or abs(high) * part or 1.0
    return low - room, high + room


def grid(frame: Frame, unit_y: str, unit_x: str, whole_y: bool = False) -> str:
    """Draw a frame with its axes: rounded values to the left and below, and their units."""
    drawn = [rectangle(frame.left, frame.top, frame.width, frame.height, "plot")]
    rising = ticks(frame.low_y, frame.high_y, max(2, int(frame.height // 32)))
    if whole_y:
        rising = [each for each in rising if each == floor(each)]
    digits = decimals_of(rising)
    for value in rising:
        y = frame.y(value)
        drawn.append(segment(frame.left, y, frame.right, y, "rule"))
        drawn.append(text(frame.left - 8, y + 4, f"{value:,.{digits}f}", "tick", "end"))
    drawn.append(text(frame.left - 8, frame.top - 9, unit_y, "unit", "end"))
    return "".join([*drawn, below(frame, unit_x)])


def below(frame: Frame, unit_x: str) -> str:
    """Draw the axis below a frame."""
    drawn: list[str] = []
    for value in ticks(frame.low_x, frame.high_x, 12):
        if value == floor(value):
            x = frame.x(value)
            drawn.append(segment(x, frame.bottom, x, frame.bottom + 4, "axis"))
            drawn.append(text(x, frame.bottom + 17, f"{value:,.0f}", "tick", "middle"))
    drawn.append(text(frame.right, frame.bottom + 33, unit_x, "unit", "end"))
    return "".join(drawn)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
