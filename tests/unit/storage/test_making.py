"""A database is made whole or not at all, and a start that cannot write says so by name."""

from pathlib import Path

import pytest

from sequencer.ports import StoreFailed
from sequencer.storage import leveldb, lock, reached
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import HALT_FILE, HaltFile
from sequencer.storage.leveldb import DATABASE_FOLDER, open_leveldb
from tests.unit.storage.builders import grown


class Killed(Exception):
    """In place of a death."""


def die(_: object) -> None:
    raise Killed


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_crash_while_a_database_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(reached, "on_reached", die)
        with pytest.raises(Killed):
            open_leveldb(folder, create=True)
    assert not (folder / DATABASE_FOLDER).exists()
    store = open_folder(folder, create=True)
    assert grown(store, 2)[-1].height == 1
    store.close()
    assert sorted(path.name for path in folder.iterdir()) == [DATABASE_FOLDER, lock.TOKEN_FILE]


def test_half_a_database_beside_its_place_is_thrown_away(tmp_path: Path) -> None:
    half = tmp_path / "data" / f"{DATABASE_FOLDER}.new"
    half.mkdir(parents=True)
    (half / "MANIFEST-000001").write_bytes(b"half")
    open_leveldb(tmp_path / "data", create=True).close()
    assert not half.exists()
    open_leveldb(tmp_path / "data", create=False).close()


@pytest.mark.parametrize(("module", "name"), [(lock, "replace_durably"), (leveldb, "sync_folder")])
def test_a_start_that_cannot_write_is_named_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    folder = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        for _ in range(2):
            with pytest.raises(StoreFailed, match=r"WRITE_FAILED: .*No space left on device"):
                open_leveldb(folder, create=True)
    open_leveldb(folder, create=True).close()


def test_a_witness_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.witness").mkdir()
    with pytest.raises(StoreFailed, match="WITNESS_FAILED"):
        open_folder(tmp_path / "data", create=True)
    # The lock is free again.
    (tmp_path / "data.witness").rmdir()
    open_folder(tmp_path / "data").close()


def test_a_note_that_cannot_be_taken_away_is_named(tmp_path: Path) -> None:
    (tmp_path / HALT_FILE).mkdir()
    with pytest.raises(StoreFailed, match="WRITE_FAILED: HALTED"):
        HaltFile(tmp_path).clear()
