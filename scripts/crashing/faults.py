"""Real write errors and full disks under a running node, and what must come of each.

Promises
- A fault counts only where a call got the error: strace says so, or the limit was met.
- The node halts with WRITE_FAILED at the first error, answers every line once, writes no more, ends
  with 15, and comes up halted until its operator has seen why.
"""

import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

from scripts.crashing.checking import Violation
from scripts.crashing.children import Child, ask
from scripts.crashing.nodes import (
    SAID,
    Answer,
    Talk,
    check_node,
    ended,
    fork_node,
    line_of,
    load,
)
from scripts.crashing.phases import use_small_buffer
from scripts.crashing.tracing import DATA, Strike, attached, files_of, was_struck
from sequencer.model.commands import SetMode
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.storage.halt_note import HALT_FILE

_INTERVAL_MS = 20
_LINES_AT_ONCE = 6
_ROUNDS_MAX = 150
_DISK = ("log", "table", "manifest", "witness", "token", "note", "current")
_HALTED = frozenset({Reason.HALTED.value, Reason.OUTCOME_UNKNOWN.value})


class Fault(NamedTuple):
    """A strike with an error, or where there is none a limit of the size of files in bytes.

    `stopping`: it comes when the node has been told to stop.
    """

    strike: Strike | None
    limit_bytes: int = 0
    stopping: bool = False

    def __str__(self) -> str:
        if self.strike is None:
            return f"files of at most {self.limit_bytes} bytes"
        at_stop = ", at the stop" if self.stopping else ""
        return f"{self.strike.words()} of {', '.join(self.strike.kinds)}{at_stop}"


def all_faults() -> list[Fault]:
    """List every fault of the campaign."""
    found = [Fault(None, limit) for limit in (18_000, 24_000, 30_000, 32_769, 41_111, 57_000)]
    found += [Fault(Strike(_DISK, "write,pwrite64", n, "error=ENOSPC", True)) for n in (1, 2, 3, 7)]
    stopping = [Strike(("log",), call, 1, "error=EIO") for call in ("write", "fdatasync")]
    found += [Fault(strike, stopping=True) for strike in stopping]
    return found + [Fault(strike) for strike in _strikes()]


def _strikes() -> Iterator[Strike]:
    for kind, call, errors, numbers in (
        ("log", "write", ("EIO", "ENOSPC"), (1, 2, 3, 5, 8, 13)),
        ("log", "fdatasync", ("EIO",), (1, 2, 3, 5, 8, 13)),
        ("witness", "pwrite64", ("EIO", "ENOSPC"), (1, 2, 3, 5, 8)),
        ("witness", "fdatasync", ("EIO",), (1, 2, 3, 5, 8)),
        ("table", "write", ("EIO", "ENOSPC"), (1, 3)),
        ("table", "fdatasync", ("EIO",), (1,)),
        ("manifest", "write", ("EIO", "ENOSPC"), (1,)),
        ("manifest", "fdatasync", ("EIO",), (1,)),
    ):
        for number in numbers:
            for error in errors:
                for rest in (False, True):
                    yield Strike((kind,), call, number, f"error={error}", rest)


def suffer(folder: Path, fault: Fault) -> bool:
    """Run a node into a fault; says whether it was met. Raises Violation."""
    nonces: dict[str, int] = {}
    child, talk = fork_node(folder, partial(_arm, fault.limit_bytes), _INTERVAL_MS)
    if not talk.until(lambda: bool(talk.announced)):
        raise Violation(f"the node has not started: {_said(folder)}")
    _exchange(talk, load(nonces, _LINES_AT_ONCE))
    with _faulty(child, folder, fault) as trace:
        met = fault.stopping or _load_until_halted(talk, nonces)
        before = _written(folder)
        if not fault.stopping:
            _exchange(talk, load(nonces, 3))
        talk.kill(signal.SIGTERM)
        code = ended(child, talk)
    if fault.strike is not None:
        if not was_struck(trace):
            return False
        if not code and fault.strike.is_answered:
            raise Violation("an error of the disk went by, and the node went on")
    if not met:
        return False
    _require_answers(talk)
    _require_halted(folder, fault, code)
    if _written(folder) != before and not fault.stopping:
        raise Violation("something was written after the halt")
    _require_return(folder, talk.applied())
    return True


