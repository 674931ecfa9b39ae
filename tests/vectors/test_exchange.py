"""Every exchange vector comes out as written."""

from pathlib import Path

import msgspec
import pytest

from tests.vectors.exchange_case import Json, check_outcome, exact, make_state, play

FOLDER = Path(__file__).parent / "exchange"
CASES = [
    pytest.param(exact(case), id=f"{path.stem}-{case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in msgspec.json.decode(path.read_bytes())
]


@pytest.mark.parametrize("case", CASES)
def test_vector(case: Json) -> None:
    state = make_state(case)
    check_outcome(state, case, play(state, case))
