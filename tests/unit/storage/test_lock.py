"""Two writers: in one process, in two, after a fork, with one of them stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import plyvel  # type: ignore[import-untyped]
import pytest

from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.folder import open_folder
from sequencer.storage.leveldb import DATABASE_FOLDER, LevelStore, open_leveldb
from sequencer.storage.lock import TOKEN_FILE, WriterLock
from tests.tidy.source import ROOT
from tests.unit.storage.builders import grown

_OWNER = """
import sys
from pathlib import Path
from sequencer.storage.folder import open_folder
store = open_folder(Path(sys.argv[1]))
print(store.head.height, flush=True)
sys.stdin.read()
"""


def refused_with(folder: Path) -> StoreProblem:
    with pytest.raises(StoreFailed) as caught:
        open_leveldb(folder, create=False)
    return caught.value.problem


def filled(folder: Path) -> None:
    store = open_folder(folder, create=True)
    grown(store, 2)
    store.close()


@contextmanager
def owner(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run another process that has the store open."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == b"1\n"
            yield process
        finally:
            process.kill()


def test_a_second_open_in_one_process_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = open_folder(folder, create=True)
    grown(store, 1)
    for _ in range(3):
        assert refused_with(folder) is StoreProblem.STORE_LOCKED
    grown(store, 1)
    store.close()
    assert open_folder(folder).head.height == 1


def test_a_second_process_is_refused_also_while_the_owner_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    filled(folder)
    with owner(folder) as process:
        assert refused_with(folder) is StoreProblem.STORE_LOCKED
        process.send_signal(signal.SIGSTOP)
        assert refused_with(folder) is StoreProblem.STORE_LOCKED
        process.send_signal(signal.SIGCONT)
        assert refused_with(folder) is StoreProblem.STORE_LOCKED
    store = open_folder(folder)
    grown(store, 1)
    store.close()


def test_losing_the_lock_of_leveldb_lets_nobody_in(tmp_path: Path) -> None:
    """A failed second open lets go of LevelDB's own lock; ours is still there."""
    folder = tmp_path / "data"
    filled(folder)
    store = open_folder(folder)
    descriptor = os.open(folder / DATABASE_FOLDER / "LOCK", os.O_RDWR)
    os.close(descriptor)
    probe = "import sys; from pathlib import Path\n" + _OWNER.split("store =", maxsplit=1)[0]
    probe += "open_folder(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", probe, str(folder)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert b"STORE_LOCKED" in done.stderr
    grown(store, 1)
    store.close()


def test_a_writer_that_was_replaced_cannot_write(tmp_path: Path) -> None:
    store = open_leveldb(tmp_path / "data", create=True)
    store.write([(b"a", b"1")])
    (tmp_path / "data" / TOKEN_FILE).write_bytes(b"somebody else")
    for _ in range(2):
        with pytest.raises(StoreFailed, match="WRITER_REPLACED"):
            store.write([(b"a", b"2")])
    assert store.get(b"a") == b"1"
    store.close()


def test_a_writer_without_a_token_cannot_write(tmp_path: Path) -> None:
    store = open_leveldb(tmp_path / "data", create=True)
    (tmp_path / "data" / TOKEN_FILE).unlink()
    with pytest.raises(StoreFailed, match="WRITER_REPLACED"):
        store.write([(b"a", b"2")])
    store.close()


def test_a_folder_that_was_swapped_is_not_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = open_leveldb(folder, create=True)
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    other = WriterLock(folder)
    with pytest.raises(StoreFailed, match="WRITER_REPLACED"):
        store.write([(b"a", b"1")])
    other.check()
    store.close()
    other.close()


def test_the_lock_of_leveldb_is_named_too(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    filled(folder)
    database = plyvel.DB(str(folder / DATABASE_FOLDER))
    assert refused_with(folder) is StoreProblem.STORE_LOCKED
    database.close()


def test_another_process_is_not_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forked child meets: lock, token and handle are its parent's."""
    store = open_leveldb(tmp_path / "data", create=True)
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    with pytest.raises(StoreFailed, match="WRITER_FORKED"):
        store.write([(b"a", b"1")])
    store.close()


def test_the_lock_is_free_after_closing_twice(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    lock.check()
    lock.close()
    lock.close()
    WriterLock(tmp_path).close()


def test_a_lock_is_let_go_where_opening_fails(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    assert refused_with(folder) is StoreProblem.STORE_ABSENT
    store: LevelStore = open_leveldb(folder, create=True)
    store.close()


def test_systems_without_flock_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(StoreFailed, match="LOCK_UNSUPPORTED"):
        WriterLock(tmp_path)
