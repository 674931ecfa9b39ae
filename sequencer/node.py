"""A node: the only place where parts are put together, started and ended.

Promises
- There is no other start than recovery, and it is the same after a crash and after a planned stop.
- A planned stop finishes the open block and leaves a mark that it was planned.
- A chain that was gone back on comes up through that same recovery, in the same process.
- Blocks are executed again in the background, and a difference halts the chain.
- What the settlement contract takes for the chain is collected beside it, and credited by it.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial

import msgspec

from sequencer.api.json_rpc import Methods
from sequencer.config import NodeConfig
from sequencer.engine.clock import SystemClock
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.deposits import Collecting, Collector
from sequencer.engine.engine import Engine, Outside
from sequencer.engine.gate import halt_of
from sequencer.engine.outbox import EffectReader, Outbox, park_absent
from sequencer.engine.recovery import (
    Recovered,
    begin_chain,
    mark_planned_stop,
    recover,
    require_genesis,
)
from sequencer.engine.rollback import resume
from sequencer.engine.service import Follower, Service
from sequencer.engine.settler import SettlePace, Settler, Surroundings
from sequencer.engine.settler_status import SettlerStatus
from sequencer.engine.settling import SETTLER
from sequencer.engine.upkeep import Keeping
from sequencer.engine.verification import Verification
from sequencer.engine.views import Views
from sequencer.engine.worker import ThreadWorker
from sequencer.engine.writer import Pace
from sequencer.model.commands import SetMode
from sequencer.model.halts import ExitCode, Halt, HaltCause
from sequencer.model.limits import (
    BLOCK_INTERVAL_MS,
    OUTBOX_CLOSING_SECONDS_MAX,
    SWITCH_INTERVAL_MICROSECONDS,
)
from sequencer.model.records import Cursor
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.ports import Clock, Settlement, Store, StoreFailed, StoreProblem
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import public_key, sign, verify_many
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import FolderSpace, HaltFile
from sequencer.storage.leveldb import DATABASE_FOLDER


class KeyOperator:
    """The operator's account with its key in this process."""

    def __init__(self, address: Felt, key: int) -> None:
        self.address = address
        self._key = key

    def sign(self, message_hash: Felt) -> tuple[Felt, Felt]:
        """Sign a hash."""
        return sign(self._key, message_hash)


class Given(msgspec.Struct, frozen=True):
    """What whoever starts a node gives it beside its configuration.

    `pace` None follows from the configuration. `settlement` None: roots are posted nowhere. `say`
    takes lines of text for the operator. `methods` are answered beside those of every node.
    """

    clock: Clock = SystemClock()
    pace: Pace | None = None
    settlement: Settlement | None = None
    settle_pace: SettlePace = SettlePace()
    say: Callable[[str], None] = lambda _: None
    methods: Callable[[Service], Methods] = lambda _: {}


_NOTHING = Given()


