"""reorg and checkpoint on a played store, as somebody types them, and the node afterwards."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sequencer.api.lines import LinePipes
from sequencer.chain.calls import command_call, write_calls
from sequencer.chain.exchange_contract import SignedOrder, read_event
from sequencer.config import NodeConfig
from sequencer.engine.lookup import find_block, read_block
from sequencer.model.commands import OrderPolicy, Reopen
from sequencer.model.events import Reopened
from sequencer.model.halts import ExitCode
from sequencer.model.secret import Secret
from sequencer.serve import serve
from sequencer.starknet.felt import as_bytes
from sequencer.starknet.transactions import InvokeV3
from sequencer.storage.folder import open_folder
from sequencer.storage.plan_folder import PLANS_FOLDER
from tests.e2e.commands import refused, run, shown
from tests.e2e.played_store import BLOCKS, another_receipt, change
from tests.properties.chain_script import Script
from tests.unit.chain.network import PRIVATE, START_MS, address_of
from tests.unit.storage.builders import rollback

SEED = 5


def plan_of(folder: Path, to: object, *more: object) -> str:
    return str(shown("reorg", "plan", folder, "--to", to, *more)["plan_id"])


APPLY, UNDO = ("reorg", "apply", "--yes"), ("reorg", "undo", "--yes")


def apply(folder: Path, plan_id: str, reason: str = "a drill") -> dict[str, object]:
    return shown(*APPLY, folder, plan_id, "--reason", reason, "--by", "olga")


def test_from_a_suspicion_to_a_sound_chain_and_back(folder: Path) -> None:
    assert shown("reorg", "suggest", folder)["bad_height"] == 0
    assert run("checkpoint", "create", folder, "evening", "--at", 6).exit_code == 0
    change(folder, another_receipt)
    found = shown("reorg", "suggest", folder, "--since", 2)
    assert (found["bad_height"], found["what"]) == (9, "the receipt of transaction 0")
    assert (found["checkpoint"], found["checkpoint_height"]) == ("evening", 6)
    words = str(found["next"]).split()
    assert words[:3] == ["perpchain", "reorg", "plan"]
    page = run(*words[1:])
    assert page.exit_code == 0, page.stderr
    assert "WHAT STAYS\n  block 8 and" in page.stdout
    assert f"\n  blocks 9 to {BLOCKS}; block {BLOCKS}, the head," in page.stdout
    assert run("verify", "--full", folder).exit_code == 1
    # The last line is what to type next; its id may be cut.
    plan_id = page.stdout.splitlines()[-1].split()[4]
    told = apply(folder, plan_id[:8], "the receipt of block 9")
    assert (told["height"], told["epoch"], told["halted_by_reorg"]) == (8, 1, 1)
    assert told["root"] == "worked out again from the rows: equal"
    assert told["open"] == []
    assert run("verify", "--full", folder).exit_code == 0
    (record,) = listed(folder, "reorg", "reorgs")
    assert record.startswith(f"reorg 1 ROLLBACK {BLOCKS} -> 8 at ")
    assert record.endswith("by olga: the receipt of block 9")
    undone = run(*str(told["take_back"]).split()[1:], "--yes", "--reason", "it was the printer")
    assert undone.exit_code == 0, undone.stderr
    status = shown("reorg", "status", folder)
    assert (status["height"], status["epoch"], status["orders"]) == (BLOCKS, 2, "KEEP")
    assert len(listed(folder, "reorg", "reorgs")) == 2


def listed(folder: Path, group: str, name: str) -> list[str]:
    lines = shown(group, "list", folder)[name]
    assert isinstance(lines, list)
    return lines


def test_pages_are_read_by_people(folder: Path) -> None:
    plan_id = plan_of(folder, 10, "--policy", "cancel-all")
    page = run("reorg", "plan", folder, "--to", 10, "--policy", "cancel-all").stdout
    assert page.startswith(f"PLAN {plan_id}\n")
    for words in ("STAYS", "GOES", "0 orders survive (CANCEL_ALL)", "HIT", "zone LOCAL", "NEXT"):
        assert words in page
    assert run("reorg", "list", folder).stdout == "reorgs  none\n"
    assert "not halted" in run("reorg", "status", folder).stdout
    done = run(*APPLY, folder, plan_id, "--reason", "x")
    assert "take_back" in done.stdout
    assert "halted_by_reorg  1" in run("reorg", "status", folder).stdout
    assert "reorg 1 ROLLBACK" in run("reorg", "list", folder).stdout


def test_plans_touch_nothing_of_the_chain(folder: Path) -> None:
    before = shown("verify", folder)
    keys = shown("inspect", "keys", folder)
    ids = {plan_of(folder, 10), plan_of(folder, 10), plan_of(folder, 11)}
    assert {path.stem for path in (folder / PLANS_FOLDER).iterdir()} == ids
    assert len(ids) == 2
    assert shown("verify", folder) == before
    assert shown("inspect", "keys", folder) == keys


@pytest.mark.parametrize(
    ("to", "code"),
    [
        (99, "TARGET_ABOVE_HEAD"),
        (BLOCKS, "TARGET_IS_HEAD"),
        ("latest", "TARGET_IS_HEAD"),
        ("evening", "BLOCK_UNKNOWN"),
        ("0x99", "BLOCK_UNKNOWN"),
        ("\u00b2", "BLOCK_UNKNOWN"),
    ],
)
def test_wrong_targets_are_one_line(folder: Path, to: object, code: str) -> None:
    assert code in refused("reorg", "plan", folder, "--to", to)


def test_wrong_options_are_refused(folder: Path) -> None:
    done = run("reorg", "plan", folder, "--to", 10, "--policy", "all")
    assert (done.exit_code, "cancel-all-but-tpsl" in done.stderr) == (2, True)
    words = refused("reorg", "plan", folder, "--to", 10, "--deselect", 7)
    assert "PARAMETER_INVALID" in words


def test_plans_that_are_not_there_or_were_changed(folder: Path) -> None:
    plan_id = plan_of(folder, 10)
    wrong = ("", plan_id[:7], "f" * 64, plan_id + "0", "../plans", "*" * 8, plan_id.upper())
    for given in wrong:
        words = refused(*APPLY, folder, given, "--reason", "x")
        assert "PLAN_UNKNOWN: 0 plans begin with" in words
    file = folder / PLANS_FOLDER / f"{plan_id}.json"
    sound = file.read_bytes()
    for changed in (sound.replace(b'"0xa"', b'"0xb"', 1), b"{}", b"\xff", b"[" * 9_999, b""):
        assert changed != sound
        file.write_bytes(changed)
        assert "PLAN_UNKNOWN" in refused(*APPLY, folder, plan_id, "--reason", "x")
    file.write_bytes(sound)
    assert "REASON_MISSING" in refused(*APPLY, folder, plan_id)
    assert "REASON_MISSING" in refused(*APPLY, folder, plan_id, "--reason", "x" * 501)
    assert shown("reorg", "status", folder)["epoch"] == 0
    apply(folder, plan_id)
    assert "PLAN_APPLIED" in refused(*APPLY, folder, plan_id, "--reason", "x")


def test_a_plan_that_is_older_than_the_head_halts_and_names_another(folder: Path) -> None:
    stale = plan_of(folder, 10, "--policy", "cancel-all")
    apply(folder, plan_of(folder, 15))
    assert run(*UNDO, folder, 1, "--reason", "wrong block").exit_code == 0
    words = refused(*APPLY, folder, stale, "--reason", "x")
    assert "PLAN_STALE" in words
    assert shown("reorg", "status", folder)["height"] == BLOCKS
    named = words.split()[-1]
    assert (folder / PLANS_FOLDER / f"{named}.json").exists()
    assert plan_of(folder, 10, "--policy", "cancel-all") == named
    assert apply(folder, named)["height"] == 10


def test_what_cannot_be_undone(folder: Path) -> None:
    assert "UNDO_IMPOSSIBLE" in refused(*UNDO, folder, 1, "--reason", "x")
    apply(folder, plan_of(folder, 10))
    apply(folder, plan_of(folder, 5))
    assert "UNDO_IMPOSSIBLE" in refused(*UNDO, folder, 1, "--reason", "x")
    assert "REASON_MISSING" in refused(*UNDO, folder, 2)
    for reorg_id, height in ((2, 10), (1, BLOCKS)):
        assert shown(*UNDO, folder, reorg_id, "--reason", "x")["height"] == height


def test_what_was_interrupted_is_resumed(folder: Path) -> None:
    store = open_folder(folder)
    store.prepare(rollback(store, 10))
    store.close()
    assert "PREPARED to block 10" in str(shown("reorg", "status", folder)["open"])
    assert "ROLLBACK_OPEN" in refused("reorg", "plan", folder, "--to", 10)
    resumed = shown("reorg", "resume", folder)
    assert (resumed["open"], resumed["height"]) == ([], BLOCKS)
    assert "nothing was undone" in str(resumed["halted_by_reorg"])
    assert apply(folder, plan_of(folder, 10))["height"] == 10


def test_checkpoints_are_made_listed_and_let_go(folder: Path) -> None:
    assert "planned stop" in listed(folder, "checkpoint", "checkpoints")[-1]
    for label, at in (("noon", 12), ("evening", "latest"), ("noon", 14)):
        assert run("checkpoint", "create", folder, label, "--at", at, "--by", "olga").exit_code == 0
    assert "BLOCK_UNKNOWN" in refused("checkpoint", "create", folder, "x", "--at", 99)
    assert run("checkpoint", "create", folder, "x" * 999, "--at", 13).exit_code == 2
    assert plan_of(folder, "noon") == plan_of(folder, 14)
    apply(folder, plan_of(folder, 13))
    lines = [line for line in listed(folder, "checkpoint", "checkpoints") if line[:4] != "auto"]
    assert [line.split(", ")[0].split()[-1] for line in lines] == ["live", "1", "1"]
    assert lines[1].startswith("noon block 14 0x")
    assert lines[1].endswith("undone by reorg 1, by olga")
    assert "TARGET_ORPHANED" in refused(
        "checkpoint", "create", folder, "x", "--at", lines[1].split()[3]
    )
    assert shown("checkpoint", "drop", folder, "noon") == {"dropped": 2}
    assert shown("checkpoint", "drop", folder, "noon") == {"dropped": 0}


@pytest.mark.parametrize(
    "command",
    [
        ("reorg", "suggest"),
        ("reorg", "plan", "--to", "1"),
        (*APPLY, "--reason", "x", "--", "f" * 64),
        (*UNDO, "--reason", "x", "--", "1"),
        ("reorg", "status"),
        ("reorg", "resume"),
        ("reorg", "list"),
        ("checkpoint", "create", "--", "x"),
        ("checkpoint", "list"),
        ("checkpoint", "drop", "--", "x"),
    ],
)
def test_stores_that_cannot_be_used(tmp_path: Path, folder: Path, command: tuple[str, ...]) -> None:
    group, name, *rest = command
    first, last = (rest[:-2], rest[-1:]) if "--" in rest else (rest, [])
    assert run(group, name, *first, tmp_path / "absent", *last).exit_code == 10
    store = open_folder(folder)
    done = run(group, name, *first, folder, *last)
    store.close()
    assert (done.exit_code, done.stderr.count("\n")) == (11, 1)


class NearClock:
    """A clock by which the played chain has just stopped."""

    def now_ms(self) -> int:
        return START_MS + (BLOCKS + 2) * 1_000


class Conversation(LinePipes):
    """Each line is sent when the one before has its answer; then the node is stopped."""

    def __init__(self, *lines: dict[str, Any]) -> None:
        reading, self._open = os.pipe()
        super().__init__(reading, -1)
        self._lines = list(lines)
        self.answers: list[dict[str, Any]] = []
        self.announced: list[dict[str, Any]] = []
        self._send()

    def _send(self) -> None:
        if self._lines:
            os.write(self._open, json.dumps(self._lines.pop(0)).encode() + b"\n")
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def write(self, line: bytes) -> None:
        told = msgspec.json.decode(line)
        if "line" in told:
            self.answers.append(told)
            self._send()
        else:
            self.announced.append(told)

    def close(self) -> None:
        super().close()
        if self._open >= 0:
            os.close(self._open)
            self._open = -1


@pytest.fixture
def _near_clock(process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequencer.engine.clock.SystemClock.now_ms", NearClock.now_ms)


def undone_order(folder: Path, target: int) -> SignedOrder:
    """Return an order that the script placed above a block, and that was taken."""

    async def placed() -> list[tuple[SignedOrder, int]]:
        script, found = Script(SEED), []
        for height in range(1, BLOCKS + 1):
            list(script.reports())
            items = script.items()
            if height > target:
                found += [(i.payload, i.hash) for i in items if isinstance(i.payload, SignedOrder)]
        return found

    store = open_folder(folder)
    taken = [order for order, hash_ in asyncio.run(placed()) if store.view.seen(as_bytes(hash_))]
    store.close()
    return taken[-1]


def operate(kind: str, **fields: object) -> dict[str, Any]:
    return {"operate": {"type": kind, **fields}}


def started(
    folder: Path, *lines: dict[str, Any], key: str = "op", code: ExitCode = ExitCode.STOPPED
) -> tuple[Conversation, list[str]]:
    pipes, said = Conversation(*lines), list[str]()
    config = NodeConfig(folder, Secret(PRIVATE[key]), block_interval_ms=5)
    assert serve(config, said.append, pipes) is code
    pipes.close()
    return pipes, said


@pytest.mark.usefixtures("_near_clock")
def test_a_node_comes_up_halted_and_goes_on_with_a_recorded_reopening(folder: Path) -> None:
    target = BLOCKS - 6
    order = {"order": msgspec.to_builtins(undone_order(folder, target))}
    apply(folder, plan_of(folder, target, "--policy", "cancel-all"), "0x0 was no price")
    pipes, said = started(
        folder,
        order,
        operate("SetMode", mode="POST_ONLY"),
        operate("SetMode", mode="CANCEL_ONLY", reason="reviewed"),
        order,
    )
    assert said[0].startswith(f"block {target} ")
    assert said[0].endswith("epoch 1")
    assert said[1] == "HALTED LATCH: latched by reorg 1"
    first, second, third, fourth = pipes.answers
    assert (first["status"], first["code"]) == ("refused", "HALTED")
    assert (second["code"], second["status"]) == ("MODE_ORDER", "refused")
    assert (third["status"], third["height"], third["epoch"]) == ("applied", target + 1, 1)
    assert fourth["code"] == "ORPHANED_COMMAND"
    assert "reorg 1" in fourth["detail"]
    require_told(pipes, target)
    require_reopened(folder, target + 1)
    assert run("verify", "--full", folder).exit_code == 0
    assert "UNDO_IMPOSSIBLE" in refused(*UNDO, folder, 1, "--reason", "x")
    # The next start is an ordinary one.
    _, again = started(folder, operate("SetMode", mode="CANCEL_ONLY"))
    assert not [line for line in again if line.startswith("HALTED")]


def require_told(pipes: Conversation, target: int) -> None:
    (rolled,) = [line for line in pipes.announced if line["kind"] == "ROLLBACK"]
    assert (rolled["first"], rolled["last"], rolled["epoch"]) == (target + 1, BLOCKS, 1)
    assert rolled["reason"] == "0x0 was no price"
    effects = [line["effect"] for line in pipes.announced]
    assert effects == sorted(effects)
    after = pipes.announced[pipes.announced.index(rolled) + 1]
    assert (after["kind"], after["height"], after["epoch"]) == ("BLOCK", target + 1, 1)


def require_reopened(folder: Path, height: int) -> None:
    store = open_folder(folder)
    block = read_block(store.view, find_block(store.view, str(height)))
    first = block.transactions[0]
    assert isinstance(first, InvokeV3)
    command = Reopen(1, OrderPolicy.CANCEL_ALL, ())
    assert tuple(first.calldata) == write_calls((command_call(command),))
    assert Reopened(1) in [read_event(event) for event in block.receipts[0].events]
    assert store.head.latch is None
    store.close()


@pytest.mark.usefixtures("_near_clock")
def test_a_node_that_only_looked_leaves_the_undo_possible(folder: Path) -> None:
    apply(folder, plan_of(folder, 20))
    pipes, said = started(folder, operate("SetMode", mode="OPEN"))
    assert "HALTED LATCH: latched by reorg 1" in said
    assert [line["kind"] for line in pipes.announced][-1] == "ROLLBACK"
    assert shown("reorg", "status", folder)["open"] == []
    assert shown(*UNDO, folder, 1, "--reason", "x")["height"] == BLOCKS
    pipes, said = started(folder, operate("SetMode", mode="CANCEL_ONLY"))
    assert "HALTED LATCH: latched by reorg 2" in said
    assert pipes.answers[0]["height"] == BLOCKS + 1
    assert [line["kind"] for line in pipes.announced] == ["UNDO", "BLOCK"]
    assert run("verify", "--full", folder).exit_code == 0


@pytest.mark.usefixtures("_near_clock")
def test_a_chain_that_was_handed_over_is_handed_over_again(folder: Path) -> None:
    reviewed = operate("SetMode", mode="CANCEL_ONLY")
    pipes = started(folder, operate("SetOperator", operator=hex(address_of("bob"))))[0]
    (answer,) = pipes.answers
    page = run("reorg", "plan", folder, "--to", answer["height"] - 1).stdout
    assert "\n  0: SetOperator to account" in page
    apply(folder, plan_of(folder, answer["height"] - 1))
    # The state that was gone back to has the old operator, and so has the start.
    pipes, said = started(folder, reviewed, code=ExitCode.TICK_REFUSED)
    assert pipes.answers[0]["status"] == "applied"
    assert [line for line in said if line.startswith("HALTED TICK_REFUSED")]
    pipes, _ = started(folder, reviewed, reviewed, key="bob")
    assert [each["status"] for each in pipes.answers] == ["applied", "applied"]
    assert run("verify", "--full", folder).exit_code == 0
