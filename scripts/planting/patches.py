"""Patches that plant a bug: what each says of itself, what it touches, whether it applies.

Promises
- `PatchInvalid` says in one line what is wrong with a patch.

Laws
- What stands above the diff is the patch's own header, lines that begin with #: what is wrong, and
  after `Found by:` the campaign that has to find it. `git apply` and `patch` read over it.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
"""Where the planted bugs are, a file for each."""

PRODUCT = ("sequencer/", "contracts/", "devnet/")
"""What a patch has to change at least one file of."""

RACES, MONEY, KILLS = "races", "money", "kills"
"""The campaigns that may find a bug."""

_EXPECTED = re.compile(rf"Found by: ({RACES}|{MONEY}|{KILLS})(?: \(([a-z, ]+)\))?")
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@")
_TARGET = re.compile(r"\+\+\+ (?:b/)?([^\t]+)")
_SEVERAL = re.compile(r"[, ]+")


class PatchInvalid(Exception):
    """A patch that cannot be tried, in one line."""


class Patch(NamedTuple):
    """A patch file. `campaign` is "" where its header names none; `scenarios` are those of kills.

    `about` is the header without that line, `paths` are the files that it changes.
    """

    path: Path
    about: str
    campaign: str
    scenarios: tuple[str, ...]
    paths: tuple[str, ...]
    hunks: int

    @property
    def name(self) -> str:
        """Return the bug's name, which is the file's."""
        return self.path.stem


def planted() -> list[Patch]:
    """Read every planted bug, in the order of their names. Error: PatchInvalid."""
    return [read_patch(path) for path in sorted(FOLDER.glob("*.patch"))]


def read_patch(path: Path) -> Patch:
    """Read a patch. Error: PatchInvalid."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise PatchInvalid(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise PatchInvalid(f"{path} is no unified diff: it is no text") from None
    begins = next((at for at, line in enumerate(lines) if _begins(lines, at, line)), len(lines))
    hunks = sum(_HUNK.match(line) is not None for line in lines[begins:])
    targets = [match[1] for match in map(_TARGET.match, lines[begins:]) if match]
    if not hunks or not targets:
        raise PatchInvalid(f"{path} is no unified diff: it has no file and no hunk")
    if not any(target.startswith(PRODUCT) for target in targets):
        words = f"only {', '.join(targets)}"
        raise PatchInvalid(f"{path} changes nothing of {', '.join(PRODUCT)}: {words}")
    header = " ".join(line.lstrip("# ") for line in lines[:begins])
    expected = _EXPECTED.search(header)
    campaign, scenarios = expected.groups() if expected else ("", None)
    return Patch(
        path=path.resolve(),
        about=_EXPECTED.sub("", header).strip(" ."),
        campaign=campaign,
        scenarios=tuple(filter(None, _SEVERAL.split(scenarios or ""))),
        paths=tuple(targets),
        hunks=hunks,
    )


def why_no_git() -> str:
    """Say why nothing can be applied here, "" where it can."""
    return "" if shutil.which("git") else "git is not installed"


def apply_patch(patch: Patch, tree: Path, *, check: bool = False) -> None:
    """Apply a patch to a tree; `check` only looks whether it would. Error: PatchInvalid."""
    if reason := why_no_git():
        raise PatchInvalid(reason)
    command = ["git", "apply", "--whitespace=nowarn", *(["--check"] if check else [])]
    # Inside a repository the paths of a patch are taken from its root.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)}
    done = subprocess.run(
        [*command, str(patch.path)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise PatchInvalid(f"{patch.path} does not apply: {words[0] if words else 'git says no'}")


def _begins(lines: list[str], at: int, line: str) -> bool:
    pair = line.startswith("--- ") and any(
        each.startswith("+++ ") for each in lines[at + 1 : at + 2]
    )
    return pair or line.startswith("diff --git ")
