"""A run of signed orders through the engine: gate, rules, seal, disk, answer, all in one process.

Promises
- Every command is signature-checked, margin-checked, under the state root, on the disk with its
  witness, and only then answered and counted. Guards and laws are on, the mode is OPEN.
- What is counted was answered inside the measured time, and applied.

The client shares the process and keeps a number of commands under way; its CPU is counted apart.
Chain time starts where the script was signed and goes on with the system's clock.
"""

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from scripts.benches.cache import DATA, compacted_bytes, copied
from scripts.benches.measure import Trading
from scripts.benches.messages import Script, kept_script
from scripts.benches.world import OPERATOR_KEY, START_MS, kept_world, recovered_state
from sequencer.chain.commitment import EXCHANGE_ADDRESS, ROWS_TRIE
from sequencer.chain.exchange_contract import Signed, SignedOrder, SignedReport
from sequencer.chain.slots import ROWS_TRIE_HEIGHT
from sequencer.engine.admission import Admission
from sequencer.engine.gate import Gate
from sequencer.engine.items import Applied, Item
from sequencer.engine.producer import Producer
from sequencer.engine.reports import Reports
from sequencer.engine.sealer import Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.views import Views
from sequencer.engine.worker import ThreadWorker
from sequencer.engine.writer import Parts, Writer
from sequencer.exchange.state import State
from sequencer.model.commands import SetMode
from sequencer.model.limits import SWITCH_INTERVAL_MICROSECONDS, TRIE_HEIGHT_MAX
from sequencer.model.refusals import Refused
from sequencer.model.rows import Mode
from sequencer.model.units import MS_PER_SECOND
from sequencer.node import KeyOperator
from sequencer.ports import Clock
from sequencer.starknet.felt_hash import verify_many
from sequencer.starknet.trie import Reader
from sequencer.starknet.trie_node import Binary, Edge, decode_node
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder
from sequencer.storage.halt_note import FolderSpace, HaltFile

UNDER_WAY = 768
"""Commands that the client has under way."""

_TOGETHER = 16
_WARM_SECONDS = 3
_LADDER = {Mode.CANCEL_ONLY: Mode.POST_ONLY, Mode.POST_ONLY: Mode.OPEN}


class Run(NamedTuple):
    """What came of a run. CPU is of all threads, `client_cpu` of sending alone, both in seconds."""

    seconds: float
    applied: int
    refused: Counter[str]
    latencies: Sequence[float]
    blocks: int
    cpu: float
    client_cpu: float
    grown: int
    sent: int

    def words(self) -> str:
        """Say it in a note."""
        refused = ", ".join(f"{count} {name}" for name, count in self.refused.most_common())
        each = 1_000_000 / max(1, self.applied)
        return (
            f"{self.seconds:.0f} s, {self.applied} applied, refused: {refused or 'none'}; "
            f"{self.blocks} blocks of {self.applied / max(1, self.blocks):.0f}; {UNDER_WAY} under "
            f"way; CPU us each: {self.cpu * each:.0f}, client {self.client_cpu * each:.0f} of it"
        )


class BenchClock:
    """Chain time that goes on from a moment: as if the script had just been signed, by default."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._start_ms = start_ms
        self._start = time.monotonic_ns()

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return self._start_ms + (time.monotonic_ns() - self._start) // 1_000_000


class Engine:
    """A chain on a store with all that a node has but its edges."""

    def __init__(
        self, data: Path, store: ChainStore, state: State, tries: TrieCache, worker: ThreadWorker
    ) -> None:
        self.store = store
        self.views = Views(store)
        self._workers = (worker, ThreadWorker("verify"))
        clock, reports = BenchClock(), Reports(lambda: self.views.view)
        operator = KeyOperator(state.system.operator, OPERATOR_KEY)
        number = store.head.height + 1
        parts = Parts(
            store=store,
            producer=Producer(state, number, state.system.chain_id, operator),
            sealer=Sealer(store, tries),
            worker=worker,
            clock=clock,
            views=self.views,
            reports=reports,
            gate=Gate(HaltFile(data)),
            disk=FolderSpace(data),
        )
        self.clock = clock
        self.writer = Writer(parts)
        verifier = (self._workers[1], verify_many)
        self.admission = Admission(self.writer, self.views, clock, reports, verifier)

    def close(self) -> None:
        """Let go of everything."""
        self.views.close()
        for worker in self._workers:
            worker.close()
        self.store.close()


class Client:
    """Sends messages and notes each answer: when sent, when answered, the refusal or ""."""

    def __init__(self, admission: Admission, messages: Sequence[Signed]) -> None:
        self.answers: list[tuple[float, float, str]] = []
        self.cpu = 0.0
        self.sent = 0
        self._admission = admission
        self._messages = messages
        self._under_way = 0
        self._news = asyncio.Event()

    async def send(self, count: int, seconds: float) -> None:
        """Send so many, as long as there is time."""
        last = min(len(self._messages), self.sent + count)
        ends = time.perf_counter() + seconds
        while self.sent < last and time.perf_counter() < ends:
            if self._under_way < UNDER_WAY:
                self._send_some(min(last, self.sent + _TOGETHER))
                await asyncio.sleep(0)
            else:
                await self._wait()

    async def drain(self) -> None:
        """Wait for all answers."""
        while self._under_way:
            await self._wait()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _send_some(self, last: int) -> None:
        start, admitting = time.thread_time(), 0.0
        while self.sent < last and self._under_way < UNDER_WAY:
            message = self._messages[self.sent]
            self.sent += 1
            before = time.thread_time()
            item = self._admitted(message)
            admitting += time.thread_time() - before
            if item is not None:
                self._under_way += 1
                item.answer.add_done_callback(partial(self._note, time.perf_counter()))
        self.cpu += time.thread_time() - start - admitting

    def _admitted(self, message: Signed) -> Item | None:
        try:
            if isinstance(message, SignedOrder):
                return self._admission.order(message)
            return self._admission.cancel(message)
        except Refused as refused:
            now = time.perf_counter()
            self.answers.append((now, now, refused.reason.value))
            return None

    def _note(self, sent: float, answer: asyncio.Future[Applied]) -> None:
        error = answer.exception()
        refusal = answer.result().refusal if error is None else str(error).partition(":")[0]
        self.answers.append((sent, time.perf_counter(), refusal))
        self._under_way -= 1
        self._news.set()


def prepare(trading: Trading) -> None:
    """Have world and script in the cache: making them would be counted with what they are for."""
    kept_script(trading)
    kept_world(trading.world)


def run_trading(trading: Trading) -> Run:
    """Run a script on a copy of its world; the folder's growth is that after compaction."""
    script = kept_script(trading)
    world, _ = kept_world(trading.world)
    with copied(world) as folder:
        data = folder / DATA
        before = compacted_bytes(data)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_MICROSECONDS / 1_000_000)
        try:
            run = asyncio.run(_run(data, script, trading))
        finally:
            sys.setswitchinterval(interval)
        return run._replace(grown=compacted_bytes(data) - before)


