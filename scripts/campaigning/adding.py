"""What the lines of a campaign add up to: pure functions over results.

Laws
- A seed counts once: of lines with seeds in common, the first one counts, and the other not at
  all; but what any line says to be violated is violated.
- Only lines of one commit and one core are added up.
- A silent test is a failed test: what was silent in every line that counts never came about.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from scripts.campaigning.results import RELEASE, Result

Range = tuple[int, int]
"""The first seed and the one after the last."""


class Wanted(NamedTuple):
    """A campaign that a release wants: so many seeds or parts from 1 on.

    `command` runs it, with `--from` and `--{counted_by}` a range of them, all of them where that
    is empty. `sized`: a part of a release is not a part of a sample, so only lines of releases
    count.
    """

    campaign: str
    seeds: int
    unit: str
    command: str
    counted_by: str
    sized: bool = False


class Whole(NamedTuple):
    """What the lines of a campaign on one commit add up to."""

    wanted: Wanted
    commit: str
    core: str
    lines: Sequence[Result]
    missing: Sequence[Range]
    violations: Sequence[str]

    @property
    def seeds(self) -> int:
        """How many of the wanted seeds were run."""
        return self.wanted.seeds - sum(stop - start for start, stop in self.missing)

    @property
    def seconds(self) -> float:
        """How long the lines took, one after the other."""
        return sum(line.seconds for line in self.lines)

    @property
    def counters(self) -> Mapping[str, int]:
        """Sum the counters up."""
        total: Counter[str] = Counter()
        for line in self.lines:
            total.update(line.found.counters)
        return total

    @property
    def places(self) -> frozenset[str]:
        """The different places that were hit."""
        return frozenset(place for line in self.lines for place in line.found.places)

    @property
    def silent(self) -> Sequence[str]:
        """Name what never came about."""
        if not self.lines:
            return []
        common = set.intersection(*(set(line.found.silent) for line in self.lines))
        return [name for name in self.lines[0].found.silent if name in common]

    @property
    def is_dirty(self) -> bool:
        """Say whether other sources than the commit's may have run."""
        return any(line.is_dirty for line in self.lines)


class Goal(NamedTuple):
    """What several campaigns have to reach together, by a counter; "" counts their seeds."""

    what: str
    campaigns: Sequence[str]
    counter: str
    at_least: int


def disjoint(results: Iterable[Result]) -> list[Result]:
    """Choose the lines that count, in their order."""
    chosen: list[Result] = []
    for result in results:
        stop = result.first + result.count
        if all(stop <= each.first or each.first + each.count <= result.first for each in chosen):
            chosen.append(result)
    return chosen


def missing_ranges(results: Iterable[Result], seeds: int) -> list[Range]:
    """List what is missing of 1 .. seeds."""
    done = sorted((each.first, each.first + each.count) for each in results)
    edges = [(0, 1), *done, (seeds + 1, seeds + 1)]
    reached, found = 1, list[Range]()
    for (_, stop), (start, _) in pairwise(edges):
        reached = max(reached, stop)
        if reached < min(start, seeds + 1):
            found.append((reached, min(start, seeds + 1)))
    return found


def add_up(results: Sequence[Result], wanted: Wanted, commit: str = "") -> Whole:
    """Add up the lines of a campaign on one commit.

    Without `commit` it is the last one on which nothing is missing, else the one of the last line;
    one whose tree was not changed comes before any other.
    """
    own = [
        each
        for each in results
        if each.campaign == wanted.campaign
        and (each.size == RELEASE or not wanted.sized)
        and each.commit.startswith(commit)
    ]
    groups: dict[tuple[str, str], list[Result]] = {}
    for each in own:
        groups.setdefault((each.commit, each.core), []).append(each)
    wholes = [_whole(lines, wanted, *named) for named, lines in groups.items()]
    if not wholes:
        return Whole(wanted, commit, "", [], [(1, wanted.seeds + 1)], [])
    complete = [whole for whole in wholes if not whole.missing]
    newest = {(each.commit, each.core): number for number, each in enumerate(own)}
    return max(
        complete or wholes,
        key=lambda whole: (not whole.is_dirty, newest[whole.commit, whole.core]),
    )


def _whole(lines: Sequence[Result], wanted: Wanted, commit: str, core: str) -> Whole:
    counted = [each for each in disjoint(lines) if each.first <= wanted.seeds]
    violations = [words for each in lines for words in each.found.violations]
    return Whole(wanted, commit, core, counted, missing_ranges(counted, wanted.seeds), violations)


def reached(goal: Goal, wholes: Iterable[Whole]) -> int:
    """Count what campaigns have reached together, by a counter or by seeds."""
    named = [whole for whole in wholes if whole.wanted.campaign in goal.campaigns]
    if not goal.counter:
        return sum(whole.seeds for whole in named)
    return sum(whole.counters.get(goal.counter, 0) for whole in named)
