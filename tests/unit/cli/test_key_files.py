"""`perpchain keys new` and `keys show`: what is in the file, what is printed, and what never is."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sequencer.cli.application import application
from sequencer.config import read_account_key
from sequencer.starknet.felt_hash import CURVE_ORDER, public_key

RUNNER = CliRunner()
ADDRESS_OF_ONE = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
"""The Ethereum address whose private key is 1."""


def keys(*words: object) -> Result:
    return RUNNER.invoke(application, ["keys", *map(str, words)])


def facts(*words: object) -> dict[str, str]:
    done = keys(*words, "--json")
    assert done.exit_code == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("use", ["operator", "poster", "trader"])
def test_a_new_key_is_for_its_owner_alone_and_is_not_printed(tmp_path: Path, use: str) -> None:
    file = tmp_path / "a.key"
    done = keys("new", file, "--for", use)
    assert done.exit_code == 0, done.stderr
    key = read_account_key(file).value
    assert 0 < key < CURVE_ORDER
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"{key:x}" not in done.output
    assert f"{public_key(key):#x}" in done.stdout
    shown = facts("show", file)
    assert shown["public_key"] == f"{public_key(key):#x}"
    assert f"{key:x}" not in json.dumps(shown)
    assert facts("show", file, "--private")["private_key"] == f"{key:#x}"
    assert shown["account"] in done.stdout


def test_two_keys_are_two(tmp_path: Path) -> None:
    told = [facts("new", tmp_path / name)["public_key"] for name in ("a", "b")]
    assert told[0] != told[1]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    facts("new", file)
    before = file.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for taken in (file, tmp_path, tmp_path / "link"):
        done = keys("new", taken)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "FILE_EXISTS" in done.stderr
        assert f"next: perpchain keys show {taken}" in done.stderr
    assert file.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()
    done = keys("new", tmp_path / "nowhere" / "a.key")
    assert (done.exit_code, "No such file" in done.stderr) == (2, True)


def test_the_operator_of_a_new_genesis_is_the_account_that_is_shown(tmp_path: Path) -> None:
    told = facts("new", tmp_path / "operator.key", "--for", "operator")
    genesis = json.loads((Path(__file__).parents[3] / "devnet" / "genesis.json").read_text())
    genesis["operator"]["public_key"] = told["public_key"]
    (tmp_path / "genesis.json").write_text(json.dumps(genesis))
    done = RUNNER.invoke(application, ["genesis", str(tmp_path / "genesis.json"), "--json"])
    assert json.loads(done.stdout)["operator"] == told["account"]


def test_an_ethereum_key_has_an_address(tmp_path: Path) -> None:
    file = tmp_path / "ethereum.key"
    file.write_text("1")
    told = facts("show", file, "--ethereum")
    assert told == {"file": str(file), "ethereum_address": ADDRESS_OF_ONE}
    # One that is above the order of the other curve.
    file.write_text("c" * 64)
    assert facts("show", file, "--ethereum")["ethereum_address"] != ADDRESS_OF_ONE
    done = keys("show", file)
    assert (done.exit_code, "PRIVATE_KEY_OUT_OF_RANGE" in done.stderr) == (2, True)


@pytest.mark.parametrize("content", ["", "0x", "c0ffee is no key", "0", "f" * 65])
def test_what_is_no_key_is_one_line_that_does_not_show_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.key"
    file.write_text(content)
    for options in ((), ("--private",), ("--ethereum",)):
        done = keys("show", file, *options)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "PRIVATE_KEY_OUT_OF_RANGE" in done.stderr
        assert "c0ffee" not in done.stderr
