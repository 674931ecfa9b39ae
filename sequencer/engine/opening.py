"""How a block opens: changes of mode, then the tick, or the halt that it causes, then deposits.

Laws
- A tick that trips the tripwire is never part of a block: the open block is dropped, and one is
  made that holds only the halt with the counts.
- After a rollback the first change of mode becomes the recorded `Reopen`, ahead of the tick; one
  that is sent as such is the plan's to the letter. Where it hands the chain over again, its block
  has no tick: this node's key signs none any more.
- After a rollback OPEN waits until the root of the block gone back to is worked out again.
- There is no OPEN while a live block holds a deposit that the settlement chain has lost.
- Deposits go through no admission. One that is well-formed cannot be refused: that is a broken law.
- A block whose changes of mode leave the chain halted as it was is no block.
"""

from collections.abc import Callable

import msgspec

from sequencer.chain.calls import command_call
from sequencer.engine.deposit_facts import DepositFacts, unmade_halt
from sequencer.engine.filling import Filling
from sequencer.engine.gate import Gate
from sequencer.engine.items import Item
from sequencer.engine.producer import Producer
from sequencer.engine.reports import Reports
from sequencer.engine.rollback import reopening
from sequencer.model.commands import Reopen, SetMode
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import DISK_FREE_BYTES_HALT, DISK_FREE_BYTES_MIN
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode, ModeCause
from sequencer.ports import ChainView, DiskSpace

_WAY_BACK = "after a rollback CANCEL_ONLY comes first: it carries out what the plan said"


class Opened(msgspec.Struct, frozen=True):
    """What came of it: whether there is a block, the tripwire's words or "", and a final halt.

    With a block the halt comes after it, without one at once.
    """

    stands: bool
    tripped: str = ""
    halt: Halt | None = None


