"""A run's other drawings: an account's value, where the contract stood, and how long steps took."""

from collections.abc import Sequence

from devnet.report.charts import LEFT, RIGHT, WIDTH
from devnet.report.drawing import (
    Frame,
    Point,
    dot,
    grid,
    padded,
    polyline,
    rectangle,
    segment,
    svg,
    text,
)
from devnet.report.facts import AccountFact, LayerFact, StepFact
from devnet.report.words import milliseconds, money
from sequencer.model.units import ONE

_SPARK_WIDTH, _SPARK_HEIGHT = 150, 34
_BAR_HEIGHT, _BAR_ROW, _BAR_LEFT = 14, 26, 110


def spark_line(account: AccountFact) -> str:
    """Draw an account's value by block, undone and live, without axes: the table has the values."""
    undone, live = _points(account.undone), _points(account.live)
    values = [y for _, y in (*undone, *live) if y is not None]
    heights = [x for x, _ in (*undone, *live)]
    limits = padded(min(values, default=0), max(values, default=0), 0.08)
    ends = (min(heights, default=0), max(heights, default=1))
    frame = Frame(2, 2, _SPARK_WIDTH - 4, _SPARK_HEIGHT - 4, *ends, *limits)
    drawn = []
    if limits[0] < 0 < limits[1]:
        drawn.append(segment(frame.left, frame.y(0), frame.right, frame.y(0), "rule"))
    drawn += [polyline(frame, undone, "orphan"), polyline(frame, live, "live")]
    title = f"value by block: {money(account.before)}, {money(account.worst)} at the worst"
    return svg(_SPARK_WIDTH, _SPARK_HEIGHT, title, drawn, "spark")


def _points(series: Sequence[tuple[int, int]]) -> list[Point]:
    return [(height, value / ONE) for height, value in series]


def contract_chart(layers: Sequence[LayerFact]) -> str:
    """Draw the block that the contract stood at, over the blocks of the settlement chain."""
    moving = [each for each in layers if each.kind in ("posted", "reverted")]
    final = [each for each in layers if each.kind == "final"]
    if not moving:
        return ""
    times = [each.settlement_block for each in layers]
    high = max(each.height for each in (*moving, *final))
    limits = (min(times), max(*times, min(times) + 1), 0, high * 1.1 + 1)
    frame = Frame(LEFT, 30, WIDTH - LEFT - RIGHT, 170, *limits)
    drawn = [grid(frame, "our block", "block of the settlement chain", whole_y=True)]
    drawn.append(_steps(frame, [(each.settlement_block, each.height) for each in moving], "live"))
    drawn.append(_steps(frame, [(each.settlement_block, each.height) for each in final], "final"))
    for each in layers:
        x = frame.x(each.settlement_block)
        if each.kind == "held":
            drawn.append(segment(x, frame.top, x, frame.bottom, "pin"))
            drawn.append(text(x - 6, frame.top + 14, "finality held", "note", "end"))
        elif each.height >= 0:
            drawn.append(dot(x, frame.y(each.height), 3.5, f"dot-{_look(each)}", _title(each)))
    return svg(WIDTH, frame.bottom + 38, "Where the settlement contract stood", drawn)


def _look(layer: LayerFact) -> str:
    return "orphan" if layer.kind == "posted" and layer.is_orphaned else layer.kind


def _title(layer: LayerFact) -> str:
    return f"{layer.kind}: block {layer.height}, in block {layer.settlement_block} over there"


def _steps(frame: Frame, places: Sequence[tuple[int, int]], kind: str) -> str:
    """Draw a line that stays where it is until it is moved."""
    points: list[Point] = []
    for x, y in places:
        if points:
            points.append((x, points[-1][1]))
        points.append((x, y))
    if points:
        points.append((frame.high_x, points[-1][1]))
    return polyline(frame, points, kind)


def step_chart(steps: Sequence[StepFact]) -> str:
    """Draw how long steps took, each as a bar from the same line."""
    most = max((step.took_us for step in steps), default=1)
    frame = Frame(_BAR_LEFT, 4, WIDTH - _BAR_LEFT - 110, len(steps) * _BAR_ROW, 0, most, 0, 1)
    drawn = []
    for row, step in enumerate(steps):
        top = frame.top + row * _BAR_ROW
        right = frame.x(step.took_us)
        words = f"{milliseconds(step.took_us)} ms"
        drawn.append(text(frame.left - 8, top + 12, step.name, "tick", "end"))
        width = max(1.5, right - frame.left)
        drawn.append(rectangle(frame.left, top, width, _BAR_HEIGHT, "bar-live"))
        drawn.append(text(frame.left + width + 6, top + 12, words, "tick"))
    return svg(WIDTH, frame.bottom + 4, "How long the steps of the way back took", drawn)


def sample_bar(kind: str) -> str:
    """Show what a colour looks like."""
    return svg(26, 12, "", [rectangle(0, 1, 26, 10, kind)], "sample")


def sample_line(kind: str) -> str:
    """Show what a line looks like."""
    return svg(26, 12, "", [segment(0, 6, 26, 6, kind)], "sample")


def sample_dot(kind: str) -> str:
    """Show what a dot looks like."""
    return svg(26, 12, "", [dot(13, 6, 4, kind)], "sample")
