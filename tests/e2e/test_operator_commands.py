"""The operator's commands as they are typed, against a node that runs, is killed, or is stopped."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sequencer.cli.desk import _asked_node
from sequencer.config import ADMIN_FILE, TOKEN_FILE, NodeConfig
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.requests import Denied, StatusRequest
from sequencer.model.halts import ExitCode
from sequencer.model.secret import Secret
from sequencer.serve import serve
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import HALT_FILE
from tests.e2e.commands import refused, run, shown
from tests.e2e.node_process import PATIENCE_SECONDS, Start
from tests.e2e.terminal import typed
from tests.unit.chain.network import PRIVATE
from tests.unit.engine.builders import genesis_text

TOO_HIGH = {"operate": {"type": "SetMode", "mode": "OPEN"}}


def mode(data: Path, name: str, *more: object) -> dict[str, object]:
    return shown("mode", data, name, *more)


def plan_of(data: Path, to: object) -> str:
    return str(shown("reorg", "plan", data, "--to", to)["plan_id"])


def test_a_day_with_a_rollback_on_a_running_node(start: Start, data: Path) -> None:
    node = start()
    mode(data, "cancel-only")
    node.at_height(2)
    status = shown("status", data)
    assert (status["node"], status["mode"], status["halts"]) == ("running", "CANCEL_ONLY", [])
    assert shown("checkpoint", "create", data, "noon", "--at", 1)["height"] == 1
    halted = mode(data, "halted", "--reason", "a strange price", "--decide-by", 5)
    assert "a strange price" in str(shown("status", data)["undecided"])
    assert shown("reorg", "suggest", data, "--since", 0)["bad_height"] == 0
    assert shown("reorg", "suggest", data, "--since", "noon")["since_height"] == 1
    page = run("reorg", "plan", data, "--to", "noon").stdout
    assert "WHAT STAYS\n  block 1 and" in page
    plan_id = page.splitlines()[-1].split()[4]
    shown_again = run("reorg", "show", data, plan_id[:8]).stdout
    assert shown_again.splitlines()[0] == page.splitlines()[0]
    assert shown_again.splitlines()[-1] == page.splitlines()[-1]
    told = shown(
        "reorg", "apply", "--yes", data, plan_id[:8], "--reason", "0x0 was no price", "--by", "olga"
    )
    assert (told["height"], told["epoch"], told["halted_by_reorg"]) == (1, 1, 1)
    rolled = node.wait(lambda told: told.get("kind") == "ROLLBACK")
    assert (rolled["first"], rolled["last"]) == (2, halted["height"])
    undone = run(*str(told["take_back"]).split()[1:], "--yes", "--reason", "wrong block")
    assert undone.exit_code == 0, undone.stderr
    assert shown("reorg", "status", data)["height"] == halted["height"]
    assert shown("reorg", "apply", "--yes", data, plan_of(data, 1), "--reason", "x")["epoch"] == 3
    assert "MODE_ORDER" in refused("mode", data, "post-only")
    assert mode(data, "cancel-only", "--reason", "reviewed")["height"] == 2
    assert mode(data, "post-only")["height"] > 2  # type: ignore[operator]
    ready = refused("mode", data, "open")
    assert "MODE_NOT_READY: BTC-USD-PERP: 0 of 3 prices in a row" in ready
    node.wait(lambda told: told.get("height") == 3 and told.get("epoch") == 3)
    assert node.end() == ExitCode.STOPPED
    assert not (data / ADMIN_FILE).exists()
    assert not (data / TOKEN_FILE).exists()
    assert run("verify", "--full", data).exit_code == 0
    listed = shown("reorg", "list", data)["reorgs"]
    assert isinstance(listed, list)
    assert listed[0].endswith("by olga: 0x0 was no price")


def test_what_a_kill_behind_the_answer_leaves_is_the_rollback(start: Start, data: Path) -> None:
    node = start()
    node.at_height(2)
    mode(data, "halted", "--reason", "x")
    plan_id = plan_of(data, 1)
    assert shown("reorg", "apply", "--yes", data, plan_id, "--reason", "x")["height"] == 1
    node.end(signal.SIGKILL)
    # The killed node's files are still there, and no node answers.
    assert (data / ADMIN_FILE).exists()
    status = shown("status", data)
    assert (status["node"], status["height"], status["undo"]) == ("stopped", 1, "reorg 1")
    node = start()
    assert shown("status", data)["halts"] == ["LATCH: latched by reorg 1"]
    assert "PLAN_APPLIED" in refused("reorg", "apply", "--yes", data, plan_id, "--reason", "x")
    assert mode(data, "cancel-only")["height"] == 2
    assert node.end() == ExitCode.STOPPED


def test_every_line_is_answered_while_the_chain_goes_back(start: Start, data: Path) -> None:
    """Lines stream in through apply: each gets one answer, whichever engine it met."""
    node = start()
    node.at_height(2)
    mode(data, "halted", "--reason", "x")
    plan_id, over = plan_of(data, 1), threading.Event()
    last_line = 1

    def stream() -> None:
        nonlocal last_line
        while not over.is_set() and last_line < 5_000:
            node.send(TOO_HIGH)
            last_line += 1
            node.answered(last_line - 50)

    streaming = threading.Thread(target=stream)
    streaming.start()
    try:
        node.answered(20)
        assert shown("reorg", "apply", "--yes", data, plan_id, "--reason", "x")["height"] == 1
        node.answered(last_line)
    finally:
        over.set()
        streaming.join()
    node.answered(last_line)
    answers = [told for told in node.told if "line" in told]
    assert sorted(told["line"] for told in answers) == list(range(1, last_line + 1))
    assert {told["status"] for told in answers} == {"refused"}
    assert shown("status", data)["height"] == 1


def test_every_no_of_a_running_node_names_what_to_do(start: Start, data: Path) -> None:
    node = start()
    node.at_height(2)
    plan_id = plan_of(data, 1)
    head = max(told.get("height", 0) for told in node.told)
    node.at_height(head + 1)
    stale = refused("reorg", "apply", "--yes", data, plan_id, "--reason", "x")
    assert "PLAN_STALE" in stale
    assert "next: perpchain reorg show" in stale
    renewed = stale.split()[-1]
    assert run("reorg", "show", data, renewed).exit_code == 0
    for arguments, words in (
        (("reorg", "plan", data, "--to", 999), f"TARGET_ABOVE_HEAD.*next: perpchain status {data}"),
        (("reorg", "plan", data, "--to", "latest"), "TARGET_IS_HEAD.*perpchain status"),
        (("reorg", "plan", data, "--to", "x"), "BLOCK_UNKNOWN.*perpchain checkpoint list"),
        (("reorg", "suggest", data, "--since", "0x99"), "BLOCK_UNKNOWN"),
        (
            ("reorg", "undo", "--yes", data, 1, "--reason", "x"),
            "UNDO_IMPOSSIBLE.*perpchain reorg list",
        ),
        (
            ("reorg", "apply", "--yes", data, "f" * 8, "--reason", "x"),
            "PLAN_UNKNOWN.*next: perpchain reorg plan",
        ),
        (("reorg", "apply", "--yes", data, renewed), "REASON_MISSING: say why"),
        (("reorg", "apply", "--yes", data, renewed, "--reason", "\x1b[2J"), r"one line.*\\x1b\[2J"),
        (
            ("reorg", "apply", "--yes", data, renewed, "--reason", "x", "--by", "o" * 101),
            "PARAMETER_INVALID",
        ),
        (("checkpoint", "create", data, "x", "--settled"), "SETTLEMENT_ABSENT"),
        (("mode", data, "post-only"), f"MODE_ORDER.*next: perpchain mode {data} cancel-only\n"),
        (("checkpoint", "create", data, " "), "PARAMETER_INVALID"),
        (("checkpoint", "create", data, "x" * 65), "PARAMETER_INVALID"),
        (("mode", data, "halted"), "REASON_MISSING"),
    ):
        line = refused(*arguments)
        assert _matches(words, line), line
    assert shown("reorg", "apply", "--yes", data, renewed, "--reason", "x")["height"] == 1
    again = refused("reorg", "apply", "--yes", data, renewed, "--reason", "x")
    assert _matches("PLAN_APPLIED.*perpchain reorg list", again)
    assert node.end() == ExitCode.STOPPED


def _matches(words: str, line: str) -> bool:
    return re.search(words, line) is not None


def test_a_node_without_an_admin_server_keeps_its_folder(start: Start, data: Path) -> None:
    node = start("--no-admin")
    assert not (data / ADMIN_FILE).exists()
    for command in (("status", data), ("mode", data, "open"), ("reorg", "list", data)):
        assert "STORE_LOCKED" in refused(*command, code=ExitCode.STORE_LOCKED)
    assert node.end() == ExitCode.STOPPED
    stopped = refused("mode", data, "cancel-only")
    assert _matches(f"NODE_NOT_RUNNING: .*; next: perpchain node {data}", stopped)


def test_whoever_else_listens_there_is_no_node(start: Start, data: Path) -> None:
    """Files of another node's server, put in this folder, lead nowhere."""
    node = start()
    place, token = (data / ADMIN_FILE).read_bytes(), (data / TOKEN_FILE).read_bytes()
    (data / TOKEN_FILE).write_text("1\n")
    assert "STORE_LOCKED" in refused("status", data, code=ExitCode.STORE_LOCKED)
    (data / TOKEN_FILE).write_bytes(token)
    gone = {**json.loads(place), "url": "http://127.0.0.1:1"}
    (data / ADMIN_FILE).write_text(json.dumps(gone))
    assert "STORE_LOCKED" in refused("status", data, code=ExitCode.STORE_LOCKED)
    (data / ADMIN_FILE).write_bytes(place)
    assert shown("status", data)["node"] == "running"
    assert node.end() == ExitCode.STOPPED


