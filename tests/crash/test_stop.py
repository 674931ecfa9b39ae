"""Writes beside the blocks that the disk does not take: they end a node like any other."""

import signal
from pathlib import Path

import pytest

from scripts.crashing.nodes import SAID, line_of, load, running_node
from scripts.crashing.tracing import DATA, Strike, attached, why_absent
from sequencer.model.commands import SetMode
from sequencer.model.halts import ExitCode
from sequencer.model.rows import Mode
from sequencer.storage.halt_note import HALT_FILE

_PROGRAM = """
from sequencer import node
from sequencer.__main__ import main
from sequencer.ports import StoreFailed, StoreProblem

def failing(store):
    raise StoreFailed(StoreProblem.{problem}, "planted")

node.mark_planned_stop = failing
main()
"""


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ("WRITE_FAILED", ExitCode.WRITE_FAILED),
        ("WRITER_REPLACED", ExitCode.WRITER_REPLACED),
    ],
)
def test_a_mark_that_cannot_be_written(tmp_path: Path, problem: str, code: ExitCode) -> None:
    with running_node(tmp_path, program=_PROGRAM.format(problem=problem)) as (process, talk):
        process.send_signal(signal.SIGTERM)
        talk.drain()
        assert process.wait() == code
    assert f"HALTED {problem}" in (tmp_path / SAID).read_text()
    assert (tmp_path / DATA / HALT_FILE).exists() == (code is ExitCode.WRITE_FAILED)


def test_a_note_that_cannot_be_taken_away(tmp_path: Path) -> None:
    if reason := why_absent():
        pytest.skip(reason)
    (tmp_path / DATA).mkdir()
    (tmp_path / DATA / HALT_FILE).write_text("planted")
    strike = Strike(("note",), "unlink", 1, "error=EIO")
    with (
        running_node(tmp_path) as (process, talk),
        attached(process.pid, tmp_path, strike.kinds, strike),
    ):
        talk.send([line_of("operate", SetMode(Mode.CANCEL_ONLY, "seen"))])
        assert talk.until(lambda: len(talk.answers) == 1)
        process.send_signal(signal.SIGTERM)
        talk.drain()
        assert process.wait() == ExitCode.WRITE_FAILED
    assert talk.answers[0].code == "OUTCOME_UNKNOWN"
    assert "WRITE_FAILED" in (tmp_path / DATA / HALT_FILE).read_text()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with running_node(tmp_path) as (process, talk):
        (tmp_path / DATA).rename(tmp_path / "moved")
        talk.send(load({}, 2))
        assert talk.until(lambda: len(talk.answers) == 2)
        process.send_signal(signal.SIGTERM)
        talk.drain()
        assert process.wait() in (ExitCode.WRITE_FAILED, ExitCode.WRITER_REPLACED)
    assert {answer.status for answer in talk.answers} == {"refused"}
    assert "Traceback" not in (tmp_path / SAID).read_text()
