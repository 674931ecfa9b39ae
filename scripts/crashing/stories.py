"""Where the windows of a story can be hit, which hits a run takes, and what came of each.

Promises
- A first story without harm tells every place: what it reaches, and what strace sees it write.
- Rare places come first, then those that come often. A hit that was not met is tried once more.
- A kill counts only where the node died of SIGKILL with that hit set for it.
"""

import shutil
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from scripts.crashing.chain import GENESIS
from scripts.crashing.checking import Violation
from scripts.crashing.sides import Side, Simulated
from scripts.crashing.tracing import Strike, kind_of, kinds_by_path, read_trace
from scripts.crashing.traps import Trap, reached_so_far, set_faults
from scripts.crashing.windows import EPOCHS, PLAYED, Hit, Story
from sequencer.chain.block import seal_block
from sequencer.chain.genesis import open_genesis, read_genesis
from sequencer.chain.tries import Tries
from sequencer.model.refusals import Refused
from sequencer.model.settlement import Post

_KILL = "signal=SIGKILL"
_EACH, _EVERY = 3, 2**31
_AT_ONCE = {"apply": 2, "undo": 2, "resume": 3, "reopen": 2}
_DEEP_SHARE = 0.3
_FAULTY_SHARE, _REORG_SHARE = 0.4, 0.2
_REORG_CALLS_MAX = 3
_FAULTS = ("receipts_lost", "calls_lost", "doubled", "unreachable", "late_ms_max")
_QUESTIONS = ("starknet_", "devnet_", "get_", "newest_", "oldest_", "checking")
_ANYWHERE = ("fdatasync", "fsync", "rename", "unlink")


class Spot(NamedTuple):
    """A scenario, a window of its story, and a hit in there; None is no hit, but the window."""

    scenario: str
    window: str
    hit: Hit | None

    @property
    def place(self) -> tuple[str, str, str]:
        """Return scenario, window, and what is reached there, without a number."""
        return self.scenario, self.window, "" if self.hit is None else _place_of(self.hit)

    def __str__(self) -> str:
        hit = self.hit
        number = "" if hit is None else hit.number
        return f"{self.scenario}/{self.window}: {self.place[-1]} {number}"


class Met(NamedTuple):
    """What became of a hit: whether it was met, how many processes died, what is wrong or ""."""

    spot: Spot
    was_met: bool
    kills: int
    violation: str = ""


