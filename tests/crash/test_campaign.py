"""A few runs of each scenario of the campaign; `make crash` makes hundreds."""

import re
from pathlib import Path

import pytest

from scripts.campaigning.results import read_results
from scripts.crashing.campaign import named
from scripts.crashing.tracing import why_absent
from tests.crash.programs import crash

_LINE = re.compile(
    r"(\w+) +(\d+) runs +(\d+) points +(\d+) killed +(\d+) distinct +(\d+) places +(\d+) recovered"
)


def campaign(folder: Path, *arguments: str) -> dict[str, list[int]]:
    """Return the figures of each scenario; the results in the file say the same."""
    results = folder / "results.jsonl"
    printed = crash(*arguments, "--results", str(results))
    found = {
        match[1]: [int(number) for number in match.groups()[1:]]
        for match in _LINE.finditer(printed)
    }
    lines = {each.campaign: each.found.counters for each in read_results(results)}
    assert lines.keys() == {named(name) for name in found}
    for name, (runs, points, killed, *_, recovered) in found.items():
        told = {"runs": runs, "points": points, "killed": killed, "recovered": recovered}
        assert lines[named(name)] == told
    return found


def test_a_kill_leaves_a_boundary_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    if reason := why_absent():
        pytest.skip(reason)
    scenarios = ["start", "blocks", "recovery", "compaction", "rollback"]
    found = campaign(tmp_path, "--points", "20", "--only", *scenarios)
    assert list(found) == scenarios
    for runs, points, killed, distinct, _, recovered in found.values():
        assert killed >= points == distinct == recovered > runs // 2


def test_a_kill_from_within_leaves_the_same(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--points", "8", "--only", "hooks")
    runs, points, killed, *_, recovered = found["hooks"]
    assert runs >= points == killed == recovered > 2


def test_nodes_survive_errors_full_disks_and_instants(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--points", "30", "--only", "faults", "instants")
    assert list(found) == ["faults", "instants"]
    for runs, points, *_, recovered in found.values():
        assert runs == points == recovered >= 3


def test_a_client_knows_the_chain_again_after_each_kill(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--points", "4", "--only", "clients")
    runs, points, killed, *_, recovered = found["clients"]
    assert runs == killed == 4
    assert points == recovered >= 1
