"""A copy of the tree in a folder of its own, for one bug; it is gone whatever becomes of it."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.planting.patches import Patch, apply_patch

ROOT = Path(__file__).resolve().parents[2]
"""The tree that is copied, and never changed."""

_COPIED = ("sequencer", "contracts", "devnet", "scripts", "tests")
_PATIENCE_SECONDS, _PAUSE_SECONDS = 10.0, 0.05
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


class Copy(NamedTuple):
    """The copied tree, and a folder for whatever is written while it is tried."""

    tree: Path
    scratch: Path


@contextmanager
def copied(patch: Patch | None) -> Iterator[Copy]:
    """Copy the tree, and plant a bug there; None for none. Error: PatchInvalid."""
    folder = Path(tempfile.mkdtemp(prefix="perpchain-planted-"))
    try:
        copy = Copy(folder / "tree", folder / "scratch")
        copy.scratch.mkdir()
        for each in _COPIED:
            shutil.copytree(ROOT / each, copy.tree / each, ignore=_LEFT_OUT)
        if patch is not None:
            apply_patch(patch, copy.tree)
        yield copy
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, also while the last call of a process that was killed still writes there."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