class Opener:
    """Opens blocks. `modes` are the changes of mode that wait.

    `view` returns the store at its head, which knows whether it was rolled back.
    """

    def __init__(
        self,
        producer: Producer,
        gate: Gate,
        view: Callable[[], ChainView],
        disk: DiskSpace,
        deposits: DepositFacts,
    ) -> None:
        self.modes: list[Item] = []
        self._deposits = deposits
        self._producer = producer
        self._gate = gate
        self._view = view
        self._disk = disk
        # The store says so only once that block is durable; the next one opens before.
        self._reopened = False

    def open(self, filling: Filling, now_ms: int, reports: Reports) -> Opened:
        """Open a block at a time."""
        opened = self._open(filling, now_ms, reports)
        self._reopened |= opened.stands and filling.reopens
        return opened

    def _open(self, filling: Filling, now_ms: int, reports: Reports) -> Opened:
        operator = self._producer.state.system.operator
        changed = self._change_modes(filling)
        above = self._producer.state.system.mode is not Mode.HALTED
        filling.ends = tuple(self._gate.halts) if changed and above else ()
        # What halts the chain already, halts it: nothing may be written over a latch.
        halted = self._gate.is_halted(self._producer.state, filling.ends)
        low = None if halted else self._watch_disk()
        if self._gate.is_halted(self._producer.state, filling.ends):
            # A halt of the node stands until it is ended: nothing is written beneath it.
            if low is not None or (changed and not self._gate.halts):
                return Opened(True, halt=low)
            self._producer.drop()
            _refuse_each(filling, self._gate.words(self._producer.state))
            return Opened(False)
        if self._producer.state.system.operator != operator:
            words = "the operator is another account since the chain was reopened"
            return Opened(True, halt=Halt(HaltCause.TICK_REFUSED, words))
        taken = reports.take()
        receipt = self._producer.tick(now_ms, taken.reports, taken.verified)
        if receipt.revert_reason is None:
            filling.high_water += taken.high_water
            self._take_deposits(filling)
            return Opened(True)
        self._producer.drop()
        return self._refused(filling, receipt.revert_reason)

    def _change_modes(self, filling: Filling) -> bool:
        """Execute the changes of mode that wait; says whether one of them took effect."""
        changed = False
        while self.modes:
            # It waits until it is done with: a law that it breaks must not leave it unanswered.
            item = self.modes[0]
            view = self._view()
            reopened = self._reopened or filling.reopens
            latched = view.head.latch is not None and not reopened
            if not latched and isinstance(item.payload, Reopen):
                item.refuse(Reason.MODE_ORDER, "nothing was rolled back")
            elif not latched and self._gate.owes_root and _opens(item):
                words = "the root of the block gone back to is being worked out: ask again"
                item.refuse(Reason.ROOT_UNVERIFIED, words)
            elif not latched and _opens(item) and (unmade := self._unmade()):
                item.refuse(Reason.DEPOSIT_UNMADE, unmade)
            elif not latched:
                changed |= filling.operate(item)
            elif _as_reopening(item, view):
                filling.reopens = filling.operate(item)
                changed |= filling.reopens
            else:
                item.refuse(Reason.MODE_ORDER, _WAY_BACK)
            self.modes.pop(0)
        return changed

    def _take_deposits(self, filling: Filling) -> None:
        """Credit what waits; while a credited deposit is lost nothing does, and nothing opens."""
        state = self._producer.state
        filling.credit(self._deposits.due(state.deposits))
        # A chain that reopens by itself has just done so.
        if state.system.mode is Mode.OPEN and self._deposits.unmade(state.deposits):
            self._producer.operate(SetMode(Mode.CANCEL_ONLY, "a credited deposit is lost"))

    def _unmade(self) -> str:
        """Say which credited deposits the settlement chain has lost, "" for none."""
        deposits = self._producer.state.deposits
        unmade = self._deposits.unmade(deposits)
        return unmade_halt(unmade, deposits, self._view()).detail if unmade else ""

    def _watch_disk(self) -> Halt | None:
        """Lower the mode while there is still room to record it; the last step is a halt."""
        free, mode = self._disk.free_bytes(), self._producer.state.system.mode
        words = f"{free} bytes are free on the disk"
        if free < DISK_FREE_BYTES_HALT and mode is not Mode.HALTED:
            self._producer.operate(SetMode(Mode.HALTED, words))
            return Halt(HaltCause.DISK_LOW, words)
        if free < DISK_FREE_BYTES_MIN and mode in (Mode.POST_ONLY, Mode.OPEN):
            self._producer.operate(SetMode(Mode.CANCEL_ONLY, words))
        return None

    def _refused(self, filling: Filling, reason: str) -> Opened:
        code, _, detail = reason.partition(": ")
        if code != Reason.HALTED_BY_TRIPWIRE:
            filling.refuse(Reason.HALTED, reason)
            return Opened(False, halt=Halt(HaltCause.TICK_REFUSED, reason))
        filling.refuse(Reason.HALTED_BY_TRIPWIRE, detail)
        filling.outcomes.clear()
        if filling.reopens:
            # The way back was dropped with the rest: only another one may end the latch.
            return Opened(False, tripped=detail)
        self._producer.operate(SetMode(Mode.HALTED, detail, cause=ModeCause.TRIPWIRE))
        return Opened(True, tripped=detail)


def _opens(item: Item) -> bool:
    return isinstance(item.payload, SetMode) and item.payload.mode is Mode.OPEN


def _as_reopening(item: Item, view: ChainView) -> bool:
    """Make of a change of mode what a latched chain needs first; False where it cannot be that."""
    command, needed = item.payload, reopening(view)
    if isinstance(command, Reopen):
        return needed is not None and command_call(command) == command_call(needed)
    if not isinstance(command, SetMode) or command.mode is not Mode.CANCEL_ONLY:
        return False
    item.payload = command if needed is None else needed
    return True


def _refuse_each(filling: Filling, halted: str) -> None:
    """Answer everybody with their own refusal, or with what halts the chain already."""
    for outcome in filling.outcomes:
        reverted = (outcome.receipt.revert_reason or "").partition(": ")[2]
        reason, words = (outcome.refusal, reverted) if outcome.refusal else (Reason.HALTED, halted)
        outcome.item.refuse(Reason(reason), words)
    filling.outcomes.clear()
