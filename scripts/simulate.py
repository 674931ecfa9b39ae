"""Race rollbacks against everything else in virtual time, cut stores short, follow the money.

    python scripts/simulate.py [--only CAMPAIGN ...] [--seeds N] [--from SEED] [--jobs N]
                               [--size sample|release] [--results FILE]
    python scripts/simulate.py [--only CAMPAIGN] --seed SEED [--trace] [--real]
    python scripts/simulate.py --patch FILE ... [--only races|money] [--seeds N] [--jobs N]

races: each seed is the life of a chain: traders, publishers, operators, readers and a settlement
chain around the real node, over a simulated disk and in virtual time. It ends with every law of
`simulating/laws.py`, and a seed decides all of it.
points: each seed is a history of a store on a simulated disk; every one of its writes fails in
every way, and the laws of `storing/points.py` hold.
corruption: each seed damages the files of a real store, under the laws of `storing/damage.py`.
money: each seed is a history of deposits, trades, withdrawals, rollbacks, undos, reorgs and lost
receipts, on a real node that posts to an embedded devnet over HTTP. It ends with `money/checks.py`.
alike: each seed is a sequence of calls on the contracts, by their twins and on a starknet-devnet;
without its binary it is skipped by name.

--patch applies a patch to a copy of the tree and says what finds the bug: races of 200 seeds, and
then 60 kills of `crash.py`, or what the patch's own header names (`planting/`).

Each part that is done is a line in the file of results; `scripts/campaigns.py` adds them up.
Exit code 1: a law was broken, or something that matters never came about in a whole campaign.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devnet.starknet_devnet import find_binary
from scripts.campaigning.options import add_options, left_of
from scripts.campaigning.results import RELEASE, Recorder
from scripts.campaigning.seeded import (
    ALIKE,
    CORRUPTION,
    MONEY,
    MONEY_REAL,
    NEED_DEVNET,
    POINTS,
    RACES,
    SEEDED,
    counted,
    run_seeded,
)
from scripts.campaigning.seeds import Seeded
from scripts.campaigning.stopping import stoppable
from scripts.money.devnets import ABSENT
from scripts.planting.hunting import ended, try_patches
from scripts.simulating.world import run_seed

CAMPAIGNS = (RACES, POINTS, CORRUPTION, MONEY, ALIKE)

_TRACE_LINES_SHOWN = 25


def main() -> int:
    """Run one seed or many; returns the exit code."""
    arguments = _parser().parse_args()
    if arguments.patch:
        given = (arguments.only, arguments.first, arguments.count, arguments.jobs)
        return ended(partial(try_patches, arguments.patch, *given))
    if arguments.seed is not None:
        names = arguments.only or [RACES]
        if names == [RACES]:
            return _race_one(arguments.seed, whole=arguments.trace)
        return max(_play_one(_campaign(name, arguments), arguments) for name in names)
    recorder = Recorder(arguments.results, arguments.size)
    campaigns = [_campaign(name, arguments) for name in arguments.only or CAMPAIGNS]
    if arguments.size == RELEASE and not arguments.only:
        campaigns.append(SEEDED[MONEY_REAL])
    return max(_run(campaign, arguments, recorder) for campaign in campaigns)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Race rollbacks, and follow the money.")
    words = f"of {', '.join(CAMPAIGNS)}; default: all of them"
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, metavar="CAMPAIGN", help=words)
    counts = ", ".join(f"{SEEDED[name].sample} or {SEEDED[name].release} {name}" for name in SEEDED)
    add_options(parser, "--seeds", f"sample, in less than half an hour, or release: {counts}")
    parser.add_argument("--jobs", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--seed", type=int, help="one seed alone; of the races, if none is named")
    words = "a unified diff of the product: does anything find it?"
    parser.add_argument("--patch", nargs="+", type=Path, metavar="FILE", help=words)
    parser.add_argument("--trace", action="store_true", help="print all of that seed")
    words = "money: on a starknet-devnet, not on the embedded one"
    parser.add_argument("--real", action="store_true", help=words)
    return parser


def _campaign(name: str, arguments: argparse.Namespace) -> Seeded:
    return SEEDED[MONEY_REAL if name == MONEY and arguments.real else name]


def _run(campaign: Seeded, arguments: argparse.Namespace, recorder: Recorder) -> int:
    if _is_skipped(campaign):
        return 0
    seeds, started = _seeds(campaign, arguments), time.monotonic()
    if not seeds:
        print(f"{campaign.name}: nothing is left from seed {arguments.first} on")
        return 0
    tally = run_seeded(campaign, seeds, arguments.jobs, recorder, shows_log=arguments.trace)
    for line in counted(tally, campaign.wanted):
        print(line)
    missing = tally.missing(campaign.wanted) if len(seeds) >= campaign.sample else []
    for name in missing:
        print(f"never came about: {name}")
    print(
        f"{campaign.name}: {tally.seeds} seeds from {arguments.first}, {len(tally.failed)} failed, "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )
    return 1 if tally.failed or missing else 0


def _seeds(campaign: Seeded, arguments: argparse.Namespace) -> range:
    if arguments.size == RELEASE:
        return left_of(campaign.release, arguments)
    count = campaign.sample if arguments.count is None else arguments.count
    return range(arguments.first, arguments.first + count)


def _is_skipped(campaign: Seeded) -> bool:
    skipped = campaign.name in NEED_DEVNET and find_binary() is None
    if skipped:
        print(f"skipped, {ABSENT}: {campaign.name}")
    return skipped


def _play_one(campaign: Seeded, arguments: argparse.Namespace) -> int:
    if _is_skipped(campaign):
        return 0
    (outcome,) = campaign.play([arguments.seed], 1)
    for line in outcome.log if arguments.trace or outcome.violated else ():
        print(line)
    return _say_one(arguments.seed, outcome.counts, outcome.violated)


def _race_one(seed: int, *, whole: bool) -> int:
    outcome = run_seed(seed, keep_trace=True)
    for line in outcome.trace if whole else outcome.trace[-_TRACE_LINES_SHOWN:]:
        print(line)
    print(f"seed {seed}: {outcome.steps} steps, trace {outcome.trace_hash[:16]}")
    return _say_one(seed, outcome.counts, "\n".join(outcome.violations))


def _say_one(seed: int, counts: dict[str, int], violated: str) -> int:
    for name, count in sorted(counts.items()):
        print(f"{count:>8} {name}")
    print(f"violated: {violated}" if violated else f"seed {seed}: nothing was violated")
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(stoppable(main))
