"""The operator's log: one JSON line for each entry, each with the hash of the one before.

Promises
- An entry is on the disk when `append` returns. One that could not be written leaves nothing.
- The end of a line that a kill or a power cut tore is cut off, and an entry says so. Anything else
  that is not as it was written is named, and the log goes on behind it.
- A file that is full is closed under a number and stays; the next one goes on with the chain.

Laws
- Only whoever holds the lock of the data folder writes here.
- `hash` is the SHA-256 of the line up to the comma before it; `previous` is that of the entry
  before, and 64 zeros in entry 1.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from sequencer.model.admin_limits import OPERATOR_LOG_BYTES_MAX, OPERATOR_LOG_UNENDED_SHOWN_MAX
from sequencer.model.operator_log import LogEvent, LoggedCall, NodeKind
from sequencer.ports import Clock, StoreFailed, StoreProblem
from sequencer.storage.sync import durable_sync, sync_folder

LOG_FILE = "operator.log"
"""The log's file, in the data folder. Closed ones have a number behind that name."""

_CLOSED = re.compile(re.escape(LOG_FILE) + r"\.([1-9][0-9]{0,8})", re.ASCII)
_HASH_NAME = b',"hash":"'
_HASH_DIGITS = 64
_SUFFIX_BYTES = len(_HASH_NAME) + _HASH_DIGITS + len(b'"}')


class Link(msgspec.Struct, frozen=True):
    """The newest entry of a chain: its number and hash."""

    number: int = 0
    hash: str = "0" * _HASH_DIGITS


