"""A node that goes back and forth for an operator, killed in one window of that after the other.

Promises
- After each kill the folder is looked at as it lies there: what was under way is finished or was
  never begun. Then the node starts again, finishes it, and the story goes on.
- At the end the chain is verified in full, and what happened on the settlement chain with it.

The windows: a start; blocks that stay; blocks that will go; a halt; plan, apply and undo, again and
again; `resume` beside a node that died as it went back; reopening with new blocks; finality; stop.
"""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from scripts.crashing.checking import Violation
from scripts.crashing.children import ask
from scripts.crashing.commands import Denial, Gone, Running, node_words, told_by
from scripts.crashing.left_behind import look_at_copy, verify_all
from scripts.crashing.nodes import Answer, load
from scripts.crashing.sides import FINALITY_SECONDS, Side
from scripts.crashing.tracing import DATA, Strike, attached
from scripts.crashing.traps import Trap, Traps, set_faults, set_trap, wire_engine
from sequencer.engine.requests import (
    AnyRequest,
    ApplyRequest,
    ModeRequest,
    PlanRequest,
    StatusRequest,
    UndoRequest,
)
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.model.settlement import Post
from sequencer.starknet.felt import format_hash

Hit: TypeAlias = Trap | Strike
"""How a window is struck: from within, or by strace."""

EPOCHS: Mapping[str, tuple[int, ...]] = {
    "start": (0,),
    "stays": (0,),
    "goes": (0,),
    "halt": (0,),
    "plan": (0,),
    "apply": (0, 1),
    "undo": (1, 2),
    "resume": (0, 1),
    "reopen": (1,),
    "final": (1,),
    "stop": (1,),
}
"""Every window, with how many epochs the chain may be ahead where it was killed there."""

ROUNDS = 3
"""How often a story goes back and takes that back."""

PLAYED = (
    *("start", "stays", "goes", "halt"),
    *("plan", "apply", "undo") * ROUNDS,
    *("resume", "reopen", "final", "stop"),
)
"""The windows of a story, one after the other."""

_STILL = ("plan", "apply", "undo", "resume")
_LINES, _LINES_ROUNDS = 6, 3
_TRIES, _PAUSE_SECONDS = 20, 0.25
# A reorg over there brings back an old hold, until the node has released it again.
_UNREACHABLE, _REFUSED = Reason.SETTLEMENT_UNREACHABLE, Reason.SETTLEMENT_REFUSED
_PASSING = {False: (_UNREACHABLE,), True: (_UNREACHABLE, _REFUSED)}
_NOTHING_UNDONE = 2**63
_WHY = "it will be killed"
_PREPARED, _COMMITTED = Trap("rollback begins", 1), Trap("rollback ends", 1)


class Place(msgspec.Struct, frozen=True):
    """Where a chain is: heights and hashes as the operator is told them."""

    height: int
    block: str
    state_root: str


