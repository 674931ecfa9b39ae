"""Histories of money on both chains, with everything that goes wrong: a few of the campaign's."""

from collections import Counter
from collections.abc import Sequence

import pytest

from scripts.campaigning.seeds import Play, play_many
from scripts.money.campaign import play, play_real
from tests.contracts.devnet import NEEDS_DEVNET

EMBEDDED_SEEDS = range(1, 5)
REAL_SEEDS = range(1, 11)


@pytest.mark.parametrize(
    ("played", "seeds"),
    [
        pytest.param(play, EMBEDDED_SEEDS, id="embedded"),
        pytest.param(play_real, REAL_SEEDS, id="real", marks=NEEDS_DEVNET),
    ],
)
def test_no_history_breaks_a_law_of_money(played: Play, seeds: Sequence[int]) -> None:
    outcomes = [*play_many(played, seeds, 1)]
    assert [outcome.seed for outcome in outcomes] == [*seeds]
    failed = [
        "\n".join([*outcome.log, f"{outcome.seed}: {outcome.violated}"])
        for outcome in outcomes
        if outcome.violated
    ]
    assert not failed, "alone: python scripts/simulate.py --only money --seed SEED [--real] --trace"
    counts = sum((Counter(outcome.counts) for outcome in outcomes), Counter())
    for what in ("deposit", "withdrawal", "claim paid", "rollback", "settlement reorg"):
        assert counts[what], what
