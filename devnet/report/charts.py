"""A run's charts, all over the height of blocks: prices, open interest, liquidations.

Promises
- Undone blocks are drawn at their heights beside the live ones, dashed, in another colour.
- The scale is that of the live chain; what an undone branch shows beyond it lies at the edge, with
  its value beside it.
"""

from collections.abc import Callable, Sequence

from devnet.report.drawing import (
    Frame,
    Point,
    grid,
    padded,
    polyline,
    rectangle,
    svg,
    text,
)
from devnet.report.facts import BlockFact, ChainFact, MarketFact
from devnet.report.words import base_of, money, size
from sequencer.model.units import ONE

WIDTH = 960
LEFT, RIGHT = 92, 16
_TOP, _BELOW = 30, 38
_ROOM = 0.25
_APART, _CHARACTER = 8, 7.5
"""Units between words and what they are about, and a letter's at the most."""

_Reading = Callable[[MarketFact], int]


def heights_of(chain: ChainFact) -> tuple[int, int]:
    """Return the limits of the axis of blocks."""
    heights = [block.height for block in chain.blocks]
    return min(heights, default=0), max(max(heights, default=1), 1)


def frame_of(chain: ChainFact, height: float, low: float, high: float) -> Frame:
    """Return the frame of a chart over the axis of blocks."""
    first, last = heights_of(chain)
    return Frame(LEFT, _TOP, WIDTH - LEFT - RIGHT, height, first, last, low, high)


def price_chart(chain: ChainFact, market: str) -> str:
    """Draw a market's index and mark price."""
    marks = _series(chain.blocks, market, _mark, 0)
    indexes = _series(chain.blocks, market, _index, 0)
    frame = frame_of(chain, 190, *_limits([*marks, *indexes]))
    drawn = [grid(frame, "USD", "block"), _shaded(frame, chain)]
    drawn += [polyline(frame, indexes, "index"), polyline(frame, marks, "live")]
    for reorg in _reorgs(chain):
        for read, kind in ((_index, "orphan-index"), (_mark, "orphan")):
            points = _series(chain.blocks, market, read, reorg, zero_is_gap=False)
            drawn.append(polyline(frame, points, kind))
        marks = _series(chain.blocks, market, _mark, reorg, zero_is_gap=False)
        drawn.append(_beyond(frame, marks, "mark", _money_of))
    return _chart(frame, f"Index and mark price of {market} by block", drawn)


def interest_chart(chain: ChainFact, market: str) -> str:
    """Draw a market's open interest."""
    points = _series(chain.blocks, market, _interest, 0, zero_is_gap=False)
    high = max((y for _, y in points if y is not None), default=0.0)
    frame = frame_of(chain, 120, 0, high * (1 + _ROOM) or 1.0)
    drawn = [grid(frame, base_of(market), "block"), _shaded(frame, chain)]
    drawn.append(polyline(frame, points, "live"))
    for reorg in _reorgs(chain):
        undone = _series(chain.blocks, market, _interest, reorg, zero_is_gap=False)
        drawn.append(polyline(frame, undone, "orphan"))
        drawn.append(_beyond(frame, undone, "open interest", _size_of))
    return _chart(frame, f"Open interest of {market} by block", drawn)


def funding_chart(chain: ChainFact, market: str) -> str:
    """Draw a market's funding index, on a scale that holds the undone branch too."""
    live = _series(chain.blocks, market, _funding, 0)
    undone = [_series(chain.blocks, market, _funding, each, False) for each in _reorgs(chain)]
    points = [*live, *(point for series in undone for point in series)]
    frame = frame_of(chain, 120, *_limits(points))
    drawn = [grid(frame, "USD", "block"), _shaded(frame, chain), polyline(frame, live, "live")]
    drawn += [polyline(frame, series, "orphan") for series in undone]
    return _chart(frame, f"Funding index of {market} by block", drawn)


def is_funding_harmed(chain: ChainFact, market: str) -> bool:
    """Say whether an undone branch moved a market's funding index as the live chain never did."""
    low, high = _limits(_series(chain.blocks, market, _funding, 0))
    return any(
        y is not None and not low <= y <= high
        for reorg in _reorgs(chain)
        for _, y in _series(chain.blocks, market, _funding, reorg, zero_is_gap=False)
    )


