"""strace around a process: where it is told to strike, and what it saw.

Laws
- Only calls on files of one kind are counted, and strace counts them for each thread by itself:
  the n-th call of a name on a kind of file is one place of a run, whatever else goes on.
- The signal strikes as the call begins: what it would have done is not done.
"""

import ctypes
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sequencer import config
from sequencer.storage.folder import WITNESS_SUFFIX
from sequencer.storage.halt_note import HALT_FILE
from sequencer.storage.leveldb import DATABASE_FOLDER
from sequencer.storage.lock import TOKEN_FILE

ANSWERS = "answers"
"""The file, in the folder of a run, in which a child acknowledges."""

DATA = "data"
"""The data folder's name in the folder of a run."""

CALLS = ("write", "pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "mkdir")
"""The calls by which anything reaches the disk."""

_AWAITED = ("write", "pwrite64", "fdatasync")
_NUMBERS_MAX = 60
_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)")
_TEXT = re.compile(r"[<\"]((?:\\x[0-9a-f]{2})+)[>\"]")
_PATIENCE_SECONDS, _DETACHING_SECONDS = 10.0, 1.0
_SET_TRACER, _ANY_TRACER = 0x59616D61, ctypes.c_ulong(-1)


class Call(NamedTuple):
    """One line of a trace. `ended` is False where the call begins or was never finished."""

    thread: int
    name: str
    text: str
    ended: bool
    began: bool


class Strike(NamedTuple):
    """What happens to the n-th call of a name on the files of some kinds.

    `action` is "signal=SIGKILL" or "error=...". `rest` also strikes every later one.
    """

    kinds: tuple[str, ...]
    call: str
    number: int
    action: str
    rest: bool = False

    @property
    def is_answered(self) -> bool:
        """Say whether the writer hears at once of an error there: its call waits for the disk."""
        return {*self.kinds} <= {"log", "witness"} and self.call in _AWAITED

    def words(self) -> str:
        """Return it as strace takes it."""
        return f"inject={self.call}:{self.action}:when={self.number}{'+' if self.rest else ''}"


def files_of(kind: str, folder: Path) -> list[Path]:
    """List all paths that files of a kind may have in the folder of a run, there or not."""
    data = folder / DATA
    base = data / DATABASE_FOLDER
    made = base.with_suffix(".new")
    numbers = range(_NUMBERS_MAX)
    match kind:
        case "log":
            return [base / f"{number:06}.log" for number in numbers]
        case "table":
            return [base / f"{number:06}.ldb" for number in numbers]
        case "manifest":
            return [each / f"MANIFEST-{number:06}" for number in numbers for each in (base, made)]
        case "current":
            temporary = [each / f"{n:06}.dbtmp" for n in numbers for each in (base, made)]
            return [base / "CURRENT", made / "CURRENT", *temporary]
        case "witness":
            return [folder / (DATA + WITNESS_SUFFIX)]
        case "token":
            return [data / TOKEN_FILE, (data / TOKEN_FILE).with_suffix(".new")]
        case "note":
            return [data / HALT_FILE, (data / HALT_FILE).with_suffix(".new")]
        case "admin":
            place = data / config.ADMIN_FILE
            return [place, place.with_suffix(".new"), data / config.TOKEN_FILE]
        case "folder":
            return [folder, data, base, made]
        case "answers":
            return [folder / ANSWERS]
        case _:
            raise KeyError(kind)


_FILES = ("log", "table", "manifest", "current", "witness", "token", "note")
KINDS = (*_FILES, "admin", "folder", ANSWERS)
"""Every kind of file."""


def why_absent() -> str:
    """Say why no process can be traced here, "" where one can."""
    if sys.platform != "linux":
        return "no strace on this system"
    if shutil.which("strace") is None:
        return "strace is not installed"
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(["sleep", "30"])
        try:
            with attached(child.pid, Path(folder)):
                child.kill()
                child.wait()
        except OSError as error:
            return f"ptrace is refused: {error}"
        finally:
            child.kill()
            child.wait()
    return ""


@contextmanager
def attached(
    process: int,
    folder: Path,
    kinds: Sequence[str] = KINDS,
    strike: Strike | None = None,
    *,
    lets_go: bool = False,
) -> Iterator[Path]:
    """Attach strace to a process; yields the file of the trace, whole once the context has ended.

    No kinds are all files, of a run or not. OSError where it cannot be attached. Whoever is inside
    ends the process, unless strace `lets_go` of it.
    """
    trace = folder / "trace"
    paths = [path for kind in kinds for path in files_of(kind, folder)]
    calls = ",".join(f"?{call}" for call in CALLS) if strike is None else strike.call
    command = ["strace", "-f", "-y", "-xx", "-s", "160", "-e", "signal=SIGKILL", "-o", str(trace)]
    command += ["-e", f"trace={calls}", *(word for path in paths for word in ("-P", str(path)))]
    command += [] if strike is None else ["-e", strike.words()]
    tracer = subprocess.Popen(
        [*command, "-p", str(process)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        _await_attached(tracer, process)
        yield trace
    finally:
        if lets_go:
            tracer.terminate()
        _end(tracer, _DETACHING_SECONDS if lets_go else _PATIENCE_SECONDS)


def _await_attached(tracer: "subprocess.Popen[bytes]", process: int) -> None:
    stream = tracer.stderr
    for line in () if stream is None else stream:
        text = line.decode(errors="replace").strip()
        if f"Process {process} attached" in text:
            return
        if "ptrace" in text or "attach" in text:
            raise OSError(text)
    raise OSError("strace has ended")


def _end(tracer: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Wait for strace, which ends with what it traces."""
    try:
        tracer.wait(seconds)
    except subprocess.TimeoutExpired:
        tracer.kill()
        tracer.wait()
    if tracer.stderr is not None:
        tracer.stderr.close()


def read_trace(trace: Path) -> list[Call]:
    """Read the calls of a trace in order; one that another thread interrupted comes twice."""
    found = []
    for line in trace.read_text("ascii", "replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, name, opening, text = match.groups()
        unfinished = text.endswith("<unfinished ...>") or text.endswith("= ?")
        found.append(Call(int(thread), name, text, not unfinished, opening == "("))
    return found


def killed_by_signal(trace: Path) -> bool:
    """Say whether the trace ends with a death by SIGKILL."""
    return "+++ killed by SIGKILL +++" in trace.read_text("ascii", "replace")


def was_struck(trace: Path) -> int:
    """Count the calls that got an error in place of what they do."""
    return trace.read_text("ascii", "replace").count("(INJECTED)")


def kinds_by_path(folder: Path) -> Mapping[str, str]:
    """Return which kind each file of a run is of."""
    return {str(path): kind for kind in KINDS for path in files_of(kind, folder)}


def kind_of(call: Call, kinds: Mapping[str, str]) -> str:
    """Name the kind of file that a call is about, "" where it is none of a run's."""
    texts = (text.decode(errors="replace") for text in texts_of(call))
    return next((kinds[text] for text in texts if text in kinds), "")


def texts_of(call: Call) -> Iterator[bytes]:
    """Yield the texts of a call: its files, and its data as far as the trace shows them."""
    for text in _TEXT.findall(call.text):
        yield bytes.fromhex(text.replace("\\x", ""))


def allow_tracing() -> None:
    """Let any process of this user trace this one, where the system asks for that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_TRACER, _ANY_TRACER, 0, 0, 0)