def _arm(limit_bytes: int) -> None:
    use_small_buffer()
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))


def _exchange(talk: Talk, lines: Sequence[bytes]) -> None:
    talk.send(lines)
    talk.until(lambda: len(talk.answers) >= talk.sent)


def _faulty(child: Child, folder: Path, fault: Fault) -> AbstractContextManager[Path]:
    if fault.strike is not None:
        return attached(child.process, folder, fault.strike.kinds, fault.strike)
    return nullcontext(folder)


def _load_until_halted(talk: Talk, nonces: dict[str, int]) -> bool:
    for _ in range(_ROUNDS_MAX):
        _exchange(talk, load(nonces, _LINES_AT_ONCE))
        if any(answer.status != "applied" for answer in talk.answers):
            return True
    return False


def _require_answers(talk: Talk) -> None:
    """Each line has one answer, and after the first refusal nothing is applied."""
    lines = [answer.line for answer in talk.answers]
    if sorted(lines) != list(range(1, talk.sent + 1)):
        raise Violation(f"{talk.sent} lines, and answers to {sorted(lines)}")
    ordered = sorted(talk.answers)
    refused = [*dropwhile(lambda answer: answer.status == "applied", ordered)]
    codes = {answer.code for answer in refused}
    if not codes <= _HALTED or any(answer.status == "applied" for answer in refused):
        raise Violation(f"after the first refusal: {codes}")


def _require_halted(folder: Path, fault: Fault, code: int) -> None:
    said = _said(folder)
    if code != ExitCode.WRITE_FAILED or "HALTED WRITE_FAILED" not in said:
        raise Violation(f"exit code {code}: {said}")
    # Calls are counted for each thread, and the note is the first that its thread writes.
    strike = fault.strike
    takes_note = strike is None or "note" not in strike.kinds or strike.number > 1
    if (folder / DATA / HALT_FILE).exists() != takes_note:
        raise Violation(f"the note is {'absent' if takes_note else 'there'}")


def _require_return(folder: Path, applied: list[Answer]) -> None:
    """The fault is gone: nothing is lost, and the operator's word ends the halt."""
    noted = (folder / DATA / HALT_FILE).exists()
    _, nonces = _checked(folder, applied)
    child, talk = fork_node(folder, use_small_buffer, _INTERVAL_MS)
    if noted:
        word = line_of("operate", SetMode(Mode.CANCEL_ONLY, "seen"))
        _exchange(talk, [*load(dict(nonces), 1), word])
    _exchange(talk, load(nonces, 1))
    talk.kill(signal.SIGTERM)
    code = ended(child, talk)
    codes = [answer.code for answer in sorted(talk.answers)]
    if codes != ([Reason.HALTED.value, "", ""] if noted else [""]) or code:
        raise Violation(f"after the fault: {talk.answers}, exit code {code}: {_said(folder)}")
    if (folder / DATA / HALT_FILE).exists():
        raise Violation("the note outlived the operator's word")
    _checked(folder, applied + talk.applied())


def _checked(folder: Path, applied: list[Answer]) -> tuple[int, dict[str, int]]:
    # What the operator sends has no place that a client could ask for.
    return ask(lambda: check_node(folder, applied), tuple[int, dict[str, int]])


def _written(folder: Path) -> list[bytes]:
    """Read what only the writer writes: the newest log, and the witness.

    An older log may still go away: the database's own thread has put it in a table by then.
    """
    logs = [path for path in files_of("log", folder) if path.exists()]
    return [path.read_bytes() for path in (*logs[-1:], *files_of("witness", folder))]


def _said(folder: Path) -> str:
    return (folder / SAID).read_text("utf-8")
