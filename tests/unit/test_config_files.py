"""The files by which a running node and a settlement chain are found."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sequencer.config import (
    ADMIN_FILE,
    SETTLEMENT_FILE,
    TOKEN_FILE,
    find_admin,
    forget_admin,
    leave_admin,
    new_token,
    read_settlement,
)
from sequencer.model.refusals import Reason, Refused

URL = "http://127.0.0.1:4711"


def test_a_node_is_found_where_it_left_word_and_its_token_is_its_own(tmp_path: Path) -> None:
    assert find_admin(tmp_path) is None
    token = new_token()
    leave_admin(tmp_path, URL, new_token())
    leave_admin(tmp_path, URL, token)
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600
    found = find_admin(tmp_path)
    assert found is not None
    place, kept = found
    assert (place.url, place.port, place.pid) == (URL, 4711, os.getpid())
    assert kept.value == token.value
    assert f"{token.value:x}" not in repr(found)
    forget_admin(tmp_path)
    forget_admin(tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"url": 1, "pid": 1}',
        b'{"url": "http://127.0.0.1:x", "pid": 1}',
        b'{"url": "http://[::", "pid": 1}',
        b'{"url": "http://127.0.0.1:99999", "pid": 1}',
        b'{"url": "http://192.0.2.1:4711", "pid": 1}',
        b'{"url": "http://127.0.0.1:4711", "pid": 0}',
        b'{"url": "http://127.0.0.1:4711", "pid": -1}',
        b'{"url": "http://127.0.0.1:4711", "pid": %d}' % 2**70,
    ],
)
def test_what_is_no_node(content: bytes, tmp_path: Path) -> None:
    leave_admin(tmp_path, URL, new_token())
    (tmp_path / ADMIN_FILE).write_bytes(content)
    assert find_admin(tmp_path) is None


def test_a_process_that_is_gone_is_no_node(tmp_path: Path) -> None:
    leave_admin(tmp_path, URL, new_token())
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / ADMIN_FILE).write_text(json.dumps({"url": URL, "pid": process.pid}))
    assert find_admin(tmp_path) is None


def test_a_token_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    leave_admin(tmp_path, URL, new_token())
    (tmp_path / TOKEN_FILE).unlink()
    with pytest.raises(Refused) as caught:
        find_admin(tmp_path)
    assert caught.value.reason is Reason.FILE_UNREADABLE


SOUND = {"url": URL, "contract": "0x12", "account": "0x34", "key_file": "poster.key"}


def settlement_file(folder: Path, **changes: object) -> Path:
    (folder / "poster.key").write_text("0x77\n")
    path = folder / SETTLEMENT_FILE
    path.write_text(json.dumps({**SOUND, **changes}))
    return path


def test_a_settlement_file_in_the_folder_or_by_name(tmp_path: Path) -> None:
    assert read_settlement(tmp_path, None) is None
    path = settlement_file(tmp_path)
    for found in (read_settlement(tmp_path, None), read_settlement(tmp_path / "x", path)):
        assert found is not None
        assert (found.url, found.contract, found.account) == (URL, 0x12, 0x34)
        assert found.key.value == 0x77
        assert "77" not in repr(found)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"url": "ftp://127.0.0.1"}, Reason.SETTLEMENT_INVALID),
        ({"url": "http://[::"}, Reason.SETTLEMENT_INVALID),
        ({"contract": "0x0"}, Reason.SETTLEMENT_INVALID),
        ({"contract": "x"}, Reason.SETTLEMENT_INVALID),
        ({"account": "-0x1"}, Reason.SETTLEMENT_INVALID),
        ({"contract": 12}, Reason.SETTLEMENT_INVALID),
        ({"more": "x"}, Reason.SETTLEMENT_INVALID),
        ({"key_file": "absent"}, Reason.FILE_UNREADABLE),
        ({"key_file": SETTLEMENT_FILE}, Reason.PRIVATE_KEY_OUT_OF_RANGE),
        ({"url": "x" * 5_000}, Reason.FILE_UNREADABLE),
    ],
)
def test_what_is_no_settlement_file(
    changes: dict[str, object], reason: Reason, tmp_path: Path
) -> None:
    path = settlement_file(tmp_path, **changes)
    with pytest.raises(Refused) as caught:
        read_settlement(tmp_path, path)
    assert caught.value.reason is reason
    with pytest.raises(Refused) as caught:
        read_settlement(tmp_path, tmp_path / "absent")
    assert caught.value.reason is Reason.FILE_UNREADABLE
