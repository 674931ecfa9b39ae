"""The operator's log on the disk: a chain, torn ends, changed lines, files that are full."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sequencer.model.operator_log import LogEvent, LoggedCall, NodeKind
from sequencer.ports import StoreFailed
from sequencer.storage import operator_log as module
from sequencer.storage.operator_log import LOG_FILE, OperatorLogFile, check_log
from tests.unit.engine.builders import ManualClock

LOOK = LoggedCall(LogEvent.LOOK, "admin_status", b'{"a":1}', "ok")
INTENT = LoggedCall(LogEvent.INTENT, "admin_mode")


def log_of(folder: Path) -> OperatorLogFile:
    return OperatorLogFile(folder, ManualClock(7), NodeKind.RUNNING)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Make a log of six entries."""
    log_of(tmp_path).append([LOOK, INTENT] * 3)
    return tmp_path


def test_entries_are_a_chain_that_anybody_can_check(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    assert (log.open(), log.number) == ("", 0)
    assert not (tmp_path / LOG_FILE).exists()
    assert log.append([LOOK]) == 1
    assert log.append([INTENT, LOOK]) == 2
    assert log.append([LoggedCall(LogEvent.OUTCOME, "admin_mode", outcome="ok", intent=2)]) == 4
    before, known = "0" * 64, ("number", "previous", "time_ms", "event", "node", "method")
    for number, line in enumerate((tmp_path / LOG_FILE).read_text().splitlines(), 1):
        entry = json.loads(line)
        assert (*entry,) == (*known, "params", "outcome", "intent", "hash")
        assert (entry["number"], entry["previous"]) == (number, before)
        before = hashlib.sha256(line.rpartition(',"hash":')[0].encode()).hexdigest()
        assert entry["hash"] == before
    assert lines_of(tmp_path / LOG_FILE)[0]["params"] == {"a": 1}
    assert (tmp_path / LOG_FILE).stat().st_mode & 0o077 == 0
    check = check_log(tmp_path)
    assert (check.newest.number, check.newest.hash, check.problem) == (4, before, "")
    assert check.unended == {}


def test_a_start_goes_on_where_the_log_ends(full: Path) -> None:
    log = log_of(full)
    assert (log.open(), log.number) == ("", 6)
    assert log.append([LOOK]) == 7
    # Also one that nobody opened.
    assert log_of(full).append([LOOK]) == 8
    check = check_log(full)
    assert (check.problem, check.unended) == (
        "",
        {2: "admin_mode", 4: "admin_mode", 6: "admin_mode"},
    )


@pytest.mark.parametrize("cut", range(1, 500, 23))
def test_wherever_a_kill_tears_the_end_it_is_cut_and_told(full: Path, cut: int) -> None:
    path = full / LOG_FILE
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    torn = len(content[:-cut]) - content.rfind(b"\n", 0, -cut) - 1
    assert (check_log(full).torn_bytes, check_log(full).problem) == (torn, "")
    log = log_of(full)
    assert log.open() == f"operator.log: cut {torn} bytes of a torn line" * bool(torn)
    entries = lines_of(path)
    assert (entries[-1]["event"], entries[-1]["params"]["bytes"]) == ("CUT", torn)
    assert log.append([LOOK]) == log.number == len(entries) + 1
    assert (check_log(full).problem, log_of(full).open()) == ("", "")


def test_a_hole_that_a_power_cut_leaves_is_cut(full: Path) -> None:
    path = full / LOG_FILE
    content = path.read_bytes()
    place = content.rfind(b"\n", 0, -1) + 40
    path.write_bytes(content[:place] + bytes(100) + content[place + 100 :])
    assert "cut" in log_of(full).open()
    assert [each["number"] for each in lines_of(path)] == [1, 2, 3, 4, 5, 6]
    assert check_log(full).problem == ""


def test_every_changed_byte_is_found(full: Path) -> None:
    path = full / LOG_FILE
    content = path.read_bytes()
    for place in range(0, len(content) - 1, 7):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert check_log(full).problem or check_log(full).torn_bytes, place


def test_lines_that_are_gone_doubled_or_swapped_are_found(full: Path) -> None:
    path = full / LOG_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    for changed, words in (
        (lines[1:], "entry 2 stands behind entry 0"),
        (lines[:2] + lines[3:], "entry 4 stands behind entry 2"),
        ([*lines[:3], lines[2], *lines[3:]], "entry 3 stands behind entry 3"),
        ([lines[0], lines[2], lines[1], *lines[3:]], "entry 3 stands behind entry 1"),
        ([*lines[:3], b"\n", *lines[3:]], "the entry behind 3 is not what its hash says"),
    ):
        path.write_bytes(b"".join(changed))
        assert check_log(full).problem == f"operator.log: {words}"
        assert log_of(full).open() == f"operator.log: {words}"


def test_a_line_that_was_made_anew_is_found_by_the_next(full: Path) -> None:
    path = full / LOG_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    body = lines[2].rpartition(b',"hash":')[0].replace(b"admin_status", b"admin_statue")
    forged = body + f',"hash":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    path.write_bytes(b"".join([*lines[:2], forged, *lines[3:]]))
    assert check_log(full).problem.endswith("entry 4 names another entry before it than 3")


def test_a_broken_log_goes_on_and_stays_named(full: Path) -> None:
    path = full / LOG_FILE
    path.write_bytes(path.read_bytes()[:-3] + b"?\n")
    log = log_of(full)
    problem = log.open()
    assert problem == "operator.log: the entry behind 5 is not what its hash says"
    assert log.append([LOOK, LOOK]) == 7
    assert check_log(full).problem == log_of(full).open() == problem


def test_what_is_taken_away_under_a_running_node_shows(full: Path) -> None:
    log, path = log_of(full), full / LOG_FILE
    log.open()
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 1])
    assert log.append([LOOK]) == 7
    assert "entry 7 stands behind entry 5" in check_log(full).problem
    path.unlink()
    assert log.append([LOOK]) == 8
    assert "entry 8 stands behind entry 0" in check_log(full).problem


