"""Many seeds in some processes, and what has to come about in them."""

from collections.abc import Iterable, Iterator, Sequence

from scripts.campaigning import seeds as campaigning
from scripts.campaigning.stopping import work_many
from scripts.simulating.world import Outcome, run_seed

SEEDS_WHOLE, SEEDS_RELEASE = 1_000, 10_000
"""Seeds of a sample, in which every overlap has to have come about, and of a release."""

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


def run_seeds(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Run seeds in so many processes; outcomes come in the order of the seeds."""
    if jobs <= 1:
        yield from map(run_seed, seeds)
        return
    yield from work_many(run_seed, seeds, jobs)


def play(seeds: Sequence[int], jobs: int) -> Iterator[campaigning.Outcome]:
    """Run seeds, and say of each what campaigns say."""
    for each in run_seeds(seeds, jobs):
        counts = {**each.counts, "steps": each.steps}
        yield campaigning.Outcome(each.seed, "\n".join(each.violations), counts, each.trace)
