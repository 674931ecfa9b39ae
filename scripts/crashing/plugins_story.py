"""A node with plugins, whose clients trade and whose operator goes back and takes that back.

Promises
- A window is played until it is done, whatever is killed in it: the node, a plugin, both.
- No process of a plugin is left behind by a node, however that ended.
- Where kills came is read from what the recorder has on the disk, not from what was intended.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from devnet.keys import devnet_key
from scripts.crashing.chain import CHAIN_ID, address_of, order_of, reports_at
from scripts.crashing.checking import Violation
from scripts.crashing.children import ask
from scripts.crashing.commands import PATIENCE_SECONDS, Denial, Gone, Running, node_words, told_by
from scripts.crashing.nodes import ROOT, Answer, line_of
from scripts.crashing.plugins_checking import (
    FEED,
    FEED_FILE,
    HISTORY,
    RECORDER,
    repeats_in,
    wrong_with_plugins,
)
from scripts.crashing.plugins_hits import (
    Hit,
    InCall,
    Instant,
    killed_so_far,
    killing,
    require_gone,
    set_call_trap,
    started_so_far,
)
from scripts.crashing.plugins_recorder import APPLY, INIT, REVERT, USE, read_lines
from scripts.crashing.plugins_wiring import wire_plugins
from scripts.crashing.tracing import DATA, Strike, attached
from scripts.crashing.traps import Trap, Traps, set_trap, wire_engine
from sequencer.chain.exchange_contract import SignedOrder
from sequencer.engine.requests import (
    AnyRequest,
    ApplyRequest,
    CheckpointCreateRequest,
    ModeRequest,
    PlanRequest,
    PluginUnparkRequest,
    StatusRequest,
    UndoRequest,
)
from sequencer.model.orders import Instruction, Side
from sequencer.model.plugins import PLUGINS_FOLDER, ParkCause, PluginState
from sequencer.model.rows import Mode
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import order_hash

PLAYED = (
    *("start", "trade", "mark", "trade"),
    *("apply", "undo") * 3,
    *("apply", "trade", "stop", "start", "apply", "undo", "apply", "stop"),
)
"""The windows of a story, one after the other."""

_USES = {
    RECORDER: USE,
    HISTORY: "sequencer.plugins.shipped.history:History",
    FEED: "sequencer.plugins.shipped.feed:Feed",
}
_ABOVE = {Mode.HALTED: Mode.CANCEL_ONLY, Mode.CANCEL_ONLY: Mode.POST_ONLY}
_ABOVE |= {Mode.POST_ONLY: Mode.OPEN}
_MARK, _WHY = "mark", "it will be killed"
_ROUNDS, _TRIES = 6, 20
_PAUSE_SECONDS, _REPORT_SECONDS = 0.02, 0.1
_NS_PER_MS = 1_000_000
_TORN, _TORN_EACH = b'{"type":"block","key":"1', 3
_NOT_LATCHED = "not halted"


class PluginStory:
    """One chain from its start to its stop, in the folder of a run. `counts` says what was met.

    So many calls at most become durable together.
    """

    def __init__(self, folder: Path, calls_together: int) -> None:
        self._folder, self._together = folder, calls_together
        (folder / DATA).mkdir(parents=True)
        self._config = folder / "node.toml"
        sections = (f'[[plugins]]\nname = "{name}"\nuse = "{use}"\n' for name, use in _USES.items())
        self._config.write_text("\n".join(sections), "ascii")
        self._node: Running | None = None
        self._acknowledged: list[Answer] = []
        self._epoch = self._orders = self._height = self._seen_kills = self._killed = 0
        self._hit: Hit | None = None
        self._is_traced = False
        self.counts: Counter[str] = Counter()
        self.tried: list[str] = []

    def play(self, window: str, hits: Sequence[Hit]) -> list[int]:
        """Play a window, struck by one hit after the other, and go on until it is done.

        Returns how many processes each hit has killed, up to the first that the node outlived:
        then the window is done. Raises Violation.
        """
        self.tried = []
        kills: list[int] = []
        is_done = False
        for hit in hits:
            self.tried.append(str(hit))
            is_done = self._attempt(window, hit)
            kills.append(self._killed)
            if is_done:
                break
        if not is_done and not self._attempt(window, None):
            raise Violation(f"{window}: the node died of itself")
        self._epoch += window in ("apply", "undo")
        return kills

    def trace(self, window: str) -> Path:
        """Play a window with no harm done; returns the trace of what the node writes."""
        self._is_traced = True
        try:
            self.play(window, ())
        finally:
            self._is_traced = False
        return self._folder / "trace"

    def finish(self) -> None:
        """Compare the chain, which has stopped, with itself and with what its plugins hold."""
        require_gone(started_so_far(self._folder))
        self.counts["repeats"] += repeats_in(read_lines(self._plugin_folder(RECORDER)))
        if words := ask(lambda: wrong_with_plugins(self._folder, self._acknowledged), str):
            raise Violation(words)

    def end(self) -> None:
        """Kill what still runs."""
        if self._node is not None:
            self._node.end()

    def _attempt(self, window: str, hit: Hit | None) -> bool:
        """Play a window once, count what was killed in there, and say whether the node outlived."""
        self._hit, is_done = hit, True
        set_trap(self._folder, hit if isinstance(hit, Trap) else None)
        set_call_trap(self._folder, hit if isinstance(hit, InCall) else None)
        try:
            with ExitStack() as self._stack:
                if self._node is not None:
                    self._attach(self._node)
                self._do(window)
            # What the window ended with may have been the very thing that hits.
            set_trap(self._folder, None)
            if self._node is not None:
                self._await_told()
        except Gone:
            self._require_killed()
            is_done = False
        finally:
            set_trap(self._folder, None)
            set_call_trap(self._folder, None)
        self._killed = self._count_kills() + (not is_done)
        return is_done

    def _attach(self, node: Running) -> None:
        """Have whoever hits wait for this process."""
        hit, self._hit = self._hit, None
        is_traced, self._is_traced = self._is_traced, False
        if isinstance(hit, Instant):
            self._stack.enter_context(killing(self._folder, node.child.process, hit))
        elif isinstance(hit, Strike) or is_traced:
            strike = hit if isinstance(hit, Strike) else None
            kinds = () if strike is None else strike.kinds
            process = node.child.process
            self._stack.enter_context(attached(process, self._folder, kinds, strike, lets_go=True))

    def _start(self) -> None:
        if self._node is None:
            self.counts["starts"] += 1
            before = started_so_far(self._folder)
            words = [*node_words(self._folder), "--config", str(self._config)]
            node = self._node = Running(self._folder, words, self._wire)
            self._attach(node)
            node.go()
            self._status()
            require_gone(before)
        self._await_told()

    def _wire(self) -> None:
        # What a plugin's process imports is found from here, too.
        os.chdir(ROOT)
        traps = Traps(self._folder)
        wire_engine(traps)
        wire_plugins(traps, self._folder, self._together)

    def _require_killed(self) -> None:
        node, self._node = self._running, None
        self._acknowledged += node.require_killed()
        self.counts["nodes"] += 1
        self._note_place()
        if self.counts["nodes"] % _TORN_EACH == 0:
            self._tear()

    def _tear(self) -> None:
        """Leave in the feed what a line looks like that was cut off: a kill alone hardly does."""
        require_gone(started_so_far(self._folder))
        path = self._plugin_folder(FEED) / FEED_FILE
        if path.exists():
            with path.open("ab") as file:
                file.write(_TORN)
            self.counts["torn lines"] += 1

    def _note_place(self) -> None:
        """Note what the recorder had been told last when the node was killed."""
        lines = read_lines(self._plugin_folder(RECORDER))
        last = next((line for line in reversed(lines) if line.kind != INIT), None)
        if last is not None and last.left > 1:
            self.counts["nodes in a rollback"] += last.kind == REVERT
            self.counts["nodes in an undo"] += last.kind == APPLY

    def _count_kills(self) -> int:
        """Count the processes of plugins that were killed since the last time."""
        killed = killed_so_far(self._folder)[self._seen_kills :]
        self._seen_kills += len(killed)
        self.counts["plugins"] += len(killed)
        for words in killed:
            self.counts["plugins in a rollback"] += words.endswith("revert_block")
            self.counts["plugins in an undo"] += words.endswith("again")
        return len(killed)

    def _do(self, window: str) -> None:
        act: dict[str, Callable[[], None]] = {
            "start": lambda: None,
            "trade": self._trade,
            "mark": self._mark,
            "apply": self._apply,
            "undo": self._undo,
            "stop": self._stop,
        }
        self._start()
        act[window]()

    def _trade(self) -> None:
        self._open()
        for number in range(_ROUNDS):
            self._send_orders(number)
            self._running.await_answers()
        self._await_told()

    def _open(self) -> None:
        """Climb to where orders meet: prices have to be there for some seconds before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (mode := self._mode()) is not Mode.OPEN:
            if time.monotonic() > deadline:
                raise Violation(f"the exchange stays {mode}: {self._running.said()}")
            self._running.talk.send([line_of("report", each) for each in reports_at(_now_ms())])
            self._running.await_answers()
            try:
                self._command(ModeRequest(_ABOVE[mode], _WHY))
            except Denial:
                time.sleep(_REPORT_SECONDS)

    def _mode(self) -> Mode:
        status = self._status()
        return Mode(status["mode"]) if status["halted_by_reorg"] == _NOT_LATCHED else Mode.HALTED

    def _send_orders(self, number: int) -> None:
        """Send two orders that meet, one that rests, and fresh prices."""
        sides = (Side.BUY, Side.SELL) if number % 2 else (Side.SELL, Side.BUY)
        now_ms = _now_ms()
        lines = [line_of("report", each) for each in reports_at(now_ms)]
        for name, side in zip(("alice", "bob"), sides, strict=True):
            lines.append(self._order(name, side, now_ms))
        self._running.talk.send(lines)

    def _order(self, name: str, side: Side, now_ms: int) -> bytes:
        self._orders += 1
        rests = order_of(name, Side.BUY, self._orders, now_ms)
        order = msgspec.structs.replace(rests, side=side, instruction=Instruction.GTC)
        account = address_of(name)
        signature = sign(devnet_key(name), order_hash(order, account, CHAIN_ID))
        return line_of("order", SignedOrder(order, account, 0, *signature))

    def _mark(self) -> None:
        self._command(CheckpointCreateRequest(_MARK, replace=True))
        found = self._status()["checkpoints"]
        if not found:
            raise Violation("the checkpoint is not there")

    def _apply(self) -> None:
        self._send_orders(0)
        for _ in range(_TRIES):
            if self._status()["epoch"] != self._epoch:
                break
            plan = self._command(PlanRequest(_MARK))
            try:
                self._command(ApplyRequest(plan["plan_id"], _WHY))
            except Denial as denial:
                if denial.code != "PLAN_STALE":
                    raise
        self._require_reorged()

    def _undo(self) -> None:
        status = self._status()
        if status["epoch"] == self._epoch:
            self._command(UndoRequest(status["halted_by_reorg"], _WHY))
        self._require_reorged()

    def _require_reorged(self) -> None:
        self._running.wait_until(lambda: not self._status()["open"], "nothing is open")
        self._await_told()
        epoch = self._status()["epoch"]
        if epoch != self._epoch + 1:
            raise Violation(f"epoch {epoch} after {self._epoch}")

    def _stop(self) -> None:
        self._acknowledged += self._running.stop()
        self._node = None

    @property
    def _running(self) -> Running:
        if self._node is None:
            raise Violation("no node runs")
        return self._node

    def _command(self, request: AnyRequest) -> dict[str, Any]:
        return told_by(self._running, self._folder, request)

    def _status(self) -> dict[str, Any]:
        return self._command(StatusRequest())

    def _await_told(self) -> None:
        """Wait until every plugin was told what there is now; one that died twice is unparked."""
        plugins = self._status()["plugins"]
        sequence = max(each["sequence"] + each["lag"] for each in plugins)
        self._running.wait_until(lambda: self._are_told(sequence), f"{sequence} is told")

    def _are_told(self, sequence: int) -> bool:
        time.sleep(_PAUSE_SECONDS)
        plugins = self._status()["plugins"]
        for each in plugins:
            if each["state"] != PluginState.PARKED:
                continue
            words = f"{each['name']} is parked: {each['reason']}"
            killed = [words.split()[0] for words in killed_so_far(self._folder)]
            if not each["reason"].startswith(ParkCause.PLUGIN_DIED) or each["name"] not in killed:
                raise Violation(f"{words}: {self._running.said()}")
            self.counts["unparked"] += 1
            self._command(PluginUnparkRequest(each["name"]))
        return len(plugins) == len(_USES) and all(each["sequence"] >= sequence for each in plugins)

    def _plugin_folder(self, name: str) -> Path:
        return self._folder / DATA / PLUGINS_FOLDER / name


def _now_ms() -> int:
    return time.time_ns() // _NS_PER_MS
