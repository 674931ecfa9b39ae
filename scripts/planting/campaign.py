"""A planted bug against the campaigns: which one finds it, where, and in how many seconds.

Promises
- The bug is planted in a copy of the tree, which runs in processes of its own; `Hunt.end` ends
  those, and the copies are gone.
- A crash that the patch itself causes, such as a name that is not there, is no find.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import msgspec

from scripts.planting.copies import Copy, copied
from scripts.planting.patches import KILLS, RACES, Patch, PatchInvalid

SEEDS_MAX = 200
"""Seeds of races or of money within which a bug has to be found."""

KILLS_MAX = 60
"""Kills within which it has to be found."""

SILENCE_SECONDS_MAX = 900
"""How long one trial may take: a bug may be that it never ends."""

_SEEKING = "scripts.planting.seeking"
_BROKEN = (
    *("ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError", "SyntaxError"),
    *("IndentationError", "AttributeError", "TypeError"),
)
_CRASH = re.compile(rf"(?:^[ |]*|: )(?:{'|'.join(_BROKEN)})\b", re.MULTILINE)
_TRACED, _FRAME = "Traceback (most recent call last)", " |+-"
_WORDS_MAX = 160
_SEED_OF_KILLS = 1


class Ended(Exception):
    """The whole hunt is over before this part of it."""


class Stage(NamedTuple):
    """A campaign that a bug has to pass: seeds from `first` on, or kills in some scenarios."""

    campaign: str
    first: int = 1
    tries: int = SEEDS_MAX
    scenarios: tuple[str, ...] = ()

    def words(self, jobs: int) -> list[str]:
        """Return it as the process takes it that runs it."""
        if self.campaign == KILLS:
            return [KILLS, str(_SEED_OF_KILLS), str(self.tries), *self.scenarios]
        return [self.campaign, str(self.first), str(self.tries), str(jobs)]

    def __str__(self) -> str:
        return self.campaign + (f" ({', '.join(self.scenarios)})" if self.scenarios else "")


class Trial(msgspec.Struct, frozen=True):
    """One seed, or one kill: where it was, and what it violated, "" for nothing."""

    where: str
    violated: str = ""


class Verdict(NamedTuple):
    """What became of a bug. `stage` and `where` say what found it, None and "" for nothing.

    `tried` counts the seeds or kills of that stage, of the last one where nothing found it;
    `problem` is why there is no answer.
    """

    name: str
    stage: Stage | None
    where: str
    words: str
    tried: int
    seconds: float
    problem: str = ""

    def line(self) -> str:
        """Return it as a line."""
        if self.stage is None:
            return f"{self.name}: {self.problem or 'NOT FOUND'}, {self.seconds:.0f} s"
        place = f"{self.stage}, {self.where}, number {self.tried}"
        return f"{self.name}: found by {place}, {self.seconds:.0f} s: {self.words}"


def stages_of(patch: Patch, first: int = 1, seeds: int = SEEDS_MAX) -> Sequence[Stage]:
    """Say what runs for a patch: what its header names, or else races and then kills."""
    if patch.campaign == KILLS:
        return [Stage(KILLS, tries=KILLS_MAX, scenarios=patch.scenarios)]
    if patch.campaign:
        return [Stage(patch.campaign, first, seeds)]
    return [Stage(RACES, first, seeds), Stage(KILLS, tries=KILLS_MAX)]


class Hunt:
    """Everything under way. `say` is told of progress, from any thread; `jobs` are for one bug."""

    def __init__(self, say: Callable[[str], None], jobs: int = 1) -> None:
        self._say = say
        self._jobs = jobs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._over = False

    def find(self, patch: Patch, stages: Sequence[Stage]) -> Verdict:
        """Plant a bug in a copy of the tree, and run stages there until one finds it."""
        started = time.monotonic()
        try:
            with copied(patch) as copy:
                return self._find(patch.name, copy, stages, started)
        except PatchInvalid as invalid:
            return Verdict(patch.name, None, "", "", 0, time.monotonic() - started, str(invalid))

    def control(self, stages: Sequence[Stage]) -> Verdict:
        """Run stages on a copy without any bug: nothing may be found."""
        if not stages:
            return Verdict("no bug", None, "", "", 0, 0.0)
        with copied(None) as copy:
            return self._find("no bug", copy, stages, time.monotonic())

    def end(self) -> None:
        """Kill whatever runs, and begin nothing."""
        with self._guard:
            self._over = True
            for process in self._running:
                _kill(process)

    def _find(self, name: str, copy: Copy, stages: Sequence[Stage], started: float) -> Verdict:
        tried = 0
        for stage in stages:
            tried, problem = 0, ""
            for tried, trial in enumerate(self._trials(copy, stage), 1):
                if trial.violated:
                    seconds, words = time.monotonic() - started, first_words(trial.violated)
                    if is_crash(trial.violated):
                        problem = f"the patch itself is broken: {words}"
                        return Verdict(name, None, trial.where, "", tried, seconds, problem)
                    return Verdict(name, stage, trial.where, words, tried, seconds)
                if tried % 25 == 0:
                    self._say(f"{name}: {tried} of {stage.tries} {stage} so far")
            if problem := self._problem(copy, tried):
                return Verdict(name, None, "", "", tried, time.monotonic() - started, problem)
        return Verdict(name, None, "", "", tried, time.monotonic() - started)

    def _trials(self, copy: Copy, stage: Stage) -> Iterator[Trial]:
        """Yield trials as they come; one that does not end is a violation, too."""
        with self._process(copy, stage) as process:
            last, hung = "the start", threading.Event()
            while True:
                with _limited(process, hung):
                    line = b"" if process.stdout is None else process.stdout.readline()
                if not line:
                    break
                trial = msgspec.json.decode(line, type=Trial)
                last = trial.where
                yield trial
            if hung.is_set():
                yield Trial(f"after {last}", f"nothing came of it for {SILENCE_SECONDS_MAX} s")

    def _problem(self, copy: Copy, tried: int) -> str:
        """Say what a process complained of that has found nothing, "" where all is well."""
        if self._over:
            raise Ended
        said = (copy.scratch / "said").read_text("utf-8", "replace")
        if is_crash(said) or not tried:
            return f"it does not run: {said.strip().splitlines()[-1] if said.strip() else 'silent'}"
        return ""

    @contextmanager
    def _process(self, copy: Copy, stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
        """Run a stage in a copy; when nobody reads any more it is over, with all that it began."""
        with (copy.scratch / "said").open("wb") as said, self._guard:
            if self._over:
                raise Ended
            process = subprocess.Popen(
                [sys.executable, "-m", _SEEKING, *stage.words(self._jobs)],
                cwd=copy.tree,
                env={**os.environ, "TMPDIR": str(copy.scratch), "PYTHONPATH": str(copy.tree)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            yield process
        finally:
            _kill(process)
            with process:
                process.wait()
            with self._guard:
                self._running.discard(process)


def control_stages(found: Sequence[Verdict]) -> list[Stage]:
    """Return what an unpatched copy has to pass: the very seeds and kills that found bugs."""
    most: dict[tuple[str, int, int, tuple[str, ...]], int] = {}
    for verdict in found:
        if verdict.stage is None:
            continue
        campaign, first, count, scenarios = verdict.stage
        # Kills are a sample of a size: part of a smaller one would be other kills.
        size = count if campaign == KILLS else 0
        key = (campaign, first, size, scenarios)
        most[key] = max(most.get(key, 0), size or verdict.tried)
    return [
        Stage(campaign, first, count, scenarios)
        for (campaign, first, _, scenarios), count in sorted(most.items())
    ]


def is_crash(words: str) -> bool:
    """Say whether something only shows that the patch itself does not work."""
    return _CRASH.search(words) is not None


def first_words(violated: str) -> str:
    """Return the first words of a violation in one line; of a traceback its last line."""
    # Exceptions of a group have a frame drawn around them.
    lines = [line.strip(_FRAME) for line in violated.splitlines()]
    lines = [line for line in lines if line] or [""]
    is_traced = any(_TRACED in line for line in lines)
    words = lines[-1] if is_traced else lines[0]
    return words if len(words) <= _WORDS_MAX else f"{words[:_WORDS_MAX]}..."


@contextmanager
def _limited(process: subprocess.Popen[bytes], hung: threading.Event) -> Iterator[None]:
    """Kill a process, and say so, unless something is over in time."""

    def kill() -> None:
        hung.set()
        _kill(process)

    timer = threading.Timer(SILENCE_SECONDS_MAX, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
