"""A whole run: the story on a node of its own, the settlement chain beside it, and the proof.

Promises
- A run that was stopped or killed at any moment goes on with the same command, to the same blocks.
- Whatever it started is stopped at its end; a devnet outlives it only where it is to go on.
- The outcome holds only if every part of the proof does.

Laws
- Wall time is measured here and never decides about a block.
"""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from devnet.backends import (
    FINALITY_DELAY_SECONDS,
    Backend,
    open_backend,
    require_backend,
    stop_backend,
)
from devnet.handover import Handover
from devnet.live_market import LiveMarket
from devnet.market_feed import ScriptClock
from devnet.proof import Proof, prove
from devnet.run_folder import RunFolder, RunNotes, RunOptions
from devnet.script_process import ScriptProcess
from devnet.story import Interrupted, Narrator, Story, Times
from devnet.traders import make_cast, role_of
from devnet.watcher import Watched, Watcher
from sequencer.config import NodeConfig
from sequencer.engine.settler import SettlePace
from sequencer.engine.writer import Pace
from sequencer.feeds.recorded import read_recording
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.model.settlement import SettlementError
from sequencer.model.units import MS_PER_SECOND
from sequencer.node import Given, Node, open_chain, start_node
from sequencer.serve import answered, commanded

CHAIN_ID = "PERPCHAIN_RECORDED"
TRADERS = 1_000
SETTLE_PACE = SettlePace(blocks=20, seconds=2)
INCIDENT_SECONDS = 15
"""Market time before the incident."""

_LOOPBACK = "127.0.0.1"
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Played(msgspec.Struct, frozen=True):
    """A run that was played to its end: what it was played on, its proof and its measurements.

    `watched` is what a client of its public address saw.

    `orders_per_second` and the latencies are of this process alone, 0 where it played nothing.
    """

    backend: Backend
    backend_name: str
    proof: Proof
    watched: Watched
    notes: RunNotes
    volumes: dict[str, int]
    refusals: dict[str, int]
    latencies_ns: list[int]
    trading_seconds: float


