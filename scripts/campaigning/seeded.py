"""The campaigns of seeds, by name, and how one is run: a line of results for each part of it.

Promises
- Whoever watches is told after each part how many seeds are done of all, how fast, and how many
  were violated so far.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

from scripts.campaigning.results import Recorder
from scripts.campaigning.seeds import Outcome, Seeded, Tally, in_processes
from scripts.money import alike
from scripts.money import campaign as money
from scripts.simulating import campaign as races
from scripts.storing import damage, points

RACES, MONEY, MONEY_REAL, ALIKE = "races", "money", "money --real", "alike"
POINTS, CORRUPTION = "points", "corruption"

_SEQUENCES_RELEASE, _REAL_RELEASE = 1_000, 60
_WORDS_SHOWN = 2_000


_MONEY = (in_processes(money.play), money.HAPPENINGS, money.HISTORIES_WHOLE, money.HISTORIES_WHOLE)
_REAL = (in_processes(money.play_real), money.HAPPENINGS, money.HISTORIES_WHOLE, _REAL_RELEASE)
_ALIKE = (in_processes(alike.play), alike.HAPPENINGS, alike.SEQUENCES_WHOLE, _SEQUENCES_RELEASE)
_POINTS = (points.HAPPENINGS, points.HISTORIES_WHOLE, points.HISTORIES_RELEASE)
_DAMAGE = (damage.HAPPENINGS, damage.SEEDS_WHOLE, damage.SEEDS_RELEASE)

SEEDED: Mapping[str, Seeded] = {
    RACES: Seeded(
        RACES, races.play, races.OVERLAPS, races.SEEDS_WHOLE, races.SEEDS_RELEASE, part=100
    ),
    POINTS: Seeded(POINTS, in_processes(points.play), *_POINTS, part=20),
    CORRUPTION: Seeded(CORRUPTION, in_processes(damage.play), *_DAMAGE, part=100),
    MONEY: Seeded(MONEY, *_MONEY, part=20),
    MONEY_REAL: Seeded(MONEY_REAL, *_REAL, part=20),
    ALIKE: Seeded(ALIKE, *_ALIKE, part=100),
}
"""Every campaign of seeds by name."""

NEED_DEVNET = frozenset({MONEY_REAL, ALIKE})
"""Campaigns that need the binary of a starknet-devnet."""


def run_seeded(
    campaign: Seeded, seeds: range, jobs: int, recorder: Recorder, *, shows_log: bool = False
) -> Tally:
    """Run seeds of a campaign, record each part as it is done, and say how it goes."""
    whole, part, started = Tally(), Tally(), time.monotonic()
    recorder.begin()
    for outcome in campaign.play(seeds, jobs):
        whole.add(outcome)
        part.add(outcome)
        _show(campaign.name, outcome, shows_log=shows_log)
        if part.seeds == campaign.part or outcome.seed == seeds[-1]:
            first = outcome.seed + 1 - part.seeds
            recorder.record(campaign.name, first, part.seeds, part.found(campaign.wanted))
            rate = whole.seeds / max(time.monotonic() - started, 1e-9)
            print(
                f"{campaign.name}: {whole.seeds} of {len(seeds)} seeds, {rate:.2f} a second, "
                f"{len(whole.failed)} failed",
                flush=True,
            )
            part = Tally()
    return whole


def _show(name: str, outcome: Outcome, *, shows_log: bool) -> None:
    if outcome.violated:
        print(f"failed: python scripts/simulate.py --only {name} --seed {outcome.seed} --trace")
        print(f"violated: {outcome.violated[-_WORDS_SHOWN:]}", flush=True)
    for line in outcome.log if shows_log else ():
        print(line)


def counted(tally: Tally, wanted: Sequence[str]) -> Iterable[str]:
    """Yield the table of counters: those that are wanted, and in brackets the others."""
    for name in wanted:
        yield f"{tally.counts[name]:>8} {name}"
    for name in sorted(tally.counts.keys() - set(wanted)):
        yield f"{tally.counts[name]:>8} ({name})"