def liquidation_chart(chain: ChainFact) -> str:
    """Draw how many accounts were liquidated in each block, live and undone."""
    most = max((block.liquidations for block in chain.blocks), default=0)
    frame = frame_of(chain, 120, 0, max(4.0, most * (1 + _ROOM)))
    drawn = [grid(frame, "accounts", "block", whole_y=True), _shaded(frame, chain)]
    first, last = heights_of(chain)
    slot = frame.width / max(1, last - first)
    for block in chain.blocks:
        if block.liquidations:
            left = frame.x(block.height) - (slot * 0.4 if block.reorg else 0)
            top = frame.y(block.liquidations)
            kind = "bar-orphan" if block.reorg else "bar-live"
            words = f"block {block.height}: {block.liquidations} liquidated"
            place = (left, top, max(1.5, slot * 0.4), frame.bottom - top)
            drawn.append(rectangle(*place, kind, words))
    if not most:
        middle = (frame.left + frame.width / 2, frame.top + frame.height / 2)
        drawn.append(text(*middle, "nobody was liquidated", "note", "middle"))
    return _chart(frame, "Liquidated accounts by block", drawn)


def _chart(frame: Frame, title: str, drawn: Sequence[str]) -> str:
    return svg(WIDTH, frame.bottom + _BELOW, title, drawn)


def _reorgs(chain: ChainFact) -> list[int]:
    return sorted({block.reorg for block in chain.blocks} - {0})


def _series(
    blocks: Sequence[BlockFact],
    market: str,
    read: _Reading,
    reorg: int,
    zero_is_gap: bool = True,
) -> list[Point]:
    """Return a value of each block; `zero_is_gap` where 0 says that there is no price yet."""
    points: list[Point] = []
    for block in blocks:
        if block.reorg == reorg:
            fact = block.markets.get(market)
            value = None if fact is None else read(fact)
            is_gap = value is None or (zero_is_gap and value == 0)
            points.append((block.height, None if is_gap or value is None else value / ONE))
    return points


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    values = [y for _, y in points if y is not None]
    return padded(min(values, default=0.0), max(values, default=1.0), _ROOM)


def _shaded(frame: Frame, chain: ChainFact) -> str:
    """Shade the heights that an undone branch had."""
    drawn: list[str] = []
    for reorg in _reorgs(chain):
        heights = [block.height for block in chain.blocks if block.reorg == reorg]
        left, right = frame.x(min(heights) - 0.5), frame.x(max(heights) + 0.5)
        drawn.append(rectangle(left, frame.top, right - left, frame.height, "undone"))
    return "".join(drawn)


def _beyond(frame: Frame, points: Sequence[Point], name: str, said: Callable[[float], str]) -> str:
    """Say the value of what lies beyond the scale, beside the edge where it is drawn."""
    drawn: list[str] = []
    below = [(x, y) for x, y in points if y is not None and y < frame.low_y]
    above = [(x, y) for x, y in points if y is not None and y > frame.high_y]
    for found, y_text, arrow, pick in (
        (below, frame.bottom - 8, "↓", min),
        (above, frame.top + 16, "↑", max),
    ):
        if found:
            extreme = pick(value for _, value in found)
            words = f"{arrow} {name} {said(extreme)}, from block {found[0][0]:,.0f}"
            drawn.append(_beside(frame, (found[0][0], found[-1][0]), y_text, words))
    return "".join(drawn)


def _beside(frame: Frame, heights: tuple[float, float], y: float, words: str) -> str:
    """Write words to the left of some heights, else to the right, else over them: never cut off."""
    left, right = frame.x(heights[0]) - _APART, frame.x(heights[1]) + _APART
    width = len(words) * _CHARACTER
    if left - width >= frame.left:
        return text(left, y, words, "beyond", "end")
    if right + width <= frame.right:
        return text(right, y, words, "beyond")
    return text(max(frame.left, left) + 2 * _APART, y, words, "beyond")


def _mark(fact: MarketFact) -> int:
    return fact.mark


def _index(fact: MarketFact) -> int:
    return fact.index


def _interest(fact: MarketFact) -> int:
    return fact.open_interest


def _funding(fact: MarketFact) -> int:
    return fact.funding_index


def _money_of(value: float) -> str:
    return money(round(value * ONE))


def _size_of(value: float) -> str:
    return size(round(value * ONE))
