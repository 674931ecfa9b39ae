"""Nodes to talk to over their two pipes: forked with everything imported, or real processes.

Promises
- What a node has answered before it died is read to the end: it counts as acknowledged.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devnet.keys import devnet_key
from scripts.crashing.chain import (
    CHAIN_ID,
    GENESIS_PATH,
    TRADERS,
    address_of,
    config_of,
    signed_invoke,
)
from scripts.crashing.checking import Violation
from scripts.crashing.children import Child, Wait, end_of, fork_child
from scripts.crashing.tracing import ANSWERS, DATA
from sequencer.api.lines import LinePipes
from sequencer.config import KEY_VARIABLE
from sequencer.model.commands import AddSubkey
from sequencer.model.records import NO_HASH
from sequencer.node import open_chain
from sequencer.serve import serve

ROOT = GENESIS_PATH.parents[1]
SAID = "said"
"""The file, in the folder of a run, of what a node says to its operator."""

SUBKEYS = 8
"""How many keys the load gives to an account, over and over."""

_PROGRAM = "from sequencer.__main__ import main; main()"
_PATIENCE_SECONDS = 30.0
_CHUNK_BYTES = 65_536
_JSON_INTEGER_MAX = 2**53


class Answer(NamedTuple):
    """What a node answered to one of its lines; "" and -1 where there is no such word."""

    line: int
    status: str
    code: str
    height: int
    block: str
    transaction: str


class Talk:
    """A conversation with a node: lines that were sent, answers that came."""

    def __init__(self, process: int, writing: int, reading: int) -> None:
        self.process = process
        self.sent = 0
        self.answers: list[Answer] = []
        self.announced: list[int] = []
        self._writing = writing
        self._reading = reading
        self._rest = b""
        self._is_closed = False

    def send(self, lines: Sequence[bytes]) -> None:
        """Send lines; those that a dead node does not take are lost."""
        try:
            os.write(self._writing, b"".join(lines))
        except BrokenPipeError:
            return
        self.sent += len(lines)

    def listen(self, seconds: float = 0.0) -> bool:
        """Read what comes within a time, at once if there is something; False at the end."""
        if not select.select([self._reading], [], [], seconds)[0]:
            return True
        chunk = os.read(self._reading, _CHUNK_BYTES)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._note(msgspec.json.decode(line))
        return bool(chunk)

    def until(self, done: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> bool:
        """Read until something holds; False where it never does."""
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            if not self.listen(max(0.0, deadline - time.monotonic())):
                break
        return done()

    def drain(self) -> None:
        """Read to the end, and close both pipes."""
        if self._is_closed:
            return
        while self.listen(_PATIENCE_SECONDS):
            continue
        self._is_closed = True
        os.close(self._writing)
        os.close(self._reading)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.process, number)

    def applied(self) -> list[Answer]:
        """List what was acknowledged."""
        return [answer for answer in self.answers if answer.status == "applied"]

    def _note(self, said: dict[str, Any]) -> None:
        if "line" not in said:
            self.announced.append(said.get("height", -1))
            return
        words = (said.get(name, "") for name in ("block", "transaction"))
        status, code = said["status"], said.get("code", "")
        self.answers.append(Answer(said["line"], status, code, said.get("height", -1), *words))


def fork_node(folder: Path, arm: Callable[[], None], block_interval_ms: int) -> tuple[Child, Talk]:
    """Fork a node on the folder of a run. `arm` is called in it first."""
    reading, answering = os.pipe()
    hearing, writing = os.pipe()

    config = config_of(folder / DATA)
    config = msgspec.structs.replace(config, block_interval_ms=block_interval_ms)

    def run(_: Wait) -> int:
        os.close(reading)
        os.close(writing)
        arm()
        with (folder / SAID).open("w", buffering=1) as said:
            pipes = LinePipes(hearing, answering)
            return int(serve(config, lambda text: print(text, file=said), pipes))

    child = fork_child(run)
    os.close(hearing)
    os.close(answering)
    return child, Talk(child.process, writing, reading)


def start_node(
    folder: Path, *words: str, said: str = SAID, answers: str = ANSWERS, program: str = _PROGRAM
) -> tuple["subprocess.Popen[bytes]", Talk]:
    """Start `perpchain node` as a process of its own on the folder of a run.

    `program` is the code that runs it. What it says to its operator goes to the file `said`, and
    its answers through the pipe `answers`.
    """
    command = [sys.executable, "-c", program, "node", str(folder / DATA)]
    command += ["--genesis", str(GENESIS_PATH), *words]
    reading, answering = _pipe_with_name(folder / answers)
    hearing, writing = os.pipe()
    try:
        with (folder / said).open("wb") as saying:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, KEY_VARIABLE: hex(devnet_key("operator"))},
                stdin=hearing,
                stdout=answering,
                stderr=saying,
            )
    finally:
        os.close(hearing)
        os.close(answering)
    return process, Talk(process.pid, writing, reading)


@contextmanager
def running_node(
    folder: Path, *words: str, program: str = _PROGRAM
) -> Iterator[tuple["subprocess.Popen[bytes]", Talk]]:
    """Lend a node that has made a block. It is killed at the end if it is still there."""
    process, talk = start_node(folder, *words, program=program)
    with process:
        try:
            if not talk.until(lambda: bool(talk.announced)):
                raise Violation(f"it does not begin: {(folder / SAID).read_text()}")
            yield process, talk
        finally:
            process.kill()
            talk.drain()


def _pipe_with_name(path: Path) -> tuple[int, int]:
    """Make a pipe that a trace shows by its name; returns its ends for reading and writing."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY)
    os.set_blocking(reading, True)
    return reading, writing


