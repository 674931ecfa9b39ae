"""`perpchain genesis`: the devnet's file, and files that cannot be used."""

import os
from pathlib import Path

import msgspec
from typer.testing import CliRunner

from sequencer.cli.application import application

FILE = Path(__file__).parents[3] / "devnet" / "genesis.json"
RUNNER = CliRunner()
GENESIS_HASH = "0x282746521ad67c28deaf411feb5c2dbb6f916465a96872a2ffb1c193921e453"


def test_the_devnet_has_one_genesis_hash() -> None:
    done = RUNNER.invoke(application, ["genesis", str(FILE), "--json"])
    assert done.exit_code == 0
    facts = msgspec.json.decode(done.stdout)
    assert facts["genesis_hash"] == GENESIS_HASH
    assert facts["chain_id"] == "PERPCHAIN_DEVNET"
    assert len(facts["accounts"]) == 4
    text = RUNNER.invoke(application, ["genesis", str(FILE)]).stdout
    assert GENESIS_HASH in text


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"chain_id": 5}')
    for path in (wrong, tmp_path / "missing.json", tmp_path):
        done = RUNNER.invoke(application, ["genesis", str(path)])
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert str(path) in done.stderr


def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        done = RUNNER.invoke(application, ["genesis", str(path)])
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
