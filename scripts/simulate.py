"""Race rollbacks against everything else in virtual time, and money over two real chains.

    python scripts/simulate.py [--only CAMPAIGN ...] [--seeds N] [--from SEED] [--jobs N]
    python scripts/simulate.py [--only CAMPAIGN] --seed SEED [--trace] [--real]

races: each seed is the life of a chain: traders, publishers, operators, readers and a settlement
chain around the real node, over a simulated disk and in virtual time. It ends with every law of
`simulating/laws.py`, and a seed decides all of it.
money: each seed is a history of deposits, trades, withdrawals, rollbacks, undos, reorgs and lost
receipts, on a real node that posts to an embedded devnet over HTTP. It ends with `money/checks.py`.
alike: each seed is a sequence of calls on the contracts, by their twins and on a starknet-devnet;
without its binary it is skipped by name.

Exit code 1: a law was broken, or something that matters never came about in a whole campaign.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devnet.starknet_devnet import find_binary
from scripts.money import alike, campaign
from scripts.money.devnets import ABSENT
from scripts.money.tally import Play, play_many
from scripts.money.tally import Tally as MoneyTally
from scripts.simulating.campaign import SEEDS_WHOLE, Tally, rate_of, run_seeds
from scripts.simulating.world import Outcome, run_seed

RACES, MONEY, ALIKE = "races", "money", "alike"
CAMPAIGNS = (RACES, MONEY, ALIKE)

_PROGRESS_SEEDS = 100
_TRACE_LINES_SHOWN = 25
_WORDS_SHOWN = 2_000


def main() -> int:
    """Run one seed or many; returns the exit code."""
    parser = argparse.ArgumentParser(description="Race rollbacks, and follow the money.")
    words = f"of {', '.join(CAMPAIGNS)}; default: all of them"
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, metavar="CAMPAIGN", help=words)
    words = f"default: {SEEDS_WHOLE} races, {campaign.HISTORIES_WHOLE} of the others"
    parser.add_argument("--seeds", type=int, help=words)
    parser.add_argument("--from", type=int, default=1, dest="first", help="default: 1")
    parser.add_argument("--jobs", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--seed", type=int, help="one seed alone; of the races, if none is named")
    parser.add_argument("--trace", action="store_true", help="print all of that seed")
    words = "money: on a starknet-devnet, not on the embedded one"
    parser.add_argument("--real", action="store_true", help=words)
    arguments = parser.parse_args()
    first, seeds, jobs = arguments.first, arguments.seeds, arguments.jobs
    if arguments.seed is not None:
        names = arguments.only or [RACES]
        if names == [RACES]:
            return _race_one(arguments.seed, whole=arguments.trace)
        first, seeds, jobs = arguments.seed, 1, 1
    codes = []
    for name in arguments.only or CAMPAIGNS:
        if name == RACES:
            codes.append(_race_many(first, seeds or SEEDS_WHOLE, jobs))
        else:
            chosen = f"{name} --real" if arguments.real and name == MONEY else name
            codes.append(_play(chosen, first, seeds, jobs, whole=arguments.trace))
    return max(codes)


def _play(name: str, first: int, seeds: int | None, jobs: int, *, whole: bool) -> int:
    """Play one of the campaigns over two chains, by the words that name it."""
    if name != MONEY and find_binary() is None:
        print(f"skipped, {ABSENT}: {name}")
        return 0
    play, wanted, count = _CAMPAIGNS[name]
    tally, started = MoneyTally(), time.monotonic()
    for outcome in play_many(play, range(first, first + (seeds or count)), jobs):
        tally.add(outcome)
        for line in outcome.log if whole or outcome.violated else ():
            print(line)
        if outcome.violated:
            print(f"failed: python scripts/simulate.py --only {name} --seed {outcome.seed}")
            print(f"violated: {outcome.violated[-_WORDS_SHOWN:]}", flush=True)
    for what in sorted({*wanted, *tally.counts}):
        shown = what if what in wanted else f"({what})"
        print(f"{tally.counts[what]:>8} {shown}")
    missing = tally.missing(wanted) if tally.seeds >= count else []
    for what in missing:
        print(f"never came about: {what}")
    print(
        f"{name}: {tally.seeds} seeds from {first}, {len(tally.failed)} failed, "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )
    return 1 if tally.failed or missing else 0


_CAMPAIGNS: Mapping[str, tuple[Play, Sequence[str], int]] = {
    MONEY: (campaign.play, campaign.HAPPENINGS, campaign.HISTORIES_WHOLE),
    f"{MONEY} --real": (campaign.play_real, campaign.HAPPENINGS, campaign.HISTORIES_WHOLE),
    ALIKE: (alike.play, alike.HAPPENINGS, alike.SEQUENCES_WHOLE),
}
"""Who plays a campaign, what has to come about in it, and how many seeds it has."""


def _race_one(seed: int, *, whole: bool) -> int:
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


def _race_many(first: int, seeds: int, jobs: int) -> int:
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
        f"{time.monotonic() - started:.0f} s, {rate_of(tally.seeds, started):.2f} seeds a second",
        flush=True,
    )
    return 1 if tally.failed or missing else 0


def _show_failed(failed: Sequence[Outcome]) -> None:
    for outcome in failed:
        print(f"failed: python scripts/simulate.py --seed {outcome.seed} --trace")
        for words in outcome.violations:
            print(f"violated: {words[-_WORDS_SHOWN:]}")


if __name__ == "__main__":
    sys.exit(main())
