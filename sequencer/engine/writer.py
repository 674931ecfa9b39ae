"""The one writer: it alone executes, opens and closes blocks, and decides when the chain halts.

Promises
- A command is acknowledged only after its block and the witness are on the disk.
- The next block executes while one is sealed and committed, and never more than one.
- After a broken law or a failed write nothing is written again; reads go on at the last head.
- A decision of the operator about the chain itself, a rollback or an undo, waits in the same line:
  the block under way to the disk commits, the open one is dropped, and then the writer ends, for
  everything that it knows is made anew from the store.

Laws
- One task executes and one task seals; both are here, and nobody else changes state or store.
- Between reading the state and changing it nothing waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from sequencer.chain.block import ClosedBlock
from sequencer.chain.calls import require_exact
from sequencer.engine.decisions import Decisions
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.filling import Filling, is_carried
from sequencer.engine.gate import Gate, halt_of
from sequencer.engine.inbox import Inbox
from sequencer.engine.items import Item
from sequencer.engine.latest import Latest
from sequencer.engine.opening import Opened, Opener
from sequencer.engine.producer import Producer
from sequencer.engine.reports import Reports
from sequencer.engine.sealer import Sealer
from sequencer.engine.unmaking import require_unmade
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.engine.views import Views
from sequencer.exchange.state import State
from sequencer.model.commands import Command, Reopen, SetMode
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.laws import LawBroken
from sequencer.model.limits import (
    BATCH_COMMANDS_MAX,
    BLOCK_CHANGES_MAX,
    BLOCK_COMMANDS_MAX,
    BLOCK_INTERVAL_MS,
    HEARTBEAT_MS,
    REASON_CHARACTERS_MAX,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import Clock, DiskSpace, Store, StoreError, Worker

_T = TypeVar("_T")
_GOING_BACK = "the operator decides about the chain"


class Pace(msgspec.Struct, frozen=True):
    """How long a block stays open, and how long an idle chain waits for the next one.

    `on_call`: neither; a block is made when `Writer.call` asks for one, of all that waits then.
    """

    interval_ms: int = BLOCK_INTERVAL_MS
    heartbeat_ms: int = HEARTBEAT_MS
    on_call: bool = False


_PACE, _KEEPING = Pace(), Keeping()


class Parts(msgspec.Struct, frozen=True):
    """What a writer works with. `worker` is the thread that seals and changes the store.

    `latest` follows the head with it, None where nobody reads the state. `deposits` is the inbox of
    the store, None where nobody adds to it.
    """

    store: Store
    producer: Producer
    sealer: Sealer
    worker: Worker
    clock: Clock
    views: Views
    reports: Reports
    gate: Gate
    disk: DiskSpace
    latest: Latest | None = None
    deposits: DepositFacts | None = None


class Writer:
    """Makes blocks of what waits in `queue`, until it is told to stop.

    `decided` says that it ended with a decision: state and store have parted since.
    """

    def __init__(self, parts: Parts, pace: Pace = _PACE, keeping: Keeping = _KEEPING) -> None:
        self.queue: Inbox[Item] = Inbox()
        self._parts = parts
        self._pace = pace
        self._keeping = keeping
        self.deposits = parts.deposits or DepositFacts(lambda: parts.views.view)
        self._opener = Opener(
            parts.producer, parts.gate, lambda: parts.store.view, parts.disk, self.deposits
        )
        self._closed: Inbox[tuple[ClosedBlock, Filling] | None] = Inbox()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._beat = 0.0
        self._listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[], None]] = []
        self._unsealed: list[ClosedBlock] = []
        self._decisions = Decisions()
        self.decided = False

    @property
    def state(self) -> State:
        """The state with the open block."""
        return self._parts.producer.state

    @property
    def made_height(self) -> int:
        """The height of the last block that was closed; it may not be on the disk yet."""
        return self._parts.producer.number - 1

    @property
    def gate(self) -> Gate:
        """Whether commands are taken, and why not."""
        return self._parts.gate

    def pending(self) -> Sequence[ClosedBlock]:
        """Return the blocks above the head: those closed and not durable yet, then the open one.

        The open one may hold nothing yet.
        """
        return (*self._unsealed, self._parts.producer.open_block())

    def listen(self, listener: Callable[[], None]) -> None:
        """Call somebody whenever a block has become durable."""
        self._listeners.append(listener)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody whenever the open block holds more."""
        self._watchers.append(watcher)

    def operate(self, command: Command) -> Item:
        """Queue a command of the operator: a change of mode goes ahead of the next tick.

        Refusals: SHUTTING_DOWN, HALTED once a decision is made; SHORT_STRING_MALFORMED and
        CALLDATA_MALFORMED for what no calldata takes as it is; PARAMETER_INVALID for a reason that
        is too long.
        """
        self._parts.gate.require_making()
        require_exact(command)
        if isinstance(command, SetMode) and len(command.reason) > REASON_CHARACTERS_MAX:
            words = f"a reason has up to {REASON_CHARACTERS_MAX} characters"
            raise Refused(Reason.PARAMETER_INVALID, words)
        item = Item(command, 0)
        if isinstance(command, SetMode | Reopen):
            self._opener.modes.append(item)
            self.queue.wake()
        else:
            self.queue.put(item)
        return item

    async def call(self) -> None:
        """Have one block made of all that waits; returns when it is closed, and the next may be.

        For a pace that is on call.
        """
        await self._decisions.call()

    async def decide(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Have the chain halted, and something done to it while nothing else touches it.

        Refusals and failures are those of the work; SHUTTING_DOWN, and HALTED after a final halt.
        """
        self.queue.wake()
        return await self._decisions.decide(work)

    def stop(self) -> None:
        """Finish the open block, and make no other."""
        self._parts.gate.stop()
        self.queue.wake()
        self._decisions.wake()

    async def run(self) -> None:
        """Make blocks until told to stop; after a final halt only wait for that."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._make_blocks())
            group.create_task(self._seal_blocks())

    async def _make_blocks(self) -> None:
        gate = self._parts.gate
        while not gate.is_stopping() and not self.decided:
            await self._wait_for_work()
            if self._decisions:
                await self._carry_out_next()
            elif not gate.is_stopping():
                await self._make_block_if_open()
                self._decisions.answer_call()
        stopping = (Reason.SHUTTING_DOWN, "the node is stopping")
        ending = (Reason.HALTED, _GOING_BACK) if self.decided else stopping
        self._refuse_waiting(*ending)
        self._decisions.end(*ending)
        await self._is_idle.wait()
        self._closed.put(None)

    async def _make_block_if_open(self) -> None:
        gate = self._parts.gate
        if gate.final() is None:
            await self._make_block()
        if gate.final() is not None:
            self._refuse_waiting(Reason.HALTED, gate.words(self.state))
        elif gate.is_halted(self.state):
            for item in self.queue.take(len(self.queue)):
                item.refuse(Reason.HALTED, gate.words(self.state))

    async def _carry_out_next(self) -> None:
        """Let what is under way to the disk commit, do what was decided, and end."""
        gate = self._parts.gate
        await self._is_idle.wait()
        if gate.final() is not None:
            self._decisions.refuse_next(Refused(Reason.HALTED, gate.words(self.state)))
            return
        # Whatever comes of it, nothing that is sent from now on gets into a block of this writer's.
        gate.retire()
        try:
            await self._decisions.carry_out()
            self.decided = True
        except StoreError as error:
            self._halt(halt_of(error))

    async def _wait_for_work(self) -> None:
        gate, loop = self._parts.gate, asyncio.get_running_loop()
        if self._pace.on_call:
            while not (self._decisions or self._decisions.is_called or gate.is_stopping()):
                await self._decisions.wait()
            return
        while not (self.queue or self._opener.modes or self._decisions or gate.is_stopping()):
            resting = gate.is_halted(self.state)
            left = None if resting else self._beat - loop.time()
            waits = not resting and self.deposits.waits(self.state.deposits)
            if waits or (left is not None and left <= 0):
                return
            await self.queue.wait(left)

    async def _make_block(self) -> None:
        vet = partial(require_unmade, state=self.state, facts=self.deposits)
        filling = Filling(self._parts.producer, vet)
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._beat = started + self._pace.heartbeat_ms / MS_PER_SECOND
        try:
            opened = self._open(filling)
            if opened.stands:
                self._show()
                if not self._parts.gate.is_halted(self.state, filling.ends):
                    await self._fill(filling, started + self._pace.interval_ms / MS_PER_SECOND)
                if self._decisions and opened.halt is None:
                    filling.refuse(Reason.HALTED, _GOING_BACK)
                    self._parts.producer.drop()
                    return
                await self._hand_over(filling)
            if opened.halt is not None:
                await self._is_idle.wait()
                self._halt(opened.halt)
        except LawBroken as broken:
            self._halt(Halt(HaltCause.LAW_BROKEN, str(broken)))
        except StoreError as error:
            self._halt(halt_of(error))
        if self._parts.gate.final() is not None:
            filling.refuse(Reason.HALTED, self._parts.gate.words(self.state))
            self._parts.producer.drop()

    def _open(self, filling: Filling) -> Opened:
        parts = self._parts
        now_ms = max(parts.clock.now_ms(), self.state.system.time_ms + 1)
        opened = self._opener.open(filling, now_ms, parts.reports)
        if opened.tripped:
            self._refuse_waiting(Reason.HALTED_BY_TRIPWIRE, opened.tripped)
        return opened

    async def _fill(self, filling: Filling, deadline: float) -> None:
        gate, loop, began = self._parts.gate, asyncio.get_running_loop(), False
        while not (gate.is_stopping() or self._decisions) and gate.final() is None:
            room, left = BLOCK_COMMANDS_MAX - len(filling), deadline - loop.time()
            is_full = room <= 0 or self._parts.producer.changes >= BLOCK_CHANGES_MAX
            if self._pace.on_call and not self.queue:
                return
            # A tick may take all the time there is: what waits gets its turn all the same.
            served = began or not self.queue
            ends = not self._pace.on_call and left <= 0 and served and self._is_idle.is_set()
            if is_full or ends:
                return
            began = True
            # One transaction of an account may be as much work as a batch of signed messages.
            items = self.queue.take_run(min(room, BATCH_COMMANDS_MAX), is_carried)
            if items:
                self._execute(filling, items)
                self._show()
                await asyncio.sleep(0)
            else:
                await self.queue.wait(left if left > 0 else None)

    def _show(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _execute(self, filling: Filling, items: list[Item]) -> None:
        try:
            filling.execute(items)
        except LawBroken as broken:
            for item in items:
                item.refuse(Reason.HALTED, str(broken))
            raise

    async def _hand_over(self, filling: Filling) -> None:
        parts = self._parts
        if parts.gate.final() is not None:
            return
        closed = parts.producer.close()
        self._unsealed.append(closed)
        await self._is_idle.wait()
        if filling.ends and parts.gate.final() is None:
            await self._end(filling.ends)
        if parts.gate.final() is not None:
            return
        self._is_idle.clear()
        parts.gate.sealing_since = asyncio.get_running_loop().time()
        self._closed.put((closed, filling))

    async def _end(self, halts: Sequence[Halt]) -> None:
        """The operator has seen these halts: forget them, and go on unless another came since."""
        parts = self._parts
        if not parts.store.acknowledged:
            await parts.worker.run(parts.store.acknowledge)
        parts.gate.end(halts)

    async def _seal_blocks(self) -> None:
        parts = self._parts
        while True:
            await self._closed.wait()
            for handed in self._closed.take(1):
                if handed is None:
                    return
                await self._seal(*handed)
                parts.gate.sealing_since = None
                self._is_idle.set()
                self.queue.wake()

    async def _seal(self, closed: ClosedBlock, filling: Filling) -> None:
        parts, extras = self._parts, filling.extras()
        try:
            sealed = await parts.worker.run(lambda: parts.sealer.seal(closed, extras))
            parts.views.advance()
            self._unsealed.pop(0)
            if parts.latest is not None:
                parts.latest.apply(closed.net)
            parts.reports.note_durable(extras.high_water)
            if filling.ends:
                parts.gate.clear_note()
            filling.answer(sealed)
            for listener in self._listeners:
                listener()
            await parts.worker.run(lambda: keep_up(parts.store, closed.time_ms, self._keeping))
        except StoreError as error:
            self._halt(halt_of(error))
            filling.refuse(Reason.OUTCOME_UNKNOWN, "the block may be on the disk or not")
        except Refused as refused:
            # What the store holds under the tries is not what was put there.
            self._halt(Halt(HaltCause.WRITE_FAILED, str(refused)))
            filling.refuse(Reason.HALTED, str(refused))
        except LawBroken as broken:
            self._halt(Halt(HaltCause.LAW_BROKEN, str(broken)))
            filling.refuse(Reason.HALTED, str(broken))

    def _halt(self, halt: Halt) -> None:
        self._parts.gate.halt(halt)
        self.queue.wake()

    def _refuse_waiting(self, reason: Reason, detail: str) -> None:
        """Answer everything that waits, changes of mode too."""
        modes, self._opener.modes = self._opener.modes, []
        for item in (*modes, *self.queue.take(len(self.queue))):
            item.refuse(reason, detail)
