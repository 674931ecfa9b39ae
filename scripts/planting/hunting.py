"""Bugs that are hunted some at a time, and then the same campaigns without any bug.

Promises
- Ctrl-C and SIGTERM end it, with all that it began, and no copy of the tree is left.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from scripts.campaigning.stopping import STOPPED
from scripts.planting.campaign import (
    SEEDS_MAX,
    Ended,
    Hunt,
    Stage,
    Verdict,
    control_stages,
    stages_of,
)
from scripts.planting.copies import ROOT
from scripts.planting.patches import (
    MONEY,
    RACES,
    Patch,
    PatchInvalid,
    apply_patch,
    read_patch,
)

_say = partial(print, flush=True)

Work = tuple[Patch, Sequence[Stage]]
"""A bug, and what has to find it."""


def hunt(works: Sequence[Work], together: int, jobs: int = 1) -> tuple[list[Verdict], Verdict]:
    """Hunt bugs, so many at a time, each in so many processes.

    Returns what became of each, in their order, and what became of the campaigns without a bug.
    """
    hunting = Hunt(_say, jobs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(max(1, together)) as pool:
        try:
            futures = {pool.submit(hunting.find, *work): at for at, work in enumerate(works)}
            verdicts: dict[int, Verdict] = {}
            for future in as_completed(futures):
                verdicts[futures[future]] = future.result()
                _say(f"{len(verdicts)}/{len(works)} {future.result().line()}")
            found = [verdicts[at] for at in range(len(works))]
            control = pool.submit(hunting.control, control_stages(found)).result()
        except BaseException:
            # Whoever presses Ctrl-C twice must not keep the copies from being removed.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            hunting.end()
            pool.shutdown(cancel_futures=True)
            raise
    return found, control


def violations(found: Sequence[Verdict], control: Verdict) -> list[str]:
    """List what is not as it has to be."""
    missed = [verdict.line() for verdict in found if verdict.stage is None]
    if control.stage is not None or control.problem:
        missed.append(f"without a bug: {control.line()}")
    return missed


def conclude(found: Sequence[Verdict], control: Verdict) -> int:
    """Say what it comes to; returns the exit code."""
    missed = violations(found, control)
    for line in missed:
        _say(f"violated: {line}")
    count = sum(verdict.stage is not None for verdict in found)
    clean = control.stage is None and not control.problem
    seconds = sum(verdict.seconds for verdict in (*found, control))
    _say(
        f"{count} of {len(found)} found; the same seeds and kills without a bug: "
        f"{'nothing' if clean else 'FAILED'}; {seconds:.0f} s of work"
    )
    return 1 if missed else 0


def try_patches(
    paths: Sequence[Path], only: Sequence[str] | None, first: int, seeds: int | None, jobs: int
) -> int:
    """Run somebody's patches, one after the other; returns the exit code. Error: PatchInvalid.

    `only` names campaigns of seeds; without it races run, and then kills, or what a header names.
    """
    count = SEEDS_MAX if seeds is None else seeds
    if unknown := [name for name in only or () if name not in (RACES, MONEY)]:
        raise PatchInvalid(f"a patch is tried by {RACES} and {MONEY}, not by {unknown[0]}")
    works: list[Work] = []
    for path in paths:
        patch = read_patch(path)
        apply_patch(patch, ROOT, check=True)
        named = [Stage(name, first, count) for name in only or ()]
        works.append((patch, named or stages_of(patch, first, count)))
    return conclude(*hunt(works, together=1, jobs=jobs))


def ended(work: Callable[[], int]) -> int:
    """Do what hunts, and say what has kept it from its end; returns the exit code."""
    try:
        return work()
    except PatchInvalid as invalid:
        print(invalid, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Ended):
        print("stopped; no copy of the tree is left", file=sys.stderr)
        return STOPPED
