"""Measure the chain's parts: one program, fixed seeds, stated sizes.

    python scripts/bench.py [--only NAME ...] [--quick] [--json]

Each figure says in its note what it counts; those of pure parts are the median of several rounds
on one core. JSON is one object: {name: {"value": number, "unit": text, "note": text}}. What needs
something that is not here is named on stderr as skipped, and has no figure.

Chains and signed messages are made once, at full size in a quarter of an hour, and kept in
${XDG_CACHE_HOME:-~/.cache}/perpchain/bench-*; what is measured is a copy under build/.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.benches import (
    api,
    engine,
    exchange,
    hashes,
    history,
    rollback,
    sealing,
    settlement,
    store,
    withdrawal,
)
from scripts.benches.measure import FULL, QUICK, Figure, Sizes, Skipped

BENCHES: dict[str, Callable[[Sizes], Figure]] = {
    bench.__name__: bench
    for bench in (
        *hashes.BENCHES,
        *exchange.BENCHES,
        *store.BENCHES,
        *history.BENCHES,
        *engine.BENCHES,
        *sealing.BENCHES,
        *rollback.BENCHES,
        *settlement.BENCHES,
        *withdrawal.BENCHES,
        *api.BENCHES,
    )
}


def main() -> int:
    """Run the chosen benches and print their figures; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the chain's parts.")
    parser.add_argument(
        "--only", nargs="+", action="extend", metavar="NAME", help=", ".join(BENCHES)
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    names = arguments.only or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        print(
            f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr
        )
        return 2
    figures = _measured(names, QUICK if arguments.quick else FULL)
    if arguments.json:
        print(json.dumps({name: figure._asdict() for name, figure in figures.items()}, indent=2))
        return 0
    for name, figure in figures.items():
        print(f"{name:32} {figure.value:>12,} {figure.unit:12} {figure.note}")
    return 0


def _measured(names: Sequence[str], sizes: Sizes) -> dict[str, Figure]:
    """Return the figures of those benches that can run here; the others are named as skipped."""
    figures = {}
    for name in names:
        try:
            figures[name] = BENCHES[name](sizes)
        except Skipped as skipped:
            print(f"{name}: skipped, {skipped}", file=sys.stderr)
    return figures


if __name__ == "__main__":
    sys.exit(main())
