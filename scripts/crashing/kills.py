"""Kills and errors at places of a run: where they can be, how each is made, what it must leave.

Promises
- A kill counts only where the child died of SIGKILL and the trace says so; the call that it shows
  unfinished is the one that was meant. An error counts where the trace shows it.
- After each, the phase's `check` has opened the chain again.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from scripts.crashing import hooks
from scripts.crashing.chain import uninterrupted
from scripts.crashing.checking import Violation
from scripts.crashing.children import Wait, ask, end_of, fork_child, is_ready, let_go
from scripts.crashing.phases import BLOCKS_MAX, GROWN, KILLED, PHASES, Phase, grow
from scripts.crashing.tracing import (
    ANSWERS,
    KINDS,
    Strike,
    attached,
    killed_by_signal,
    kind_of,
    kinds_by_path,
    read_trace,
    was_struck,
)
from sequencer.ports import StoreError

OCCURRENCES_MAX = 8
"""Of a call that a phase makes more often than this on one kind of file, so many are chosen."""

DEEP_SHARE = 3
"""One kill of so many in a recovery is followed by others in the recoveries after it."""

_KILL = "signal=SIGKILL"
_ERRORS = ("error=EIO", "error=ENOSPC")
_SIGKILL, _FAILED = -9, 3


class Point(NamedTuple):
    """Where a run is killed. More than one strike: each in the recovery from the one before."""

    phase: Phase
    strikes: tuple[Strike, ...]

    @property
    def place(self) -> tuple[str, str, int, str, str]:
        """Return scenario, phase, depth, kind of file and call."""
        last = self.strikes[-1]
        kind = last.kinds[0]
        return self.phase.scenario, self.phase.name, len(self.strikes), kind, last.call

    def __str__(self) -> str:
        strikes = " then ".join(f"{s.call} {s.number} of {s.kinds[0]}" for s in self.strikes)
        return f"{self.phase.scenario}/{self.phase.name}: {strikes}"


class Outcome(NamedTuple):
    """What came of a point: how many strikes hit, and the violation or ""."""

    point: Point
    hits: int
    violation: str = ""

    @property
    def counts(self) -> bool:
        """Say whether every strike hit."""
        return self.hits == len(self.point.strikes)

    @property
    def killed(self) -> int:
        """Count the children that died of it."""
        return self.hits if self.point.strikes[0].action == _KILL else 0


class Kills:
    """Runs of phases in a folder of their own, which is left as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = folder / "run"
        self._hashes = uninterrupted(BLOCKS_MAX)

    def points(self, scenario: str, random: Random) -> list[Point]:
        """List the places of a scenario, the rare ones first, then those that come often."""
        phases = [phase for phase in PHASES if phase.scenario == scenario]
        found = [point for phase in phases for point in self._of(phase, random)]
        random.shuffle(found)
        seen: Counter[object] = Counter()
        ranked = []
        for point in found:
            seen[point.place] += 1
            ranked.append((seen[point.place], point))
        return [point for _, point in sorted(ranked, key=lambda each: each[0])]

    def errors(self, scenario: str, random: Random) -> list[Point]:
        """List places of a scenario at which a call fails, once or from then on."""
        found = []
        for point in self.points(scenario, random):
            strike, *deeper = point.strikes
            if not deeper and strike.kinds != (ANSWERS,):
                failing = strike._replace(action=random.choice(_ERRORS), rest=random.random() < 0.5)
                found.append(Point(point.phase, (failing,)))
        return found

    def strike(self, point: Point) -> Outcome:
        """Strike a run at a place, and check what is left."""
        self._begin_with(point.phase.template)
        hits = 0
        try:
            for strike in point.strikes:
                hits += self._struck(point.phase, strike)
            return Outcome(point, hits, self._violation(point.phase))
        except (Violation, RuntimeError) as violation:
            return Outcome(point, hits, str(violation))

    def needs_tracing(self, phase: Phase) -> bool:
        """Say whether a phase begins with what a kill by tracing has left."""
        return phase.template in KILLED

    def hook(self, phase: Phase, name: str, number: int) -> tuple[bool, str]:
        """Kill a run from within, where it reaches a name; returns whether, and the violation."""
        self._begin_with(phase.template)
        child = fork_child(self._work(phase, lambda: hooks.arm(name, number)))
        if is_ready(child):
            let_go(child)
        return end_of(child) == _SIGKILL, self._violation(phase)

    def _of(self, phase: Phase, random: Random) -> Iterator[Point]:
        counted = self._dry_run(phase)
        strikes = [
            Strike((kind,), call, number, _KILL)
            for (kind, call), count in sorted(counted.items())
            for number in _spread(count)
        ]
        yield from (Point(phase, (strike,)) for strike in strikes)
        for depth in range(2, phase.deep + 1):
            for strike in random.sample(strikes, len(strikes) // DEEP_SHARE):
                before = random.choices(strikes, k=depth - 1)
                yield Point(phase, (*before, strike))

    def _dry_run(self, phase: Phase) -> Counter[tuple[str, str]]:
        """Count the calls of a phase by kind of file and name, those of the busiest thread."""
        self._begin_with(phase.template)
        code, trace = self._traced(phase, KINDS, None)
        violation = self._violation(phase)
        if code or violation:
            raise Violation(f"{phase.scenario}/{phase.name} is not sound: {code} {violation}")
        kinds = kinds_by_path(self._run)
        calls = [call for call in read_trace(trace) if call.began]
        busiest: Counter[tuple[str, str]] = Counter()
        for (kind, call, _), count in Counter(
            (kind_of(call, kinds), call.name, call.thread) for call in calls
        ).items():
            busiest[kind, call] = max(busiest[kind, call], count)
        return busiest

    def _struck(self, phase: Phase, strike: Strike) -> bool:
        code, trace = self._traced(phase, strike.kinds, strike)
        if code not in (0, _SIGKILL, _FAILED):
            raise Violation(f"{phase.scenario}/{phase.name} ended with {code}")
        if strike.action != _KILL:
            struck = was_struck(trace) > 0
            if struck and not code and strike.is_answered:
                raise Violation("an error of the disk went by, and the engine went on")
            return struck
        if code == 0 or not killed_by_signal(trace):
            return False
        calls = [call for call in read_trace(trace) if call.began and call.name == strike.call]
        return any(not call.ended for call in calls)

    def _traced(
        self, phase: Phase, kinds: Sequence[str], strike: Strike | None
    ) -> tuple[int, Path]:
        child = fork_child(self._work(phase, lambda: None))
        if not is_ready(child):
            raise Violation(f"{phase.scenario}/{phase.name} cannot begin: {end_of(child)}")
        with attached(child.process, self._run, kinds, strike) as trace:
            let_go(child)
            code = end_of(child)
        return code, trace

    def _work(self, phase: Phase, arm: Callable[[], None]) -> Callable[[Wait], int]:
        def work(wait: Wait) -> int:
            act = phase.prepare(self._run)
            wait()
            arm()
            try:
                act()
            except (StoreError, OSError):
                return _FAILED
            return 0

        return work

    def _violation(self, phase: Phase) -> str:
        return ask(lambda: _checked(phase, self._run, self._hashes), str)

    def _begin_with(self, template: str) -> None:
        shutil.rmtree(self._run, ignore_errors=True)
        if not template:
            self._run.mkdir()
            return
        if not (self._folder / template).exists():
            self._make(template)
            shutil.rmtree(self._run, ignore_errors=True)
        shutil.copytree(self._folder / template, self._run)

    def _make(self, template: str) -> None:
        if template in GROWN:
            self._run.mkdir()
            planned = template != "unplanned"
            child = fork_child(lambda _: grow(self._run, GROWN[template], planned=planned))
            if end_of(child):
                raise Violation(f"the template {template} cannot be made")
        else:
            scenario, name, (kind, call, number) = KILLED[template]
            phase = next(each for each in PHASES if each[:2] == (scenario, name))
            self._begin_with(phase.template)
            if not self._struck(phase, Strike((kind,), call, number, _KILL)):
                raise Violation(f"the template {template} was not killed")
        self._run.rename(self._folder / template)


def _checked(phase: Phase, folder: Path, hashes: list[bytes]) -> str:
    try:
        phase.check(folder, hashes)
    except (Violation, AssertionError) as violation:
        return str(violation) or "a check failed"
    except Exception as error:
        return f"it does not open: {type(error).__name__} {error}"
    return ""


def _spread(count: int) -> list[int]:
    """Choose numbers from 1 to a count: all, or some with both ends."""
    if count <= OCCURRENCES_MAX:
        return list(range(1, count + 1))
    step = (count - 1) / (OCCURRENCES_MAX - 1)
    return sorted({1 + round(step * each) for each in range(OCCURRENCES_MAX)})
