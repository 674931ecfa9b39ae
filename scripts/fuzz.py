"""Throw mutated requests at a real server process, and inputs at the native core.

    python scripts/fuzz.py [--only requests|native] [--seed SEED] [--results FILE]
                           [--target node|toy] [--requests N] [--inputs N]
    python scripts/fuzz.py --size release [--only requests|native] [--from SEED] [--seeds N]

requests: over HTTP and WebSocket. `node` is a whole devnet with every method, `toy` the server
alone around a few. The laws are those of `fuzzing/campaign.py`.
native: valid, mutated and malformed inputs of each function of the native core, under the laws of
`fuzzing/native_core.py`. Where the core is not installed it is skipped by name; asked for alone,
that is a failure.

A seed decides which; a release has several, and each that is done is a line in the file of results
that `scripts/campaigns.py` adds up. Exit code 1: a law was broken, or a kind of input or of answer
never came about in a whole campaign.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.campaigning.options import add_options, left_of
from scripts.campaigning.results import RELEASE, Found, Recorder
from scripts.campaigning.stopping import stoppable
from scripts.fuzzing.campaign import REQUESTS_SEED, REQUESTS_WHOLE, SEEDS_RELEASE, Campaign
from scripts.fuzzing.native_core import INPUTS_WHOLE, NativeCampaign, Progress
from scripts.fuzzing.targets import TARGETS, serving
from sequencer.starknet.native import NATIVE, Core

REQUESTS, CORE = "requests", "native"


def fuzz(target: str, requests: int, seed: int, progress: Progress) -> Found:
    """Run a campaign against a server of its own; `progress` is told lines of it now and then."""
    with serving(TARGETS[target]) as served:
        campaign = Campaign(served.url, served.process, served.seeds, seed, progress)
        asyncio.run(campaign.run(requests))
    violations = [*campaign.violations, *served.said]
    return Found(counters=campaign.counts, violations=violations, silent=campaign.missing())


def fuzz_native(core: Core, inputs: int, seed: int, progress: Progress) -> Found:
    """Run a campaign against a core; `progress` is told lines of it now and then."""
    campaign = NativeCampaign(core, seed, progress)
    campaign.run(inputs)
    missing = campaign.missing()
    return Found(counters=campaign.counts, violations=campaign.violations, silent=missing)


def main() -> int:
    """Run the campaigns and say what came of them; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    counts = (arguments.requests, arguments.inputs)
    if arguments.size == RELEASE and counts != (None, None):
        parser.error("--size release says how many requests and inputs there are")
    recorder, codes = Recorder(arguments.results, arguments.size), []
    if arguments.only != CORE:
        codes += [_requests(arguments, seed, recorder) for seed in _seeds(arguments, SEEDS_RELEASE)]
    if arguments.only != REQUESTS and NATIVE is None:
        print("skipped, the native core is not installed: native")
        codes.append(1 if arguments.only == CORE else 0)
    elif arguments.only != REQUESTS and NATIVE is not None:
        codes += [_native(NATIVE, arguments, seed, recorder) for seed in _seeds(arguments, 1)]
    return max(codes, default=0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Send mutated requests, and inputs to the core.")
    parser.add_argument("--only", choices=(REQUESTS, CORE), help="default: both")
    parser.add_argument("--target", choices=list(TARGETS), default="node", help="default: node")
    words = f"of each seed; default: {REQUESTS_WHOLE}, of a release {REQUESTS_SEED}"
    parser.add_argument("--requests", type=int, help=words)
    words = f"in whole thousands; default: {INPUTS_WHOLE}"
    parser.add_argument("--inputs", type=int, help=words)
    parser.add_argument("--seed", type=int, default=1)
    seeds = f"{SEEDS_RELEASE} seeds of requests, one of inputs; --from and --seeds choose some"
    add_options(parser, "--seeds", f"sample: one seed; release: {seeds}")
    return parser


def _seeds(arguments: argparse.Namespace, release: int) -> range:
    if arguments.size == RELEASE:
        return left_of(release, arguments)
    return range(arguments.seed, arguments.seed + 1)


def _requests(arguments: argparse.Namespace, seed: int, recorder: Recorder) -> int:
    default = REQUESTS_SEED if arguments.size == RELEASE else REQUESTS_WHOLE
    requests = default if arguments.requests is None else arguments.requests
    named = f"fuzz {REQUESTS}" if arguments.target == "node" else f"fuzz {arguments.target}"
    run = partial(fuzz, arguments.target, requests, seed, partial(print, flush=True))
    words = f"{requests} requests, seed {seed}"
    return _report(run, words, (recorder, named, seed), is_whole=requests >= REQUESTS_WHOLE)


def _native(core: Core, arguments: argparse.Namespace, seed: int, recorder: Recorder) -> int:
    inputs = INPUTS_WHOLE if arguments.inputs is None else arguments.inputs
    run = partial(fuzz_native, core, inputs, seed, partial(print, flush=True))
    words = f"{inputs} inputs, seed {seed}"
    is_whole = inputs >= INPUTS_WHOLE
    return _report(run, words, (recorder, f"fuzz {CORE}", seed), is_whole=is_whole)


def _report(
    run: Callable[[], Found],
    words: str,
    recorded: tuple[Recorder, str, int],
    *,
    is_whole: bool,
) -> int:
    recorder, named, seed = recorded
    recorder.begin()
    started = time.monotonic()
    found = run()
    recorder.record(named, seed, 1, found)
    for name, count in sorted(found.counters.items()):
        print(f"{count:>10} {name}")
    missing = found.silent if is_whole else []
    for name in missing:
        print(f"never came about: {name}")
    for violation in found.violations:
        print(f"violated: {violation}")
    print(f"{words}, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if found.violations or missing else 0


if __name__ == "__main__":
    sys.exit(stoppable(main))
