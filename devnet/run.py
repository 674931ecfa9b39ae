"""A whole run: the story on a node of its own, the settlement chain beside it, and the proof.

Where there is a settlement chain, traders' money comes in through it, and some of it goes out.

Promises
- A run that was stopped or killed at any moment goes on with the same command, to the same blocks.
- Whatever it started is stopped at its end; a devnet outlives it only where it is to go on.
- The outcome holds only if every part of the proof does.

Laws
- Wall time is measured here and never decides about a block.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from devnet.appchain_facts import AppchainFacts, facts_of
from devnet.backends import (
    AUTO,
    FINALITY_DELAY_SECONDS,
    NONE,
    Backend,
    open_backend,
    require_backend,
    stop_backend,
)
from devnet.claiming import Claimant
from devnet.contract_log import ContractLog, read_log
from devnet.funding import Funding, open_purse
from devnet.handover import Handover
from devnet.live_market import LiveMarket
from devnet.market_feed import ScriptClock
from devnet.proof import Proof, prove
from devnet.run_folder import RunFolder, RunNotes, RunOptions, choose_salt
from devnet.script_process import ScriptProcess
from devnet.stopping import interrupting, raising
from devnet.story import Narrator, Story, Times
from devnet.timings import Stopwatch
from devnet.traders import make_cast, role_of
from devnet.waiting import Interrupted
from devnet.watcher import Watched, Watcher
from sequencer.config import NodeConfig, devnet_url, read_settlement
from sequencer.engine.settler import SettlePace
from sequencer.engine.writer import Pace
from sequencer.feeds.recorded import read_recording
from sequencer.model.refusals import Refused
from sequencer.model.rows import DepositRow
from sequencer.model.secret import Secret
from sequencer.model.settlement import SettlementError
from sequencer.model.units import MS_PER_SECOND
from sequencer.node import Given, Node, open_chain, start_node
from sequencer.serve import answered, commanded
from sequencer.settlement.money import Purse

CHAIN_ID = "PERPCHAIN_RECORDED"
TRADERS = 1_000
SETTLE_PACE = SettlePace(blocks=20, seconds=2)
INCIDENT_SECONDS = 15
"""Market time before the incident."""

_LOOPBACK = "127.0.0.1"


class Played(msgspec.Struct, frozen=True):
    """A run that was played to its end: what it was played on, its proof and its measurements.

    `watched` is what a client of its public address saw, `log` what the contract said of roots.

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
    log: ContractLog


class _Begun(msgspec.Struct, frozen=True):
    """A chain as the run finds it, and the deposits that it has credited, by nonce."""

    facts: AppchainFacts
    credited: Mapping[int, DepositRow]


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
        self._log = ContractLog()
        self.is_under_way = False

    async def play(self) -> Played:
        """Play what is not played yet, and prove it.

        Interrupted where it was asked to stop: the same command goes on. Refusals and failures:
        those of the parts.
        """
        with raising():
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
            shared = _shares_a_chain(self._options.settlement)
            self._folder.begin(self._options, choose_salt(self._options.seed, shared=shared))
        config = self._config(script)
        with self._folder.held():
            begun = await asyncio.to_thread(_begun, config)
            async with self._settling(begun.facts) as backend, self._paying(backend) as purse:
                self.is_under_way = True
                funding = None
                if purse is not None and backend.settlement is not None:
                    funding = Funding(backend.settlement, purse, script.opening.deposits)
                    await funding.require_kept(begun.credited)
                with Stopwatch(self._data_dir) as stopwatch:
                    money = (purse, funding)
                    return await self._play_on(backend, config, script, money, stopwatch)

    @asynccontextmanager
    async def _settling(self, facts: AppchainFacts) -> AsyncIterator[Backend]:
        """Give the settlement chain; it stays only for a run that was told to stop."""
        choice, salt, say = self._options.settlement, self._folder.notes.salt, self._narrator.say
        backend = await open_backend(choice, self._data_dir, facts, salt, say)
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

    @asynccontextmanager
    async def _paying(self, backend: Backend) -> AsyncIterator[Purse | None]:
        """Give whoever pays the traders' money in and claims it, None where genesis gives it."""
        if not _is_funded(self._options) or backend.settlement is None:
            yield None
            return
        purse = await open_purse(self._data_dir)
        try:
            yield purse
        finally:
            await purse.close()

    async def _play_on(
        self,
        backend: Backend,
        config: NodeConfig,
        script: ScriptProcess,
        money: tuple[Purse | None, Funding | None],
        stopwatch: Stopwatch,
    ) -> Played:
        purse, funding = money
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
                commanded(config, node, given) as (desk, commanding),
                answered(config, node, given) as (url, services),
            ):
                told = (self._clock, self._folder, self._narrator, self._speed)
                story = Story(node, desk, script, *told, funding, stopwatch)
                started = time.monotonic()
                telling = self._told(story, script, (node, given), Watcher(url))
                with interrupting(story.interrupt):
                    await node.run((), [*commanding, *services, telling])
                seconds = time.monotonic() - started
        finally:
            node.close()
        if self._failure is not None:
            raise self._failure
        if story.is_interrupted or self._watched is None:
            raise Interrupted
        proof = await self._proof(backend, purse)
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
            log=self._log,
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
        handover = Handover(*fields, lambda: story.is_interrupted, story.stopwatch)
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

    async def _proof(self, backend: Backend, purse: Purse | None) -> Proof:
        self._narrator.phase("the proof")
        await self._finalize(backend)
        settlement, good_height = backend.settlement, self._folder.notes.good_height
        claimant = None
        if purse is not None and settlement is not None:
            claimant = Claimant(purse, settlement, self._narrator.say)
        proof = await prove(self._data_dir, good_height, settlement, claimant)
        place = read_settlement(self._data_dir, None)
        if place is not None:
            self._log = await read_log(place.url, place.contract)
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


def _is_funded(options: RunOptions) -> bool:
    """Say whether traders' money comes through a settlement chain."""
    return options.settlement != NONE


def _shares_a_chain(choice: str) -> bool:
    """Say whether the settlement chain is somebody's who may have others on it."""
    return choice.startswith("http") or (choice == AUTO and bool(devnet_url()))


@contextmanager
def _scripted(options: RunOptions) -> Iterator[ScriptProcess]:
    played = (Path(options.market_data), options.seed, TRADERS, CHAIN_ID)
    script = ScriptProcess(*played, funded=_is_funded(options))
    try:
        yield script
    finally:
        script.close()


def _live_market(options: RunOptions, from_ms: int) -> LiveMarket:
    recording = read_recording(Path(options.market_data))
    return LiveMarket(recording, make_cast(options.seed, TRADERS), from_ms)


def _begun(config: NodeConfig) -> _Begun:
    """Begin the chain where there is none, and look at it."""
    store, recovered = open_chain(config)
    try:
        state = recovered.state
        return _Begun(facts_of(store.view, state), dict(state.deposits))
    finally:
        store.close()