class LogCheck(msgspec.Struct, frozen=True):
    """What a check of lines found.

    `problem` is the first difference, "" for none. `unended` names the intents without an outcome;
    `torn_bytes` counts those behind the last whole line.
    """

    newest: Link
    problem: str = ""
    unended: dict[int, str] = {}
    torn_bytes: int = 0


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line, but for its hash."""

    number: int
    previous: str
    time_ms: int
    event: LogEvent
    node: NodeKind
    method: str
    params: msgspec.Raw
    outcome: str = ""
    intent: int = 0


class OperatorLogFile:
    """The log of a data folder."""

    def __init__(self, folder: Path, clock: Clock, node: NodeKind) -> None:
        self._path = folder / LOG_FILE
        self._clock, self._node = clock, node
        self._is_read = False
        self._newest = Link()
        self._size = 0

    @property
    def number(self) -> int:
        """Return the number of the newest entry, 0 for none."""
        return self._newest.number

    def open(self) -> str:
        """Go on where the log ends; returns what is wrong with it in words, "" where nothing is."""
        try:
            return self._load()
        except OSError as error:
            return str(_failed(error))

    def append(self, calls: Sequence[LoggedCall]) -> int:
        """Write entries, and return the number of the first. Failure: WRITE_FAILED."""
        try:
            if not self._is_read:
                self._load()
            return self._append(calls)
        except OSError as error:
            raise _failed(error) from error

    def _load(self) -> str:
        content = self._path.read_bytes() if self._path.exists() else b""
        whole = _whole(content)
        before = _end_of_closed(self._path.parent)
        check = _check(whole, before)
        words = check.problem
        if len(whole) < len(content):
            os.truncate(self._path, len(whole))
        self._newest, self._size, self._is_read = check.newest, len(whole), True
        if len(whole) < len(content):
            torn = content[len(whole) :]
            words = f"{words}; " * bool(words) + f"cut {len(torn)} bytes of a torn line"
            found = {"bytes": len(torn), "sha256": _sha256(torn)}
            self._append([LoggedCall(LogEvent.CUT, "", msgspec.json.encode(found))])
        return f"{LOG_FILE}: {words}" if words else ""

    def _append(self, calls: Sequence[LoggedCall]) -> int:
        content, link = b"", self._newest
        for call in calls:
            line, link = self._line(call, link)
            content += line
        if self._size and self._size + len(content) > OPERATOR_LOG_BYTES_MAX:
            self._close_file()
        self._write(content)
        self._newest, self._size = link, self._size + len(content)
        return link.number - len(calls) + 1

    def _line(self, call: LoggedCall, before: Link) -> tuple[bytes, Link]:
        """Write an entry behind another one, and return what comes next behind it."""
        entry = _Entry(
            number=before.number + 1,
            previous=before.hash,
            time_ms=self._clock.now_ms(),
            event=call.event,
            node=self._node,
            method=call.method,
            params=msgspec.Raw(call.params),
            outcome=call.outcome,
            intent=call.intent,
        )
        body = msgspec.json.encode(entry)[:-1]
        return _with_hash(body) + b"\n", Link(entry.number, _sha256(body))

    def _close_file(self) -> None:
        """Give the file its number, unless somebody took it away."""
        if self._path.exists():
            number = max((number for number, _ in _closed(self._path.parent)), default=0) + 1
            self._path.rename(self._path.with_name(f"{LOG_FILE}.{number}"))
            sync_folder(self._path.parent)
        self._size = 0

    def _write(self, content: bytes) -> None:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                left = memoryview(content)
                while left:
                    left = left[os.write(descriptor, left) :]
                durable_sync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                # What is on the disk now is read again ahead of the next entry.
                self._is_read = False
                raise
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._path.parent)


def check_log(folder: Path) -> LogCheck:
    """Check every file of a folder's log, whether its node runs or not. Error: OSError."""
    check = LogCheck(Link())
    for path in _files(folder):
        content = path.read_bytes()
        whole = _whole(content)
        found = _check(whole, check.newest, check.unended)
        problem = f"{path.name}: {found.problem}" if found.problem else ""
        torn_bytes = len(content) - len(whole)
        check = LogCheck(found.newest, check.problem or problem, found.unended, torn_bytes)
    return check


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a log, oldest first."""
    for _, path in sorted(_closed(folder)):
        yield path
    if (folder / LOG_FILE).exists():
        yield folder / LOG_FILE


def _closed(folder: Path) -> list[tuple[int, Path]]:
    matches = [(_CLOSED.fullmatch(path.name), path) for path in folder.iterdir()]
    return [(int(match[1]), path) for match, path in matches if match is not None]


def _end_of_closed(folder: Path) -> Link:
    """Return where the newest closed file ends."""
    newest = max(_closed(folder), default=None)
    return Link() if newest is None else _check(_whole(newest[1].read_bytes()), None).newest


def _whole(content: bytes) -> bytes:
    """Leave out what a torn write left at the end: no whole line, or one with a hole in it."""
    whole = content[: content.rfind(b"\n") + 1]
    while whole and b"\0" in whole[whole.rfind(b"\n", 0, -1) + 1 :]:
        whole = whole[: whole.rfind(b"\n", 0, -1) + 1]
    return whole


def _check(content: bytes, link: Link | None, unended: dict[int, str] | None = None) -> LogCheck:
    """Follow whole lines from an entry on, None for whichever comes first."""
    problem, open_ = "", dict(unended or {})
    for line in content.splitlines():
        entry = _read(line)
        found = _difference(entry, link)
        problem = problem or found
        if entry is None:
            link = Link((link or Link()).number + 1, _sha256(line))
            continue
        link = Link(entry.number, line[-_HASH_DIGITS - 2 : -2].decode())
        if entry.event is LogEvent.INTENT:
            open_[entry.number] = entry.method
        open_.pop(entry.intent, None)
    kept = dict(sorted(open_.items())[-OPERATOR_LOG_UNENDED_SHOWN_MAX:])
    return LogCheck(link or Link(), problem, kept)


def _difference(entry: _Entry | None, link: Link | None) -> str:
    """Say what is wrong with an entry behind another one, "" for nothing."""
    number = 0 if link is None else link.number
    if entry is None:
        return f"the entry behind {number} is not what its hash says"
    if link is None or (entry.number == number + 1 and entry.previous == link.hash):
        return ""
    if entry.number == number + 1:
        return f"entry {entry.number} names another entry before it than {number}"
    return f"entry {entry.number} stands behind entry {number}"


def _read(line: bytes) -> _Entry | None:
    body = line[:-_SUFFIX_BYTES]
    if line != _with_hash(body):
        return None
    try:
        return msgspec.json.decode(body + b"}", type=_Entry)
    except msgspec.MsgspecError:
        return None


def _with_hash(body: bytes) -> bytes:
    return body + _HASH_NAME + _sha256(body).encode() + b'"}'


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _failed(error: OSError) -> StoreFailed:
    return StoreFailed(StoreProblem.WRITE_FAILED, f"{LOG_FILE}: {error.strerror or error}")
