"""A few runs of each scenario of the campaign; `make crash` makes hundreds."""

import os
import re
import subprocess
import sys

import pytest

from scripts.crashing.nodes import ROOT
from scripts.crashing.tracing import why_absent

_LINE = re.compile(
    r"(\w+) +(\d+) runs +(\d+) points +(\d+) killed +(\d+) distinct +(\d+) places +(\d+) recovered"
)


def campaign(*arguments: str) -> dict[str, list[int]]:
    """Run it in a process of its own, which forks; returns the figures of each scenario."""
    done = subprocess.run(
        [sys.executable, "scripts/crash.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 violations" in done.stdout
    return {
        match[1]: [int(number) for number in match.groups()[1:]]
        for match in _LINE.finditer(done.stdout)
    }


def test_a_kill_leaves_a_boundary_and_nothing_acknowledged_is_lost() -> None:
    if reason := why_absent():
        pytest.skip(reason)
    scenarios = ["start", "blocks", "recovery", "compaction", "rollback"]
    found = campaign("--points", "20", "--only", *scenarios)
    assert list(found) == scenarios
    for runs, points, killed, distinct, _, recovered in found.values():
        assert killed >= points == distinct == recovered > runs // 2


def test_a_kill_from_within_leaves_the_same() -> None:
    found = campaign("--points", "8", "--only", "hooks")
    runs, points, killed, *_, recovered = found["hooks"]
    assert runs >= points == killed == recovered > 2


def test_nodes_survive_errors_full_disks_and_instants() -> None:
    found = campaign("--points", "30", "--only", "faults", "instants")
    for runs, points, *_, recovered in found.values():
        assert runs == points == recovered >= 3


def test_a_client_knows_the_chain_again_after_each_kill() -> None:
    found = campaign("--points", "4", "--only", "clients")
    runs, points, killed, *_, recovered = found["clients"]
    assert runs == killed == 4
    assert points == recovered >= 1