class Run:
    """One run in a data folder. `is_under_way` says whether there is a chain to go on with."""

    def __init__(
        self,
        data_dir: Path,
        options: RunOptions,
        narrator: Narrator,
        speed: float = 0,
        port: int = 0,
    ) -> None:
        self._port = port
        self._data_dir = data_dir
        self._options = options
        self._narrator = narrator
        self._speed = speed
        self._folder = RunFolder(data_dir)
        self._clock = ScriptClock()
        self._failure: Exception | None = None
        self._watched: Watched | None = None
        self.is_under_way = False

    async def play(self) -> Played:
        """Play what is not played yet, and prove it.

        Interrupted where it was asked to stop: the same command goes on. Refusals and failures:
        those of the parts.
        """
        with _raising():
            require_backend(self._options.settlement)
            _require_port(self._port)
            resumed = self._folder.is_begun(self._options)
            self._narrator.say("this run goes on" if resumed else f"a new run in {self._data_dir}")
            with _scripted(self._options) as script:
                return await self._play_script(script, resumed)

    async def _play_script(self, script: ScriptProcess, resumed: bool) -> Played:
        for note in script.opening.notes:
            self._narrator.say(note)
        if not resumed:
            self._folder.begin(self._options)
        config = self._config(script)
        with self._folder.held():
            first = await asyncio.to_thread(_begun, config)
            async with self._settling(first) as backend:
                self.is_under_way = True
                return await self._play_on(backend, config, script)

    @asynccontextmanager
    async def _settling(self, first: BlockRecord) -> AsyncIterator[Backend]:
        """Give the settlement chain; it stays only for a run that was told to stop."""
        choice, salt, say = self._options.settlement, self._folder.notes.salt, self._narrator.say
        backend = await open_backend(choice, self._data_dir, first, salt, say)
        goes_on = False
        try:
            yield backend
        except (Interrupted, asyncio.CancelledError, KeyboardInterrupt):
            goes_on = True
            raise
        finally:
            if backend.settlement is not None:
                await backend.settlement.close()
            if not goes_on:
                await asyncio.to_thread(stop_backend, backend, self._data_dir)

    async def _play_on(self, backend: Backend, config: NodeConfig, script: ScriptProcess) -> Played:
        name = await self._backend_name(backend)
        given = Given(
            clock=self._clock,
            pace=Pace(on_call=True),
            settlement=backend.settlement,
            settle_pace=SETTLE_PACE,
            say=self._narrator.say,
        )
        node = await start_node(config, given)
        try:
            async with (
                commanded(config, node, given) as (desk, _),
                answered(config, node, given) as (url, services),
            ):
                told = (self._clock, self._folder, self._narrator, self._speed)
                story = Story(node, desk, script, *told)
                started = time.monotonic()
                telling = self._told(story, script, (node, given), Watcher(url))
                with _interrupting(story):
                    await node.run((), [*services, telling])
                seconds = time.monotonic() - started
        finally:
            node.close()
        if self._failure is not None:
            raise self._failure
        if story.is_interrupted or self._watched is None:
            raise Interrupted
        proof = await self._proof(backend)
        return Played(
            backend=backend,
            backend_name=name,
            proof=proof,
            watched=self._watched,
            notes=self._folder.notes,
            volumes={market: each.synthetic for market, each in script.standing.volumes.items()},
            refusals=dict(story.feed.refusals),
            latencies_ns=sorted(story.feed.latencies_ns),
            trading_seconds=seconds,
        )

    async def _told(
        self, story: Story, script: ScriptProcess, run_on: tuple[Node, Given], watcher: Watcher
    ) -> None:
        """Tell the story, and stop the node; what went wrong is for whoever asked for the run."""
        node, given = run_on
        first_ms, last_ms = script.opening.first_ms, script.opening.last_ms
        seconds = self._options.seconds
        end_ms = first_ms + seconds * MS_PER_SECOND if seconds else last_ms + 1
        incident_ms = first_ms + INCIDENT_SECONDS * MS_PER_SECOND
        times = Times(incident_ms, end_ms)
        try:
            async with watcher.watching():
                if self._options.manual:
                    served = msgspec.structs.replace(self._config(script), admin_port=0)
                    await self._leave_to_operator(story, node, (served, given), times)
                else:
                    await story.play(self._options.incident, times)
                self._watched = await self._reconciled(watcher)
        except (Refused, SettlementError, Interrupted) as failure:
            self._failure = failure
        node.stop()

    async def _reconciled(self, watcher: Watcher) -> Watched:
        watched = await watcher.reconcile()
        self._narrator.say(
            f"a client with starknet-py: {watched.heads} heads, {watched.reorgs} reorg; it dropped "
            f"{watched.undone_blocks} blocks and {watched.undone_liquidations} liquidations"
        )
        for problem in watched.problems:
            self._narrator.say(f"DIFFERS: {problem}")
        return watched

    async def _leave_to_operator(
        self, story: Story, node: Node, begun_with: tuple[NodeConfig, Given], times: Times
    ) -> None:
        """Play up to the harm; meanwhile the market that goes on after it is made ready."""
        loop = asyncio.get_running_loop()
        made = loop.run_in_executor(None, _live_market, self._options, times.incident_ms)
        await story.play_to_harm(self._options.incident, times)
        self._narrator.phase("over to the operator")
        fields = (node, self._clock, await made, self._narrator)
        handover = Handover(*fields, lambda: story.is_interrupted)
        # Only now: what somebody else decides before is no part of the script.
        config, given = begun_with
        async with (
            commanded(config, node, given) as (_, services),
            asyncio.TaskGroup() as group,
        ):
            serving = [group.create_task(service) for service in services]
            try:
                await handover.run(self._folder)
            finally:
                for task in serving:
                    task.cancel()

    async def _backend_name(self, backend: Backend) -> str:
        if backend.settlement is None:
            return backend.name
        await backend.settlement.standing()
        words = " (the one before is gone: deployed again)" if backend.replaced else ""
        self._narrator.say(f"settlement: {backend.name}{words}")
        return backend.name

    async def _proof(self, backend: Backend) -> Proof:
        self._narrator.phase("the proof")
        await self._finalize(backend)
        proof = await prove(self._data_dir, self._folder.notes.good_height, backend.settlement)
        for problem in proof.problems:
            self._narrator.say(f"DIFFERS: {problem}")
        return proof

    async def _finalize(self, backend: Backend) -> None:
        """Let the finality delay pass where time can be moved, and make the last post final."""
        settlement = backend.settlement
        if settlement is None:
            return
        try:
            await settlement.advance_time(FINALITY_DELAY_SECONDS + 1)
            standing = await settlement.standing()
            if standing.finalized.height < standing.newest.height:
                await settlement.finalize(standing.newest.height)
            self._narrator.say(f"settlement: block {standing.newest.height} is final")
        except SettlementError as error:
            self._narrator.say(f"settlement: finality is left to its delay: {error}")

    def _config(self, script: ScriptProcess) -> NodeConfig:
        return NodeConfig(
            data_dir=self._data_dir,
            operator_key=Secret(role_of(self._options.seed, "operator").key),
            genesis=msgspec.json.encode(script.opening.genesis).decode(),
            api_port=self._port,
        )


def _require_port(port: int) -> None:
    """Find a taken port out before there is anything to leave behind. Error: OSError, naming it."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind((_LOOPBACK, port))
        except OSError as error:
            raise OSError(f"port {port}: {error.strerror}; give another with --port") from None


@contextmanager
def _scripted(options: RunOptions) -> Iterator[ScriptProcess]:
    script = ScriptProcess(Path(options.market_data), options.seed, TRADERS, CHAIN_ID)
    try:
        yield script
    finally:
        script.close()


def _live_market(options: RunOptions, from_ms: int) -> LiveMarket:
    recording = read_recording(Path(options.market_data))
    return LiveMarket(recording, make_cast(options.seed, TRADERS), from_ms)


@contextmanager
def _interrupting(story: Story) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOPS}
    for number in _STOPS:
        loop.add_signal_handler(number, story.interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@contextmanager
def _raising() -> Iterator[None]:
    """Stop at once where there is no block to finish: keys, start, proof. A second time is late."""
    before = {number: signal.getsignal(number) for number in _STOPS}

    def stop(_number: int, _frame: object) -> None:
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
        # Whatever runs now may make something of its own of any other exception.
        raise KeyboardInterrupt

    for number in _STOPS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _begun(config: NodeConfig) -> BlockRecord:
    """Begin the chain where there is none, and return its block 0."""
    store, _ = open_chain(config)
    try:
        first = store.view.block(0)
        if first is None:
            raise Refused(Reason.RUN_BROKEN, "the chain has no block 0")
        return first
    finally:
        store.close()
