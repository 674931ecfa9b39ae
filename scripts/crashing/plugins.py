"""Kills of a node with plugins, and of the plugins' own processes.

Promises
- What the first rollback and the first undo reach without harm tells every step at which later ones
  are killed: rare places first, then those that come often. In between, kills come at any moment.
- The first kills are those without which a campaign proves nothing; what must have come about and
  did not is a violation.
"""

import shutil
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from scripts.crashing.checking import Violation
from scripts.crashing.plugins_checking import FEED, HISTORY, PLUGINS, RECORDER
from scripts.crashing.plugins_hits import Hit, InCall, Instant
from scripts.crashing.plugins_story import PLAYED, PluginStory
from scripts.crashing.tracing import Strike, kind_of, kinds_by_path, read_trace
from scripts.crashing.traps import Trap, reached_so_far
from sequencer.model.refusals import Refused

KILLS_MIN = 10
"""Fewer kills cannot show all that a campaign has to show."""

MUST = (
    *("nodes", "plugins", "starts", "repeats", "nodes in a rollback", "nodes in an undo"),
    *("plugins in a rollback", "plugins in an undo", "torn lines"),
)
"""What must have come about in a campaign."""

_REORGS = ("apply", "undo")
# What ends a window, as it kills a plugin alone, has one for itself.
_FIRST: Mapping[str, tuple[Hit, ...]] = {
    "apply": (
        InCall(f"{HISTORY} revert_block", 2, 300),
        Trap(f"told {RECORDER} revert_block", 2),
        Instant(FEED, of_node=True, seconds=0.9),
    ),
    "undo": (
        InCall(f"{RECORDER} again", 2, 200),
        Trap(f"asks {RECORDER} again", 3),
        Instant(HISTORY, of_node=True, seconds=0.4),
    ),
}
_SECONDS = {"start": 0.9, "trade": 0.5, "mark": 0.05, "apply": 0.4, "undo": 0.25, "stop": 0.05}
_START_SECONDS = 0.8
_TRIES = 2
_HITS, _STEPS_SHARE = 4, 0.85
_EACH, _MICROSECONDS_MAX = 3, 2_000
_TOGETHER = (3, 64, 1)
_KILL = "signal=SIGKILL"


class Aim(NamedTuple):
    """A window of a story with plugins and a hit in there; None is no hit, but the window."""

    window: str
    hit: Hit | None

    @property
    def place(self) -> tuple[str, str]:
        """Return the window and what is hit there, without a number."""
        return self.window, "" if self.hit is None else _place_of(self.hit)

    def __str__(self) -> str:
        return f"plugins/{self.window}: {self.hit or ''}"


class Struck(NamedTuple):
    """What became of a hit: how many processes died, and what is wrong or ""."""

    aim: Aim
    kills: int
    violation: str = ""

    @property
    def was_met(self) -> bool:
        """Say whether the hit killed anything, or something is wrong."""
        return self.kills > 0 or self.violation != ""


