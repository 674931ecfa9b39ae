"""Results of campaigns: one line of JSON for each part that was run, appended as soon as it is.

Promises
- A campaign that is killed leaves the lines of the parts that it had done, and half a line counts
  for nothing: what is no JSON was cut short.
- A line says on which commit, core and Python it came about, and `-dirty` where the tree was not
  the commit's, at the beginning of the part or at its end.
"""

import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from sequencer.starknet.native import NATIVE

RESULTS = Path("build/campaigns.jsonl")
"""Where results go, unless somebody says otherwise."""

SAMPLE, RELEASE = "sample", "release"
SIZES = (SAMPLE, RELEASE)
"""How much a campaign runs: what fits into half an hour, or what a release wants."""

DIRTY = "-dirty"

_ROOT = Path(__file__).resolve().parents[2]
_VIOLATION_CHARACTERS_MAX, _VIOLATIONS_MAX = 2_000, 20
_COMMIT_CHARACTERS = 12


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of a campaign came to.

    `silent` names what has to come about in a whole campaign and did not in this part. `places`
    are the different places that were hit, where the campaign has such.
    """

    counters: Mapping[str, int]
    violations: Sequence[str] = ()
    silent: Sequence[str] = ()
    places: Sequence[str] = ()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A line: the seeds or parts from `first` on, `count` of them, and what they came to."""

    campaign: str
    size: str
    first: int
    count: int
    found: Found
    seconds: float
    commit: str
    core: str
    python: str

    @property
    def is_dirty(self) -> bool:
        """Say whether other sources than the commit's may have run."""
        return self.commit.endswith(DIRTY)


class Recorder:
    """Appends what was found to a file. `seconds` of a part run from the end of the one before."""

    def __init__(self, path: Path, size: str) -> None:
        self._path, self._size = path, size
        self._begin()

    def begin(self) -> None:
        """Begin to measure: what came before belongs to no part."""
        self._begin()

    def record(self, campaign: str, first: int, count: int, found: Found) -> Result:
        """Append a line, durably, and return it."""
        before, now = self._commit, commit_of_tree()
        result = Result(
            campaign=campaign,
            size=self._size,
            first=first,
            count=count,
            found=msgspec.structs.replace(
                found,
                counters=dict(sorted(found.counters.items())),
                violations=_shortened(found.violations),
                places=sorted(found.places),
            ),
            seconds=round(time.monotonic() - self._started, 1),
            commit=now if now == before else f"{before.removesuffix(DIRTY)}{DIRTY}",
            core="wheels" if NATIVE is None else "native",
            python=platform.python_version(),
        )
        _append(self._path, msgspec.json.encode(result))
        self._begin()
        return result

    def _begin(self) -> None:
        self._started, self._commit = time.monotonic(), commit_of_tree()


def read_results(path: Path) -> list[Result]:
    """Read all lines that are whole; an absent file has none. Failure: ValueError for others."""
    return list(_decoded(path.read_bytes())) if path.exists() else []


def _decoded(data: bytes) -> Iterator[Result]:
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            if line:
                yield msgspec.json.decode(line, type=Result)
        except msgspec.ValidationError as error:
            raise ValueError(f"line {number} is no result: {error}") from None
        except msgspec.DecodeError:
            continue


def commit_of_tree() -> str:
    """Return the commit that is checked out, `-dirty` behind it where the tree differs from it."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return f"unknown{DIRTY}"
    return commit[:_COMMIT_CHARACTERS] + (DIRTY if _git("status", "--porcelain") else "")


def _git(*words: str) -> str:
    if not _has_git():
        return ""
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *words], capture_output=True, check=False, text=True
    )
    return done.stdout.strip()


@cache
def _has_git() -> bool:
    try:
        words = ["git", "-C", str(_ROOT), "rev-parse", "--git-dir"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        # A line that was cut short must not take this one with it.
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _shortened(violations: Sequence[str]) -> list[str]:
    shown = [words[-_VIOLATION_CHARACTERS_MAX:] for words in violations[:_VIOLATIONS_MAX]]
    left = len(violations) - len(shown)
    return [*shown, f"and {left} more"] if left else shown
