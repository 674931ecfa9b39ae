"""Processes of their own that tests of crashes run: they fork, kill and say what they found."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.crashing.nodes import ROOT


def crash(*arguments: str) -> str:
    """Run some of the campaign; returns what it printed, which names no violation."""
    printed = _printed("scripts/crash.py", *arguments)
    assert ", 0 violations" in printed
    return printed


def told_by(program: str, *arguments: str, path: Path = ROOT) -> Any:  # noqa: ANN401
    """Run a program; returns the JSON of its last line. Modules are looked for in `path` first."""
    return json.loads(_printed("-c", program, *arguments, path=path).splitlines()[-1])


def _printed(*arguments: str, path: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