class Node:
    """A node that has started: the store, whoever reads it, and the engine of the moment.

    `engine` is another one after each decision of the operator about the chain; `verification`
    goes on. `count` counts what its clients do, for the metrics.
    """

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        recovered: Recovered,
        worker: ThreadWorker,
        given: Given,
    ) -> None:
        self._reads = config.api_port >= 0
        self.store = store
        self.views = Views(store)
        self.client_views = Views(store) if self._reads else self.views
        self.clock = given.clock
        self.worker = worker
        self._key = config.operator_key.value
        self._verifying = ThreadWorker("verify")
        self._checking, self._executing = ThreadWorker("check"), ThreadWorker("execute")
        self.verification = Verification(store, self._executing)
        self.count: Callable[[], Mapping[str, int]] = dict
        self._listeners: list[Callable[[Halt], None]] = []
        self._followers: list[Follower] = []
        self._outboxes: list[Outbox] = []
        self._stopping = False
        self._changed = asyncio.Condition()
        self.deposits = DepositFacts(lambda: self.views.view)
        self.outside = Outside(
            store=store,
            worker=worker,
            views=self.views,
            clock=self.clock,
            note=HaltFile(config.data_dir),
            disk=FolderSpace(config.data_dir),
            verifier=(self._verifying, verify_many),
            checker=self._checking,
            pace=given.pace or Pace(config.block_interval_ms or BLOCK_INTERVAL_MS),
            keeping=Keeping(
                finalized_height=None if given.settlement is None else self._final_height
            ),
            exit_on_halt=config.exit_on_halt,
            client_views=self.client_views if self._reads else None,
            deposits=self.deposits,
        )
        self.engine = self._engine_of(recovered, ())
        self.settler: Settler | None = None
        self.collector: Collector | None = None
        if given.settlement is not None:
            self.settler = self._settler_of(given.settlement, given)
            self.collector = self._collector_of(given.settlement, given.say)

    def listen(self, listener: Callable[[Halt], None]) -> None:
        """Call somebody for each halt, at once, also for those that stand now."""
        for halt in self.engine.gate.halts:
            listener(halt)
        self._listeners.append(listener)
        self.engine.gate.listen(listener)

    def settled(self) -> SettlerStatus | None:
        """Return how the settlement chain stands, None where roots are posted nowhere."""
        return None if self.settler is None else self.settler.status()

    def follow(self, follower: Follower) -> None:
        """Tell somebody of this engine and all that come after it."""
        self._followers.append(follower)
        self._tell(follower)

    async def following(self, engine: Engine) -> Engine:
        """Wait for the engine that follows one after a decision of the operator."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.engine is not engine)
        return self.engine

    def stop(self) -> None:
        """Finish the open block, and make no other."""
        self._stopping = True
        self.engine.stop()

    async def run(
        self,
        readers: Sequence[EffectReader],
        services: Sequence[Coroutine[None, None, None]] = (),
    ) -> ExitCode:
        """Make blocks until told to stop; returns the exit code. `services` run beside, as long."""
        if self.settler is not None and self.collector is not None:
            await self._attach(self.settler, self.collector)
            readers = [*readers, self.settler]
            services = [*services, self.settler.run(), self.collector.run()]
        await self._park_absent(readers)
        self._outboxes = [Outbox(self.store, self.worker, self.views, reader) for reader in readers]
        self._follow()
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(service) for service in services]
            group.create_task(self.verification.run(self._halt))
            delivering = [group.create_task(outbox.run()) for outbox in self._outboxes]
            while await self.engine.run():
                await self._recover()
                # Whoever vouched for this store did so after the start, if not before it.
                await self._park_absent(readers)
                async with self._changed:
                    self._changed.notify_all()
            self.verification.stop()
            for task in helpers:
                task.cancel()
            for outbox in self._outboxes:
                outbox.finish()
            # One that waits for somebody outside delivers the rest after the next start.
            if delivering:
                _, waiting = await asyncio.wait(delivering, timeout=OUTBOX_CLOSING_SECONDS_MAX)
                for task in waiting:
                    task.cancel()
        gate = self.engine.gate
        # Without the mark the next start works out the root that is still owed.
        if gate.final() is None and self.store.acknowledged and not gate.owes_root:
            await self._mark_stop()
        halt = gate.final()
        return ExitCode.STOPPED if halt is None else halt.exit_code

    def close(self) -> None:
        """Let go of views, threads and store."""
        self.verification.stop()
        for thread in (self._executing, self._checking, self._verifying):
            thread.close()
        for views in {self.views, self.client_views}:
            views.close()
        self.worker.close()
        self.store.close()

    def _tell(self, follower: Follower) -> None:
        self.engine.writer.listen(follower.durable)
        self.engine.writer.watch(follower.pending)
        self.engine.admission.watch(follower.accepted)
        follower.durable()
        follower.pending()

    def _final_height(self) -> int:
        return -1 if self.settler is None else self.settler.finalized_height

    def _settler_of(self, settlement: Settlement, given: Given) -> Settler:
        around = Surroundings(
            settlement=settlement,
            views=self.views,
            is_acknowledged=lambda: self.store.acknowledged,
            say=given.say,
            halt=self._halt,
            lower=self._lower,
        )
        return Settler(around, given.settle_pace)

    def _collector_of(self, settlement: Settlement, say: Callable[[str], None]) -> Collector:
        around = Collecting(
            settlement=settlement,
            store=self.store,
            worker=self.worker,
            views=self.views,
            facts=self.deposits,
            writer=lambda: self.engine.writer,
            say=say,
            halt=self._halt,
        )
        return Collector(around)

    async def _park_absent(self, readers: Sequence[EffectReader]) -> None:
        if self.store.acknowledged:
            # Rollbacks wait for a settler that is absent: its chain is to be told of them.
            present = {SETTLER, *(reader.name for reader in readers)}
            await self.views.change(self.worker, partial(park_absent, self.store, present))

    async def _attach(self, settler: Settler, collector: Collector) -> None:
        """Look at the settlement chain before the first block; it is told from here on."""
        view = self.views.view
        if view.cursor(SETTLER) is None and self.store.acknowledged:
            head = view.head
            cursor = Cursor(head.next_effect - 1, head.sequence, head.block_hash)
            begin = partial(self.store.advance_cursor, SETTLER, cursor)
            await self.views.change(self.worker, begin)
        halt = await settler.check_start()
        if halt is not None:
            self._halt(halt)
        else:
            await collector.check_start()

    def _halt(self, halt: Halt) -> None:
        self.engine.halt(halt)

    def _lower(self, words: str) -> None:
        """Take cancels only, where more was taken."""
        gate, state = self.engine.gate, self.engine.writer.state
        if not gate.is_halted(state) and state.system.mode in (Mode.POST_ONLY, Mode.OPEN):
            with suppress(Refused):
                self.engine.writer.operate(SetMode(Mode.CANCEL_ONLY, words))

    def _engine_of(self, recovered: Recovered, halts: Sequence[Halt]) -> Engine:
        address = recovered.state.system.operator
        return Engine(self.outside, recovered, KeyOperator(address, self._key), halts)

    def _follow(self) -> None:
        """Have whoever listens hear of this engine's blocks and halts."""
        wakes = [outbox.wake for outbox in self._outboxes]
        for wake in (*wakes, self.verification.wake):
            self.engine.writer.listen(wake)
            wake()
        for follower in self._followers:
            self._tell(follower)

    async def _recover(self) -> None:
        """Come up again from the store, as after any stop: the chain is another one by now."""
        gc.unfreeze()
        recovered = await self.worker.run(lambda: _recovered(self.store, self._reads))
        self.views.advance()
        halts = []
        if not _is_operator(self._key, recovered):
            words = "the operator is another account at this block: start with its key"
            halts.append(Halt(HaltCause.TICK_REFUSED, words))
        self.engine = self._engine_of(recovered, halts)
        for listener in self._listeners:
            self.engine.gate.listen(listener)
            for halt in self.engine.gate.halts:
                listener(halt)
        self._follow()
        gc.collect()
        gc.freeze()
        if self._stopping:
            self.engine.stop()

    async def _mark_stop(self) -> None:
        """Write the mark of a planned stop; a disk that takes none is met here, if not before."""
        try:
            await self.worker.run(lambda: mark_planned_stop(self.store))
        except StoreFailed as failure:
            self.engine.gate.halt(halt_of(failure))


