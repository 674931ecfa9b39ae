"""What a release wants of the campaigns: which, how many seeds or parts, and what together.

Laws
- Whatever is wanted here is missing until a line of results says that it was run.
"""

from collections.abc import Sequence

from scripts.campaigning.adding import Goal, Range, Wanted, Whole
from scripts.campaigning.seeded import SEEDED
from scripts.crashing.campaign import (
    CLIENTS,
    FAILING,
    FAULTS,
    PARTS_RELEASE,
    PLACES_MIN,
    PLUGINS,
    SCENARIOS,
    STORIES,
    named,
)
from scripts.fuzzing.campaign import SEEDS_RELEASE

_DISKS = (named(FAILING), named(FAULTS))
_REQUESTS, _NATIVE = "fuzz requests", "fuzz native"
_SEEDED_UNIT = {"points": "histories", "corruption": "stores", "alike": "sequences"}


def _seeded() -> list[Wanted]:
    return [
        Wanted(
            name,
            campaign.release,
            _SEEDED_UNIT.get(name, "seeds" if name == "races" else "histories"),
            f"scripts/simulate.py --size release --only {name}",
            "seeds",
        )
        for name, campaign in SEEDED.items()
    ]


def _crashing() -> list[Wanted]:
    return [
        Wanted(
            named(scenario),
            PARTS_RELEASE,
            "parts",
            f"scripts/crash.py --size release --only {scenario}",
            "parts",
            sized=True,
        )
        for scenario in SCENARIOS
    ]


_FUZZ = "scripts/fuzz.py --size release --only"
_FUZZING = [
    Wanted(_REQUESTS, SEEDS_RELEASE, "seeds", f"{_FUZZ} requests", "seeds", sized=True),
    Wanted(_NATIVE, 1, "seeds", f"{_FUZZ} native", "seeds", sized=True),
]

_PLANTED = Wanted("planted", 15, "bugs", "scripts/plant.py", "", sized=True)
"""All of them in one run."""

WANTED: Sequence[Wanted] = (*_seeded(), *_crashing(), *_FUZZING, _PLANTED)
"""Every campaign of a release."""

_EVERYWHERE = tuple(named(scenario) for scenario in SCENARIOS)

GOALS: Sequence[Goal] = (
    Goal("race seeds", ("races",), "", 10_000),
    Goal("simulated crash points", ("points",), "points", 20_000),
    Goal("corruptions", ("corruption",), "stores", 2_000),
    Goal("real kills", _EVERYWHERE, "killed", 600),
    *(
        Goal(f"real kills in {scenario}", (named(scenario),), "killed", 10)
        for scenario in (CLIENTS, PLUGINS)
    ),
    *(Goal(f"real kills in {scenario}", (named(scenario),), "killed", 10) for scenario in STORIES),
    Goal("real disk faults", _DISKS, "points", 200),
    Goal("hostile requests", (_REQUESTS,), "requests", 200_000),
    Goal("inputs of the native core", (_NATIVE,), "inputs", 1_000_000),
    Goal("planted bugs found", ("planted",), "found", 15),
)
"""What several campaigns have to reach together, by one of their counters."""

PLACES = Goal("different places of kills", _EVERYWHERE, "", PLACES_MIN)
"""How many different places have to be hit."""


def command(whole: Whole, missing: Range) -> str:
    """Return what runs a missing range."""
    start, stop = missing
    wanted = whole.wanted
    count = f" --from {start} --{wanted.counted_by} {stop - start}" if wanted.counted_by else ""
    return f"python {wanted.command}{count}"
