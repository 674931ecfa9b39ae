"""Every exchange vector comes out as written."""

import pytest

from tests.vectors.exchange_case import Json, check_outcome, make_state, play, read_cases

CASES = [pytest.param(case, id=f"{name}-{case['name']}") for name, case in read_cases()]


@pytest.mark.parametrize("case", CASES)
def test_vector(case: Json) -> None:
    state = make_state(case)
    check_outcome(state, case, play(state, case))
