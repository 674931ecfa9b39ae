"""Race rollbacks and undos against everything else in virtual time; a seed decides all of it.

    python scripts/simulate.py [--seeds N] [--from SEED] [--jobs N]
    python scripts/simulate.py --seed SEED [--trace]

Each seed is the life of a chain: traders, publishers, operators, readers and a settlement chain
around the real node, over a simulated disk. It ends with every law of `simulating/laws.py`. Exit
code 1: a law was broken, or an overlap that matters never came about in a whole campaign.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.simulating.campaign import SEEDS_WHOLE, Tally, rate_of, run_seeds
from scripts.simulating.world import Outcome, run_seed

_PROGRESS_SEEDS = 100
_TRACE_LINES_SHOWN = 25
_WORDS_SHOWN = 2_000


def main() -> int:
    """Run one seed or many; returns the exit code."""
    parser = argparse.ArgumentParser(description="Race rollbacks against everything else.")
    parser.add_argument("--seeds", type=int, default=SEEDS_WHOLE, help=f"default: {SEEDS_WHOLE}")
    parser.add_argument("--from", type=int, default=1, dest="first", help="default: 1")
    parser.add_argument("--jobs", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--trace", action="store_true", help="print all of that seed")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _run_one(arguments.seed, whole=arguments.trace)
    return _run_many(arguments.first, arguments.seeds, arguments.jobs)


def _run_one(seed: int, *, whole: bool) -> int:
    outcome = run_seed(seed, keep_trace=True)
    for line in outcome.trace if whole else outcome.trace[-_TRACE_LINES_SHOWN:]:
        print(line)
    tally = Tally()
    tally.add(outcome)
    for name, count in sorted(outcome.counts.items()):
        print(f"{count:>8} {name}")
    print(f"seed {seed}: {outcome.steps} steps, trace {outcome.trace_hash[:16]}")
    _show_failed(tally.failed)
    return 1 if tally.failed else 0


def _run_many(first: int, seeds: int, jobs: int) -> int:
    tally, started = Tally(), time.monotonic()
    for outcome in run_seeds(range(first, first + seeds), jobs):
        tally.add(outcome)
        _show_failed([outcome] if outcome.violations else [])
        if tally.seeds % _PROGRESS_SEEDS == 0:
            rate = rate_of(tally.seeds, started)
            print(
                f"{tally.seeds} seeds, {rate:.2f} a second, {len(tally.failed)} failed", flush=True
            )
    for line in tally.lines():
        print(line)
    missing = tally.missing() if seeds >= SEEDS_WHOLE else []
    for name in missing:
        print(f"never came about: {name}")
    print(
        f"{tally.seeds} seeds from {first}, {tally.steps} steps, {len(tally.failed)} failed, "
        f"{time.monotonic() - started:.0f} s, {rate_of(tally.seeds, started):.2f} seeds a second"
    )
    return 1 if tally.failed or missing else 0


def _show_failed(failed: Sequence[Outcome]) -> None:
    for outcome in failed:
        print(f"failed: python scripts/simulate.py --seed {outcome.seed} --trace")
        for words in outcome.violations:
            print(f"violated: {words[-_WORDS_SHOWN:]}")


if __name__ == "__main__":
    sys.exit(main())
