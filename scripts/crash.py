"""Kill the engine wherever it writes, and see that nothing acknowledged is ever lost.

    python scripts/crash.py [--points N | --all] [--seed N] [--only SCENARIO ...]

A child per point is killed by strace at the n-th call of a name on a kind of file: while a chain
begins, makes blocks, stops, recovers (and is killed again there, up to three deep), is pruned and
compacted, goes back and takes that back. The other scenarios are write errors at such calls, kills
from within, write errors and full disks under a running node, and kills at random instants of a
node under load, with lines and with clients. Last, nodes are killed as their operator goes back and
takes that back: posting nowhere, to a simulated settlement chain with faults, and to a real
starknet-devnet; and with plugins, which are killed as well. After each the chain is opened again
and compared with one that was never interrupted, verified in full, or compared with what its
clients and its plugins were told. Exit code 1: something was violated, or too few points were
reached to say so.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.crashing.campaign import (
    KILLED,
    PLACES_MIN,
    SCENARIOS,
    SETTLING,
    STORIES,
    Campaign,
    Tally,
)
from scripts.crashing.sides import why_no_devnet
from scripts.crashing.tracing import why_absent

POINTS = 400
"""How many points are chosen among all that there are."""

_ALL = 1_000_000


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill the engine wherever it writes.")
    parser.add_argument("--points", type=int, default=POINTS, help=f"default: {POINTS}")
    parser.add_argument("--all", action="store_true", help="every point, which takes hours")
    parser.add_argument("--seed", type=int, default=1, help="chooses the points")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO")
    arguments = parser.parse_args()
    reason = why_absent()
    if reason:
        print(f"skipped, {reason}: {', '.join(KILLED)} and errors; kills come from within")
    names = arguments.only or SCENARIOS
    points = _ALL if arguments.all else arguments.points
    if SETTLING in names and why_no_devnet():
        print(f"skipped, {why_no_devnet()}: {SETTLING}")
    tallies = []
    with tempfile.TemporaryDirectory(prefix="perpchain-crash-") as folder:
        campaign = Campaign(Path(folder), arguments.seed, traced=not reason, every=arguments.all)
        for tally in campaign.run(names, points):
            print(tally.line(), flush=True)
            tallies.append(tally)
    is_whole = set(KILLED) <= set(names) and points >= POINTS
    wanted = PLACES_MIN if is_whole and not reason else min(1, len(tallies))
    return _conclude(tallies, wanted)


def _conclude(tallies: Sequence[Tally], places_min: int) -> int:
    violations = [words for tally in tallies for words in tally.violations]
    for words in violations:
        print(f"violated: {words}")
    by_signal = [tally for tally in tallies if tally.name in (*KILLED, *STORIES)] or tallies
    places = sum(tally.places for tally in by_signal)
    print(
        f"{sum(tally.points for tally in tallies)} points, "
        f"{sum(tally.kills for tally in tallies)} killed, "
        f"{sum(tally.distinct for tally in tallies)} distinct, {places} places of kills, "
        f"{sum(tally.recovered for tally in tallies)} recovered, {len(violations)} violations"
    )
    if places < places_min:
        print(f"a child died at {places} places: fewer than {places_min} prove too little")
    return 1 if violations or places < places_min else 0


if __name__ == "__main__":
    sys.exit(main())
