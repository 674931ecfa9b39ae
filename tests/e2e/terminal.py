"""A command with somebody at its terminal."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import Self

from scripts.crashing.watched import interruptible
from tests.e2e.node_process import PATIENCE_SECONDS

CONTROL_D = b"\x04"


class Typist:
    """Runs a command whose standard input is a terminal, and whose output is collected."""

    def __init__(self, *words: object) -> None:
        self._resources = ExitStack()
        self._controller, terminal = pty.openpty()
        self._resources.callback(os.close, self._controller)
        command = [sys.executable, "-m", "sequencer", *map(str, words)]
        with interruptible():
            self._process = subprocess.Popen(
                command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        os.close(terminal)
        self._resources.enter_context(self._process)
        self._resources.callback(self._process.kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def asked(self) -> str:
        """Wait for a question, which ends with a colon and no end of line."""
        assert self._process.stdout is not None
        said = b""
        while not said.endswith(b": "):
            more = self._process.stdout.read(1)
            assert more, said
            said += more
        return said.decode()

    def types(self, answer: bytes) -> tuple[int, str]:
        """Type an answer; returns how the command ends, and what it says from here on."""
        os.write(self._controller, answer)
        return self._ended()

    def interrupts(self) -> tuple[int, str]:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        return self._ended()

    def _ended(self) -> tuple[int, str]:
        said, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        return self._process.returncode, said.decode()


def typed(answer: bytes, *words: object) -> tuple[int, str]:
    """Run a command that asks for something, and type an answer."""
    with Typist(*words) as typist:
        typist.asked()
        return typist.types(answer)
