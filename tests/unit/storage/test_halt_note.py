"""The halt note: whole or absent, read back as it was, gone when it is taken away."""

from pathlib import Path

import pytest

from sequencer.ports import StoreFailed
from sequencer.storage.halt_note import HALT_FILE, FolderSpace, HaltFile


def test_a_note_is_there_until_it_is_taken_away(tmp_path: Path) -> None:
    note = HaltFile(tmp_path)
    assert note.read() == ""
    note.clear()
    note.write("LAW_BROKEN: planted")
    assert HaltFile(tmp_path).read() == "LAW_BROKEN: planted"
    assert (tmp_path / HALT_FILE).read_bytes() == b"LAW_BROKEN: planted\n"
    note.write("DISK_LOW: later")
    assert note.read() == "DISK_LOW: later"
    note.clear()
    note.clear()
    assert note.read() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n\n"])
def test_a_file_that_somebody_touched_halts_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / HALT_FILE).write_bytes(content)
    assert HaltFile(tmp_path).read() == "an empty note"


def test_whatever_is_in_the_file_can_be_read(tmp_path: Path) -> None:
    (tmp_path / HALT_FILE).write_bytes(b"\xff\xfe" * 100_000)
    text = HaltFile(tmp_path).read()
    assert 0 < len(text) <= 64 * 1024


def test_a_disk_that_takes_no_note_is_no_second_failure(tmp_path: Path) -> None:
    HaltFile(tmp_path / "absent").write("x")
    assert not (tmp_path / "absent").exists()
    note = HaltFile(tmp_path)
    note.write("first")
    (tmp_path / HALT_FILE).with_suffix(".new").mkdir()
    note.write("second")
    assert note.read() == "first"


def test_free_space_is_that_of_the_folders_disk(tmp_path: Path) -> None:
    assert FolderSpace(tmp_path).free_bytes() > 0
    with pytest.raises(StoreFailed, match="absent"):
        FolderSpace(tmp_path / "absent").free_bytes()
