"""Two nodes on one folder: the second ends at once, and whoever was replaced never commits."""

import signal
from pathlib import Path

import pytest

from scripts.crashing.chain import config_of
from scripts.crashing.nodes import Talk, check_node, load, running_node, start_node
from scripts.crashing.tracing import DATA
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason
from sequencer.node import open_chain
from sequencer.ports import StoreFailed
from sequencer.storage.halt_note import HALT_FILE
from sequencer.storage.lock import TOKEN_FILE

_SECONDS_MAX = 60.0
QUICK = ("--block-interval-ms", "5")


def second_exit(folder: Path) -> int:
    """Start a second node and return how it ends."""
    process, talk = start_node(folder, said="second", answers="second answers")
    with process:
        try:
            code = process.wait(_SECONDS_MAX)
        finally:
            process.kill()
            talk.drain()
    assert "STORE_LOCKED" in (folder / "second").read_text()
    assert not talk.announced
    return code


def exchange(talk: Talk, nonces: dict[str, int]) -> list[str]:
    """Send three lines and return how they were answered."""
    before = len(talk.answers)
    talk.send(load(nonces, 3))
    assert talk.until(lambda: len(talk.answers) >= talk.sent)
    return [answer.status for answer in talk.answers[before:]]


def test_a_second_node_ends_at_once_also_while_the_first_is_stopped(tmp_path: Path) -> None:
    nonces: dict[str, int] = {}
    with running_node(tmp_path, *QUICK) as (process, talk):
        assert second_exit(tmp_path) == ExitCode.STORE_LOCKED
        assert exchange(talk, nonces) == ["applied"] * 3
        process.send_signal(signal.SIGSTOP)
        assert second_exit(tmp_path) == ExitCode.STORE_LOCKED
        process.send_signal(signal.SIGCONT)
        assert exchange(talk, nonces) == ["applied"] * 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(_SECONDS_MAX) == ExitCode.STOPPED
    check_node(tmp_path, talk.applied())


def test_a_second_open_in_one_process_lets_no_other_process_in(tmp_path: Path) -> None:
    config = config_of(tmp_path / DATA)
    store, _ = open_chain(config)
    try:
        with pytest.raises(StoreFailed, match="STORE_LOCKED"):
            open_chain(config)
        assert second_exit(tmp_path) == ExitCode.STORE_LOCKED
    finally:
        store.close()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped meanwhile"])
def test_a_node_that_was_replaced_ends_at_once_and_commits_nothing(
    tmp_path: Path, stopped: bool
) -> None:
    nonces: dict[str, int] = {}
    with running_node(tmp_path, *QUICK) as (process, talk):
        assert exchange(talk, nonces) == ["applied"] * 3
        if stopped:
            process.send_signal(signal.SIGSTOP)
        (tmp_path / DATA / TOKEN_FILE).write_bytes(b"somebody else")
        last = max(answer.height for answer in talk.applied())
        if stopped:
            process.send_signal(signal.SIGCONT)
        talk.send(load(nonces, 3))
        assert process.wait(_SECONDS_MAX) == ExitCode.WRITER_REPLACED
        talk.drain()
    assert len(talk.applied()) == 3
    refused = {answer.code for answer in talk.answers} - {""}
    assert refused <= {Reason.OUTCOME_UNKNOWN, Reason.HALTED, Reason.SHUTTING_DOWN}
    assert not (tmp_path / DATA / HALT_FILE).exists()
    height, _ = check_node(tmp_path, talk.applied())
    # An idle chain may have made a block between the last answer and the new token.
    assert last <= height <= last + 1
