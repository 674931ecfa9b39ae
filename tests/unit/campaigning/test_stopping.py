"""Campaigns that are stopped, by whatever: nothing of them is left, and each unwinds before."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.campaigning.stopping import STOPPED, stoppable, work_many
from scripts.crashing.watched import interruptible
from tests.e2e.local_devnet import ROOT, seen
from tests.plugins.host_world import is_there


def play(folder: str) -> None:
    """Leave a file with the process's number, take it away when told to end."""
    file = Path(folder, str(os.getpid()))
    file.touch()
    try:
        time.sleep(1_000)
    finally:
        file.unlink()


def campaign(folder: str) -> int:
    """Play twice at once, for longer than anybody waits."""
    return len(list(work_many(play, [folder] * 5, 2)))


def run(folder: str) -> int:
    return stoppable(lambda: campaign(folder))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, STOPPED),
        (signal.SIGINT, STOPPED),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_no_process_outlives_a_campaign(tmp_path: Path, number: signal.Signals, code: int) -> None:
    words = f"import sys; from {__name__} import run; sys.exit(run({str(tmp_path)!r}))"
    with interruptible():
        main = subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, stderr=subprocess.PIPE)
    assert seen(lambda: len(list(tmp_path.iterdir())) == 2)
    playing = [int(file.name) for file in tmp_path.iterdir()]
    main.send_signal(number)
    _, said = main.communicate()
    assert main.returncode == code
    if code == STOPPED:
        assert said.decode() == "stopped; make campaigns says what is left of a release\n"
    assert seen(lambda: not any(map(is_there, playing)))
    assert list(tmp_path.iterdir()) == []
