"""Options that the campaigns share: how much is run, where it goes on, and where its lines go."""

import argparse
from pathlib import Path

from scripts.campaigning.results import RESULTS, SAMPLE, SIZES


def add_options(parser: argparse.ArgumentParser, count: str, sizes: str) -> None:
    """Add them; `count` is the option that says how many, `sizes` what each size comes to."""
    parser.add_argument("--size", choices=SIZES, default=SAMPLE, help=sizes)
    words = "the first one, to go on with what was broken off; default: 1"
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="FIRST", help=words)
    words = "how many from there; default: by the size"
    parser.add_argument(count, type=int, dest="count", metavar="N", help=words)
    words = f"default: {RESULTS}"
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help=words)


def left_of(release: int, arguments: argparse.Namespace) -> range:
    """Return which of so many seeds or parts from 1 on are to be run: never one beyond them."""
    return range(arguments.first, release + 1)[: arguments.count]
