"""Random calls on the contracts and on their twins: in every word, event, slot and view alike."""

from collections.abc import Sequence

import pytest

from scripts.campaigning.seeds import play_many
from scripts.money.alike import play
from tests.contracts.devnet import NEEDS_DEVNET

pytestmark = NEEDS_DEVNET

SEQUENCES = 25
_HALF = SEQUENCES // 2 + 1


@pytest.mark.parametrize("seeds", [range(1, _HALF), range(_HALF, SEQUENCES + 1)], ids=str)
def test_the_twins_answer_as_the_contracts_do(seeds: Sequence[int]) -> None:
    outcomes = [*play_many(play, seeds, 1)]
    assert [outcome.seed for outcome in outcomes] == [*seeds]
    failed = [f"{outcome.seed}: {outcome.violated}" for outcome in outcomes if outcome.violated]
    assert not failed, "alone: python scripts/simulate.py --only alike --seed SEED"
    accepted = sum(
        count
        for outcome in outcomes
        for name, count in outcome.counts.items()
        if name.startswith(("deposit", "withdraw")) and name.endswith("accepted")
    )
    assert accepted
