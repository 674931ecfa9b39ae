"""The file of a run: begun once, noted in, refused with other options."""

from pathlib import Path

import msgspec
import pytest

from devnet.run_folder import RUN_FILE, RunFolder, RunNotes, RunOptions, choose_salt
from sequencer.model.limits import RUN_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused

OPTIONS = RunOptions(1, "both", 26, "recorded")
SALT = 2**120 + 7


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "deep" / "chain")


def test_to_look_writes_nothing(folder: RunFolder) -> None:
    assert not folder.is_begun(OPTIONS)
    assert not folder.data_dir.exists()
    assert folder.notes == RunNotes()
    folder.note(good_height=5)
    assert not folder.data_dir.exists()


def test_it_is_begun_once_and_goes_on(folder: RunFolder) -> None:
    folder.begin(OPTIONS, SALT)
    assert folder.is_begun(OPTIONS)
    again = RunFolder(folder.data_dir)
    assert again.is_begun(OPTIONS)
    assert again.notes == folder.notes
    assert [path.name for path in folder.data_dir.iterdir()] == [RUN_FILE]


def test_the_salt_follows_from_the_seed_where_nobody_else_is() -> None:
    own = [choose_salt(seed, shared=False) for seed in (1, 1, 2)]
    assert own[0] == own[1] != own[2]
    shared = {choose_salt(1, shared=True) for _ in range(3)}
    assert len(shared | {*own}) == 5
    assert all(0 < salt < 2**128 for salt in shared | {*own})


def test_notes_add_up(folder: RunFolder) -> None:
    folder.begin(OPTIONS, SALT)
    folder.note(good_height=5, bad_height=9)
    folder.note(reverted_to=4)
    assert RunFolder(folder.data_dir).notes == RunNotes(SALT, 5, 9, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 2}, "seed 1, not 2"),
        ({"incident": "none"}, "incident 'both', not 'none'"),
        ({"seconds": 0}, "seconds 26, not 0"),
        ({"market_data": "other"}, "market_data 'recorded', not 'other'"),
        ({"manual": True}, "manual False, not True"),
    ],
)
def test_other_options_are_refused_by_name(
    folder: RunFolder, change: dict[str, object], words: str
) -> None:
    folder.begin(OPTIONS, SALT)
    with pytest.raises(Refused, match=words) as caught:
        folder.is_begun(msgspec.structs.replace(OPTIONS, **change))
    assert caught.value.reason is Reason.RUN_DIFFERS


def test_a_folder_with_something_else_is_refused(folder: RunFolder) -> None:
    folder.data_dir.mkdir(parents=True)
    assert not folder.is_begun(OPTIONS)
    (folder.data_dir / "one").write_text("mine")
    with pytest.raises(Refused, match="holds something that no run began") as caught:
        folder.is_begun(OPTIONS)
    assert caught.value.reason is Reason.RUN_DIFFERS


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"options":{}}', b"\xff", b'{"options'])
def test_a_file_that_is_none_is_refused(folder: RunFolder, content: bytes) -> None:
    folder.begin(OPTIONS, SALT)
    (folder.data_dir / RUN_FILE).write_bytes(content)
    with pytest.raises(Refused, match=RUN_FILE) as caught:
        folder.is_begun(OPTIONS)
    assert caught.value.reason is Reason.RUN_DIFFERS


def test_a_file_without_end_is_refused(folder: RunFolder) -> None:
    folder.begin(OPTIONS, SALT)
    (folder.data_dir / RUN_FILE).write_bytes(b" " * (RUN_FILE_BYTES_MAX + 1))
    with pytest.raises(Refused):
        folder.is_begun(OPTIONS)


def test_whoever_is_killed_while_it_notes_leaves_the_notes_before(folder: RunFolder) -> None:
    folder.begin(OPTIONS, SALT)
    folder.note(good_height=5)
    (folder.data_dir / RUN_FILE).with_suffix(".new").write_bytes(b'{"opt')
    assert folder.is_begun(OPTIONS)
    assert folder.notes.good_height == 5
    folder.note(bad_height=9)
    assert (folder.notes.good_height, folder.notes.bad_height) == (5, 9)
