"""Kill the engine wherever it writes, and see that nothing acknowledged is ever lost.

    python scripts/crash.py [--points N | --all] [--seed N] [--only SCENARIO ...] [--results FILE]
    python scripts/crash.py --size release [--from PART] [--parts N] [--only SCENARIO ...]

A child per point is killed by strace at the n-th call of a name on a kind of file: while a chain
begins, makes blocks, stops, recovers (and is killed again there, up to three deep), is pruned and
compacted, goes back and takes that back. The other scenarios are write errors at such calls, kills
from within, write errors and full disks under a running node, and kills at random instants of a
node under load, with lines and with clients. Last, nodes are killed as their operator goes back and
takes that back: posting nowhere, to a simulated settlement chain with faults, and to a real
starknet-devnet; and with plugins, which are killed as well. After each the chain is opened again
and compared with one that was never interrupted, verified in full, or compared with what its
clients and its plugins were told.

A release has parts, each with other points. What a scenario came to in a part is a line in the file
of results; `scripts/campaigns.py` adds them up, and says which are missing. Exit code 1: something
was violated, or too few points were reached to say so.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.campaigning.options import add_options, left_of
from scripts.campaigning.results import RELEASE, Recorder
from scripts.campaigning.stopping import stoppable
from scripts.crashing.campaign import (
    KILLED,
    PARTS_RELEASE,
    PLACES_MIN,
    POINTS_PART,
    SCENARIOS,
    SETTLING,
    STORIES,
    Campaign,
    Tally,
    named,
    share_of,
)
from scripts.crashing.sides import why_no_devnet
from scripts.crashing.tracing import why_absent

POINTS = 400
"""How many points are chosen among all that there are."""

_ALL = 1_000_000


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.size == RELEASE and (arguments.all or arguments.points is not None):
        parser.error("--size release says how many points there are")
    reason = why_absent()
    if reason:
        print(f"skipped, {reason}: {', '.join(KILLED)} and errors; kills come from within")
    names = arguments.only or SCENARIOS
    if SETTLING in names and why_no_devnet():
        print(f"skipped, {why_no_devnet()}: {SETTLING}")
    recorder = Recorder(arguments.results, arguments.size)
    with tempfile.TemporaryDirectory(prefix="perpchain-crash-") as folder:
        if arguments.size == RELEASE:
            campaign = Campaign(Path(folder), 1, traced=not reason)
            return _release(campaign, names, left_of(PARTS_RELEASE, arguments), recorder)
        campaign = Campaign(Path(folder), arguments.seed, traced=not reason, every=arguments.all)
        points = _ALL if arguments.all else arguments.points or POINTS
        tallies = []
        for tally in campaign.run(names, points):
            recorder.record(named(tally.name), arguments.seed, 1, tally.found())
            print(tally.line(), flush=True)
            tallies.append(tally)
    is_whole = set(KILLED) <= set(names) and points >= POINTS
    wanted = PLACES_MIN if is_whole and not reason else min(1, len(tallies))
    return _conclude(tallies, wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Kill the engine wherever it writes.")
    parser.add_argument("--points", type=int, help=f"default: {POINTS}")
    parser.add_argument("--all", action="store_true", help="every point, which takes hours")
    parser.add_argument("--seed", type=int, default=1, help="chooses the points")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO")
    points = f"{PARTS_RELEASE} parts, each with its own points"
    add_options(parser, "--parts", f"sample, or release: {points}; --from and --parts choose some")
    return parser


def _release(campaign: Campaign, names: Sequence[str], parts: range, recorder: Recorder) -> int:
    """Run every scenario in each part, record each, and say how it goes; returns the exit code."""
    tallies, started, kills = list[Tally](), time.monotonic(), 0
    for part, tally in _of_parts(campaign, names, parts, recorder):
        recorder.record(named(tally.name), part, 1, tally.found())
        tallies.append(tally)
        kills += tally.kills
        minutes = max(time.monotonic() - started, 1e-9) / 60
        violations = sum(len(each.violations) for each in tallies)
        print(
            f"part {part} of {parts.start}-{parts.stop - 1}: {tally.line()}; {kills} killed, "
            f"{kills / minutes:.1f} a minute, {violations} violations",
            flush=True,
        )
    # A list of points may be at its end; how many places a release wants is said of its whole.
    return _conclude(tallies, 0)


def _of_parts(
    campaign: Campaign, names: Sequence[str], parts: range, recorder: Recorder
) -> Iterator[tuple[int, Tally]]:
    for part in parts:
        for name in names:
            if campaign.can(name):
                recorder.begin()
                yield part, campaign.tally(name, share_of(name, POINTS_PART), part)


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
    sys.exit(stoppable(main))
