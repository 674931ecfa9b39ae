"""Campaigns of many seeds: what becomes of each, what they add up to, and how many are wanted.

Laws
- A silent test is a failed test: what is wanted and never came about in a whole campaign fails it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from scripts.campaigning.results import Found
from scripts.campaigning.stopping import work_many

_CHUNK_SEEDS = 20
"""Seeds that share a devnet, or a store: to make one takes as long as several of them."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a seed: what was violated, "" for nothing, how often what happened, and when."""

    seed: int
    violated: str
    counts: dict[str, int]
    log: tuple[str, ...] = ()


Play = Callable[[Sequence[int]], list[Outcome]]
"""Plays seeds one after the other, in a process that does nothing else."""

PlayMany = Callable[[Sequence[int], int], Iterator[Outcome]]
"""Plays seeds in so many processes; outcomes come in the order of the seeds."""


class Seeded(NamedTuple):
    """A campaign of seeds. `wanted` has to come about; `part` is how many seeds a line holds."""

    name: str
    play: PlayMany
    wanted: Sequence[str]
    sample: int
    release: int
    part: int


class Tally(msgspec.Struct):
    """What outcomes add up to."""

    seeds: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Outcome] = msgspec.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add one outcome."""
        self.seeds += 1
        self.counts.update(outcome.counts)
        if outcome.violated:
            self.failed.append(outcome)

    def missing(self, wanted: Sequence[str]) -> list[str]:
        """List what never came about."""
        return [name for name in wanted if not self.counts[name]]

    def found(self, wanted: Sequence[str]) -> Found:
        """Return it as a line of results has it."""
        violations = [f"seed {each.seed}: {each.violated}" for each in self.failed]
        silent = self.missing(wanted)
        return Found(counters=self.counts, violations=violations, silent=silent)


def play_many(play: Play, seeds: Sequence[int], jobs: int) -> Iterator[Outcome]:
    """Play seeds in so many processes; outcomes come in the order of the seeds."""
    chunks = [seeds[at : at + _CHUNK_SEEDS] for at in range(0, len(seeds), _CHUNK_SEEDS)]
    for outcomes in work_many(play, chunks, jobs):
        yield from outcomes


def in_processes(play: Play) -> PlayMany:
    """Return how a campaign is played in processes of its own."""
    return partial(play_many, play)
