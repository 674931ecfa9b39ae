"""A plugin's process ends with whoever started it, whatever the plugin does meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sequencer.plugins.host.messages import (
    LENGTH_BYTES,
    Begin,
    Failed,
    FromPlugin,
    Message,
    Taken,
    read_length,
    read_up,
    write_frame,
)
from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT, seen
from tests.plugins.host_world import begin, is_there
from tests.plugins.probe import CALLS, PIDS

COMMAND = [sys.executable, "-P", "-m", "sequencer.plugins.host.child"]
_STARTER = """
import subprocess, sys
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         start_new_session=True)
child.stdin.write(bytes.fromhex(sys.argv[1]))
child.stdin.flush()
print(child.pid, flush=True)
child.wait()
"""


def start() -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def ask(child: "subprocess.Popen[bytes]", message: Message) -> FromPlugin:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(write_frame(message))
    child.stdin.flush()
    return read_up(child.stdout.read(read_length(child.stdout.read(LENGTH_BYTES))))


@pytest.mark.parametrize("harm", ["hang", "spin", "hold", "children"])
def test_it_ends_with_a_starter_that_is_killed(tmp_path: Path, harm: str) -> None:
    message = write_frame(begin(tmp_path, in_="init", do=harm)).hex()
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, message, *COMMAND], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    try:
        child = int(starter.stdout.readline())
        told = tmp_path / (PIDS if harm == "children" else CALLS)
        assert seen(lambda: told.exists() and told.read_text().endswith("\n"))
        begun = [int(line) for line in told.read_text().splitlines() if line.isdecimal()]
        assert len(begun) == (harm == "children")
        assert is_there(child)
    finally:
        starter.kill()
        starter.wait()
        starter.stdout.close()
    assert seen(lambda: not any(is_there(each) for each in (child, *begun)))


@pytest.mark.parametrize("data", [b"", b"\x00" * 7, b"\x00" * 7 + b"\x05hel", b"\xff" * 20])
def test_it_ends_when_nobody_speaks_to_it_any_more(data: bytes) -> None:
    child = start()
    out, _ = child.communicate(data, PATIENCE_SECONDS)
    assert out == b""
    assert child.returncode == -signal.SIGKILL


def test_a_message_before_the_beginning_is_no_message() -> None:
    child = start()
    assert child.stdin is not None
    child.stdin.write(write_frame(Taken()))
    child.stdin.flush()
    assert child.wait(PATIENCE_SECONDS) != 0
    child.communicate()


def test_answers_go_their_own_way_and_prints_another(tmp_path: Path) -> None:
    child = start()
    try:
        assert isinstance(ask(child, begin(tmp_path, in_="init", do="print")), Taken)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def test_what_cannot_be_loaded_is_a_failure_in_words(tmp_path: Path) -> None:
    child = start()
    try:
        bad = Begin("probe", "nowhere:Nothing", {}, str(tmp_path), b"\x01", None, False, [])
        told = ask(child, bad)
        assert isinstance(told, Failed)
        assert told.cause == "PLUGIN_INVALID"
        assert told.words.startswith("'nowhere:Nothing'")
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
