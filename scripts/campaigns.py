"""Add up what the campaigns came to, and say what a release still wants.

    python scripts/campaigns.py [--results FILE ...] [--commit COMMIT] [--markdown]
    python scripts/campaigns.py --counters CAMPAIGN [--results FILE ...] [--commit COMMIT]

Lines of disjoint seeds or parts of a campaign are added up on one commit: without `--commit` the
last one on which the campaign is whole. For each that is not, the missing ranges are said, with the
command that runs the first of them. `--markdown` prints the table of `docs/reliability.md`,
`--counters` the counters of one campaign.

Exit code 1: something was violated, is missing, never came about, or ran on a tree that was not
its commit's. 2: a file is no file of results.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.campaigning.adding import Whole, add_up
from scripts.campaigning.release import WANTED
from scripts.campaigning.results import RESULTS, Result, read_results
from scripts.campaigning.tables import counters_of, goals_of, markdown, problems_of, shown


def main(words: Sequence[str] | None = None) -> int:
    """Print what the lines add up to; returns the exit code."""
    arguments = _parser().parse_args(words)
    try:
        results = [*_read(arguments.results)]
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    wholes = [add_up(results, wanted, arguments.commit) for wanted in WANTED]
    problems = [*problems_of(wholes)]
    if arguments.counters:
        lines = [*counters_of(_named(wholes, arguments.counters))]
    elif arguments.markdown:
        lines = [*markdown(wholes)]
    else:
        lines = [*map(shown, wholes), *goals_of(wholes), *problems]
    print("\n".join(lines))
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Add up what the campaigns came to.")
    words = f"default: {RESULTS}"
    parser.add_argument(
        "--results", type=Path, nargs="+", default=[RESULTS], metavar="FILE", help=words
    )
    words = "only lines of this commit, as far as it is given"
    parser.add_argument("--commit", default="", help=words)
    parser.add_argument("--markdown", action="store_true", help="the table for the documents")
    names = [wanted.campaign for wanted in WANTED]
    words = f"the counters of one of: {', '.join(names)}"
    parser.add_argument("--counters", choices=names, metavar="CAMPAIGN", help=words)
    return parser


def _read(paths: Sequence[Path]) -> Iterator[Result]:
    for path in paths:
        yield from read_results(path)


def _named(wholes: Sequence[Whole], name: str) -> Whole:
    return next(whole for whole in wholes if whole.wanted.campaign == name)


if __name__ == "__main__":
    sys.exit(main())
