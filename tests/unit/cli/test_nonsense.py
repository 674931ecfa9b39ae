"""Every command on places that are none: one line that says what to type next, and its code."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sequencer.cli.application import application
from tests.unit.cli.test_help import COMMANDS

PLACES = ("absent", "empty", "file", "half", "strange")
WORDS = {
    "backup": "PLACE copy",
    "checkpoint create": "PLACE noon",
    "checkpoint drop": "PLACE noon",
    "checkpoint list": "PLACE",
    "config check": "PLACE",
    "deposit": "PLACE --account 0x5 --amount 1",
    "export": "PLACE out.jsonl",
    "fault": "PLACE zero-price",
    "follow": "PLACE --plugin history",
    "genesis": "PLACE",
    "guard list": "PLACE",
    "guard off": "PLACE price-step",
    "guard on": "PLACE price-step",
    "import": "PLACE new",
    "inspect account": "PLACE 0x5",
    "inspect block": "PLACE",
    "inspect keys": "PLACE",
    "inspect operator-log": "PLACE",
    "inspect order": "PLACE 0x5",
    "inspect root": "PLACE",
    "inspect tx": "PLACE 0x5",
    "keys new": "nowhere/PLACE",
    "keys register": "PLACE --account 0x5",
    "keys show": "PLACE",
    "mode": "PLACE open",
    "node": "PLACE",
    "plugin list": "PLACE",
    "plugin park": "PLACE feed",
    "plugin rebuild": "PLACE feed",
    "plugin unpark": "PLACE feed",
    "price list": "PLACE",
    "price seed": "PLACE BTC-USD-PERP 5",
    "reorg apply": "PLACE 12345678 --reason x --yes",
    "reorg list": "PLACE",
    "reorg plan": "PLACE --to 1",
    "reorg resume": "PLACE",
    "reorg show": "PLACE 12345678",
    "reorg status": "PLACE",
    "reorg suggest": "PLACE",
    "reorg undo": "PLACE 1 --reason x --yes",
    "status": "PLACE",
    "unmake": "PLACE 1 --account 0x5 --yes --key-file key",
    "vectors": "PLACE",
    "verify": "PLACE",
    "withdraw claim": "PLACE 0x5",
    "withdraw prove": "PLACE 0x5",
    "withdraw request": "PLACE --account 0x5 --recipient 0x6 --amount 1",
}
WITHOUT_A_PLACE = {"devnet", "exit-codes", "run"}
SOUND = {("inspect operator-log", place) for place in ("empty", "half", "strange")}
"""A folder in which nobody has operated has an empty log."""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_keys_outside: None) -> Path:
    """Return a folder with places that are none, and stand in it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "key").write_text("0x7")
    (tmp_path / "half" / "database").mkdir(parents=True)
    (tmp_path / "half" / "admin.json").write_text('{"url": 5}')
    (tmp_path / "strange" / "admin.json").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_command_is_left_out() -> None:
    names = {name.partition(" ")[2] for name in COMMANDS}
    assert names == {*WORDS, *WITHOUT_A_PLACE}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WORDS)
def test_one_line_says_what_to_do(places: Path, name: str, place: str) -> None:
    before = {*places.rglob("*")}
    words = [*name.split(), *(word.replace("PLACE", place) for word in WORDS[name].split())]
    done = CliRunner().invoke(application, words)
    if (name, place) in SOUND:
        assert done.exit_code == 0
        return
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (2, 10), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"perpchain {name}: ")
    if name != "config check":
        assert "; next: " in line
        assert done.stdout == ""
    # Whoever opens what looks like a chain leaves a writer's token there.
    assert {*places.rglob("*")} - {places / "half" / "writer"} == before
