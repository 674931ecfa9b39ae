"""A node from start to end: what it says, what it leaves, and with which code it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sequencer.api.lines import LinePipes
from sequencer.chain.stored import decode_body, encode_body
from sequencer.config import NodeConfig
from sequencer.engine import engine
from sequencer.engine.plan import make_plan
from sequencer.engine.recovery import recover, was_planned
from sequencer.engine.rollback import Order, apply_plan
from sequencer.engine.throttle import Stopped
from sequencer.engine.writer import Writer
from sequencer.model.commands import OrderPolicy
from sequencer.model.halts import ExitCode, Halt, HaltCause
from sequencer.model.secret import Secret
from sequencer.serve import serve
from sequencer.storage import keys
from sequencer.storage.encoding import pack
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import HALT_FILE
from tests.strategies import Unchecked
from tests.unit.chain.network import PRIVATE
from tests.unit.engine.builders import genesis_text

pytestmark = pytest.mark.usefixtures("process")

INTERVAL_MS = 5


class Said:
    """What a node says; `stop_at` is the first word at which it is told to stop."""

    def __init__(self, stop_at: str = "block") -> None:
        self.lines: list[str] = []
        self._stop_at = stop_at

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith(self._stop_at):
            os.kill(os.getpid(), signal.SIGTERM)


class Pipes(LinePipes):
    """Pipes into which lines are put beforehand; tells the node to stop after so many answers."""

    def __init__(self, lines: list[dict[str, object]], answers: int) -> None:
        reading, writing = os.pipe()
        super().__init__(reading, -1)
        for line in lines:
            os.write(writing, msgspec.json.encode(line) + b"\n")
        self._open = writing
        self.written: list[dict[str, Any]] = []
        self._answers = answers

    def write(self, line: bytes) -> None:
        self.written.append(msgspec.json.decode(line))
        if len(self.answers()) == self._answers:
            os.kill(os.getpid(), signal.SIGTERM)

    def answers(self) -> dict[int, dict[str, Any]]:
        return {line["line"]: line for line in self.written if "line" in line}

    def close(self) -> None:
        super().close()
        if self._open >= 0:
            os.close(self._open)
            self._open = -1


def config(folder: Path, **changes: Unchecked) -> NodeConfig:
    made = NodeConfig(
        folder / "data", Secret(PRIVATE["op"]), genesis_text(), block_interval_ms=INTERVAL_MS
    )
    return msgspec.structs.replace(made, **changes)


def test_a_node_begins_a_chain_stops_as_planned_and_goes_on(tmp_path: Path) -> None:
    pipes = Pipes([{"operate": {"type": "SetMode", "mode": "HALTED"}}, {"cancel": {}}], 2)
    first = Said(stop_at="never")
    assert serve(config(tmp_path), first, pipes) is ExitCode.STOPPED
    pipes.close()
    answers = pipes.answers()
    assert [answers[number]["status"] for number in (1, 2)] == ["applied", "refused"]
    heights = [line["height"] for line in pipes.written if "effect" in line]
    assert heights == list(range(len(heights)))
    assert first.lines[0].startswith("block 0 ")
    assert first.lines[-1].endswith("exit code 0")
    store = open_folder(tmp_path / "data")
    assert store.head.height == heights[-1] == answers[1]["height"]
    assert was_planned(store.view)
    assert not recover(store, full=True).halts
    store.close()
    # Without a genesis file it is the same chain, and still halted.
    second = Said()
    assert serve(config(tmp_path, genesis=None, verify_root=True), second) is ExitCode.STOPPED
    assert second.lines[0].startswith(f"block {heights[-1]} ")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"genesis": None}, ExitCode.STORE_UNUSABLE, "STORE_ABSENT"),
        ({"operator_key": Secret(PRIVATE["bob"])}, ExitCode.INPUT, "PRIVATE_KEY_OUT_OF_RANGE"),
        ({"operator_key": Secret(0)}, ExitCode.INPUT, "PRIVATE_KEY_OUT_OF_RANGE"),
        ({"genesis": "{}"}, ExitCode.INPUT, "GENESIS_INVALID"),
    ],
)
def test_what_a_node_cannot_start_with_ends_it(
    changes: dict[str, object], code: ExitCode, words: str, tmp_path: Path
) -> None:
    said = Said()
    assert serve(config(tmp_path, **changes), said) is code
    (line,) = said.lines
    assert line.startswith(words)
    assert str(PRIVATE["bob"]) not in line


def test_another_genesis_file_and_a_locked_folder_are_told_apart(tmp_path: Path) -> None:
    assert serve(config(tmp_path), Said()) is ExitCode.STOPPED
    other = Said()
    assert serve(config(tmp_path, genesis=genesis_text(time_ms=5)), other) is ExitCode.INPUT
    assert other.lines[0].startswith("GENESIS_INVALID")
    holding = open_folder(tmp_path / "data")
    locked = Said()
    assert serve(config(tmp_path), locked) is ExitCode.STORE_LOCKED
    assert locked.lines[0].startswith("STORE_LOCKED")
    holding.close()
    assert serve(config(tmp_path), Said()) is ExitCode.STOPPED


@pytest.mark.parametrize("exit_on_halt", [True, False])
def test_after_a_final_halt_the_code_is_that_of_the_halt(
    exit_on_halt: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Writer._make_block

    async def halting(writer: Writer) -> None:
        await make(writer)
        writer._halt(Halt(HaltCause.LAW_BROKEN, "planted"))
        if not exit_on_halt:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Writer, "_make_block", halting)
    said = Said(stop_at="never")
    assert serve(config(tmp_path, exit_on_halt=exit_on_halt), said) is ExitCode.LAW_BROKEN
    assert "HALTED LAW_BROKEN: planted" in said.lines
    assert said.lines[-1].endswith("exit code 14")
    assert (tmp_path / "data" / HALT_FILE).exists()
    monkeypatch.undo()
    # No planned stop: the whole root is checked again, and the note keeps the chain halted.
    store = open_folder(tmp_path / "data")
    assert not was_planned(store.view)
    store.close()
    again = Said()
    assert serve(config(tmp_path), again) is ExitCode.STOPPED
    assert again.lines[1] == "HALTED NOTE: LAW_BROKEN: planted"


def test_a_rollback_on_a_stopped_node_has_open_wait_and_a_stop_before_is_not_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halting: dict[str, object] = {"operate": {"type": "SetMode", "mode": "HALTED"}}
    assert serve(config(tmp_path), Said("never"), Pipes([halting], 1)) is ExitCode.STOPPED
    store = open_folder(tmp_path / "data")
    plan = make_plan(store.view, "0", OrderPolicy.KEEP)
    apply_plan(store, plan, Order("olga", "a drill", 1))
    store.close()

    def never(*_: object) -> Sequence[Halt]:
        raise Stopped

    monkeypatch.setattr(engine, "check_owed_root", never)
    modes = ("CANCEL_ONLY", "POST_ONLY", "OPEN")
    pipes = Pipes([{"operate": {"type": "SetMode", "mode": mode}} for mode in modes], 3)
    assert serve(config(tmp_path), Said("never"), pipes) is ExitCode.STOPPED
    answers = pipes.answers()
    assert answers[1]["status"] == "applied"
    assert (answers[3]["status"], answers[3]["code"]) == ("refused", "ROOT_UNVERIFIED")
    store = open_folder(tmp_path / "data")
    assert store.head.latch is None
    assert not was_planned(store.view)
    store.close()
    # The next start works the root out itself, and owes nothing.
    assert serve(config(tmp_path), Said()) is ExitCode.STOPPED
    store = open_folder(tmp_path / "data")
    assert was_planned(store.view)
    store.close()


def test_a_block_that_differs_halts_a_running_node(tmp_path: Path) -> None:
    halting: dict[str, object] = {"operate": {"type": "SetMode", "mode": "HALTED"}}
    assert serve(config(tmp_path), Said("never"), Pipes([halting], 1)) is ExitCode.STOPPED
    store = open_folder(tmp_path / "data")
    block = store.view.block(1)
    assert block is not None
    key = keys.BODY.key(1, block.sequence)
    body = decode_body(store.view.body(block))
    first = msgspec.structs.replace(body.receipts[0], actual_fee=1)
    changed = msgspec.structs.replace(body, receipts=(first, *body.receipts[1:]))
    store._store.write([(key, pack(key, encode_body(changed)))])
    store.close()
    said = Said("HALTED BLOCK_DIFFERS")
    assert serve(config(tmp_path), said) is ExitCode.STOPPED
    words = "HALTED BLOCK_DIFFERS: block 1: the receipt of transaction 0"
    assert words in said.lines
    assert (tmp_path / "data" / HALT_FILE).exists()


def test_losing_the_folder_to_another_writer_ends_the_node_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Writer._make_block

    async def losing(writer: Writer) -> None:
        await make(writer)
        writer._halt(Halt(HaltCause.WRITER_REPLACED, "planted"))

    monkeypatch.setattr(Writer, "_make_block", losing)
    said = Said(stop_at="never")
    assert serve(config(tmp_path), said) is ExitCode.WRITER_REPLACED
    assert not (tmp_path / "data" / HALT_FILE).exists()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start real processes, and leave none behind."""
    processes: list[subprocess.Popen[bytes]] = []
    (tmp_path / "genesis.json").write_text(genesis_text())
    (tmp_path / "key").write_text(f"{PRIVATE['op']:#x}")

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sequencer", "node", str(tmp_path / "data")]
        command += ["--genesis", str(tmp_path / "genesis.json")]
        command += ["--operator-key", str(tmp_path / "key")]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_real_process_answers_stops_at_sigterm_and_lets_go_of_the_folder(
    started: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    process = started()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"operate":{"type":"SetMode","mode":"CANCEL_ONLY"}}\nx\n')
    process.stdin.flush()
    told = [msgspec.json.decode(process.stdout.readline())]
    while not {1, 2} <= {line.get("line") for line in told}:
        told.append(msgspec.json.decode(process.stdout.readline()))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert b"exit code 0" in err
    assert re.search(rf"\b(0x)?{PRIVATE['op']:x}\b".encode(), err + out) is None
    store = open_folder(tmp_path / "data")
    applied = next(line for line in told if line.get("line") == 1)
    block = store.view.block(applied["height"])
    assert block is not None
    assert int(applied["block"], 16).to_bytes(32, "big") == block.block_hash
    store.close()
