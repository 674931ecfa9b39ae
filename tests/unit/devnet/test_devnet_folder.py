"""A local devnet's folder: its options, and that nothing stays of a temporary one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from devnet.devnet_folder import OPTIONS_FILE, DevnetFolder, DevnetOptions, devnet_folder
from devnet.ethereum_node import ETHEREUM_FILE
from devnet.left_behind import tidy_up
from devnet.starknet_devnet import DEVNET_FILE, RunningDevnet, is_running, keep_devnet
from sequencer.model.devnet_limits import DEVNET_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from tests.e2e.local_devnet import seen
from tests.strategies import refused

KILLED = """
import sys
from pathlib import Path
from devnet.devnet_folder import devnet_folder
with devnet_folder(None) as folder:
    folder.begin({})
    (folder.data_dir / "devnet.json").write_text(sys.argv[1])
    print(folder.data_dir, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> DevnetFolder:
    return DevnetFolder(tmp_path / "deep" / "chain")


def test_options_are_kept_and_those_that_nobody_gives_are_the_folders(folder: DevnetFolder) -> None:
    assert folder.begin({"seed": 5}) == DevnetOptions(seed=5)
    again = DevnetFolder(folder.data_dir)
    assert again.begin({}) == DevnetOptions(seed=5)
    assert again.begin({"seed": 5, "accounts": 10}) == DevnetOptions(seed=5)
    assert again.salt == folder.salt
    assert folder.salt


@pytest.mark.parametrize("name", ["seed", "accounts", "balance"])
def test_other_options_are_refused_by_name(folder: DevnetFolder, name: str) -> None:
    folder.begin({})
    before = (folder.data_dir / OPTIONS_FILE).read_bytes()
    with pytest.raises(
        Refused, match=f"RUN_DIFFERS: .*begun with {name} {getattr(DevnetOptions(), name)}"
    ):
        folder.begin({name: 3})
    assert (folder.data_dir / OPTIONS_FILE).read_bytes() == before


def test_trading_is_opened_once(folder: DevnetFolder) -> None:
    assert not folder.is_opened
    folder.note_opened()
    assert not folder.is_opened
    folder.begin({})
    folder.note_opened()
    assert DevnetFolder(folder.data_dir).is_opened
    assert folder.begin({}) == DevnetOptions()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(Refused, match="no devnet began"):
        DevnetFolder(tmp_path).begin({})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff", b"x" * (DEVNET_FILE_BYTES_MAX + 1)]
)
def test_a_broken_file_is_refused(folder: DevnetFolder, content: bytes) -> None:
    folder.data_dir.mkdir(parents=True)
    (folder.data_dir / OPTIONS_FILE).write_bytes(content)
    reason = Reason.FILE_UNREADABLE if len(content) > DEVNET_FILE_BYTES_MAX else Reason.RUN_DIFFERS
    with refused(reason):
        folder.begin({})


def test_a_temporary_folder_is_gone_and_a_named_one_stays(tmp_path: Path) -> None:
    with devnet_folder(None) as folder:
        folder.begin({})
        assert folder.data_dir.exists()
    assert not folder.data_dir.parent.exists()
    with devnet_folder(tmp_path / "kept") as folder:
        folder.begin({})
    assert folder.data_dir.exists()


def test_what_a_killed_devnet_left_is_tidied_up() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left = RunningDevnet("", sleeper.pid, started_of(sleeper.pid))
    assert is_running(left)
    command = [sys.executable, "-c", KILLED, msgspec.json.encode(left).decode()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        data_dir = Path(process.stdout.readline().strip())
        assert data_dir.exists()
        process.send_signal(signal.SIGKILL)
    assert sleeper.wait(60) == -signal.SIGTERM
    assert seen(lambda: not data_dir.parent.exists())
    assert sleeper.stdin is not None
    sleeper.stdin.close()


def test_somebody_elses_process_is_left_alone(tmp_path: Path) -> None:
    other = RunningDevnet("", os.getpid(), "before")
    keep_devnet(tmp_path / DEVNET_FILE, other)
    tidy_up(tmp_path, None)
    assert [*tmp_path.iterdir()] == []


def test_half_a_word_about_one_chain_keeps_nobody_from_stopping_the_other(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left = RunningDevnet("", sleeper.pid, started_of(sleeper.pid))
    (tmp_path / ETHEREUM_FILE).write_bytes(b'{"url":"http')
    keep_devnet(tmp_path / DEVNET_FILE, left)
    tidy_up(tmp_path, None)
    assert not is_running(left)
    assert [*tmp_path.iterdir()] == []
    sleeper.communicate()


def started_of(pid: int) -> str:
    """Return when a process began, in the words of the system."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        pytest.skip("no /proc here")
    return stat.read_text().rpartition(")")[2].split()[19]
