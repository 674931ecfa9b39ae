"""Throw mutated requests at a real server process, and inputs at the native core.

    python scripts/fuzz.py [--only requests|native] [--seed SEED]
                           [--target node|toy] [--requests N] [--inputs N]

requests: over HTTP and WebSocket. `node` is a whole devnet with every method, `toy` the server
alone around a few. The laws are those of `fuzzing/campaign.py`.
native: valid, mutated and malformed inputs of each function of the native core, under the laws of
`fuzzing/native_core.py`. Where the core is not installed it is skipped by name; asked for alone,
that is a failure.

A seed decides which. Exit code 1: a law was broken, or a kind of input or of answer never came
about in a whole campaign.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.fuzzing.campaign import REQUESTS_WHOLE, Campaign
from scripts.fuzzing.native_core import INPUTS_WHOLE, NativeCampaign, Progress
from scripts.fuzzing.targets import TARGETS, serving
from sequencer.starknet.native import NATIVE, Core

REQUESTS, CORE = "requests", "native"


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


def fuzz_native(core: Core, inputs: int, seed: int, progress: Progress) -> Outcome:
    """Run a campaign against a core; `progress` is told lines of it now and then."""
    campaign = NativeCampaign(core, seed, progress)
    campaign.run(inputs)
    return Outcome(dict(campaign.counts), campaign.violations, campaign.missing())


def main() -> int:
    """Run the campaigns and say what came of them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Send mutated requests, and inputs to the core.")
    parser.add_argument("--only", choices=(REQUESTS, CORE), help="default: both")
    parser.add_argument("--target", choices=list(TARGETS), default="node", help="default: node")
    parser.add_argument("--requests", type=int, default=REQUESTS_WHOLE)
    parser.add_argument("--inputs", type=int, default=INPUTS_WHOLE, help="in whole thousands")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    seed, codes = arguments.seed, []
    if arguments.only != CORE:
        run = partial(fuzz, arguments.target, arguments.requests, seed)
        is_whole = arguments.requests >= REQUESTS_WHOLE
        codes.append(_report(run, f"{arguments.requests} requests, seed {seed}", is_whole=is_whole))
    if arguments.only != REQUESTS and NATIVE is None:
        print("skipped, the native core is not installed: native")
        codes.append(1 if arguments.only == CORE else 0)
    elif arguments.only != REQUESTS and NATIVE is not None:
        run = partial(fuzz_native, NATIVE, arguments.inputs, seed, partial(print, flush=True))
        is_whole = arguments.inputs >= INPUTS_WHOLE
        codes.append(_report(run, f"{arguments.inputs} inputs, seed {seed}", is_whole=is_whole))
    return max(codes)


def _report(run: Callable[[], Outcome], words: str, *, is_whole: bool) -> int:
    started = time.monotonic()
    outcome = run()
    for name, count in sorted(outcome.counts.items()):
        print(f"{count:>10} {name}")
    missing = outcome.missing if is_whole else []
    for name in missing:
        print(f"never came about: {name}")
    for violation in outcome.violations:
        print(f"violated: {violation}")
    print(f"{words}, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if outcome.violations or missing else 0


if __name__ == "__main__":
    sys.exit(main())