async def _run(data: Path, script: Script, trading: Trading) -> Run:
    worker = ThreadWorker("seal")
    store, state, tries = await worker.run(partial(opened, data))
    gc.collect()
    gc.freeze()
    engine = Engine(data, store, state, tries, worker)
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(engine.admission.verify_all()),
                group.create_task(feed(engine.clock, engine.admission.report, script)),
            ]
            making = group.create_task(engine.writer.run())
            run = await _traded(engine, script, trading)
            engine.writer.stop()
            await making
            for helper in helpers:
                helper.cancel()
        return run
    finally:
        engine.close()


def opened(data: Path) -> tuple[ChainStore, State, TrieCache]:
    """Open a chain's store, with all nodes of its tries in memory."""
    store = open_folder(data)
    tries = TrieCache(lambda: store.view)
    _read_all(tries.reader(EXCHANGE_ADDRESS), TRIE_HEIGHT_MAX)
    _read_all(tries.reader(ROWS_TRIE), ROWS_TRIE_HEIGHT)
    return store, recovered_state(store), tries


def _read_all(read: Reader, height: int) -> None:
    """Read every node of a trie, so that all are in memory."""
    waiting = [(0, 0)]
    while waiting:
        depth, path = waiting.pop()
        data = read((depth, path)) if depth < height else None
        match None if data is None else decode_node(data):
            case Binary():
                waiting += ((depth + 1, path << 1), (depth + 1, path << 1 | 1))
            case Edge(path=run, length=length):
                waiting.append((depth + length, path << length | run))
            case None:
                continue


async def _traded(engine: Engine, script: Script, trading: Trading) -> Run:
    await open_exchange(engine.writer)
    client = Client(engine.admission, script.messages)
    # Every trader's first order fills the book, and some seconds more warm everything up.
    await client.send(trading.traders, trading.seconds)
    await client.send(trading.messages, min(_WARM_SECONDS, trading.seconds / 5))
    height, cpu, client_cpu = engine.store.head.height, time.process_time(), client.cpu
    start = time.perf_counter()
    await client.send(trading.messages, trading.seconds)
    end = time.perf_counter()
    blocks, cpu = engine.store.head.height - height, time.process_time() - cpu
    client_cpu = client.cpu - client_cpu
    await client.drain()
    inside = [answer for answer in client.answers if start <= answer[1] < end]
    latencies = sorted(answered - sent for sent, answered, refusal in inside if not refusal)
    return Run(
        seconds=end - start,
        applied=len(latencies),
        refused=Counter(refusal for _, _, refusal in inside if refusal),
        latencies=latencies,
        blocks=blocks,
        cpu=cpu,
        client_cpu=client_cpu,
        grown=0,
        sent=client.sent,
    )


async def open_exchange(writer: Writer) -> None:
    """Go up the ladder of modes; OPEN needs some prices first."""
    while (mode := writer.state.system.mode) is not Mode.OPEN:
        await writer.operate(SetMode(_LADDER[mode], "a bench")).answer
        await asyncio.sleep(0.5)


async def feed(clock: Clock, report: Callable[[SignedReport], None], script: Script) -> None:
    """Send the publishers' reports, second by second."""
    second = 0
    while True:
        for signed in script.reports_at(second):
            report(signed)
        second += 1
        left_ms = START_MS + second * MS_PER_SECOND - clock.now_ms()
        await asyncio.sleep(max(0, left_ms) / MS_PER_SECOND)