async def start_node(config: NodeConfig, given: Given = _NOTHING) -> Node:
    """Open or begin the chain of a data folder, recover it, and put the parts together.

    Refusals: GENESIS_INVALID, PRIVATE_KEY_OUT_OF_RANGE for a key that is not the operator's, those
    of `recover`; failures: those of the store.
    """
    worker = ThreadWorker("seal")
    # What is loaded stays, so the collector need not look at it, neither now nor later.
    gc.disable()
    with ExitStack() as opened:
        opened.callback(worker.close)
        opened.callback(gc.enable)
        # The thread that opens the store is the one that will change it.
        store, recovered = await worker.run(lambda: open_chain(config))
        opened.callback(store.close)
        _require_operator(config, recovered)
        node = Node(config, store, recovered, worker, given)
        opened.pop_all()
    gc.freeze()
    gc.enable()
    # Threads take turns quickly, so that a long computation in one does not hold up the loop.
    sys.setswitchinterval(SWITCH_INTERVAL_MICROSECONDS / 1_000_000)
    return node


def open_chain(config: NodeConfig) -> tuple[Store, Recovered]:
    """Open or begin the chain of a data folder, and recover it; the caller closes the store.

    Refusals and failures are those of `start_node`.
    """
    database = config.data_dir / DATABASE_FOLDER
    if not database.exists() and config.genesis is None:
        words = f"{config.data_dir} holds no chain, and there is no genesis file to begin one"
        raise StoreFailed(StoreProblem.STORE_ABSENT, words)
    store = open_folder(config.data_dir, create=not database.exists(), witness=config.witness)
    with ExitStack() as opened:
        opened.callback(store.close)
        if store.head.height < 0:
            begin_chain(store, config.genesis or "")
        elif config.genesis is not None:
            require_genesis(store, config.genesis)
        resume(store)
        recovered = recover(store, full=config.verify_root, read=config.api_port >= 0)
        opened.pop_all()
        return store, recovered


def _recovered(store: Store, read: bool) -> Recovered:
    resume(store)
    return recover(store, read=read)


def _require_operator(config: NodeConfig, recovered: Recovered) -> None:
    if not _is_operator(config.operator_key.value, recovered):
        words = f"the key is not that of the operator {recovered.state.system.operator:#x}"
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)


def _is_operator(key: int, recovered: Recovered) -> bool:
    state = recovered.state
    operator = state.contracts.get(state.system.operator)
    return operator is not None and public_key(key) == operator.public_key