def test_a_port_that_is_taken_ends_the_start(start: Start, data: Path) -> None:
    start()
    port = json.loads((data / ADMIN_FILE).read_bytes())["url"].rpartition(":")[2]
    other = data.parent / "other"
    command = [sys.executable, "-m", "sequencer", "node", str(other), "--admin-port", port]
    command += ["--genesis", str(data.parent / "genesis.json")]
    command += ["--operator-key", str(data.parent / "key")]
    done = subprocess.run(
        command,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == ExitCode.INPUT
    assert b"Traceback" not in done.stderr
    assert not (other / ADMIN_FILE).exists()
    store = open_folder(other)
    store.close()


def test_on_a_terminal_the_height_is_typed(start: Start, data: Path) -> None:
    node = start()
    node.at_height(2)
    mode(data, "halted", "--reason", "x")
    plan_id = plan_of(data, 1)
    applied = ("reorg", "apply", data, plan_id, "--reason", "x")
    code, said = typed(b"2\n", *applied)
    assert (code, "nothing was done" in said) == (2, True)
    assert shown("status", data)["epoch"] == 0
    code, said = typed(b"1\n", *applied)
    assert code == 0, said
    code, said = typed(b"1\n", "reorg", "undo", data, 1, "--reason", "x")
    assert (code, "nothing was done" in said) == (2, True)
    returning = shown("reorg", "status", data)["undo_height"]
    code, said = typed(f"{returning}\n".encode(), "reorg", "undo", data, 1, "--reason", "x")
    assert (code, shown("status", data)["epoch"]) == (0, 2), said
    assert node.end() == ExitCode.STOPPED


def test_a_settlement_chain_that_cannot_be_reached(start: Start, data: Path) -> None:
    node = start()
    node.at_height(2)
    node.end()
    (data / "poster.key").write_text("0x77")
    settlement = {"url": "http://127.0.0.1:1", "contract": "0x1", "account": "0x2"}
    (data / "settlement.json").write_text(json.dumps({**settlement, "key_file": "poster.key"}))
    page = run("reorg", "plan", data, "--to", 1)
    assert "zone UNKNOWN: cannot be known" in page.stdout, page.stderr
    plan_id = page.stdout.splitlines()[-1].split()[4]
    line = refused("reorg", "apply", "--yes", data, plan_id, "--reason", "x")
    assert _matches("SETTLEMENT_UNREACHABLE.*next: perpchain status", line)
    status = shown("status", data)
    assert (status["epoch"], status["open"]) == (0, [])
    assert status["halts"] == ["LATCH: halted by an order to go back that undid nothing"]
    (data / "settlement.json").write_text("{}")
    assert "SETTLEMENT_INVALID" in refused("reorg", "plan", data, "--to", 1)


def test_a_node_that_is_stopped_by_a_signal_answers_nobody(
    start: Start, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start()
    for limit in ("ADMIN_QUICK_ANSWER_SECONDS_MAX", "ADMIN_ANSWER_SECONDS_MAX"):
        monkeypatch.setattr(f"sequencer.cli.desk.{limit}", 0.2)
    node.process.send_signal(signal.SIGSTOP)
    try:
        words = f"OUTCOME_UNKNOWN: process {node.process.pid} gave no answer in 0.2 s.*is unknown"
        step = f"next: end that process, then perpchain node {data}"
        assert _matches(f"{words}; {step}\n", refused("status", data))
        line = refused("mode", data, "halted", "--reason", "x")
        assert _matches(f"{words}; next: perpchain status", line)
    finally:
        node.process.send_signal(signal.SIGCONT)
    assert node.end() == ExitCode.STOPPED


@pytest.mark.usefixtures("process")
def test_a_bug_in_a_command_ends_the_node(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Desk) -> Facts:
        raise TypeError("planted")

    monkeypatch.setattr(Desk, "status", broken)
    told: list[Facts | Denied | None] = []
    asking = threading.Thread(
        target=lambda: told.append(_asked_node("status", data, StatusRequest()))
    )

    def say(line: str) -> None:
        if line.startswith("commands at"):
            asking.start()

    config = NodeConfig(data, Secret(PRIVATE["op"]), genesis_text(), admin_port=0)
    assert serve(config, say) is ExitCode.UNEXPECTED
    asking.join(PATIENCE_SECONDS)
    (answer,) = told
    assert isinstance(answer, Denied)
    assert answer.code == "OUTCOME_UNKNOWN"
    assert "planted" not in answer.detail
    assert "TypeError: planted" in (data / HALT_FILE).read_text()
    assert not (data / ADMIN_FILE).exists()
