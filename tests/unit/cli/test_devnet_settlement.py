"""Which settlement chain a devnet gets, and which options it refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sequencer.cli.application import application
from sequencer.cli.devnet_settlement import choose_settlement
from sequencer.config import CACHE_VARIABLE, DEVNET_VARIABLE
from sequencer.model.refusals import Reason
from tests.strategies import refused

URL = "http://127.0.0.1:5055"


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a cache that is empty, and no devnet on the path or in the environment."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(DEVNET_VARIABLE, raising=False)
    return tmp_path


def install(cache: Path) -> None:
    binary = cache / "perpchain" / "starknet-devnet-0.8.1" / "bin" / "starknet-devnet"
    binary.parent.mkdir(parents=True)
    binary.touch()


def test_auto_is_embedded_where_nothing_is_installed_and_says_so() -> None:
    said: list[str] = []
    chosen = choose_settlement("auto", said.append)
    assert chosen is not None
    assert (chosen.name, chosen.is_new) == ("embedded", True)
    assert "make devnet-real" in said[0]


def test_the_embedded_one_is_always_there(nothing_installed: Path) -> None:
    for _ in range(2):
        chosen = choose_settlement("embedded", pytest.fail)
        assert chosen is not None
        assert (chosen.name, chosen.is_new) == ("embedded", True)
        if not any(nothing_installed.iterdir()):
            install(nothing_installed)


@pytest.mark.parametrize("choice", ["auto", "devnet", "starknet-devnet"])
def test_one_that_is_installed_is_started_anew(nothing_installed: Path, choice: str) -> None:
    install(nothing_installed)
    chosen = choose_settlement(choice, pytest.fail)
    assert chosen is not None
    assert (chosen.name, chosen.is_new) == ("starknet-devnet", True)


def test_an_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    named = choose_settlement(URL, pytest.fail)
    monkeypatch.setenv(DEVNET_VARIABLE, URL)
    found = choose_settlement("auto", pytest.fail)
    for chosen in (named, found):
        assert chosen is not None
        assert (chosen.name, chosen.is_new) == (URL, False)


def test_none_is_none(nothing_installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(nothing_installed)
    monkeypatch.setenv(DEVNET_VARIABLE, URL)
    assert choose_settlement("none", pytest.fail) is None


@pytest.mark.parametrize(
    "choice", ["", "ftp://there", "localhost:5050", "devnet", "starknet-devnet"]
)
def test_what_is_not_there_is_refused(choice: str) -> None:
    with refused(Reason.SETTLEMENT_ABSENT):
        choose_settlement(choice, pytest.fail)


@pytest.mark.parametrize(
    "options",
    [
        ("--block-time", "4ms"),
        ("--block-time", "10001"),
        ("--block-time", "11s"),
        ("--block-time", "fast"),
        ("--block-time", "1 s"),
        ("--block-time", "-5"),
        ("--seed", "-1"),
        ("--seed", "4294967296"),
        ("--accounts", "1001"),
        ("--balance", "1.5"),
        ("--port", "65536"),
        ("--admin-port", "-1"),
    ],
    ids=" ".join,
)
def test_options_out_of_range_are_refused(options: tuple[str, str]) -> None:
    told = CliRunner().invoke(application, ["devnet", *options])
    assert told.exit_code == 2
    assert options[0] in told.output
