"""The picture of what happened: the chain as a band, its undone branch below it, and marks.

Promises
- Marks never lie on one another: where two are near, the second goes to another row.
- A mark's number is the same in the picture and in the list that explains it.
"""

from collections.abc import Mapping, Sequence

from devnet.report.charts import LEFT, RIGHT, WIDTH, heights_of
from devnet.report.drawing import (
    Frame,
    badge,
    below,
    path,
    rectangle,
    segment,
    svg,
    text,
)
from devnet.report.facts import BlockFact, ChainFact, Milestone

_ROW = 22.0
_APART = 21.0
_BAND = 16.0
_GAP = 34.0

Numbered = Sequence[tuple[int, Milestone]]


def in_order(chain: ChainFact) -> list[Milestone]:
    """Sort marks as they happened: epoch by epoch, each begun by the reorg that made it."""
    order = ("reorg", "undo", "mode", "refused", "incident", "halt", "checkpoint")
    return sorted(
        chain.milestones,
        key=lambda mark: (
            mark.epoch,
            mark.kind not in ("reorg", "undo"),
            mark.height,
            order.index(mark.kind),
            mark.words,
        ),
    )


def branch_chart(chain: ChainFact) -> str:
    """Draw the chain, what was undone of it, and numbered marks."""
    numbered = [*enumerate(in_order(chain), 1)]
    live = [(number, mark) for number, mark in numbered if not mark.reorg]
    first, last = heights_of(chain)
    rows, above = _rows(live, (first, last))
    top = 12 + rows * _ROW
    drawn: list[str] = []
    frame = Frame(LEFT, top, WIDTH - LEFT - RIGHT, _BAND, first, last, 0, 1)
    drawn.append(text(LEFT - 8, top + 12, "live", "tick", "end"))
    drawn.append(_band(frame, [block for block in chain.blocks if not block.reorg], "band"))
    drawn.append(_marks(frame, live, above, top - 10, up=True))
    bottom = top + _BAND
    for reorg in sorted({block.reorg for block in chain.blocks} - {0}):
        undone = [block for block in chain.blocks if block.reorg == reorg]
        bottom = _draw_branch(drawn, frame, undone, bottom + _GAP, numbered)
    axis = Frame(LEFT, bottom + 6, WIDTH - LEFT - RIGHT, 0, first, last, 0, 1)
    drawn.append(segment(axis.left, axis.bottom, axis.right, axis.bottom, "axis"))
    drawn.append(below(axis, "block"))
    return svg(WIDTH, axis.bottom + 38, "The chain, its undone blocks, and what happened", drawn)


def _draw_branch(
    drawn: list[str], frame: Frame, undone: Sequence[BlockFact], top: float, numbered: Numbered
) -> float:
    """Draw a branch from the block that it left the chain at; returns how far down it comes."""
    marks = [(number, mark) for number, mark in numbered if mark.reorg == undone[0].reorg]
    limits = (int(frame.low_x), int(frame.high_x))
    rows, places = _rows(marks, limits)
    lane = Frame(frame.left, top, frame.width, _BAND, frame.low_x, frame.high_x, 0, 1)
    start, middle = lane.x(undone[0].height - 1), top + _BAND / 2
    left, right = lane.x(undone[0].height - 0.5), lane.x(undone[-1].height + 0.5)
    drawn.append(path(f"M{start:.1f} {frame.bottom:.1f} L{left:.1f} {middle:.1f}", "leaves"))
    back = f"M{right:.1f} {top:.1f} C{right:.1f} {frame.bottom + 6:.1f} "
    back += f"{start + 30:.1f} {frame.bottom + 26:.1f} {start + 4:.1f} {frame.bottom + 3:.1f}"
    drawn.append(path(back, "goes-back"))
    drawn.append(_band(lane, undone, "band-orphan"))
    drawn.append(text(frame.left - 8, top + 12, "undone", "tick bad-text", "end"))
    drawn.append(_marks(lane, marks, places, top + _BAND + 12, up=False))
    return top + _BAND + rows * _ROW + 4


def _band(frame: Frame, blocks: Sequence[BlockFact], kind: str) -> str:
    """Draw blocks as one band, coloured by the mode after each."""
    drawn: list[str] = []
    start = 0
    for end in range(1, len(blocks) + 1):
        if end == len(blocks) or blocks[end].mode != blocks[start].mode:
            low, high = blocks[start].height, blocks[end - 1].height
            left, right = frame.x(low - 0.5), frame.x(high + 0.5)
            mode = blocks[start].mode or "unknown"
            words = f"blocks {low} to {high}: {mode}"
            place = (left, frame.top, right - left, frame.height)
            drawn.append(rectangle(*place, f"{kind} {mode_kind(mode)}", words))
            start = end
    return "".join(drawn)


def mode_kind(mode: str) -> str:
    """Return the class that colours a mode."""
    return f"mode-{mode.lower().replace('_', '-')}"


def _rows(marks: Numbered, limits: tuple[int, int]) -> tuple[int, Mapping[int, int]]:
    """Give each mark a row in which nothing is too near; returns how many rows there are."""
    first, last = limits
    scale = (WIDTH - LEFT - RIGHT) / max(1, last - first)
    taken: list[float] = []
    places: dict[int, int] = {}
    for number, mark in sorted(marks, key=lambda each: (each[1].height, each[0])):
        x = (mark.height - first) * scale
        row = next((row for row, end in enumerate(taken) if x - end >= _APART), len(taken))
        taken[row : row + 1] = [x]
        places[number] = row
    return len(taken), places


def _marks(frame: Frame, marks: Numbered, rows: Mapping[int, int], y: float, *, up: bool) -> str:
    drawn: list[str] = []
    for number, mark in marks:
        x = frame.x(mark.height)
        at = y - rows[number] * _ROW if up else y + rows[number] * _ROW
        edge = frame.top if up else frame.bottom
        drawn.append(segment(x, edge, x, at + (9 if up else -9), "pin"))
    for number, mark in marks:
        at = y - rows[number] * _ROW if up else y + rows[number] * _ROW
        drawn.append(badge(frame.x(mark.height), at, str(number), f"kind-{mark.kind}"))
    return "".join(drawn)