def test_full_files_are_closed_and_the_chain_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPERATOR_LOG_BYTES_MAX", 700)
    for number in range(1, 25):
        assert log_of(tmp_path).append([LOOK]) == number
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 12
    assert {"operator.log", "operator.log.1", "operator.log.11"} <= set(names)
    assert all(path.stat().st_size <= 700 for path in tmp_path.iterdir())
    assert (check_log(tmp_path).newest.number, check_log(tmp_path).problem) == (24, "")
    (tmp_path / "operator.log").unlink()
    assert log_of(tmp_path).append([LOOK]) == 23
    (tmp_path / "operator.log.4").unlink()
    assert check_log(tmp_path).problem == "operator.log.5: entry 9 stands behind entry 6"
    assert log_of(tmp_path).open() == ""


def test_a_file_that_was_taken_away_is_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPERATOR_LOG_BYTES_MAX", 700)
    log = log_of(tmp_path)
    log.append([LOOK, LOOK])
    (tmp_path / LOG_FILE).unlink()
    assert log.append([LOOK]) == 3
    assert [path.name for path in tmp_path.iterdir()] == [LOG_FILE]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, written: int) -> Iterator[None]:
    """Have the disk take so many bytes, and then fail."""
    left, write = [written], os.write

    def short(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = write(descriptor, data[: left[0]])
        left[0] -= count
        return count

    def no_sync(descriptor: int) -> None:
        raise OSError(5, f"Input/output error of {descriptor}")

    with monkeypatch.context() as patched:
        if name == "write":
            patched.setattr(os, "write", short)
        else:
            patched.setattr(module, "durable_sync", no_sync)
        yield


@pytest.mark.parametrize(("name", "written"), [("write", 0), ("write", 100), ("sync", 0)])
def test_an_entry_that_could_not_be_written_leaves_nothing(
    full: Path, monkeypatch: pytest.MonkeyPatch, name: str, written: int
) -> None:
    log, before = log_of(full), (full / LOG_FILE).read_bytes()
    log.open()
    with failing(monkeypatch, name, written), pytest.raises(StoreFailed, match="WRITE_FAILED"):
        log.append([INTENT])
    assert ((full / LOG_FILE).read_bytes(), log.number) == (before, 6)
    assert log.append([LOOK]) == 7
    assert check_log(full).problem == ""


def test_where_nothing_can_be_read_it_is_named_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).mkdir()
    log = log_of(tmp_path)
    assert "Is a directory" in log.open()
    with pytest.raises(StoreFailed, match="Is a directory"):
        log.append([LOOK])
    (tmp_path / LOG_FILE).rmdir()
    assert log.append([LOOK]) == 1
    with pytest.raises(StoreFailed, match="No such file"):
        log_of(tmp_path / "absent").append([LOOK])


def test_an_entry_is_synced_and_so_is_the_name_of_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[object] = []
    monkeypatch.setattr(
        module, "durable_sync", lambda number: synced.append(os.fstat(number).st_size)
    )
    monkeypatch.setattr(module, "sync_folder", synced.append)
    log = log_of(tmp_path)
    log.append([LOOK])
    size = (tmp_path / LOG_FILE).stat().st_size
    assert synced == [size, tmp_path]
    log.append([LOOK])
    assert synced[2:] == [(tmp_path / LOG_FILE).stat().st_size]
