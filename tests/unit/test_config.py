"""What a node is told from outside, and that a key is never shown."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sequencer.config import (
    KEY_VARIABLE,
    NodeConfig,
    read_genesis_text,
    read_limited,
    read_operator_key,
)
from sequencer.model.limits import GENESIS_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from tests.strategies import refused

KEY = 0x5EC2E7


@pytest.mark.parametrize("text", ["0x5ec2e7", "5EC2E7", "  0x5ec2e7\n", "0" * 58 + "5ec2e7"])
def test_a_key_comes_from_a_file_or_from_the_environment(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert read_operator_key(path).value == KEY
    monkeypatch.setenv(KEY_VARIABLE, text)
    assert read_operator_key(None).value == KEY


def test_a_file_that_is_named_counts_more_than_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "1")
    path = tmp_path / "key"
    path.write_text("2")
    assert read_operator_key(path).value == 2


BAD = ["", " ", "0x", "secret", "12 34", "0x5ec2e7g", "f" * 65, "-5", "0x0x5", "\N{DIGIT ONE}_0"]


@pytest.mark.parametrize("text", [*BAD, "\uff11\uff12"])
def test_what_is_no_key_is_refused_without_being_shown(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    monkeypatch.setenv(KEY_VARIABLE, text)
    for origin, name in ((path, str(path)), (None, f"${KEY_VARIABLE}")):
        with pytest.raises(Refused) as caught:
            read_operator_key(origin)
        assert caught.value.reason is Reason.PRIVATE_KEY_OUT_OF_RANGE
        words = "holds no private key in hexadecimal"
        if not text and origin is None:
            words = "is not set; or give a file with the private key"
        assert caught.value.detail == f"{name} {words}"
        assert caught.value.__cause__ is None


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(Refused, match=KEY_VARIABLE):
        read_operator_key(None)


def test_a_key_does_not_print() -> None:
    config = NodeConfig(Path("data"), Secret(KEY))
    for shown in (repr(config), str(config), repr(config.operator_key), f"{config.operator_key}"):
        assert str(KEY) not in shown
        assert f"{KEY:x}" not in shown.lower()
    with pytest.raises(TypeError) as caught:
        config.operator_key + 1  # type: ignore[operator]
    assert str(KEY) not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.write_bytes(b"1" * (KEY_FILE_BYTES_MAX + 1)),
    ],
    ids=["absent", "folder", "pipe", "large"],
)
def test_a_file_that_cannot_be_read_is_refused(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "key"
    make(path)
    with refused(Reason.FILE_UNREADABLE):
        read_operator_key(path)


def test_a_file_may_be_just_as_large_as_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with refused(Reason.FILE_UNREADABLE):
        read_limited(path, 4)
    assert GENESIS_FILE_BYTES_MAX > KEY_FILE_BYTES_MAX


def test_a_genesis_file_is_text(tmp_path: Path) -> None:
    path = tmp_path / "genesis"
    path.write_text("{}\n")
    assert read_genesis_text(path) == "{}\n"
    path.write_bytes(b"\xff")
    with refused(Reason.GENESIS_INVALID):
        read_genesis_text(path)
