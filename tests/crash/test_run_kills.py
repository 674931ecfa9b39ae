"""A few kills of whole runs; `python scripts/kill_run.py` makes all of them."""

import pytest

from devnet.backends import DEVNET, EMBEDDED, NONE
from scripts.crashing.run_kills import MOMENTS, Moment, RunKills
from tests.contracts.devnet import NEEDS_DEVNET

CHOSEN = ("block    45", "plan")


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> RunKills:
    return RunKills(tmp_path_factory.mktemp("kills"))


def test_moments_are_spread_over_the_story() -> None:
    assert len(MOMENTS) == 20
    words = {moment.words for moment in MOMENTS}
    assert words >= {*CHOSEN, "the same faults", "the proof", "applied", "suggest"}


def test_runs_that_are_killed_go_on_to_the_same_blocks_and_to_others_would_be_found_out(
    kills: RunKills,
) -> None:
    chosen = {moment.words: moment for moment in MOMENTS if moment.words in CHOSEN}
    same, other = chosen.values()
    assert kills.kill(same, NONE) == ""
    whole = kills.whole
    kills.whole = {**whole, "head_root": "0x1", "fills": 0}
    try:
        problem = kills.kill(other, NONE)
    finally:
        kills.whole = whole
    assert problem.startswith("head_root differs; fills differs; ")
    assert problem.count("differs; ") == 2, problem


@pytest.mark.parametrize("settlement", [EMBEDDED, pytest.param(DEVNET, marks=NEEDS_DEVNET)])
def test_a_devnet_outlives_a_kill_and_is_found_again(kills: RunKills, settlement: str) -> None:
    assert kills.kill(Moment("settlement: put back", 50), settlement) == ""


@pytest.mark.parametrize("settlement", [pytest.param(DEVNET, marks=NEEDS_DEVNET)])
def test_one_that_is_gone_with_credited_deposits_ends_the_run(
    kills: RunKills, settlement: str
) -> None:
    assert kills.kill(Moment("plan", 100), settlement, devnet_too=True) == ""