class Stories:
    """Stories on one kind of settlement chain, each in a folder of its own."""

    def __init__(
        self, folder: Path, side: Side, random: Random, *, traced: bool, every: bool = False
    ) -> None:
        self._folder, self._side, self._random = folder, side, random
        self._traced, self._each = traced, _EVERY if every else _EACH
        self._number = 0
        self._left: Mapping[str, deque[Hit]] = {}
        self._again: set[tuple[str, Hit]] = set()
        self._order: dict[str, int] = {}

    def run(self, count: int) -> Iterator[Met]:
        """Play stories until so many hits were met, or all. Yields each hit that was tried."""
        self._left = self._discovered()
        met = 0
        while met < count and any(self._left.values()):
            for each in self._played():
                met += each.was_met
                yield each

    def _discovered(self) -> Mapping[str, deque[Hit]]:
        """Play a story without harm, and list the hits of each window, rare ones first."""
        story = self._begun()
        found: dict[str, list[Hit]] = {}
        try:
            for window in PLAYED:
                # The first round is the one that is looked at.
                hits = self._hits_of(story, window)
                found.setdefault(window, hits)
            story.finish()
        finally:
            story.end()
        self._starts = [hit for hit in found["start"] if isinstance(hit, Trap)]
        return {window: deque(self._ranked(found[window])) for window in EPOCHS}

    def _hits_of(self, story: Story, window: str) -> list[Hit]:
        before = len(reached_so_far(self._run))
        strikes: list[Hit] = []
        if self._traced:
            strikes += _strikes_of(story.trace(window), self._run, self._each)
        else:
            story.play(window, ())
        names = Counter(reached_so_far(self._run)[before:])
        self._order |= {name: number for number, name in enumerate(names)}
        return [
            *strikes,
            *(Trap(name, number) for name in names for number in _spread(names[name], self._each)),
        ]

    def _ranked(self, hits: list[Hit]) -> list[Hit]:
        self._random.shuffle(hits)
        seen: Counter[str] = Counter()
        ranked = []
        for hit in hits:
            place = _place_of(hit)
            seen[place] += 1
            is_question = any(word in place for word in _QUESTIONS)
            ranked.append((seen[place] + is_question, hit))
        return [hit for _, hit in sorted(ranked, key=lambda each: each[0])]

    def _played(self) -> Iterator[Met]:
        story, playing = self._begun(), ""
        try:
            for window in PLAYED:
                playing = window
                story.faulty |= self._disturb(window)
                hits = self._taken(window)
                after = self._random.choice(self._starts)
                deep = after if self._random.random() < _DEEP_SHARE else None
                met = story.play(window, hits, deep)
                self._left[window].extendleft(hits[len(met) :])
                for hit, kills in zip(hits, met, strict=False):
                    if not kills and (window, hit) not in self._again:
                        self._again.add((window, hit))
                        self._left[window].append(hit)
                    yield Met(Spot(self._side.name, window, hit), kills > 0, kills)
            playing = "end"
            story.finish()
        except (Violation, RuntimeError, OSError, Refused) as violation:
            words = f"{violation}; hits: {story.tried}"
            yield Met(Spot(self._side.name, playing, None), True, 0, words)
        finally:
            story.end()

    def _taken(self, window: str) -> list[Hit]:
        """Take the next hits of a window, those that come early in it first."""
        left = self._left[window]
        taken = [left.popleft() for _ in range(min(len(left), _AT_ONCE.get(window, 1)))]
        return sorted(taken, key=self._when)

    def _when(self, hit: Hit) -> int:
        return self._order[hit.name] if isinstance(hit, Trap) else -1

    def _disturb(self, window: str) -> bool:
        """Switch on a fault of a simulated chain, or have it reorganise itself; says if it did."""
        if not isinstance(self._side, Simulated) or window == "start":
            return False
        if self._random.random() < _FAULTY_SHARE:
            set_faults(self._run, self._random.choice(_FAULTS))
        if self._random.random() >= _REORG_SHARE:
            return False
        return self._side.reorg(self._random.randint(1, _REORG_CALLS_MAX)) > 0

    def _begun(self) -> Story:
        self._number += 1
        self._run = self._folder / str(self._number)
        shutil.rmtree(self._folder / str(self._number - 1), ignore_errors=True)
        return Story(self._run, self._side, first_post(), self._number)


@cache
def first_post() -> Post:
    """Return the genesis block as the contract has it from the start."""
    _, closed = open_genesis(read_genesis(GENESIS.encode()))
    block, _ = seal_block(closed, 0, Tries())
    return Post(0, block.header.state_root, block.hash)


def _strikes_of(trace: Path, folder: Path, most: int) -> Iterator[Strike]:
    """Yield where strace can strike what it has seen, by file, or by name on any file."""
    kinds = kinds_by_path(folder)
    counted: Counter[tuple[tuple[str, ...], str, int]] = Counter()
    elsewhere: set[tuple[str, int]] = set()
    for call in (each for each in read_trace(trace) if each.began):
        kind = kind_of(call, kinds)
        named = (kind,) if kind else ()
        counted[named, call.name, call.thread] += 1
        if kind:
            counted[(), call.name, call.thread] += 1
        elif call.name in _ANYWHERE:
            elsewhere.add((call.name, counted[(), call.name, call.thread]))
    yield from (Strike((), name, number, _KILL) for name, number in sorted(elsewhere))
    busiest: Counter[tuple[tuple[str, ...], str]] = Counter()
    for (kinds_named, name, _), count in counted.items():
        if kinds_named:
            busiest[kinds_named, name] = max(busiest[kinds_named, name], count)
    for (kinds_named, name), count in sorted(busiest.items()):
        for number in _spread(count, most):
            yield Strike(kinds_named, name, number, _KILL)


def _spread(count: int, most: int) -> Sequence[int]:
    """Choose so many numbers from 1 to a count, with both ends; all, if there are no more."""
    if count <= most:
        return range(1, count + 1)
    return sorted({1 + (count - 1) * each // (most - 1) for each in range(most)})


def _place_of(hit: Hit) -> str:
    if isinstance(hit, Trap):
        return hit.name
    return f"{hit.call} of {', '.join(hit.kinds) or 'any file'}"