def load(nonces: dict[str, int], count: int, shift: int = 0) -> list[bytes]:
    """Return lines that are applied in every mode but HALTED; `nonces` move on.

    With another `shift` the same nonces make other transactions.
    """
    lines = []
    for number in range(count):
        name = TRADERS[number % len(TRADERS)]
        nonce = nonces.get(name, 0)
        nonces[name] = nonce + 1
        command = AddSubkey(address_of(name), 1 + (nonce + shift) % SUBKEYS)
        lines.append(line_of("transaction", signed_invoke(name, command, nonce, CHAIN_ID)))
    return lines


def line_of(kind: str, value: object) -> bytes:
    """Write a line as a node reads it."""
    return msgspec.json.encode({kind: _wire(msgspec.to_builtins(value))}) + b"\n"


def _wire(value: object) -> object:
    match value:
        case dict():
            return {name: _wire(each) for name, each in value.items()}
        case list() | tuple():
            return [_wire(each) for each in value]
        case int() if value > _JSON_INTEGER_MAX:
            return hex(value)
    return value


def check_node(folder: Path, applied: list[Answer]) -> tuple[int, dict[str, int]]:
    """Open a node's chain again and look up all that it acknowledged.

    Returns the height and everybody's nonces. Raises Violation.
    """
    store, recovered = open_chain(config_of(folder / DATA))
    try:
        if recovered.halts:
            raise Violation(f"it comes up halted: {recovered.halts}")
        for answer in applied:
            block, place = store.view.block(answer.height), None
            place = store.view.transaction(int(answer.transaction, 16).to_bytes(32, "big"))
            found = NO_HASH if block is None else block.block_hash
            if int.from_bytes(found) != int(answer.block, 16):
                raise Violation(f"{answer} is not in the chain")
            if place is None or place.height != answer.height:
                raise Violation(f"{answer}: its transaction is not in that block")
        contracts = recovered.state.contracts
        return store.head.height, {name: contracts[address_of(name)].nonce for name in TRADERS}
    finally:
        store.close()


def ended(child: Child, talk: Talk) -> int:
    """Read all that a forked node has said, and return its exit code."""
    talk.drain()
    return end_of(child)
