"""What results add up to, as people read it: lines, a table of Markdown, and what is wrong."""

from collections.abc import Iterator, Sequence

from scripts.campaigning.adding import Whole, reached
from scripts.campaigning.release import GOALS, PLACES, command

_HEAD = (
    "| campaign | done | found | violated | time | commit, core |",
    "|---|---|---|---|---|---|",
)
_SHOWN = ("points", "stores", "killed", "requests", "inputs", "steps")
"""Counters that say how much a campaign did, as far as it has them."""

_COLUMNS = 2


def shown(whole: Whole) -> str:
    """Return a campaign as a line."""
    ran = f", {_much(whole)}" if _much(whole) else ""
    where = f", {whole.commit} {whole.core}" if whole.lines else ""
    return (
        f"{whole.wanted.campaign:18}{_done(whole)}{ran}, {len(whole.violations)} violated, "
        f"{_time(whole.seconds)}{where}"
    )


def goals_of(wholes: Sequence[Whole]) -> Iterator[str]:
    """Yield what the campaigns have reached together."""
    for goal in GOALS:
        yield f"{_group(reached(goal, wholes))} of {_group(goal.at_least)} {goal.what}"
    yield f"{_group(_places(wholes))} of {_group(PLACES.at_least)} {PLACES.what}"


def problems_of(wholes: Sequence[Whole]) -> Iterator[str]:
    """Yield what stands between these results and a release."""
    for whole in wholes:
        name = whole.wanted.campaign
        for words in whole.violations:
            yield f"violated: {name}, {words}"
        for what in whole.silent if not whole.missing else ():
            yield f"never came about: {name}, {what}"
        if whole.is_dirty:
            yield f"of no commit: {name} ran on a tree that was changed"
        if whole.missing:
            ranges = ", ".join(f"{start}-{stop - 1}" for start, stop in whole.missing)
            yield f"missing: {name}, {ranges}; next: {command(whole, whole.missing[0])}"
    for goal in GOALS:
        if (count := reached(goal, wholes)) < goal.at_least:
            yield f"too few: {_group(count)} of {_group(goal.at_least)} {goal.what}"
    if (count := _places(wholes)) < PLACES.at_least:
        yield f"too few: {count} of {PLACES.at_least} {PLACES.what}"


def markdown(wholes: Sequence[Whole]) -> Iterator[str]:
    """Yield the table of the documents: what was run, and what it reached together."""
    yield from _HEAD
    for whole in wholes:
        name = whole.wanted.campaign
        where = f"{whole.commit}, {whole.core}" if whole.lines else ""
        cells = (f"`{name}`", _done(whole), _much(whole), str(len(whole.violations)))
        yield f"| {' | '.join((*cells, _time(whole.seconds), where))} |"
    yield ""
    yield f"Together: {'; '.join(goals_of(wholes))}."


def counters_of(whole: Whole) -> Iterator[str]:
    """Yield the counters of a campaign as a table of Markdown, two side by side."""
    cells = [f"{name} | {_group(count)}" for name, count in sorted(whole.counters.items())]
    cells += ["|"] * (-len(cells) % _COLUMNS)
    half = len(cells) // _COLUMNS
    yield "| what | times | what | times |"
    yield "|---|---|---|---|"
    for left, right in zip(cells[:half], cells[half:], strict=True):
        yield f"| {left} | {right} |"


def _done(whole: Whole) -> str:
    wanted = whole.wanted
    return f"{_group(whole.seeds)} of {_group(wanted.seeds)} {wanted.unit}"


def _much(whole: Whole) -> str:
    counters = whole.counters
    found = [f"{_group(counters[name])} {name}" for name in _SHOWN if counters.get(name)]
    return ", ".join(found)


def _places(wholes: Sequence[Whole]) -> int:
    named = [whole for whole in wholes if whole.wanted.campaign in PLACES.campaigns]
    return len({place for whole in named for place in whole.places})


def _group(number: int) -> str:
    return f"{number:,}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
