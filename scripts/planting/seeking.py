"""What runs in a copy of the tree: a campaign, trial by trial, a line of JSON for each.

    python -m scripts.planting.seeking races FIRST COUNT JOBS
    python -m scripts.planting.seeking money FIRST COUNT
    python -m scripts.planting.seeking kills FIRST COUNT [SCENARIO ...]

Laws
- It runs the copy's own code, or nothing: the tree that is installed is another one.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

import sequencer
from scripts.crashing.campaign import SCENARIOS, SETTLING, Campaign
from scripts.crashing.tracing import why_absent
from scripts.money.campaign import play
from scripts.planting.campaign import Trial
from scripts.planting.patches import MONEY, RACES
from scripts.simulating.campaign import run_seeds

_HISTORIES_TOGETHER = 3


def _races(first: int, count: int, jobs: int) -> Iterator[Trial]:
    for outcome in run_seeds(range(first, first + count), jobs):
        yield Trial(f"seed {outcome.seed}", next(iter(outcome.violations), ""))


def _money(first: int, count: int) -> Iterator[Trial]:
    for start in range(first, first + count, _HISTORIES_TOGETHER):
        for outcome in play(range(start, min(first + count, start + _HISTORIES_TOGETHER))):
            yield Trial(f"seed {outcome.seed}", outcome.violated)


def _kills(seed: int, count: int, names: Sequence[str]) -> Iterator[Trial]:
    """Kill in each scenario in turn, a share of so many times; in all that there are by default."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), seed, traced=not why_absent())
        chosen = names or [name for name in SCENARIOS if name != SETTLING and campaign.can(name)]
        for name in chosen:
            for number, trial in enumerate(campaign.trials(name, -(-count // len(chosen))), 1):
                yield Trial(f"{name} {number}, {trial.what}", trial.violation)


def main(words: Sequence[str]) -> None:
    """Run a campaign, and say what came of each of its trials."""
    here = Path.cwd().resolve()
    if not Path(sequencer.__file__).resolve().is_relative_to(here):
        raise RuntimeError(f"{sequencer.__file__} is not of {here}")
    name, first, count, *rest = words
    numbers = int(first), int(count)
    if name == RACES:
        trials = _races(*numbers, int(rest[0]))
    else:
        trials = _money(*numbers) if name == MONEY else _kills(*numbers, rest)
    for trial in trials:
        sys.stdout.buffer.write(msgspec.json.encode(trial) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
