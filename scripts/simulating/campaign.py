"""Many seeds in some processes, and what they add up to.

Laws
- A silent test is a failed test: an overlap that is in `OVERLAPS` and never came about in a whole
  campaign fails it.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import msgspec

from scripts.simulating.world import Outcome, run_seed

SEEDS_WHOLE = 1_000
"""Seeds of a whole campaign: from so many on every overlap has to have come about."""

_CHUNK_SEEDS = 4

_TORN = tuple(
    f"power cut in {place} at {point}"
    for place in ("announcing, or an undo", "the batch")
    for point in ("batch.begins", "batch.written", "witness.written")
)

OVERLAPS = (
    "rollback",
    "rollback dropped an open block with commands",
    "rollback during a delivery",
    "rollback during shutdown",
    "rollback while a post was in flight",
    "rollback while a post's outcome was unknown",
    "rollback of a rollback",
    "rollback below the beginning",
    "apply while a block was sealing",
    "commands came while a decision was carried out",
    "apply while signatures were checked",
    "apply while the tripwire halted",
    "apply dropped a block with liquidations",
    "apply before a change of mode that waited",
    "apply refused during shutdown",
    "plan stale",
    "stale plan applied again",
    "plan applied twice refused",
    "one of two plans at once applied",
    "undo",
    "undo during a delivery",
    "undo during shutdown",
    "undo while a post was in flight",
    "undo before a change of mode that waited",
    "undo against a change of mode",
    "undo came before the change of mode",
    "change of mode came before the undo",
    "both undone, newest first",
    "power cut",
    *_TORN,
    "halted for good by WRITE_FAILED",
    "planned stop",
    "fill",
    "liquidation",
    "tripwire",
    "withdrawal kept",
    "answered command orphaned",
    "orphaned command refused",
    "duplicate command refused",
    "refused, sent again, applied",
    "applied, and nobody was told",
    "row delivered again",
    "reader parked",
    "view held over a rollback or undo",
    "clients saw the head from before a decision",
    "post",
    "revert on the settlement chain",
    "block final on the settlement chain",
    "post arrived late",
    "late post refused",
    "reorg of the settlement chain",
    "settlement unreachable for a while",
    "deposit credited",
    "deposit credited again after a rollback",
    "deposits removed by a reorg over there",
    "deposit sent again after a reorg over there",
    "credited deposit lost",
    "lost deposit unmade",
    "chain replayed with real signatures",
)
"""What has to come about in a whole campaign, each at least once."""


class Tally(msgspec.Struct):
    """What outcomes add up to."""

    seeds: int = 0
    steps: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    failed: list[Outcome] = msgspec.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add one outcome."""
        self.seeds += 1
        self.steps += outcome.steps
        self.counts.update(outcome.counts)
        if outcome.violations:
            self.failed.append(outcome)

    def missing(self) -> list[str]:
        """List the overlaps that never came about."""
        return [name for name in OVERLAPS if not self.counts[name]]

    def lines(self) -> Iterator[str]:
        """Yield the table of counters."""
        for name in OVERLAPS:
            yield f"{self.counts[name]:>8} {name}"
        for name in sorted(self.counts.keys() - set(OVERLAPS)):
            yield f"{self.counts[name]:>8} ({name})"


def run_seeds(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Run seeds in so many processes; outcomes come in the order of the seeds."""
    if jobs <= 1:
        yield from map(run_seed, seeds)
        return
    # A process of its own from the start: what is replaced by name there is not replaced here.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(run_seed, seeds, chunksize=_CHUNK_SEEDS)


def rate_of(seeds: int, started: float) -> float:
    """Return seeds in a second since a moment of the monotonic clock."""
    return seeds / max(time.monotonic() - started, 1e-9)
