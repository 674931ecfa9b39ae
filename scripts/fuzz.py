"""Send mutated requests over HTTP and WebSocket to a real server process; a seed decides which.

    python scripts/fuzz.py [--target node|toy] [--requests N] [--seed SEED]

`node` is a whole devnet with every method, `toy` the server alone around a few. Exit code 1: a law
of `fuzzing/campaign.py` was broken, or a mutation or a kind of answer never came about in a whole
campaign.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.fuzzing.campaign import REQUESTS_WHOLE, Campaign
from scripts.fuzzing.targets import TARGETS, serving


class Outcome(NamedTuple):
    """What a campaign came to: how often each thing happened, and what went wrong."""

    counts: dict[str, int]
    violations: Sequence[str]
    missing: Sequence[str]


def fuzz(target: str, requests: int, seed: int) -> Outcome:
    """Run a campaign against a server of its own."""
    with serving(TARGETS[target]) as served:
        campaign = Campaign(served.url, served.process, served.seeds, seed)
        asyncio.run(campaign.run(requests))
    violations = [*campaign.violations, *served.said]
    return Outcome(dict(campaign.counts), violations, campaign.missing())


def main() -> int:
    """Run a campaign and say what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Send mutated requests to a server.")
    parser.add_argument("--target", choices=list(TARGETS), default="node", help="default: node")
    parser.add_argument("--requests", type=int, default=REQUESTS_WHOLE)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    outcome = fuzz(arguments.target, arguments.requests, arguments.seed)
    for name, count in sorted(outcome.counts.items()):
        print(f"{count:>10} {name}")
    missing = outcome.missing if arguments.requests >= REQUESTS_WHOLE else []
    for name in missing:
        print(f"never came about: {name}")
    for words in outcome.violations:
        print(f"violated: {words}")
    seconds = time.monotonic() - started
    print(f"{arguments.requests} requests, seed {arguments.seed}, {seconds:.0f} s")
    return 1 if outcome.violations or missing else 0


if __name__ == "__main__":
    sys.exit(main())
