"""The file of the feed: whole lines, each on the disk before the next, and where they end.

Promises
- A file of another chain, or one that is no feed at all, is left as it is and refused in one line;
  so is a file that cannot be written. One process writes it at a time.
- What is behind the last newline is cut off: a line that was not finished.

Laws
- The first line says whose feed it is; every other one has a key. Where the feed ends stands in its
  last line alone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from sequencer.model.plugin_limits import FEED_CHUNK_BYTES, FEED_HEADER_BYTES_MAX
from sequencer.plugins.protocol import Context, Key
from sequencer.plugins.shipped.recording import CannotRecord, require_chain, require_not_behind
from sequencer.starknet.felt import Felt, format_felt

FORMAT = 1
"""The layout of lines that this build writes."""

_MODE = 0o644


class _Header(msgspec.Struct, frozen=True, tag_field="type", tag="chain"):
    chain_id: str
    format: int = FORMAT


class _LastLine(msgspec.Struct, frozen=True):
    """What the last line says about where the feed ends."""

    type: str
    key: str = ""
    hash: str | None = None
    to_hash: str | None = None
    head_hash: str | None = None


class End(msgspec.Struct, frozen=True):
    """The last call that is in a feed, and the hash of the last block then, if there is any."""

    key: Key | None = None
    last: Felt | None = None


class FeedFile:
    """An open file; `end` is where it ends. All of its methods may raise CannotRecord."""

    def __init__(self, path: Path, context: Context) -> None:
        self._path = path
        self._size = 0
        self.end = End()
        with self._in_words():
            if not path.exists():
                require_not_behind(path, None, context)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        with ExitStack() as stack, self._in_words():
            stack.callback(self.close)
            self._begin(context)
            stack.pop_all()

    def append(self, line: bytes, key: Key, last: Felt | None) -> None:
        """Write a line; what of it was written when that fails is taken away again."""
        with self._in_words():
            self._append(line + b"\n")
        self.end = End(key, last)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _begin(self, context: Context) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRecord(f"{self._path} is being written by somebody else") from None
        header = msgspec.json.encode(_Header(format_felt(context.chain_id))) + b"\n"
        is_whole = self._require_ours(header, context)
        if not is_whole or context.done is None:
            require_not_behind(self._path, None, context)
            self._make_anew(header)
            return
        self.end = self._find_end()
        require_not_behind(self._path, self.end.key, context)

    def _require_ours(self, header: bytes, context: Context) -> bool:
        """Refuse a file of somebody else's; False where not even its first line is there."""
        line, newline, _ = os.pread(self._file, FEED_HEADER_BYTES_MAX, 0).partition(b"\n")
        if not newline and header.startswith(line):
            return False
        try:
            found = msgspec.json.decode(line, type=_Header)
        except msgspec.MsgspecError:
            raise CannotRecord(f"{self._path} is no feed: its first line says no chain") from None
        require_chain(self._path, found.chain_id, context.chain_id)
        if found.format != FORMAT and context.done is not None:
            words = f"has format {found.format}, this build writes {FORMAT}"
            raise CannotRecord(f"{self._path} {words}: rebuild the plugin to write it anew")
        return True

    def _make_anew(self, header: bytes) -> None:
        os.ftruncate(self._file, 0)
        self._size = 0
        self._append(header)
        # The file itself, too, has to be there after a crash.
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _find_end(self) -> End:
        """Cut off what follows the last newline, and read the line before it."""
        size = os.fstat(self._file).st_size
        self._size = self._newline_before(size) + 1
        if self._size < size:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        start = self._newline_before(self._size - 1) + 1
        return self._read_end(self._read(start, self._size))

    def _read_end(self, line: bytes) -> End:
        try:
            found = msgspec.json.decode(line, type=_LastLine)
            if found.type == "chain":
                return End()
            key = Key(*map(int, found.key.split(".")))
            last = {"block": found.hash, "revert": found.to_hash, "reorg_done": found.head_hash}
            hash_ = last[found.type]
            return End(key, None if hash_ is None else int(hash_, 16))
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
            raise CannotRecord(f"{self._path}: its last line is none of this plugin's") from None

    def _newline_before(self, end: int) -> int:
        """Return the place of the last newline ahead of a place, -1 for none."""
        while end > 0:
            start = max(end - FEED_CHUNK_BYTES, 0)
            found = self._read(start, end).rfind(b"\n")
            if found >= 0:
                return start + found
            end = start
        return -1

    def _read(self, start: int, end: int) -> bytes:
        parts = []
        while start < end and (part := os.pread(self._file, end - start, start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _append(self, data: bytes) -> None:
        rest, at = memoryview(data), self._size
        try:
            while rest:
                written = os.pwrite(self._file, rest, at)
                rest, at = rest[written:], at + written
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size = at

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CannotRecord(f"{self._path}: {error.strerror or error}") from error
