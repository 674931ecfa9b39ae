"""The whole campaign: scenarios one after the other, a line for each, and what it adds up to."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from scripts.campaigning.results import Found
from scripts.crashing import hooks
from scripts.crashing.checking import Violation
from scripts.crashing.faults import all_faults, suffer
from scripts.crashing.instants import Instants
from scripts.crashing.kills import Kills, Point
from scripts.crashing.lives import Lives
from scripts.crashing.phases import PHASES
from scripts.crashing.plugins import Aim, PluginKills
from scripts.crashing.replaced import replace_writer
from scripts.crashing.sides import Nowhere, Side, Simulated, running_devnet, why_no_devnet
from scripts.crashing.stories import Spot, Stories

KILLED = tuple(dict.fromkeys(phase.scenario for phase in PHASES))
"""Scenarios that strace kills."""

FAILING, FAULTS, HOOKS, INSTANTS = "errors", "faults", "hooks", "instants"
CLIENTS, PLUGINS, REPLACED = "clients", "plugins", "replaced"
RUNNING, SIMULATED, SETTLING = "running", "simulated", "settling"
STORIES = (RUNNING, SIMULATED, SETTLING)
"""Scenarios of a whole node, which is killed as its operator goes back and takes that back."""

SCENARIOS = (*KILLED, FAILING, HOOKS, FAULTS, INSTANTS, REPLACED, CLIENTS, PLUGINS, *STORIES)
"""Every scenario by name."""

PLACES_MIN = 100
"""Places of a whole campaign at which a child died: fewer of them prove too little."""

PARTS_RELEASE, POINTS_PART = 6, 100
"""Parts of a release, and the points of which every scenario has its share in each."""

_PERCENT = {"start": 13, "blocks": 10, "recovery": 45, "upkeep": 7, "compaction": 25}
_PERCENT |= {"rollback": 15, FAILING: 25, HOOKS: 15, FAULTS: 15, INSTANTS: 12}
_PERCENT |= {CLIENTS: 5, PLUGINS: 35, REPLACED: 2}
_PERCENT |= {RUNNING: 9, SIMULATED: 12, SETTLING: 15}
_HOOKS_EACH = 3
_FORKED_EACH = 7
_INSTANTS_MAX = 400
_PLUGINS_MAX = 600


class Trial(NamedTuple):
    """One run. `what` is the same for the same point; `was_hit` says whether the fault was met."""

    what: object
    was_hit: bool
    kills: int
    violation: str

    @property
    def place(self) -> object:
        """Return scenario, phase, kind of file and call, without the number of the call."""
        return self.what.place if isinstance(self.what, Point | Spot | Aim) else self.what


class Tally(NamedTuple):
    """What a scenario adds up to."""

    name: str
    trials: Sequence[Trial]
    seconds: float

    @property
    def points(self) -> int:
        return sum(trial.was_hit for trial in self.trials)

    @property
    def kills(self) -> int:
        return sum(trial.kills for trial in self.trials)

    @property
    def distinct(self) -> int:
        return len({trial.what for trial in self.trials if trial.was_hit})

    @property
    def places(self) -> int:
        return len({trial.place for trial in self.trials if trial.was_hit})

    @property
    def recovered(self) -> int:
        return sum(trial.was_hit and not trial.violation for trial in self.trials)

    @property
    def violations(self) -> list[str]:
        return [f"{trial.what}: {trial.violation}" for trial in self.trials if trial.violation]

    def found(self) -> Found:
        """Return it as a line of results has it."""
        counters = {"runs": len(self.trials), "points": self.points, "killed": self.kills}
        counters["recovered"] = self.recovered
        return Found(
            counters=counters,
            violations=self.violations,
            silent=[name for name, count in counters.items() if not count and name != "killed"],
            places=sorted({_words(trial.place) for trial in self.trials if trial.was_hit}),
        )

    def line(self) -> str:
        """Return it as a line."""
        return (
            f"{self.name:12}{len(self.trials):>6} runs{self.points:>6} points"
            f"{self.kills:>6} killed{self.distinct:>6} distinct{self.places:>5} places"
            f"{self.recovered:>6} recovered{self.seconds:>8.1f} s"
        )


def _words(place: object) -> str:
    return " ".join(map(str, place)) if isinstance(place, tuple) else str(place)


class Campaign:
    """Runs scenarios in a folder of its own. Untraced, it leaves out what needs tracing.

    `every`: where calls of one name come often, each of them counts. A campaign has parts: where
    points can be listed, each takes the next ones of the list, and elsewhere dice of its own.
    """

    def __init__(self, folder: Path, seed: int, *, traced: bool, every: bool = False) -> None:
        self._folder = folder
        self._seed = seed
        self._traced, self._every = traced, every
        self._kills = Kills(folder)

    def run(self, names: Sequence[str], points: int, part: int = 1) -> Iterator[Tally]:
        """Run scenarios, each with its share of so many points; one alone has all of them."""
        for name in names:
            count = points if len(names) == 1 else share_of(name, points)
            if self.can(name):
                yield self.tally(name, count, part)

    def tally(self, name: str, count: int, part: int) -> Tally:
        """Run so many points of a scenario."""
        started = time.monotonic()
        trials = list(self.trials(name, count, part))
        return Tally(name, trials, time.monotonic() - started)

    def can(self, name: str) -> bool:
        """Say whether this machine has what a scenario needs."""
        if name == SETTLING and why_no_devnet():
            return False
        untraced = (HOOKS, FAULTS, INSTANTS, REPLACED, CLIENTS, PLUGINS, *STORIES)
        return self._traced or name in untraced

    def trials(self, name: str, count: int, part: int = 1) -> Iterator[Trial]:
        """Run so many points of a scenario, one by one, until it cannot go on."""
        self._chosen = slice((part - 1) * count, part * count)
        seed = f"{self._seed} {name}"
        try:
            yield from self._trials(name, count, Random(seed), Random(f"{seed} {part}"))
        except (Violation, RuntimeError) as violation:
            yield Trial(name, True, 0, str(violation))

    def _trials(self, name: str, count: int, listed: Random, random: Random) -> Iterator[Trial]:
        match name:
            case "errors":
                return self._failing(count, listed)
            case "hooks":
                return self._hooked(count, listed)
            case "faults":
                return self._faulty(count, listed)
            case "instants":
                return self._instants(min(count, _INSTANTS_MAX), random)
            case "replaced":
                return self._replaced(count, random)
            case "clients":
                return self._clients(count, random)
            case "plugins":
                return self._plugins(min(count, _PLUGINS_MAX), random)
            case "running":
                return self._told(Nowhere(), count, random)
            case "simulated":
                return self._told(Simulated(), count, random)
            case "settling":
                return self._settling(count, random)
        return self._struck(self._kills.points(name, listed)[self._chosen])

    def _struck(self, points: Sequence[Point]) -> Iterator[Trial]:
        for point in points:
            outcome = self._kills.strike(point)
            yield Trial(point, outcome.counts, outcome.killed, outcome.violation)

    def _failing(self, count: int, random: Random) -> Iterator[Trial]:
        each = -(-count // len(KILLED))
        first = self._chosen.start // max(count, 1) * each
        for scenario in KILLED:
            yield from self._struck(self._kills.errors(scenario, random)[first : first + each])

    def _hooked(self, count: int, random: Random) -> Iterator[Trial]:
        places = [
            (phase, name, number)
            for phase in PHASES
            if self._traced or not self._kills.needs_tracing(phase)
            for name in hooks.names_in(phase)
            for number in range(1, 1 + _HOOKS_EACH)
        ]
        for phase, name, number in random.sample(places, len(places))[self._chosen]:
            was_killed, violation = self._kills.hook(phase, name, number)
            what = f"{phase.scenario}/{phase.name}: {name} {number}"
            yield Trial(what, was_killed, int(was_killed), violation)

    def _faulty(self, count: int, random: Random) -> Iterator[Trial]:
        faults = [fault for fault in all_faults() if self._traced or fault.strike is None]
        for fault in random.sample(faults, len(faults))[self._chosen]:
            yield _tried(str(fault), partial(suffer, self._own_folder(FAULTS), fault))

    def _instants(self, count: int, random: Random) -> Iterator[Trial]:
        instants = Instants(self._own_folder(INSTANTS), random)
        for number in range(count):
            kill = instants.kill_forked if number % _FORKED_EACH else instants.kill_process
            trial = _tried(f"instant {number}", kill)
            yield trial._replace(kills=int(trial.was_hit))

    def _replaced(self, count: int, random: Random) -> Iterator[Trial]:
        for number in range(count):
            own = self._own_folder(REPLACED)
            yield _tried(f"writer {number}", partial(replace_writer, own, random))

    def _clients(self, count: int, random: Random) -> Iterator[Trial]:
        lives = Lives(self._own_folder(CLIENTS), random)
        for number in range(count):
            trial = _tried(f"life {number}", lives.kill)
            yield trial._replace(kills=int(not trial.violation))
        lives.end()

    def _plugins(self, count: int, random: Random) -> Iterator[Trial]:
        kills = PluginKills(self._own_folder(PLUGINS), random, traced=self._traced)
        for struck in kills.run(count):
            yield Trial(struck.aim, struck.was_met, struck.kills, struck.violation)
        print(kills.words(), flush=True)

    def _settling(self, count: int, random: Random) -> Iterator[Trial]:
        with running_devnet(self._folder) as devnet:
            yield from self._told(devnet, count, random)

    def _told(self, side: Side, count: int, random: Random) -> Iterator[Trial]:
        own = self._own_folder(side.name)
        stories = Stories(own, side, random, traced=self._traced, every=self._every)
        for met in stories.run(count):
            yield Trial(met.spot, met.was_met, met.kills, met.violation)

    def _own_folder(self, name: str) -> Path:
        """Make a folder in place of the last one of that name."""
        own = self._folder / name
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        return own


def named(scenario: str) -> str:
    """Return what a scenario is called among all campaigns."""
    return f"crash {scenario}"


def share_of(name: str, points: int) -> int:
    """Return how many of so many points a scenario has, where all scenarios run."""
    return -(-points * _PERCENT[name] // 100)


def _tried(what: str, attempt: Callable[[], bool]) -> Trial:
    try:
        return Trial(what, attempt(), 0, "")
    except (Violation, RuntimeError) as violation:
        return Trial(what, True, 0, str(violation))
