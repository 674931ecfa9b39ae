"""Lines of results add up: disjoint ranges of one commit, what is missing, what was silent."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from scripts.campaigning.adding import Goal, Wanted, add_up, disjoint, missing_ranges, reached
from scripts.campaigning.release import WANTED, command
from scripts.campaigning.results import (
    DIRTY,
    RELEASE,
    SAMPLE,
    Found,
    Recorder,
    Result,
    read_results,
)
from scripts.campaigns import main

RACES = Wanted("races", 100, "seeds", "scripts/simulate.py --only races", "seeds")


def line(
    first: int,
    count: int,
    *,
    commit: str = "abc",
    size: str = SAMPLE,
    counters: dict[str, int] | None = None,
    violations: Sequence[str] = (),
    silent: Sequence[str] = (),
) -> Result:
    found = Found(
        counters=counters or {"steps": count}, violations=violations, silent=silent, places=["here"]
    )
    return Result(
        campaign="races",
        size=size,
        first=first,
        count=count,
        found=found,
        seconds=1.5,
        commit=commit,
        core="native",
        python="3.11.9",
    )


@pytest.mark.parametrize(
    ("ranges", "missing"),
    [
        ([], [(1, 101)]),
        ([(1, 100)], []),
        ([(1, 40), (61, 40)], [(41, 61)]),
        ([(61, 40), (1, 40), (41, 20)], []),
        ([(10, 5), (12, 20)], [(1, 10), (32, 101)]),
        ([(1, 90), (20, 5)], [(91, 101)]),
        ([(50, 500)], [(1, 50)]),
        ([(300, 5)], [(1, 101)]),
    ],
)
def test_what_is_missing(ranges: list[tuple[int, int]], missing: list[tuple[int, int]]) -> None:
    assert missing_ranges([line(*each) for each in ranges], 100) == missing


def test_seeds_in_common_count_once_and_what_is_violated_stays_violated() -> None:
    lines = [line(1, 60), line(41, 60, violations=["seed 50: lost"]), line(61, 40)]
    assert disjoint(lines) == [lines[0], lines[2]]
    whole = add_up(lines, RACES)
    assert (whole.seeds, whole.counters["steps"], whole.seconds) == (100, 100, 3.0)
    assert whole.violations == ["seed 50: lost"]


def test_lines_of_two_commits_are_never_added_up() -> None:
    lines = [line(1, 50), line(51, 50, commit="def")]
    assert add_up(lines, RACES).missing == [(1, 51)]
    assert add_up(lines, RACES, "abc").missing == [(51, 101)]
    whole = add_up([*lines, line(51, 50), line(1, 10, commit="later")], RACES)
    assert (whole.commit, whole.missing) == ("abc", [])
    assert add_up(lines, RACES, "none").seeds == 0
    lines = [line(1, 100), line(1, 100, commit=f"later{DIRTY}")]
    assert add_up(lines, RACES).commit == "abc"


def test_only_what_was_silent_in_every_line_never_came_about() -> None:
    first, second = (line(1, 50, silent=["a", "b"]), line(51, 50, silent=["b", "c"]))
    assert add_up([first, second], RACES).silent == ["b"]
    assert add_up([], RACES).silent == []


def test_parts_of_a_sample_are_no_parts_of_a_release() -> None:
    sized = RACES._replace(sized=True)
    lines = [line(1, 100), line(1, 40, size=RELEASE)]
    assert add_up(lines, sized).missing == [(41, 101)]


def test_campaigns_reach_a_goal_together() -> None:
    wholes = [add_up([line(1, 100)], RACES), add_up([line(1, 30)], RACES)]
    assert reached(Goal("steps", ("races",), "steps", 9), wholes) == 130
    assert reached(Goal("seeds", ("races",), "", 9), wholes) == 130
    assert reached(Goal("others", ("money",), "", 9), wholes) == 0


def test_what_is_recorded_is_read_and_half_a_line_is_not(tmp_path: Path) -> None:
    path = tmp_path / "made" / "results.jsonl"
    assert read_results(path) == []
    recorder = Recorder(path, RELEASE)
    recorder.record("races", 1, 20, Found(counters={"b": 2, "a": 1}, violations=["x" * 9_999]))
    with path.open("ab") as file:
        file.write(msgspec.json.encode(line(21, 20))[:70])
    recorder.record("races", 21, 20, Found(counters={"a": 1}))
    found = read_results(path)
    assert [(each.first, each.size) for each in found] == [(1, RELEASE), (21, RELEASE)]
    assert list(found[0].found.counters) == ["a", "b"]
    assert len(found[0].found.violations[0]) == 2_000


def test_a_line_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"campaign": 7}\n')
    with pytest.raises(ValueError, match="line 1 is no result"):
        read_results(path)


def _whole(commit: str, *, silent: str = "") -> list[Result]:
    names = ("points", "stores", "killed", "requests", "inputs", "runs", "found")
    counters = dict.fromkeys(names, 1_000_000)
    found = Found(
        counters=counters,
        silent=[silent] if silent else [],
        places=[f"place {number}" for number in range(100)],
    )
    return [
        msgspec.structs.replace(
            line(1, wanted.seeds, commit=commit, size=RELEASE),
            campaign=wanted.campaign,
            found=found,
        )
        for wanted in WANTED
    ]


def test_a_release_is_whole_or_says_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"

    def campaigns(lines: Sequence[Result], *words: str) -> tuple[int, str]:
        path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in lines))
        return main(["--results", str(path), *words]), capsys.readouterr().out

    code, said = campaigns(_whole("abc"))
    assert (code, "missing" in said) == (0, False)
    code, said = campaigns(_whole("abc")[1:])
    assert code == 1
    assert f"next: {command(add_up([], WANTED[0]), (1, WANTED[0].seeds + 1))}" in said
    code, said = campaigns(_whole("abc", silent="an overlap"))
    assert (code, "never came about: races, an overlap" in said) == (1, True)
    code, said = campaigns(_whole(f"abc{DIRTY}"))
    assert (code, "of no commit: races" in said) == (1, True)
    code, said = campaigns(_whole("abc"), "--markdown")
    assert (code, said.count("\n| `")) == (0, len(WANTED))


def test_a_file_of_something_else_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("[1]\n")
    assert main(["--results", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
