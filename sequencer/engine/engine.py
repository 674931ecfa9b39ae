"""The engine of one recovery: writer and admission over one state, made anew whenever it is.

Promises
- A chain that was gone back on comes up through the very same recovery as after a crash.
- `run` ends when the node is told to stop, or when the operator decided about the chain: then
  whoever runs it recovers again and goes on with another engine.

Laws
- What outlives an engine is in `Outside`; an engine holds nothing that the store does not know.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec

from sequencer.engine.admission import Admission
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.gate import Gate
from sequencer.engine.latest import Latest
from sequencer.engine.producer import Operator, Producer
from sequencer.engine.recovery import Recovered
from sequencer.engine.reports import Reports
from sequencer.engine.sealer import Sealer
from sequencer.engine.throttle import Stopped, Throttle
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.upkeep import Keeping
from sequencer.engine.verification import check_owed_root
from sequencer.engine.views import Views
from sequencer.engine.writer import Pace, Parts, Writer
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import ROOT_CHECK_REST_TIMES
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason
from sequencer.ports import Clock, DiskSpace, HaltNote, Store, Verifier, Worker


class Outside(msgspec.Struct, frozen=True):
    """What an engine works with and does not own.

    `worker` is the thread that seals and changes the store; `verifier` checks signatures in
    another, and `checker` works out a root that is owed. `exit_on_halt` ends the run as soon as
    the chain halts for good. `client_views` are for clients, None where there are none. `deposits`
    is the store's inbox, None where nobody adds to it.
    """

    store: Store
    worker: Worker
    views: Views
    clock: Clock
    note: HaltNote
    disk: DiskSpace
    verifier: tuple[Worker, Verifier]
    checker: Worker
    pace: Pace = Pace()
    keeping: Keeping = Keeping()
    exit_on_halt: bool = False
    client_views: Views | None = None
    deposits: DepositFacts | None = None


class Engine:
    """One recovery's writer and admission. `halts` are added to those that recovery found.

    `root_proven`: the state root was worked out again from the rows, by that recovery or since.
    """

    def __init__(
        self,
        outside: Outside,
        recovered: Recovered,
        operator: Operator,
        halts: Sequence[Halt] = (),
    ) -> None:
        store, state = outside.store, recovered.state
        reports = Reports(lambda: outside.views.view)
        number = recovered.header.number + 1
        self.root_proven = recovered.root_proven
        self._exit_on_halt = outside.exit_on_halt
        self._stopped = asyncio.Event()
        self._outside, self._owed = outside, recovered.owed
        self._throttle = Throttle(ROOT_CHECK_REST_TIMES)
        self.gate = Gate(outside.note, (*recovered.halts, *halts))
        self.gate.owes_root = recovered.owed is not None
        self._latest: Latest | None = None
        if recovered.latest is not None and outside.client_views is not None:
            self._latest = Latest(recovered.latest, outside.client_views)
        parts = Parts(
            store=store,
            producer=Producer(state, number, state.system.chain_id, operator),
            sealer=Sealer(store, TrieCache(lambda: store.view)),
            worker=outside.worker,
            clock=outside.clock,
            views=outside.views,
            reports=reports,
            gate=self.gate,
            disk=outside.disk,
            latest=self._latest,
            deposits=outside.deposits,
        )
        self.writer = Writer(parts, outside.pace, outside.keeping)
        self.admission = Admission(
            self.writer, outside.views, outside.clock, reports, outside.verifier
        )

    @property
    def latest(self) -> Latest:
        """Return the exchange at the head. TypeError where nobody was to read it."""
        if self._latest is None:
            raise TypeError("recovered for nobody who reads")
        return self._latest

    def stop(self) -> None:
        """Finish the open block, and end."""
        self._stopped.set()

    def halt(self, halt: Halt) -> None:
        """Halt the chain: the open block is the last, or for a final halt never closed."""
        self.gate.halt(halt)
        self.writer.queue.wake()

    async def run(self) -> bool:
        """Make blocks until told to stop; says whether the chain has to be recovered again."""
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self.admission.verify_all()),
                group.create_task(self._watch()),
            ]
            if self._owed is not None:
                helpers.append(group.create_task(self._prove_root(self._owed)))
            try:
                await self.writer.run()
            finally:
                self._throttle.stop()
            for task in helpers:
                task.cancel()
        decided = self.writer.decided
        reason = Reason.HALTED if decided else Reason.SHUTTING_DOWN
        self.admission.refuse_all(reason, "the chain was halted" if decided else "the node stops")
        return decided

    async def _prove_root(self, block: BlockRecord) -> None:
        """Work out the root of the head that was gone back to; OPEN waits for it, or for ever."""
        check = partial(check_owed_root, self._outside.store, block, self._throttle)
        with suppress(Stopped):
            halts = await self._outside.checker.run(check)
            for halt in halts:
                self.halt(halt)
            self.root_proven = not halts
            self.gate.owes_root = bool(halts)

    async def _watch(self) -> None:
        """Stop the writer when told to, or at once after a halt that allows no more reads."""
        async with asyncio.TaskGroup() as group:
            told = group.create_task(self._stopped.wait())
            halted = group.create_task(self._halted_for_good())
            await asyncio.wait((told, halted), return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            halted.cancel()
        if not self.gate.is_stopping():
            self.writer.stop()

    async def _halted_for_good(self) -> None:
        await self.gate.halted.wait()
        halt = self.gate.final()
        replaced = halt is not None and halt.cause is HaltCause.WRITER_REPLACED
        if not (self._exit_on_halt or replaced):
            await asyncio.Event().wait()
