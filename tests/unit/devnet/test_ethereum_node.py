"""Where anvil comes from, what is refused without it, and how it starts and stops."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from devnet import ethereum_node, npm_packages
from devnet.ethereum_node import (
    ETHEREUM_FILE,
    HOW_TO_GET,
    can_fetch_anvil,
    fetch_anvil,
    find_anvil,
    start_anvil,
)
from devnet.left_behind import tidy_up
from devnet.npm_packages import PackagesAbsent
from devnet.starknet_devnet import DevnetFailed, is_running, keep_devnet, stop_kept_devnet
from sequencer.cli.devnet_ethereum import choose_ethereum
from sequencer.config import CACHE_VARIABLE
from sequencer.model.refusals import Reason, Refused
from tests.unit.devnet.stand_ins import script

ANVIL = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
FETCHES = (f"mkdir -p $(dirname {ANVIL})", f"echo anvil > {ANVIL}")
NO_NETWORK = ("echo npm error code ENOTFOUND >&2", "exit 1")


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a PATH with no Node on it, and an empty cache."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "mkdir", "dirname", "sleep", "cat"):
        found = next(
            path for path in (Path("/bin") / name, Path("/usr/bin") / name) if path.exists()
        )
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return folder


def npm(tools: Path, *lines: str) -> Path:
    """Put Node on PATH, with an npm that notes how it is called."""
    script(tools / "node", "exit 0")
    called = tools / "called"
    script(tools / "npm", f'echo "$@" >> {called}', *lines)
    return called


def test_without_node_nothing_is_fetched_and_it_is_said_how_to_get_it() -> None:
    assert find_anvil() is None
    assert not can_fetch_anvil()
    with pytest.raises(PackagesAbsent, match="node and npm are not on PATH") as caught:
        fetch_anvil()
    assert not caught.value.network


def test_looking_fetches_nothing(tools: Path) -> None:
    called = npm(tools, *FETCHES)
    assert find_anvil() is None
    assert not called.exists()


def test_it_is_fetched_once_and_no_script_of_a_package_runs(tools: Path) -> None:
    called = npm(tools, *FETCHES)
    binary = fetch_anvil()
    assert binary == find_anvil() == fetch_anvil()
    assert called.read_text() == "ci --ignore-scripts --no-audit --no-fund\n"


def test_half_an_installation_is_never_used(tools: Path) -> None:
    npm(tools, *FETCHES, "exit 1")
    with pytest.raises(PackagesAbsent, match="npm refused: 1"):
        fetch_anvil()
    assert find_anvil() is None
    npm(tools, *FETCHES)
    assert fetch_anvil() == find_anvil()


def test_other_pins_are_fetched_anew(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = npm(tools, *FETCHES)
    fetch_anvil()
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in npm_packages.FILES:
        text = (ethereum_node._SOURCES / name).read_text()
        (sources / name).write_text(text + "\n")
    monkeypatch.setattr(ethereum_node, "_SOURCES", sources)
    assert find_anvil() is None
    fetch_anvil()
    assert len(called.read_text().splitlines()) == 2


def test_a_registry_out_of_reach_is_told_apart(tools: Path) -> None:
    npm(tools, *NO_NETWORK)
    with pytest.raises(PackagesAbsent, match="ENOTFOUND") as caught:
        fetch_anvil()
    assert caught.value.network


def test_npm_that_never_ends_is_ended(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm_packages, "NPM_SECONDS_MAX", 0.2)
    npm(tools, "exec sleep 60")
    with pytest.raises(PackagesAbsent, match=r"more than 0.2 s") as caught:
        fetch_anvil()
    assert caught.value.network


def test_a_machine_that_npm_has_no_binary_for_is_named(tools: Path) -> None:
    npm(tools)
    with pytest.raises(PackagesAbsent, match="no anvil for this machine"):
        fetch_anvil()


def binary(tmp_path: Path, *lines: str) -> Path:
    """An anvil that says where it listens, and nothing else."""
    return script(tmp_path / "anvil", *lines, "echo Listening on 127.0.0.1:1", "exec sleep 60")


def test_it_is_started_noted_and_stopped_by_what_was_kept(tmp_path: Path) -> None:
    started = start_anvil(
        binary(tmp_path), tmp_path / "log", note=partial(keep_devnet, tmp_path / ETHEREUM_FILE)
    )
    assert started.url == "http://127.0.0.1:1"
    assert is_running(started)
    stop_kept_devnet(tmp_path / ETHEREUM_FILE)
    assert not is_running(started)
    assert not (tmp_path / ETHEREUM_FILE).exists()
    stop_kept_devnet(tmp_path / ETHEREUM_FILE)


def test_what_a_killed_devnet_left_behind_is_stopped(tmp_path: Path) -> None:
    data = tmp_path / "temporary" / "chain"
    data.mkdir(parents=True)
    started = start_anvil(
        binary(tmp_path), data / "log", note=partial(keep_devnet, data / ETHEREUM_FILE)
    )
    tidy_up(data, data.parent)
    assert not is_running(started)
    assert not data.parent.exists()


@pytest.mark.parametrize("seconds", [0, 2])
def test_blocks_come_with_transactions_or_with_time(tmp_path: Path, seconds: int) -> None:
    anvil = binary(tmp_path, 'echo "$@"')
    log = tmp_path / "log"
    started = start_anvil(
        anvil, log, block_seconds=seconds, note=partial(keep_devnet, tmp_path / ETHEREUM_FILE)
    )
    stop_kept_devnet(tmp_path / ETHEREUM_FILE)
    assert not is_running(started)
    assert ("--block-time 2" in log.read_text()) == (seconds == 2)


def test_one_that_ends_at_once_is_said_with_its_words(tmp_path: Path) -> None:
    ends = script(tmp_path / "anvil", "echo port is taken", f"kill -{signal.SIGKILL.value} $$")
    with pytest.raises(DevnetFailed, match="no anvil: port is taken"):
        start_anvil(ends, tmp_path / "log")


def test_the_command_names_what_is_missing(tools: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(Refused, match="no starknet-devnet here") as caught:
        choose_ethereum("devnet", 3, said.append)
    assert caught.value.reason is Reason.SETTLEMENT_ABSENT
    script(tools / "starknet-devnet", "exit 0")
    with pytest.raises(Refused) as caught:
        choose_ethereum("auto", 3, said.append)
    assert caught.value.detail == HOW_TO_GET
    npm(tools, *NO_NETWORK)
    with pytest.raises(Refused, match="npm refused: ENOTFOUND"):
        choose_ethereum("devnet", 3, said.append)
    assert said == ["fetching anvil with npm, once"]
    npm(tools, *FETCHES)
    opener = choose_ethereum("starknet-devnet", 3, said.append)
    assert (opener.name, opener.is_new) == ("starknet-devnet", True)
    choose_ethereum("auto", 3, said.append)
    assert len(said) == 2


@pytest.mark.parametrize("choice", ["none", "http://127.0.0.1:5050"])
def test_a_settlement_chain_that_is_not_its_own_is_refused(choice: str) -> None:
    with pytest.raises(Refused, match="of its own") as caught:
        choose_ethereum(choice, 3, print)
    assert caught.value.reason is Reason.SETTLEMENT_ABSENT


def test_nobody_who_did_not_ask_for_ethereum_imports_its_library() -> None:
    """It costs half a second."""
    modules = ("sequencer.__main__", "sequencer.cli.application", "sequencer.cli.devnet_ethereum")
    others = ("devnet.appchain", "devnet.backends", "devnet.left_behind", "devnet.run")
    asked = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    found = f"{asked}; sys.exit('web3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", found, *modules, *others], check=False)
    assert done.returncode == 0
