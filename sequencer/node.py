"""A node: the only place where parts are put together, started and ended.

Promises
- There is no other start than recovery, and it is the same after a crash and after a planned stop.
- SIGTERM finishes the open block and leaves a mark that the stop was planned; then the exit code is
  that of the first final halt, or 0.
- Whatever goes wrong ends in a code of `model/halts.py` and one line that names it.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from traceback import format_exception

from sequencer.api.lines import LinePipes, Lines
from sequencer.config import NodeConfig
from sequencer.engine.admission import Admission
from sequencer.engine.clock import SystemClock
from sequencer.engine.gate import Gate
from sequencer.engine.outbox import EffectReader, Outbox
from sequencer.engine.producer import Producer
from sequencer.engine.recovery import (
    Recovered,
    begin_chain,
    mark_planned_stop,
    recover,
    require_genesis,
)
from sequencer.engine.reports import Reports
from sequencer.engine.rollback import resume
from sequencer.engine.sealer import Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.views import Views
from sequencer.engine.worker import ThreadWorker
from sequencer.engine.writer import Pace, Parts, Writer, cause_of
from sequencer.model.halts import ExitCode, Halt, HaltCause
from sequencer.model.limits import (
    BLOCK_INTERVAL_MS,
    HALT_CHARACTERS_SHOWN,
    SWITCH_INTERVAL_MICROSECONDS,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import Store, StoreError, StoreFailed, StoreProblem
from sequencer.starknet.felt import Felt, format_hash
from sequencer.starknet.felt_hash import public_key, sign, verify
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import FolderSpace, HaltFile
from sequencer.storage.leveldb import DATABASE_FOLDER

_EXITS = {
    StoreProblem.STORE_LOCKED: ExitCode.STORE_LOCKED,
    StoreProblem.WRITER_REPLACED: ExitCode.WRITER_REPLACED,
    StoreProblem.WRITER_FORKED: ExitCode.WRITER_REPLACED,
}


class KeyOperator:
    """The operator's account with its key in this process."""

    def __init__(self, address: Felt, key: int) -> None:
        self.address = address
        self._key = key

    def sign(self, message_hash: Felt) -> tuple[Felt, Felt]:
        """Sign a hash."""
        return sign(self._key, message_hash)


