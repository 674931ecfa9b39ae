"""What `scripts/fuzz.py` says where there is no native core."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = "skipped, the native core is not installed: native"


def fuzz_without_core(folder: Path, *words: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "scripts/fuzz.py", *words, "--results", str(folder / "results.jsonl")],
        env=os.environ | {"PERPCHAIN_HASHES": "wheels"},
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_the_core_alone_cannot_be_skipped(tmp_path: Path) -> None:
    assert fuzz_without_core(tmp_path, "--only", "native") == (1, [SKIPPED])


def test_beside_the_requests_the_core_is_skipped_by_name(tmp_path: Path) -> None:
    code, lines = fuzz_without_core(tmp_path, "--target", "toy", "--requests", "100")
    assert code == 0
    assert lines[-1] == SKIPPED
    assert lines[-2].startswith("100 requests, seed 1, ")


def test_requests_alone_do_not_speak_of_the_core(tmp_path: Path) -> None:
    code, lines = fuzz_without_core(
        tmp_path, "--only", "requests", "--target", "toy", "--requests", "100"
    )
    assert code == 0
    assert SKIPPED not in lines
