"""`perpchain config check`: all that is wrong with a file at once, and what to write instead."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from devnet.keys import devnet_key
from sequencer.cli.application import application
from sequencer.cli.node_check import ask_settlement, check_node_file
from sequencer.cli.node_file import read_node_file
from sequencer.config import KEY_VARIABLE
from sequencer.model.refusals import Refused

ROOT = Path(__file__).parents[3]
SOUND = 'data_dir = "chain"\ngenesis = "genesis.json"\noperator_key = "operator.key"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what a sound file names."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    (tmp_path / "genesis.json").write_bytes((ROOT / "devnet" / "genesis.json").read_bytes())
    key = tmp_path / "operator.key"
    key.write_text(hex(devnet_key("operator")))
    key.chmod(0o600)
    return tmp_path


def checked(folder: Path, text: str, *options: str) -> Result:
    (folder / "node.toml").write_text(text)
    words = ["config", "check", str(folder / "node.toml"), *options]
    return CliRunner().invoke(application, words)


def findings(folder: Path, text: str) -> dict[str, tuple[str, str, bool]]:
    done = checked(folder, text, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code == 0) == told["ok"]
    return {
        each["where"]: (each["what"], each["instead"], each["note"]) for each in told["findings"]
    }


def wrong(folder: Path, text: str) -> set[str]:
    return {where for where, (_, _, is_note) in findings(folder, text).items() if not is_note}


def test_a_sound_file_is_said_to_be_sound(folder: Path) -> None:
    before = {*folder.rglob("*")}
    done = checked(folder, SOUND)
    assert done.exit_code == 0, done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"sound: perpchain node --config {folder / 'node.toml'} can start"
    )
    assert {*folder.rglob("*")} == {*before, folder / "node.toml"}


def test_the_documented_file_has_names_that_are_known(folder: Path) -> None:
    text = (ROOT / "docs" / "node.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0]
    assert wrong(folder, example) <= {"api"}


def test_everything_is_found_at_once_with_its_place_and_what_to_write(folder: Path) -> None:
    text = """
datadir = "chain"
genesis = "nowhere.json"
operator_key = 5
block_interval_ms = 70000
verify_root = "yes"
[api]
prot = 5
port = "6060"
[admin]
port = 70000
[limits]
connections_max = 0
conections = 1
[settlement]
file = "nowhere.json"
[[plugins]]
usee = "history"
[[plugins]]
use = "nowhere:Nothing"
options = {path = 5}
"""
    found = findings(folder, text)
    assert {where: instead for where, (_, instead, note) in found.items() if not note} == {
        "datadir": "data_dir",
        "genesis": "a file that `perpchain genesis FILE` takes",
        "operator_key": 'the path of a file in quotes, such as "operator.key"',
        "block_interval_ms": "0 to 60000",
        "verify_root": "true or false",
        "api.prot": "port",
        "api.port": "a whole number, such as 5",
        "admin.port": "-1 to 65535",
        "limits.connections_max": "1 to 1099511627776",
        "limits.conections": "connections_max",
        "plugins[1].usee": "use",
        "plugins[1].use": "use = ...",
        "plugins[2].options": "a table of text in quotes",
        "settlement.file": "url, contract, account and key_file, as docs/operate.md shows",
    }


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[[", ""),
        ("api = 5", "api"),
        ("plugins = 5", "plugins"),
        ("plugins = [5]", "plugins"),
        (f"{SOUND}api = []", "api"),
        (f'{SOUND}[[plugins]]\nuse = "nowhere:Nothing"', "plugins.use"),
        (f'{SOUND}[[plugins]]\nuse = "history"\n[[plugins]]\nuse = "history"', "plugins"),
        (f'{SOUND}[[plugins]]\nuse = "history"\nname = "a b"', "plugins"),
        (f'{SOUND}[api]\nhost = "300.1.1.1"', "api"),
        (f"{SOUND}[api]\nport = 5999\n[admin]\nport = 5999", "admin.port"),
        (f'{SOUND}witness = "nowhere/w"', "witness"),
        (SOUND.replace("chain", "operator.key"), "data_dir"),
        (SOUND.replace("chain", "operator.key/a"), "data_dir"),
        (SOUND.replace('genesis = "genesis.json"', ""), "genesis"),
        (SOUND.replace("genesis.json", "operator.key"), "genesis"),
        (SOUND.replace("operator.key", "genesis.json"), "operator_key"),
        (SOUND.replace('operator_key = "operator.key"', ""), "operator_key"),
    ],
)
def test_each_thing_that_keeps_a_node_from_starting_is_found(
    folder: Path, text: str, where: str
) -> None:
    assert where in wrong(folder, text)
    done = checked(folder, text)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


def test_a_file_that_is_no_text_is_one_finding(folder: Path) -> None:
    (folder / "node.toml").write_bytes(b"\xff")
    _, found = check_node_file(folder / "node.toml")
    assert [each.where for each in found] == [""]


def test_what_is_refused_at_the_start_is_found_here(folder: Path) -> None:
    """Whatever `perpchain node` cannot read of a file, this finds."""
    for text in ("a = 1", "[api]\nport = true", "[limits]\nstreams_max = 0", "data_dir = ''"):
        (folder / "node.toml").write_text(text)
        with pytest.raises(Refused):
            read_node_file(folder / "node.toml")
        assert any(not each.note for each in check_node_file(folder / "node.toml")[1])


def test_a_port_that_is_taken_is_found(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert wrong(folder, f"{SOUND}[admin]\nport = {port}") == {"admin"}
        assert wrong(folder, f"{SOUND}[api]\nport = {port}") == {"api"}
    assert wrong(folder, f"{SOUND}[api]\nport = {port}") == set()


def test_a_key_that_is_another_operators_is_found_and_not_shown(folder: Path) -> None:
    (folder / "operator.key").write_text("0xc0ffee")
    done = checked(folder, SOUND)
    assert done.exit_code == 2
    assert "operator_key: its public key is 0x" in done.stdout
    assert "c0ffee" not in done.output
    (folder / "operator.key").write_text("0x0")
    assert "operator_key" in wrong(folder, SOUND)


def test_a_key_that_others_can_read_is_a_note(folder: Path) -> None:
    (folder / "operator.key").chmod(0o644)
    what, _, is_note = findings(folder, SOUND)["operator_key"]
    assert (is_note, "chmod 600" in what) == (True, True)


def test_the_settlement_chain_is_asked_only_where_that_is_said(folder: Path) -> None:
    (folder / "poster.key").write_text("0x7")
    file = {"url": "http://127.0.0.1:1", "contract": "0x1", "account": "0x2"}
    (folder / "s.json").write_text(json.dumps({**file, "key_file": "poster.key"}))
    text = f'{SOUND}[settlement]\nfile = "s.json"'
    assert wrong(folder, text) == set()
    done = checked(folder, text, "--online")
    assert done.exit_code == 2
    assert "settlement.file: SETTLEMENT_UNREACHABLE" in done.stdout
    (folder / "s.json").write_text("{}")
    assert wrong(folder, text) == {"settlement.file"}
    stated, _ = check_node_file(folder / "node.toml")
    assert asyncio.run(ask_settlement(stated)) == []