class Node:
    """A node that has started: its engine, ready to run."""

    def __init__(
        self, config: NodeConfig, store: Store, recovered: Recovered, worker: ThreadWorker
    ) -> None:
        state = recovered.state
        self.store = store
        self.recovered = recovered
        self.views = Views(store)
        self._sealing = worker
        self._verifying = ThreadWorker("verify")
        clock, reports = SystemClock(), Reports(lambda: self.views.view)
        operator = KeyOperator(state.system.operator, config.operator_key.value)
        number = recovered.header.number + 1
        parts = Parts(
            store=store,
            producer=Producer(state, number, state.system.chain_id, operator),
            sealer=Sealer(store, TrieCache(lambda: store.view)),
            worker=worker,
            clock=clock,
            views=self.views,
            reports=reports,
            gate=Gate(HaltFile(config.data_dir), recovered.halts),
            disk=FolderSpace(config.data_dir),
        )
        self.writer = Writer(parts, Pace(config.block_interval_ms or BLOCK_INTERVAL_MS))
        verifier = (self._verifying, _verify_many)
        self.admission = Admission(self.writer, self.views, clock, reports, verifier)

    async def run(
        self,
        stop: asyncio.Event,
        readers: Sequence[EffectReader],
        services: Sequence[Coroutine[None, None, None]] = (),
        *,
        exit_on_halt: bool = False,
    ) -> ExitCode:
        """Make blocks until told to stop; returns the exit code. `services` run beside, as long."""
        outboxes = [Outbox(self.store, self._sealing, self.views, reader) for reader in readers]
        for outbox in outboxes:
            self.writer.listen(outbox.wake)
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self.admission.verify_all()),
                group.create_task(self._watch(stop, exit_on_halt)),
                *(group.create_task(service) for service in services),
            ]
            delivering = [group.create_task(outbox.run()) for outbox in outboxes]
            await self.writer.run()
            for task in helpers:
                task.cancel()
            self.admission.refuse_all(Reason.SHUTTING_DOWN, "the node is stopping")
            for outbox in outboxes:
                outbox.finish()
            await asyncio.gather(*delivering)
        gate = self.writer.gate
        if gate.final() is None and self.store.acknowledged:
            await self._mark_stop()
        halt = gate.final()
        return ExitCode.STOPPED if halt is None else halt.exit_code

    def close(self) -> None:
        """Let go of views, threads and store."""
        self._verifying.close()
        self.views.close()
        self._sealing.close()
        self.store.close()

    async def _mark_stop(self) -> None:
        """Write the mark of a planned stop; a disk that takes none is met here, if not before."""
        try:
            await self._sealing.run(lambda: mark_planned_stop(self.store))
        except StoreFailed as failure:
            self.writer.gate.halt(Halt(cause_of(failure), str(failure)))

    async def _watch(self, stop: asyncio.Event, exit_on_halt: bool) -> None:
        """Stop the writer when told to, or at once after a halt that allows no more reads."""
        gate = self.writer.gate
        async with asyncio.TaskGroup() as group:
            told = group.create_task(stop.wait())
            halted = group.create_task(self._halted_for_good(exit_on_halt))
            await asyncio.wait((told, halted), return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            halted.cancel()
        if not gate.is_stopping():
            self.writer.stop()

    async def _halted_for_good(self, exit_on_halt: bool) -> None:
        gate = self.writer.gate
        await gate.halted.wait()
        halt = gate.final()
        replaced = halt is not None and halt.cause is HaltCause.WRITER_REPLACED
        if not (exit_on_halt or replaced):
            await asyncio.Event().wait()


async def start_node(config: NodeConfig) -> Node:
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
        node = Node(config, store, recovered, worker)
        opened.pop_all()
    gc.freeze()
    gc.enable()
    # Threads take turns quickly, so that a long computation in one does not hold up the loop.
    sys.setswitchinterval(SWITCH_INTERVAL_MICROSECONDS / 1_000_000)
    return node


def serve(
    config: NodeConfig, say: Callable[[str], None], lines: LinePipes | None = None
) -> ExitCode:
    """Run a node until SIGTERM or SIGINT, and return the exit code. `say` takes lines of text."""
    try:
        return asyncio.run(_serve(config, say, lines))
    except StoreError as error:
        say(str(error))
        return _EXITS.get(error.problem, ExitCode.STORE_UNUSABLE)
    except Refused as refused:
        say(str(refused))
        return ExitCode.INPUT
    except OSError as error:
        say(f"{error.filename or config.data_dir}: {error.strerror or error}")
        return ExitCode.STORE_UNUSABLE


async def _serve(
    config: NodeConfig, say: Callable[[str], None], pipes: LinePipes | None
) -> ExitCode:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = await start_node(config)
    try:
        head = node.store.head
        say(f"block {head.height} {format_hash(head.block_hash)}, epoch {head.epoch}")
        for halt in node.writer.gate.halts:
            say(f"HALTED {_printable(halt)}")
        node.writer.gate.listen(lambda halt: say(f"HALTED {_printable(halt)}"))
        readers: list[EffectReader] = []
        services: list[Coroutine[None, None, None]] = []
        if pipes is not None:
            lines = Lines(node.writer, node.admission, pipes.write)
            waiting: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
            readers.append(lines)
            services.append(_answer(lines, waiting))
            pipes.pump(loop, waiting.put)
        try:
            code = await node.run(stop, readers, services, exit_on_halt=config.exit_on_halt)
        except Exception as error:  # A bug: the writer cannot be trusted any more.
            HaltFile(config.data_dir).write("".join(format_exception(error)))
            say(f"UNEXPECTED {error!r:.200}; the file HALTED has all of it")
            return ExitCode.UNEXPECTED
        head = node.store.head
        say(f"stopped at block {head.height} {format_hash(head.block_hash)}, exit code {int(code)}")
        return code
    finally:
        if pipes is not None:
            pipes.close()
        node.close()


async def _answer(lines: Lines, waiting: "asyncio.Queue[bytes]") -> None:
    """Take lines one after the other; a bug in there ends the node like any other."""
    while True:
        await lines.take(await waiting.get())


def _printable(halt: Halt) -> str:
    """Return a halt's words for a terminal: a note may hold anything."""
    words = str(halt)[:HALT_CHARACTERS_SHOWN]
    return "".join(each if each.isprintable() else " " for each in words)


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
        recovered = recover(store, full=config.verify_root)
        opened.pop_all()
        return store, recovered


def _require_operator(config: NodeConfig, recovered: Recovered) -> None:
    state = recovered.state
    operator = state.contracts.get(state.system.operator)
    if operator is None or public_key(config.operator_key.value) != operator.public_key:
        words = f"the key is not that of the operator {state.system.operator:#x}"
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)


def _verify_many(signed: Sequence[tuple[int, int, int, int]]) -> list[bool]:
    return [verify(*signature) for signature in signed]