class Story:
    """One chain from its start to its stop, in the folder of a run.

    `tried` says what has hit this window; `faulty`, that the settlement chain had a reorg.
    """

    def __init__(self, folder: Path, side: Side, first: Post, number: int) -> None:
        self._folder, self._side = folder, side
        (folder / DATA).mkdir(parents=True)
        side.begin(folder, folder / DATA, first, number)
        self._node: Running | None = None
        self._nonces: dict[str, int] = {}
        self._acknowledged: list[Answer] = []
        self._number, self._epoch = number, 0
        self._undone_above = _NOTHING_UNDONE
        self._places: dict[int, Place] = {}
        self._plan_id = ""
        self._strike: Strike | None = None
        self._is_traced = False
        self._stack = ExitStack()
        self.tried: list[str] = []
        self.faulty = False

    def play(self, window: str, hits: Sequence[Hit], after: Trap | None = None) -> list[int]:
        """Play a window, killed by one hit after the other, and go on until it is done.

        `after` hits the first start that follows. Returns how many processes each hit has killed
        with what followed from it, up to the first that was not met. Raises Violation.
        """
        self.tried = []
        if window == "resume":
            self._leave_open()
        kills: list[int] = []
        for hit in hits:
            self.tried.append(str(hit))
            kills.append(self._attempt(window, hit))
            if not kills[-1]:
                self._epoch += 2 if window == "undo" else 0
                return kills
            self._require_whole(window)
            if after is not None and window != "resume":
                self.tried.append(f"then {after}")
                kills[-1] += self._attempt("start", after)
                if self._node is None:
                    self._require_whole(window)
                after = None
            if window != "resume" and self._attempt("start", None):
                raise Violation("the node died of itself at its start")
        if self._attempt(window, None):
            raise Violation(f"{window}: the node died of itself")
        self._epoch += 2 if window == "undo" else 0
        return kills

    def trace(self, window: str) -> Path:
        """Play a window with no harm done; returns the trace of what its first process writes."""
        self._is_traced = True
        try:
            self.play(window, ())
        finally:
            self._is_traced = False
        return self._folder / "trace"

    def end(self) -> None:
        """Kill what still runs."""
        if self._node is not None:
            self._node.end()

    def finish(self) -> None:
        """Verify the chain that has stopped, and what happened on the settlement chain."""
        calls = self._side.history()
        standing = self._side.standing() if self._side.is_there else None
        told = (standing, self.faulty, self._side.deposits())
        if words := ask(lambda: verify_all(self._folder, calls, *told), str):
            raise Violation(words)

    def _attempt(self, window: str, hit: Hit | None) -> int:
        """Play a window once; returns how many processes were killed in there: none or one."""
        set_trap(self._folder, hit if isinstance(hit, Trap) else None)
        self._strike = hit if isinstance(hit, Strike) else None
        try:
            with ExitStack() as self._stack:
                if self._node is not None:
                    self._attach(self._node)
                self._do(window)
            # What the window ended with may have been the very thing that hits.
            set_trap(self._folder, None)
            if self._node is not None:
                self._status()
        except Gone:
            self._require_killed()
            return 1
        finally:
            set_trap(self._folder, None)
        return 0

    def _attach(self, node: Running) -> None:
        """Have strace watch, or strike, the process that this window is about."""
        strike, self._strike = self._strike, None
        is_traced, self._is_traced = self._is_traced, False
        if strike is not None or is_traced:
            kinds = () if strike is None else strike.kinds
            process = node.child.process
            self._stack.enter_context(attached(process, self._folder, kinds, strike, lets_go=True))

    def _launch(self, words: Sequence[str]) -> Running:
        def wire() -> None:
            traps = Traps(self._folder)
            wire_engine(traps)
            self._side.wire(traps)

        node = self._node = Running(self._folder, words, wire)
        self._attach(node)
        node.go()
        return node

    def _require_killed(self) -> None:
        node, self._node = self._running, None
        self._acknowledged += node.require_killed()

    def _do(self, window: str) -> None:
        act: dict[str, Callable[[], None]] = {
            "start": self._start,
            "stays": self._make_blocks,
            "goes": self._go_on,
            "halt": self._halt,
            "plan": self._plan,
            "apply": self._apply,
            "undo": self._undo,
            "resume": self._resume,
            "reopen": self._reopen,
            "final": self._make_final,
            "stop": self._stop,
        }
        act[window]()

    def _start(self) -> None:
        if self._node is None:
            self._launch(node_words(self._folder))
        self._await_quiet()

    def _make_blocks(self, shift: int = 0) -> None:
        talk, nonces = self._running.talk, dict(self._nonces)
        before = len(talk.answers)
        for _ in range(_LINES_ROUNDS):
            talk.send(load(nonces, _LINES, shift))
            self._running.await_answers()
        refused = [answer for answer in talk.answers[before:] if answer.status != "applied"]
        if refused:
            raise Violation(f"refused: {refused[0]}")
        self._nonces = nonces
        self._await_quiet()

    def _go_on(self) -> None:
        if 1 not in self._places:
            self._places[1] = self._place()
            self._undone_above = self._places[1].height
            self._kept = dict(self._nonces)
        self._side.send_money()
        self._make_blocks()

    def _halt(self) -> None:
        self._stream()
        if self._status()["mode"] != Mode.HALTED:
            self._command(ModeRequest(Mode.HALTED, _WHY))
        self._running.await_answers()

    def _stream(self) -> None:
        """Have commands come in meanwhile, whatever becomes of them."""
        self._running.talk.send(load(dict(self._nonces), _LINES))

    def _plan(self) -> None:
        self._places.setdefault(0, self._place())
        self._plan_id = self._command(PlanRequest(str(self._places[1].height)))["plan_id"]

    def _apply(self) -> None:
        self._stream()
        if self._status()["epoch"] == self._epoch:
            self._command(ApplyRequest(self._plan_id, _WHY))
        self._await_quiet()
        self._running.await_answers()
        self._require_place()

    def _undo(self) -> None:
        self._stream()
        if self._status()["epoch"] == self._epoch + 1:
            self._command(UndoRequest(self._epoch + 1, _WHY))
        self._await_quiet()
        self._running.await_answers()
        self._require_place()

    def _leave_open(self) -> None:
        """Have the node die while it goes back: before it has, or just after."""
        self._plan()
        trap = _PREPARED if self._number % 2 else _COMMITTED
        self.tried.append(f"left open at {trap}")
        set_trap(self._folder, trap)
        try:
            self._apply()
        except Gone:
            self._require_killed()
        finally:
            set_trap(self._folder, None)

    def _resume(self) -> None:
        """Finish beside the node what it has begun, and go back if it had not."""
        if self._node is None:
            command = self._launch(["reorg", "resume", str(self._folder / DATA), "--json"])
            with suppress(Gone):
                command.wait_until(lambda: False, "resume has ended")
            if command.code == -signal.SIGKILL:
                raise Gone
            if command.end():
                raise Violation(f"resume ended with {command.code}: {command.said()}")
            self._node = None
        self._start()
        self._apply()

    def _reopen(self) -> None:
        if self._status()["halted_by_reorg"] == self._epoch + 1:
            height, self._nonces = self._undone_above, dict(self._kept)
            self._acknowledged = [each for each in self._acknowledged if each.height <= height]
            self._undone_above = _NOTHING_UNDONE
            self._command(ModeRequest(Mode.CANCEL_ONLY, "reviewed"))
        self._make_blocks(shift=1)

    def _make_final(self) -> None:
        if self._side.is_there:
            height = self._side.standing().newest.height
            self._side.pass_time(FINALITY_SECONDS)
            set_faults(self._folder, "")
            self._running.wait_until(
                lambda: self._side.standing().finalized.height >= height,
                f"block {height} is final",
            )

    def _stop(self) -> None:
        self._running.stop()
        self._node = None

    @property
    def _running(self) -> Running:
        if self._node is None:
            raise Violation("no node runs")
        return self._node

    def _command(self, request: AnyRequest) -> dict[str, Any]:
        """Have something done; what the settlement chain may do later is tried for a while."""
        said = ""
        for _ in range(_TRIES):
            try:
                return told_by(self._running, self._folder, request)
            except Denial as denial:
                said = str(denial)
                if denial.code not in _PASSING[self.faulty]:
                    break
                set_faults(self._folder, "")
                time.sleep(_PAUSE_SECONDS)
        raise Violation(f"{request}: {said}")

    def _status(self) -> dict[str, Any]:
        return self._command(StatusRequest())

    def _place(self) -> Place:
        return msgspec.convert(self._status(), Place)

    def _await_quiet(self) -> None:
        """Wait until nothing is open, and the contract stands where the chain is, unheld."""
        set_faults(self._folder, "")
        height = self._status()["height"]
        self._running.wait_until(lambda: self._is_quiet(height), f"block {height} is settled")

    def _is_quiet(self, height: int) -> bool:
        status = self._status()
        if status["open"] or not self._side.is_there:
            return not status["open"]
        standing = self._side.standing()
        return height <= standing.newest.height <= status["height"] and not standing.hold

    def _require_place(self) -> None:
        status, place = self._status(), self._place()
        expected = self._places[status["epoch"] % 2]
        if place != expected:
            raise Violation(f"epoch {status['epoch']}: {place}, and not {expected}")

    def _require_whole(self, window: str) -> None:
        """Look at what a kill has left, and go on from there."""
        found, words = look_at_copy(self._folder, self._acknowledged, self._undone_above)
        if found is None:
            raise Violation(f"after a kill in {window}: {words}")
        head = found.head
        if head.epoch - self._epoch not in EPOCHS[window]:
            raise Violation(f"after a kill in {window}: epoch {head.epoch}")
        if window not in _STILL:
            self._nonces = found.nonces
            return
        place = Place(head.height, format_hash(head.block_hash), format_hash(head.state_root))
        if place != self._places.get(head.epoch % 2, place):
            raise Violation(f"after a kill in {window}: {place}, which was never the head")
