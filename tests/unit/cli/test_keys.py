"""`perpchain keys register`: what is typed wrong ends in one line, and no key is ever shown."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sequencer.cli.application import application
from sequencer.config import ETHEREUM_KEY_VARIABLE, environment_for_others

pytestmark = pytest.mark.usefixtures("no_keys_outside")

RUNNER = CliRunner()
NOBODY = "http://127.0.0.1:1"
ADDRESS = "0x" + "ab" * 20
SIGNATURE = "0x" + "11" * 64 + "1b"
KEY = "00c0ffee"


def register(*options: object, url: str = NOBODY) -> Result:
    words = ("keys", "register", url, "--account", "0x5", *options)
    return RUNNER.invoke(application, [*map(str, words)])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(KEY)
    return file


def require_one_line(done: Result, words: str) -> None:
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("perpchain keys register: ")
    assert words in line
    assert KEY.lstrip("0") not in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "$PERPCHAIN_ETHEREUM_KEY is not set"),
        (("--print-message",), "--print-message needs --ethereum-address"),
        (("--key-file", "/nowhere/a.key"), "FILE_UNREADABLE: /nowhere/a.key: no such file"),
        (("--signature", SIGNATURE), "--signature needs --ethereum-address"),
        (("--signature", "0x55"), "ETHEREUM_SIGNATURE_INVALID"),
        (("--signature", SIGNATURE[:-2] + "1d"), "ETHEREUM_SIGNATURE_INVALID"),
        (("--signature", SIGNATURE + "00"), "ETHEREUM_SIGNATURE_INVALID"),
        (("--print-message", "--ethereum-address", "0x5"), "--ethereum-address takes"),
        (("--print-message", "--ethereum-address", ADDRESS, "--account", "x"), "FELT_MALFORMED"),
        (("--print-message", "--ethereum-address", ADDRESS), "NODE_UNREACHABLE"),
        (("--signature", SIGNATURE, "--ethereum-address", ADDRESS), "$PERPCHAIN_ACCOUNT_KEY is"),
    ],
)
def test_what_is_typed_wrong_is_one_line(options: tuple[str, ...], words: str) -> None:
    require_one_line(register(*options), words)


def test_an_address_that_is_none_is_one_line() -> None:
    done = register("--print-message", "--ethereum-address", ADDRESS, url="nonsense")
    require_one_line(done, "begins with http:// or https://")


@pytest.mark.parametrize("text", ["", "xyz", "0x" + "f" * 65])
def test_a_file_without_a_key_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong"
    file.write_text(text)
    require_one_line(register("--ethereum-key-file", file), "PRIVATE_KEY_OUT_OF_RANGE")


@pytest.mark.parametrize("number", [0, 2**256 - 1])
def test_a_key_out_of_range_is_one_line(tmp_path: Path, number: int) -> None:
    file = tmp_path / "wrong"
    file.write_text(f"{number:064x}")
    require_one_line(register("--ethereum-key-file", file), "curve order")


def test_an_address_of_another_key_is_one_line(key: Path) -> None:
    options = ("--ethereum-key-file", key, "--ethereum-address", ADDRESS)
    require_one_line(register(*options), "is not the address of the Ethereum key")


def test_nobody_there_is_one_line(key: Path) -> None:
    done = register("--ethereum-key-file", key, "--key-file", key)
    require_one_line(done, "NODE_UNREACHABLE: nobody answers at http://127.0.0.1:1")


def test_no_other_process_gets_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ETHEREUM_KEY_VARIABLE, KEY)
    assert KEY not in environment_for_others().values()
