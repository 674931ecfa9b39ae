"""Lines are said without waiting for whoever reads them."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sequencer.cli import sayer as module
from sequencer.cli.sayer import Sayer, standard_error


def test_lines_are_written_in_order_before_it_ends() -> None:
    written: list[str] = []
    with Sayer(written.append) as say:
        for number in range(1_000):
            say(str(number))
    assert written == [str(number) for number in range(1_000)]


def test_nobody_waits_for_a_reader_that_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_SAID_WAITING_MAX", 10)
    monkeypatch.setattr(module, "LINES_ENDING_SECONDS_MAX", 0.01)
    goes_on, begun = threading.Event(), threading.Event()
    written: list[str] = []

    def write(line: str) -> None:
        begun.set()
        goes_on.wait()
        written.append(line)

    with Sayer(write) as say:
        say("first")
        begun.wait()
        for number in range(25):
            say(str(number))
        goes_on.set()
        monkeypatch.setattr(module, "LINES_ENDING_SECONDS_MAX", 60)
    lost = "15 lines were not written: nobody read those before"
    assert written == ["first", *(str(number) for number in range(10)), lost]


def test_a_reader_that_is_gone_is_no_error() -> None:
    def write(_: str) -> None:
        raise BrokenPipeError

    with Sayer(write) as say:
        say("to nobody")


def test_a_process_ends_although_nobody_reads(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    program = (
        "from sequencer.cli import sayer\n"
        "sayer.LINES_ENDING_SECONDS_MAX = 0.1\n"
        "file = sayer.standard_error()\n"
        "with sayer.Sayer(lambda line: print(line, file=file)) as say:\n"
        "    for _ in range(5_000): say('x' * 100)\n"
        "print('ended')\n"
    )
    try:
        with fifo.open("wb") as writer:
            done = subprocess.run(
                [sys.executable, "-c", program],
                stdout=subprocess.PIPE,
                stderr=writer,
                timeout=60,
                check=False,
            )
    finally:
        os.close(reader)
    assert (done.returncode, done.stdout) == (0, b"ended\n")


def test_standard_error_takes_any_text(capfd: pytest.CaptureFixture[str]) -> None:
    with standard_error() as file:
        file.write("caf\u00e9 \udcff\n")
    assert capfd.readouterr().err == "caf\u00e9 ?\n"
