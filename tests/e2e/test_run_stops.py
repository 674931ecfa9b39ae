"""A run that is told to stop: at the end of a block, and the same command goes on."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from devnet.run_folder import RUN_FILE
from scripts.crashing.runs import MAIN, SMALL, RunProcess, small_options
from tests.e2e.finished_run import Finished
from tests.e2e.local_devnet import seen
from tests.e2e.report_reader import REPORT_FILE

INTERRUPTED = 130
SLOW_KEYS = """
import devnet.run
devnet.run.TRADERS = 5_000
"""


def go_on(small: Finished, record: Path, data: Path) -> None:
    """Let a run go on to its end, and compare it with one that was never stopped."""
    with RunProcess(*small_options(record), "--data-dir", str(data)) as process:
        assert process.end() == 0, process.said
    assert "this run goes on" in process.said
    assert process.summary["head_root"] == small.summary["head_root"]
    assert Finished(data, process.summary, process.lines).export == small.export


def commands_in(group: int) -> list[bytes]:
    """List the commands of the processes of a group; one that has ended has none."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(each.name)) == group:
                found.append((each / "cmdline").read_bytes())
    return [command for command in found if command]


def is_over(group: int) -> bool:
    """Wait until nothing of a process group runs any more; a script that ends needs a moment."""
    return seen(lambda: commands_in(group) == [])


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("block    37", [signal.SIGINT]),
        ("block    42", [signal.SIGTERM, signal.SIGINT, signal.SIGINT]),
    ],
    ids=["interrupt", "terminate and interrupt twice"],
)
def test_it_stops_at_the_end_of_a_block_and_goes_on(
    small: Finished, record: Path, tmp_path: Path, words: str, numbers: list[signal.Signals]
) -> None:
    data = tmp_path / "chain"
    with RunProcess(*small_options(record), "--data-dir", str(data)) as process:
        assert process.until(words), process.said
        # A terminal interrupts the script's process, too.
        for number in numbers:
            os.killpg(process.process.pid, number)
        assert process.end() == INTERRUPTED, process.said
        assert is_over(process.process.pid)
    assert process.lines[-1] == (
        "stopped at the end of a block, before there is a report; the same command goes on"
    )
    assert "Traceback" not in process.said
    assert process.summary == {}
    assert not (data / REPORT_FILE).exists()
    go_on(small, record, data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_within_the_proof(
    small: Finished, record: Path, tmp_path: Path, number: signal.Signals
) -> None:
    data = small.copy(tmp_path / "chain")
    with RunProcess(*small_options(record), "--data-dir", str(data)) as process:
        assert process.until("the proof"), process.said
        # The second program executes the export by now.
        group = process.process.pid
        assert seen(lambda: any(b"verify_chain" in each for each in commands_in(group)))
        os.killpg(group, number)
        assert process.end() == INTERRUPTED, process.said
        assert is_over(group)
    assert "Traceback" not in process.said
    assert "DIFFERS" not in process.said


def test_it_stops_before_there_is_a_chain_and_leaves_nothing(record: Path, tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    program = SLOW_KEYS + MAIN
    with RunProcess(*small_options(record), program=program, environment=environment) as process:
        assert process.until("a new run in"), process.said
        os.killpg(process.process.pid, signal.SIGINT)
        assert process.end() == INTERRUPTED, process.said
        assert is_over(process.process.pid)
    assert "Traceback" not in process.said
    assert [*tmp_path.iterdir()] == []


def test_without_a_folder_it_says_where_to_go_on(record: Path, tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    with RunProcess(*small_options(record), environment=environment) as process:
        assert process.until("block     5"), process.said
        process.strike(signal.SIGINT)
        assert process.end() == INTERRUPTED, process.said
    (data,) = tmp_path.glob("*/chain")
    assert process.lines[-1].endswith(f"to go on: --data-dir {data}")
    assert (data / RUN_FILE).exists()


def test_a_script_that_dies_ends_the_run(record: Path, tmp_path: Path) -> None:
    data = tmp_path / "chain"
    with RunProcess(*small_options(record), "--data-dir", str(data), program=_KILLED) as process:
        assert process.end() == 1, process.said
    assert "perpchain run: RUN_BROKEN: the script's process is gone" in process.said
    assert "Traceback" not in process.said


_KILLED = (
    SMALL
    + """
import os
import signal
from multiprocessing import active_children
import devnet.story
suffer = devnet.story.Story._suffer

async def struck(story, faults):
    for child in active_children():
        os.kill(child.pid, signal.SIGKILL)
    await suffer(story, faults)

devnet.story.Story._suffer = struck
"""
    + MAIN
)
