"""Plans as files: found by enough of their names, and never more than they may be."""

from pathlib import Path

import pytest

from sequencer.model.limits import PLAN_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.plan_folder import PLANS_FOLDER, PlanFolder

ONE, OTHER = "ab" * 32, "ab" * 31 + "cd"


def test_a_plan_is_found_by_its_first_digits(tmp_path: Path) -> None:
    plans = PlanFolder(tmp_path)
    plans.save(ONE, b"one")
    assert plans.find(ONE[:8]) == plans.find(ONE) == (ONE, b"one")
    plans.save(ONE, b"two")
    assert plans.find(ONE) == (ONE, b"two")
    assert [path.name for path in (tmp_path / PLANS_FOLDER).iterdir()] == [f"{ONE}.json"]


@pytest.mark.parametrize(
    "given", ["", "ab" * 3, "*" * 8, "../" * 4, "cd" * 4, "ab" * 33, ONE.upper(), "\u0661" * 8]
)
def test_what_names_no_plan(given: str, tmp_path: Path) -> None:
    plans = PlanFolder(tmp_path)
    plans.save(ONE, b"one")
    with pytest.raises(Refused, match="0 plans begin with") as caught:
        plans.find(given)
    assert caught.value.reason is Reason.PLAN_UNKNOWN


def test_digits_that_several_plans_begin_with(tmp_path: Path) -> None:
    plans = PlanFolder(tmp_path)
    plans.save(ONE, b"one")
    plans.save(OTHER, b"other")
    with pytest.raises(Refused, match="2 plans begin with"):
        plans.find(ONE[:8])
    assert plans.find(OTHER) == (OTHER, b"other")


def test_a_file_that_is_no_plan(tmp_path: Path) -> None:
    plans = PlanFolder(tmp_path)
    plans.save(ONE, b"x" * (PLAN_FILE_BYTES_MAX + 1))
    with pytest.raises(Refused, match="over"):
        plans.find(ONE)
    (tmp_path / PLANS_FOLDER / f"{OTHER}.json").mkdir()
    with pytest.raises(Refused, match="PLAN_UNKNOWN"):
        plans.find(OTHER)


def test_a_folder_that_takes_no_plan(tmp_path: Path) -> None:
    (tmp_path / PLANS_FOLDER).write_text("in the way")
    with pytest.raises(StoreFailed) as caught:
        PlanFolder(tmp_path).save(ONE, b"one")
    assert caught.value.problem is StoreProblem.WRITE_FAILED
