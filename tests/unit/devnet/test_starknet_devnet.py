"""Which binary is taken for a devnet, which process for a running one, and how one gets here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devnet import starknet_devnet
from devnet.starknet_devnet import (
    NAME,
    VERSION,
    DevnetFailed,
    RunningDevnet,
    cached_binary,
    find_binary,
    is_running,
    start_devnet,
    stop_devnet,
)
from scripts import devnet_real
from sequencer.config import CACHE_VARIABLE
from tests.unit.devnet.stand_ins import script

RIGHT = f"echo {NAME} {VERSION}"


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a PATH with nothing of ours on it, and an empty cache."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    script(folder / "docker", "exit 1")
    return folder


def test_no_binary_is_found_where_there_is_none() -> None:
    assert find_binary() is None


def test_the_one_on_path_comes_before_the_one_in_the_cache(tools: Path) -> None:
    cached = script(cached_binary(), RIGHT)
    assert find_binary() == cached
    on_path = script(tools / NAME, RIGHT)
    assert find_binary() == on_path


@pytest.mark.parametrize("line", [f"echo {NAME} 0.9.2", "exit 1", f"echo {NAME}"])
def test_another_version_is_passed_over(tools: Path, line: str) -> None:
    script(tools / NAME, line)
    assert find_binary() is None
    cached = script(cached_binary(), RIGHT)
    assert find_binary() == cached


def test_what_cannot_be_run_is_passed_over(tools: Path) -> None:
    script(tools / NAME, RIGHT).write_bytes(b"\x7fELF")
    assert find_binary() is None


def test_one_that_ends_at_once_is_said_with_its_words(tmp_path: Path) -> None:
    binary = script(tmp_path / "ends", "echo port is taken; exit 3")
    with pytest.raises(DevnetFailed, match="port is taken"):
        start_devnet(binary, tmp_path / "log")


def test_one_that_cannot_be_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(DevnetFailed, match="does not start"):
        start_devnet(tmp_path / "absent", tmp_path / "log")


def test_one_that_never_listens_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starknet_devnet, "START_SECONDS_MAX", 0.2)
    binary = script(tmp_path / "silent", "exec sleep 60")
    noted: list[RunningDevnet] = []
    with pytest.raises(DevnetFailed, match="no devnet"):
        start_devnet(binary, tmp_path / "log", note=noted.append)
    (silent,) = noted
    assert not Path(f"/proc/{silent.pid}").exists()


def test_its_environment_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "77")
    binary = script(tmp_path / "tells", 'echo "seed is <$SEED>"')
    with pytest.raises(DevnetFailed, match="seed is <>"):
        start_devnet(binary, tmp_path / "log")


def test_a_process_with_its_old_number_is_left_alone() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        impostor = RunningDevnet("http://127.0.0.1:1", bystander.pid, started="1")
        assert not is_running(impostor)
        stop_devnet(impostor)
        stop_devnet(RunningDevnet("http://127.0.0.1:1", bystander.pid, started=""))
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def cargo(tools: Path, *lines: str) -> None:
    """Put a cargo on PATH; its last argument is the root to install to."""
    script(tools / "cargo", 'for root in "$@"; do :; done', *lines)


def left_in_cache() -> list[str]:
    folder = cached_binary().parent.parent.parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


INSTALL = (
    'mkdir -p "$root/bin"',
    f'printf "#!/bin/sh\\necho {NAME} %s\\n" "$MADE" > "$root/bin/{NAME}"',
    f'chmod +x "$root/bin/{NAME}"',
)


def test_it_is_built_once(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MADE", VERSION)
    cargo(tools, "echo progress of cargo", *INSTALL)
    assert devnet_real.main() == 0
    assert "progress of cargo" in capfd.readouterr().out
    assert find_binary() == cached_binary()
    assert left_in_cache() == [f"{NAME}-{VERSION}"]
    cargo(tools, "exit 9")
    assert devnet_real.main() == 0
    assert str(cached_binary()) in capfd.readouterr().out


def test_a_wrong_one_in_its_place_is_replaced(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE", VERSION)
    script(cached_binary(), "exit 1")
    cargo(tools, *INSTALL)
    assert devnet_real.main() == 0
    assert find_binary() == cached_binary()
    assert left_in_cache() == [f"{NAME}-{VERSION}"]


@pytest.mark.parametrize("ending", ["exit 101", "kill -9 $$"])
def test_half_an_installation_is_never_seen(tools: Path, ending: str) -> None:
    cargo(tools, 'mkdir -p "$root/bin"', f'touch "$root/bin/{NAME}"', ending)
    assert devnet_real.main() == 1
    assert find_binary() is None
    assert left_in_cache() == []


def test_another_version_is_not_put_in_place(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE", "0.9.2")
    cargo(tools, *INSTALL)
    assert devnet_real.main() == 1
    assert left_in_cache() == []


def test_without_tools_it_says_so(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tools))
    assert devnet_real.main() == 2
    assert "cargo" in capsys.readouterr().err


DOCKER = (
    'case "$1" in',
    f'cp) printf "#!/bin/sh\\necho {NAME} %s\\n" "$MADE" > "$3"; chmod +x "$3" ;;',
    "esac",
    'echo "$1" >> "$TOLD"',
)


@pytest.mark.parametrize(("made", "built"), [(VERSION, False), ("0.0.0", True)])
def test_docker_is_the_quick_way(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, *, built: bool
) -> None:
    monkeypatch.setenv("MADE", made)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    script(tools / "docker", *DOCKER)
    cargo(tools, f"export MADE={VERSION}", "touch " + str(tmp_path / "built"), *INSTALL)
    assert devnet_real.main() == 0
    assert (tmp_path / "told").read_text().split() == ["info", "create", "cp", "rm"]
    assert (tmp_path / "built").exists() is built
    assert os.access(cached_binary(), os.X_OK)
    assert left_in_cache() == [f"{NAME}-{VERSION}"]
