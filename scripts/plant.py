"""Plant bugs in copies of the tree, one by one, and see that the campaigns find each of them.

    python scripts/plant.py [--only NAME ...] [--jobs N] [--results FILE]

Each bug is a patch of `planting/`, whose header says which campaign has to find it: within 200
seeds of races or of money, or within 60 kills of a scenario. What found it is then run on a copy
without any bug, where it has to find nothing. Nothing is changed here, and Ctrl-C leaves no copy.

Exit code 1: a bug was not found, a patch does not apply or does not run, or something was found
where there is no bug.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.campaigning.results import RELEASE, RESULTS, SAMPLE, Found, Recorder
from scripts.planting.campaign import stages_of
from scripts.planting.hunting import conclude, ended, hunt, violations
from scripts.planting.patches import Patch, PatchInvalid, planted, why_no_git

_CAMPAIGN = "planted"


def main() -> int:
    """Plant bugs, all of them or some; returns the exit code."""
    parser = argparse.ArgumentParser(description="Plant bugs, and see them found.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of bugs; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="bugs at a time; default: 2")
    words = f"default: {RESULTS}"
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help=words)
    arguments = parser.parse_args()
    if reason := why_no_git():
        print(f"skipped, {reason}")
        return 0
    return ended(lambda: _plant(arguments.only, arguments.jobs, arguments.results))


def _chosen(patches: Sequence[Patch], names: Sequence[str] | None) -> Sequence[Patch]:
    known = {patch.name: patch for patch in patches}
    for name in names or ():
        if name not in known:
            raise PatchInvalid(f"no planted bug {name}; there are {', '.join(sorted(known))}")
    return [known[name] for name in names] if names else patches


def _plant(names: Sequence[str] | None, jobs: int, results: Path) -> int:
    patches = _chosen(planted(), names)
    recorder = Recorder(results, SAMPLE if names else RELEASE)
    found, control = hunt([(patch, stages_of(patch)) for patch in patches], together=jobs)
    count = sum(verdict.stage is not None for verdict in found)
    counters = {"planted": len(found), "found": count}
    places = [f"{verdict.name}: {verdict.stage}, {verdict.where}" for verdict in found]
    told = Found(counters=counters, violations=violations(found, control), places=places)
    recorder.record(_CAMPAIGN, 1, len(found), told)
    return conclude(found, control)


if __name__ == "__main__":
    sys.exit(main())
