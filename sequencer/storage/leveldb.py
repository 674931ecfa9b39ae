"""LevelDB as a store that can be believed.

Laws
- Opened with `paranoid_checks`, read with `verify_checksums`: by default a flipped bit is a wrong
  value, or a hole in the log, without an error (both measured).
- One function writes, all or nothing and on the disk: `_write`. The first error is final; on a
  full disk LevelDB goes on acknowledging batches that the next open does not have (measured).
- A folder without the file CURRENT is never taken for an empty one. So a new database is made
  beside its place and moved there whole: a crash while it is made leaves none.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import plyvel  # type: ignore[import-untyped]

from sequencer.model.limits import STORE_CACHE_BYTES, STORE_WRITE_BUFFER_BYTES
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.key_value import Batch
from sequencer.storage.lock import WriterLock
from sequencer.storage.reached import reached
from sequencer.storage.sync import sync_folder

DATABASE_FOLDER = "database"
"""LevelDB's own folder, in the data folder."""

_T = TypeVar("_T")


class _Source(Protocol):
    """What a database and its snapshots have in common."""

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None: ...

    def iterator(
        self, *, start: bytes | None, stop: bytes, reverse: bool, verify_checksums: bool
    ) -> Iterator[tuple[bytes, bytes]]: ...


class LevelReads:
    """Reads of a database or a snapshot; every error of LevelDB gets its name."""

    __slots__ = ("_release", "_source")

    def __init__(self, source: _Source, release: Callable[[], None]) -> None:
        self._source = source
        self._release = release

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where it is absent."""
        return _named(lambda: self._source.get(key, verify_checksums=True))

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over start <= key < stop in order, as things are at this call."""
        # Backwards, plyvel loses a key that is both `start` and the only one of its range (measured
        # with 1.5.1), so it is not told where to end.
        low = None if reverse else start
        found = _named(
            lambda: self._source.iterator(
                start=low, stop=stop, reverse=reverse, verify_checksums=True
            )
        )
        return _each(found, start)

    def close(self) -> None:
        """Let go. Can be repeated."""
        self._release()


class LevelStore(LevelReads):
    """A LevelDB database behind the lock of its folder."""

    __slots__ = ("_database", "_failure", "_lock")

    def __init__(self, database: "plyvel.DB", lock: WriterLock) -> None:
        super().__init__(database, database.close)
        self._database = database
        self._lock = lock
        self._failure: StoreFailed | None = None

    def write(self, batch: Batch) -> None:
        """Apply a batch. Failures: WRITE_FAILED, WRITER_REPLACED, WRITER_FORKED, STORE_CLOSED."""
        if self._failure is not None:
            raise self._failure
        try:
            self._lock.check()
            self._write(batch)
        except StoreFailed as failure:
            self._failure = failure
            raise

    def snapshot(self) -> LevelReads:
        """Hold on to the present state."""
        snapshot = _named(self._database.snapshot)
        return LevelReads(snapshot, snapshot.close)

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give back the space of what was deleted in a range; slow, and safe at any time."""
        _named(lambda: self._database.compact_range(start=start, stop=stop))

    def close(self) -> None:
        """Let go of the files. Can be repeated."""
        self._failure = StoreFailed(StoreProblem.STORE_CLOSED, "the database is closed")
        self._database.close()
        self._lock.close()

    def _write(self, batch: Batch) -> None:
        try:
            with self._database.write_batch(transaction=True, sync=True) as writes:
                for key, value in batch:
                    if value is None:
                        writes.delete(key)
                    else:
                        writes.put(key, value)
        except (plyvel.Error, RuntimeError) as error:
            raise StoreFailed(StoreProblem.WRITE_FAILED, _text(error)) from error


def open_leveldb(folder: Path, *, create: bool) -> LevelStore:
    """Open the database of a data folder, or where `create` says so make it.

    Failures: STORE_ABSENT, STORE_PRESENT, STORE_LOCKED, LOCK_UNSUPPORTED, STORE_CORRUPT,
    WRITE_FAILED.
    """
    if create:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise StoreFailed(StoreProblem.STORE_ABSENT, f"no folder {folder}")
    elif not (folder / DATABASE_FOLDER).exists():
        # Before the lock, which leaves a file: nothing of ours in a folder that somebody mistyped.
        raise StoreFailed(StoreProblem.STORE_ABSENT, f"no folder {folder / DATABASE_FOLDER}")
    try:
        return _locked_store(folder, create=create)
    except OSError as error:
        words = f"{error.filename or folder}: {error.strerror or error}"
        raise StoreFailed(StoreProblem.WRITE_FAILED, words) from error


def _locked_store(folder: Path, *, create: bool) -> LevelStore:
    database = folder / DATABASE_FOLDER
    with ExitStack() as opened:
        lock = WriterLock(folder)
        opened.callback(lock.close)
        _require_folder(database, create=create)
        if create:
            _make(database)
        store = LevelStore(_opened(database), lock)
        opened.pop_all()
        return store


def _require_folder(database: Path, *, create: bool) -> None:
    present = database.exists()
    if create and present:
        raise StoreFailed(StoreProblem.STORE_PRESENT, f"{database} is there already")
    if not create and not present:
        raise StoreFailed(StoreProblem.STORE_ABSENT, f"no folder {database}")
    if present and not (database / "CURRENT").is_file():
        raise StoreFailed(StoreProblem.STORE_CORRUPT, f"no file CURRENT in {database}")


def _make(database: Path) -> None:
    fresh = database.with_suffix(".new")
    # Somebody died while making it: nothing was ever written to it.
    shutil.rmtree(fresh, ignore_errors=True)
    _opened(fresh, create=True).close()
    sync_folder(fresh)
    reached("database.made")
    fresh.rename(database)
    sync_folder(database.parent)


def _opened(database: Path, *, create: bool = False) -> "plyvel.DB":
    return _named(
        lambda: plyvel.DB(
            str(database),
            create_if_missing=create,
            error_if_exists=create,
            paranoid_checks=True,
            # Most of it is hashes. To compress them took as much of a processor as all else that a
            # block costs, at every compaction again, for a third of the space (measured).
            compression=None,
            write_buffer_size=STORE_WRITE_BUFFER_BYTES,
            lru_cache_size=STORE_CACHE_BYTES,
        )
    )


def _named(call: Callable[[], _T]) -> _T:
    """Give the errors of opening and reading their names."""
    try:
        return call()
    except RuntimeError as error:
        raise StoreFailed(StoreProblem.STORE_CLOSED, str(error)) from error
    except plyvel.Error as error:
        text = _text(error)
        locked = text.startswith("IO error: lock ")
        problem = StoreProblem.STORE_LOCKED if locked else StoreProblem.STORE_CORRUPT
        raise StoreFailed(problem, text) from error


def _each(found: Iterator[tuple[bytes, bytes]], start: bytes) -> Iterator[tuple[bytes, bytes]]:
    try:
        for item in found:
            if item[0] < start:
                return
            yield item
    except RuntimeError as error:
        raise StoreFailed(StoreProblem.STORE_CLOSED, str(error)) from error
    except plyvel.Error as error:
        raise StoreFailed(StoreProblem.STORE_CORRUPT, _text(error)) from error


def _text(error: Exception) -> str:
    argument = error.args[0] if error.args else ""
    return argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(argument)
