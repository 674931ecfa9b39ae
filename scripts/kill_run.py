"""Kill `perpchain run` at moments of its story, and see that it goes on to the same blocks.

    python scripts/kill_run.py [--moments N] [--seed N]

A moment is a line that the run has said, and a chance delay after it: while it begins, trades,
suffers the incident, goes back, climbs, trades on, and proves itself. Some runs have a settlement
chain, on the embedded devnet and, where there is one on this machine, on a starknet-devnet; these
are killed while money comes in and goes out, too, and in some of them the devnet goes with them.
Exit code 1: a run that went on was not the same, or something was left behind.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devnet.backends import DEVNET, EMBEDDED
from devnet.starknet_devnet import find_binary
from scripts.crashing.run_kills import DEVNET_MOMENTS, GONE_MOMENTS, MOMENTS, RunKills


def main() -> int:
    """Kill the runs; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill runs, and let them go on.")
    parser.add_argument("--moments", type=int, default=len(MOMENTS), help=f"up to {len(MOMENTS)}")
    parser.add_argument("--seed", type=int, default=1, help="chooses moments and delays")
    arguments = parser.parse_args()
    violations = 0
    with tempfile.TemporaryDirectory(prefix="perpchain-kills-") as folder:
        kills = RunKills(Path(folder), arguments.seed)
        print(f"a run that was left alone: {kills.whole['head_root']}", flush=True)
        for name, problem in _killed(kills, arguments.moments, arguments.seed):
            violations += bool(problem)
            print(f"{name:50} {problem or 'the same'}", flush=True)
    print(f"{violations} violations")
    return 1 if violations else 0


def _killed(kills: RunKills, count: int, seed: int) -> Iterator[tuple[str, str]]:
    for moment in sorted(random.Random(seed).sample(MOMENTS, count), key=MOMENTS.index):
        yield f"{moment.words} +{moment.within_ms} ms", kills.kill(moment)
    yield from _killed_with(kills, EMBEDDED)
    if find_binary() is None:
        print("skipped, no starknet-devnet here: kills of runs on it")
    else:
        yield from _killed_with(kills, DEVNET)


def _killed_with(kills: RunKills, settlement: str) -> Iterator[tuple[str, str]]:
    for moment in DEVNET_MOMENTS:
        name = f"{moment.words} +{moment.within_ms} ms, with {settlement}"
        yield name, kills.kill(moment, settlement)
    for moment in GONE_MOMENTS:
        name = f"{moment.words} +{moment.within_ms} ms, and its {settlement}"
        yield name, kills.kill(moment, settlement, devnet_too=True)


if __name__ == "__main__":
    sys.exit(main())
