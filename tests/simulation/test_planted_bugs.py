"""Bugs that are planted in a copy of the tree are found; `make planted` plants fifteen."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.campaigning.results import read_results
from scripts.planting.copies import ROOT
from scripts.planting.patches import why_no_git

BROKEN = """--- a/sequencer/storage/reached.py
+++ b/sequencer/storage/reached.py
@@ -17,3 +17,3 @@
 def reached(point: str) -> None:
     \"\"\"Say that a moment has come.\"\"\"
-    on_reached(point)
+    on_reached(pint)
"""


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a script; its copies of the tree go into a folder of the test, and must not stay."""
    copies = folder / "copies"
    copies.mkdir(exist_ok=True)
    command = ["env", f"TMPDIR={copies}", sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not [*copies.iterdir()]
    return done


@pytest.fixture(autouse=True)
def _git() -> None:
    if reason := why_no_git():
        pytest.skip(reason)


def test_quick_ones_are_found_and_nothing_is_without_them(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    names = ["dead_interval_off_by_one", "missing_index_read_as_0"]
    done = run(tmp_path, "scripts/plant.py", "--results", str(results), "--only", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"found by races, seed \d+, number \d+, ", done.stdout)) == 2
    assert "2 of 2 found; the same seeds and kills without a bug: nothing" in done.stdout
    (result,) = read_results(results)
    assert (result.campaign, dict(result.found.counters)) == ("planted", {"found": 2, "planted": 2})
    assert not result.found.violations


def test_a_patch_that_is_broken_itself_finds_nothing(tmp_path: Path) -> None:
    patch = tmp_path / "broken.patch"
    patch.write_text(BROKEN)
    done = run(tmp_path, "scripts/simulate.py", "--patch", str(patch), "--seeds", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NameError: name 'pint' is not defined" in done.stdout
    assert "0 of 1 found" in done.stdout


def test_a_patch_of_nothing_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "scripts/simulate.py", "--patch", str(tmp_path / "absent.patch"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path / 'absent.patch'}: No such file or directory\n"
    done = run(tmp_path, "scripts/plant.py", "--only", "nobody")
    assert done.returncode == 2
    assert done.stderr.startswith("no planted bug nobody; there are acknowledged_before_sync, ")