class PluginKills:
    """Stories with plugins, each in a folder of its own. `counts` says what came about."""

    def __init__(self, folder: Path, random: Random, *, traced: bool) -> None:
        self._folder, self._random, self._traced = folder, random, traced
        self._left: dict[str, deque[Hit]] = {}
        self._order: dict[str, int] = {}
        self._steps: set[tuple[str, str]] = set()
        self._met: set[tuple[str, str]] = set()
        self._again: set[tuple[str, str]] = set()
        self._number = self._wanted = 0
        self.counts: Counter[str] = Counter()

    def run(self, count: int) -> Iterator[Struck]:
        """Play stories until so many hits were met, KILLS_MIN at least. Yields each hit."""
        wanted, missing = max(count, KILLS_MIN), list[str]()
        for _ in range(1 + _TRIES):
            for struck in self._until(wanted):
                yield struck
                if struck.violation:
                    return
            missing = [name for name in MUST if not self.counts[name]]
            if not missing:
                return
            # A loaded machine may have met too little in time.
            wanted = KILLS_MIN
        yield Struck(Aim("end", None), 0, f"it never came about: {', '.join(missing)}")

    def words(self) -> str:
        """Say what came about."""
        counted = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        steps = f"{len(self._steps & self._met)} of {len(self._steps)} steps of rollback and undo"
        return f"{self._number} stories, {steps}: {counted}"

    def _until(self, wanted: int) -> Iterator[Struck]:
        self._wanted = wanted
        while self._wanted > 0:
            for struck in self._played():
                self._wanted -= struck.was_met
                yield struck
                if struck.violation:
                    return

    def _played(self) -> Iterator[Struck]:
        story, playing = self._begun(), ""
        try:
            for window in PLAYED:
                playing = window
                if window in _REORGS and window not in self._left:
                    self._left[window] = deque((*_FIRST[window], *self._looked_at(story, window)))
                    continue
                hits = self._taken(window)
                met = story.play(window, hits)
                self._keep(window, hits, met)
                for hit, kills in zip(hits, met, strict=False):
                    aim = Aim(window, hit)
                    self._met |= {aim.place} if kills else set()
                    yield Struck(aim, kills)
            playing = "end"
            story.finish()
        except (Violation, RuntimeError, OSError, Refused) as violation:
            yield Struck(Aim(playing, None), 0, f"{violation}; hits: {story.tried}")
        finally:
            story.end()
            self.counts += story.counts

    def _begun(self) -> PluginStory:
        self._number += 1
        shutil.rmtree(self._folder / str(self._number - 1), ignore_errors=True)
        self._run = self._folder / str(self._number)
        return PluginStory(self._run, _TOGETHER[self._number % len(_TOGETHER)])

    def _keep(self, window: str, hits: Sequence[Hit], met: Sequence[int]) -> None:
        """Have again what was not tried, and once more, where it comes first, what was not met."""
        left = self._left.setdefault(window, deque())
        left.extendleft(hit for hit in hits[len(met) :] if not isinstance(hit, Instant))
        for hit, kills in zip(hits, met, strict=False):
            place = Aim(window, hit).place
            if not kills and not isinstance(hit, Instant) and place not in self._again | self._met:
                self._again.add(place)
                left.appendleft(hit._replace(number=1))

    def _taken(self, window: str) -> list[Hit]:
        """Take the next hits of a window, but no more than are wanted."""
        count = min(self._wanted, _HITS if window in _REORGS else 1)
        left, taken = self._left.get(window, deque()), list[Hit]()
        while len(taken) < count and left and left[0] in _FIRST.get(window, ()):
            taken.append(left.popleft())
            if isinstance(taken[-1], InCall):
                break
        for number in range(0 if taken else count):
            if left and self._random.random() < _STEPS_SHARE:
                taken.append(left.popleft())
            else:
                taken.append(self._instant(_SECONDS[window] + (_START_SECONDS if number else 0)))
        return sorted(taken, key=self._when)

    def _when(self, hit: Hit) -> int:
        """Say when a hit shall come: no earlier one any more after a late one, and none at all in a
        window that the node has outlived.
        """
        match hit:
            case Trap(name=name):
                return self._order.get(name, 0)
            case Strike():
                return -1
            case Instant(of_node=True):
                return len(self._order)
        return len(self._order) + 1

    def _instant(self, seconds_max: float) -> Instant:
        plugin = self._random.choice(("", "", *PLUGINS))
        of_node = not plugin or self._random.random() < 0.5
        return Instant(plugin, of_node, self._random.uniform(0, seconds_max))

    def _looked_at(self, story: PluginStory, window: str) -> list[Hit]:
        """Play a window without harm, and list where it can be hit, rare places first."""
        before = len(reached_so_far(self._run))
        hits: list[Hit] = []
        if self._traced:
            hits += self._strikes(story.trace(window))
        else:
            story.play(window, ())
        names = Counter(reached_so_far(self._run)[before:])
        for name, count in names.items():
            self._order.setdefault(name, len(self._order))
            hits += (Trap(name, number) for number in _spread(count))
            if name.startswith("asks ") and "may_reorg" not in name:
                hits += (self._in_call(name, number) for number in _spread(count))
        self._steps |= {Aim(window, hit).place for hit in hits}
        self._random.shuffle(hits)
        seen: Counter[str] = Counter()
        ranked = []
        for hit in hits:
            seen[_place_of(hit)] += 1
            ranked.append((seen[_place_of(hit)], hit))
        return [hit for _, hit in sorted(ranked, key=lambda each: each[0])]

    def _in_call(self, name: str, number: int) -> InCall:
        call = name.removeprefix("asks ")
        return InCall(call, number, self._random.randrange(_MICROSECONDS_MAX))

    def _strikes(self, trace: Path) -> Iterator[Strike]:
        """Yield where strace can strike what the node wrote, by kind of file."""
        kinds = kinds_by_path(self._run)
        counts: Counter[tuple[str, str, int]] = Counter()
        for call in (each for each in read_trace(trace) if each.began):
            if kind := kind_of(call, kinds):
                counts[kind, call.name, call.thread] += 1
        busiest: dict[tuple[str, str], int] = {}
        for (kind, name, _), count in counts.items():
            busiest[kind, name] = max(busiest.get((kind, name), 0), count)
        for (kind, name), count in sorted(busiest.items()):
            yield from (Strike((kind,), name, number, _KILL) for number in _spread(count))


def _spread(count: int) -> list[int]:
    """Choose numbers from 1 to a count, with both ends; all, if there are few."""
    if count <= _EACH:
        return [*range(1, count + 1)]
    return sorted({1 + (count - 1) * each // (_EACH - 1) for each in range(_EACH)})


def _place_of(hit: Hit) -> str:
    match hit:
        case Trap(name=name):
            return name
        case InCall(name=name):
            return f"in {name}"
        case Strike():
            return f"{hit.call} of {', '.join(hit.kinds)}"
        case Instant():
            return f"{hit.plugin} {'node' if hit.of_node else ''}".strip()
