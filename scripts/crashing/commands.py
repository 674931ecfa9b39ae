"""`perpchain` commands in forked children, and an operator who talks to a node over its server.

Promises
- A child runs the command line as it is: only what a run wires in that process is different.
- A node that dies under a command is `Gone`; every other outcome is an answer or a refusal.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import msgspec

from devnet.keys import devnet_key
from scripts.crashing.chain import GENESIS_PATH
from scripts.crashing.checking import Violation
from scripts.crashing.children import Child, Wait, fork_child, is_ready, let_go
from scripts.crashing.nodes import SAID, Answer, Talk
from scripts.crashing.tracing import DATA
from sequencer.__main__ import main
from sequencer.config import KEY_VARIABLE, find_admin
from sequencer.engine.requests import AnyRequest, method_of

PATIENCE_SECONDS = 30.0
"""How long a node may take for anything before that is a violation."""

_PAUSE_SECONDS = 0.005
_BLOCK_INTERVAL_MS = 15


class Gone(Exception):
    """The process has ended: killed, as the campaign wanted."""


class Denial(Exception):
    """The node's no to a command, by its code."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code


class Running:
    """A command that runs: a forked child, with a node's two pipes."""

    def __init__(self, folder: Path, words: Sequence[str], wire: Callable[[], None]) -> None:
        reading, answering = os.pipe()
        hearing, writing = os.pipe()

        def run(wait: Wait) -> int:
            os.close(reading)
            os.close(writing)
            said = os.open(folder / SAID, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            for number, descriptor in enumerate((hearing, answering, said)):
                os.dup2(descriptor, number)
            os.environ[KEY_VARIABLE] = hex(devnet_key("operator"))
            sys.argv = ["perpchain", *words]
            wire()
            wait()
            try:
                main()
            except SystemExit as ended:
                return int(ended.code or 0)
            return 0

        self.child: Child = fork_child(run)
        os.close(hearing)
        os.close(answering)
        self.talk = Talk(self.child.process, writing, reading)
        self.code: int | None = None
        self._folder, self._is_closed = folder, False
        if not is_ready(self.child):
            raise Violation(f"{words[0]} cannot begin")

    def go(self) -> None:
        """Let it begin."""
        let_go(self.child)

    def has_ended(self) -> bool:
        """Say whether it has ended; then `code` is its exit code, or the signal as a negative."""
        if self.code is None:
            process, status = os.waitpid(self.child.process, os.WNOHANG)
            if process:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something. Gone where the process ends first; Violation after too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if self.has_ended():
                raise Gone
            if time.monotonic() > deadline:
                raise Violation(f"waited in vain until {what}: {self.said()}")
            self.talk.listen(_PAUSE_SECONDS)

    def end(self, number: int = signal.SIGKILL) -> int:
        """Have it end by a signal, if it has not, and let go of its pipes; returns the code."""
        if self._is_closed:
            return -1 if self.code is None else self.code
        if not self.has_ended():
            self.talk.kill(number)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.has_ended():
            if time.monotonic() > deadline:
                self.talk.kill(signal.SIGKILL)
            self.talk.listen(_PAUSE_SECONDS)
        self._is_closed = True
        self.talk.drain()
        for descriptor in (self.child.ready, self.child.go):
            os.close(descriptor)
        return -1 if self.code is None else self.code

    def require_killed(self) -> list[Answer]:
        """Let go of what was killed; returns what it acknowledged. Violation if it was not."""
        if self.end() != -signal.SIGKILL:
            raise Violation(f"the node ended with {self.code}: {self.said()}")
        return self.talk.applied()

    def stop(self) -> list[Answer]:
        """Have it stop well; returns what it acknowledged. Gone where it was killed meanwhile."""
        if self.end(signal.SIGTERM) == -signal.SIGKILL:
            raise Gone
        if self.code:
            raise Violation(f"the node stopped with {self.code}: {self.said()}")
        return self.talk.applied()

    def await_answers(self) -> None:
        """Wait until it has answered every line."""
        talk = self.talk
        self.wait_until(lambda: len(talk.answers) >= talk.sent, "all lines are answered")

    def said(self) -> str:
        """Return the last of what it said to its operator."""
        return (self._folder / SAID).read_text("utf-8", "replace")[-1_000:]


def node_words(folder: Path) -> list[str]:
    """Return the command that runs the node of a run."""
    words = ["node", str(folder / DATA), "--genesis", str(GENESIS_PATH)]
    return [*words, "--block-interval-ms", str(_BLOCK_INTERVAL_MS)]


def told_by(node: Running, folder: Path, request: AnyRequest) -> dict[str, Any]:
    """Have a node do something. Denial; Gone where it died before it answered."""
    found = find_admin(folder / DATA)
    if found is None:
        node.wait_until(lambda: find_admin(folder / DATA) is not None, "it takes commands")
        return told_by(node, folder, request)
    place, token = found
    connection = HTTPConnection("127.0.0.1", place.port, timeout=PATIENCE_SECONDS)
    called = {"jsonrpc": "2.0", "id": 1, "method": method_of(request)}
    body = msgspec.json.encode({**called, "params": msgspec.to_builtins(request)})
    headers = {"Authorization": f"Bearer {token.value:064x}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/", body, headers)
        reply = msgspec.json.decode(connection.getresponse().read())
    except TimeoutError:
        raise Violation(f"no answer to {called['method']}: {node.said()}") from None
    except (OSError, HTTPException):
        node.wait_until(node.has_ended, "it has ended, as it answers nobody")
        raise Gone from None
    finally:
        connection.close()
    if "error" in reply:
        raise Denial(reply["error"]["data"]["code"], reply["error"]["message"])
    result: dict[str, Any] = reply["result"]
    return result
