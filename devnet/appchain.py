"""A local devnet: an appchain with prices, a faucet and bots, and its settlement chain beside it.

Promises
- It answers as soon as its own store is open. The settlement chain comes up beside it; one that
  does not come up is said, and the appchain goes on without.
- It trades by itself within seconds, and again after a stop. What an operator decided stays so.
- Whatever it started ends with it.

Laws
- Nothing here is above the chain's rules: prices are signed reports, money is a signed transfer,
  and trading is opened by the operator's key.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from devnet.appchain_facts import AppchainFacts, facts_of
from devnet.bots import Bots
from devnet.devnet_facts import Moment, Watch, ready_facts
from devnet.devnet_folder import DevnetFolder, DevnetOptions, devnet_folder
from devnet.embedded.place import holds_chain
from devnet.faucet import faucet_methods
from devnet.late_settlement import LateSettlement, standing_at
from devnet.local_cast import make_local_cast, make_local_genesis
from devnet.market_script import MARKET_DATA
from devnet.publishers import Publishers, SpotLoop
from devnet.stopping import interrupting
from sequencer.config import NodeConfig
from sequencer.engine.settler import SettlePace
from sequencer.engine.settling import post_of
from sequencer.exchange.modes import opening_problems
from sequencer.feeds.recorded import Recording, read_recording
from sequencer.model.api_limits import ServerLimits
from sequencer.model.commands import SetMode
from sequencer.model.halts import ExitCode
from sequencer.model.plugins import PluginConfig
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode, ModeCause
from sequencer.model.secret import Secret
from sequencer.model.settlement import Standing
from sequencer.node import Given, Node, start_node
from sequencer.ports import Settlement
from sequencer.serve import answered, commanded, run_noting

# Whoever uses a devnet is one address, and nobody's tests should be slowed down.
_LIMITS = ServerLimits(
    connections_per_address_max=4_096,
    streams_per_address_max=1_024,
    calls_per_address_max=2_048,
    bytes_per_address_max=256 * 1024 * 1024,
    tokens_per_second=1_000_000,
    tokens_max=5_000_000,
)
_SETTLE_PACE = SettlePace(blocks=50, seconds=5)
_LOOK_SECONDS = 0.2


class DevnetPlan(msgspec.Struct, frozen=True):
    """What was asked for. `asked` are the options of block 0 that somebody gave.

    `data_dir` None is a temporary folder. `port` and `admin_port` 0 are any free ones.
    """

    asked: dict[str, int]
    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    admin_port: int = 0
    block_ms: int = 0
    bots: bool = False
    plugins: Sequence[PluginConfig] = ()


class Teller(Protocol):
    """Who is told how things go."""

    def ready(self, facts: dict[str, Any]) -> None:
        """Take what a client has to know, once it is answered."""

    def settled(self, facts: dict[str, str]) -> None:
        """Take what a client has to know of the settlement chain, once it is there."""

    def say(self, words: str) -> None:
        """Take a line of text."""

    def moment(self, moment: Moment) -> None:
        """Take how the chain stands, several times a second."""


class OpenedSettlement(msgspec.Struct, frozen=True):
    """A settlement chain that has come up, with what a client has to know of it.

    `chain` None: there is none, because of a problem.
    """

    chain: Settlement | None = None
    facts: dict[str, str] = {}
    problem: str = ""


class SettlementOpener(Protocol):
    """Starts the settlement chain, in a thread; `name` is what was chosen.

    `is_new`: the contract is deployed with it, so nothing can have been posted.
    """

    name: str
    is_new: bool

    def open(
        self, folder: Path, facts: AppchainFacts, salt: int, say: Callable[[str], None]
    ) -> OpenedSettlement:
        """Return the chain, or why there is none; never fails."""

    def stop(self, folder: Path) -> None:
        """Stop what was started; can be called while it starts, and when nothing was."""


async def run_appchain(
    plan: DevnetPlan, opener: SettlementOpener | None, teller: Teller
) -> ExitCode:
    """Run a devnet until SIGTERM or SIGINT. `opener` None: roots are posted nowhere.

    Refusals and failures are those of the folder, `start_node` and a port that cannot be had.
    """
    told = asyncio.Event()
    with interrupting(told.set), devnet_folder(plan.data_dir) as folder:
        options = folder.begin(plan.asked)
        recording = await asyncio.to_thread(read_recording, MARKET_DATA)
        appchain = _Appchain(plan, folder, options, recording, teller)
        return await appchain.run(opener, told)


class _Appchain:
    """One devnet on its folder."""

    def __init__(
        self,
        plan: DevnetPlan,
        folder: DevnetFolder,
        options: DevnetOptions,
        recording: Recording,
        teller: Teller,
    ) -> None:
        self._plan, self._folder, self._options = plan, folder, options
        self._recording, self._teller = recording, teller
        self._cast = make_local_cast(options.seed, options.accounts)
        self._settlement_facts: dict[str, str] = {}
        self._is_ready = False

    async def run(self, opener: SettlementOpener | None, told: asyncio.Event) -> ExitCode:
        late = None if opener is None else LateSettlement(opener.name, lambda: first_standing)
        config, given = self._config(), self._given(late)
        node = await start_node(config, given)
        try:
            first_standing = self._first_standing(node, opener)
            async with self._settled(node, opener, late, told):
                places = {"settlement": "none" if opener is None else opener.name}
                return await self._serve((config, given, node), told, places)
        finally:
            node.close()

    async def _serve(
        self,
        begun: tuple[NodeConfig, Given, Node],
        told: asyncio.Event,
        places: dict[str, str],
    ) -> ExitCode:
        config, given, node = begun
        async with (
            commanded(config, node, given) as (_, services),
            answered(config, node, given) as (url, answering),
        ):
            places |= {"http": url, "data_dir": str(config.data_dir)}
            self._teller.ready(ready_facts(self._cast, self._options, node, places))
            self._is_ready = True
            self._tell_settled()
            node.listen(lambda halt: self._teller.say(f"HALTED {halt}"))
            services += [*answering, *self._beside(node), _until(told, node)]
            return await run_noting(config, node, given, ((), services))

    def _tell_settled(self) -> None:
        """Tell of the settlement chain once it is there, behind the first facts."""
        if self._is_ready and self._settlement_facts:
            self._teller.settled(self._settlement_facts)

    def _beside(self, node: Node) -> list[Coroutine[None, None, None]]:
        """Return what runs beside the node."""
        loop = SpotLoop(self._recording)
        roles = self._cast.roles
        publishers = Publishers(loop, roles, lambda: node.engine.admission, node.clock)
        publishers.begin(node.engine.writer.state)
        beside = [publishers.run(), self._watch(node)]
        if not self._folder.is_opened:
            beside.append(self._open_trading(node))
        if self._plan.bots:
            chain = (lambda: node.engine.writer.state, lambda: node.engine.admission, node.clock)
            beside.append(Bots(roles, self._options.seed, chain).run())
        return beside

    async def _watch(self, node: Node) -> None:
        watch = Watch(node)
        while True:
            self._teller.moment(watch.look())
            await asyncio.sleep(_LOOK_SECONDS)

    async def _open_trading(self, node: Node) -> None:
        """Take a new chain up to OPEN, once."""
        while True:
            state, writer = node.engine.writer.state, node.engine.writer
            system = state.system
            mode = None
            if system.mode is Mode.OPEN:
                self._folder.note_opened()
                return
            if system.cause is ModeCause.OPERATOR and system.mode is Mode.CANCEL_ONLY:
                mode = Mode.POST_ONLY
            elif system.mode is Mode.POST_ONLY and not opening_problems(state, 0):
                mode = Mode.OPEN
            if mode is not None:
                try:
                    await writer.operate(SetMode(mode, "a new devnet")).answer
                except Refused as refused:
                    self._teller.say(str(refused))
            await asyncio.sleep(_LOOK_SECONDS)

    @asynccontextmanager
    async def _settled(
        self,
        node: Node,
        opener: SettlementOpener | None,
        late: LateSettlement | None,
        told: asyncio.Event,
    ) -> AsyncIterator[None]:
        """Have the settlement chain start in a thread, and stop it at the end.

        Refusal: SETTLEMENT_ABSENT where somebody else's is not there.
        """
        if opener is None or late is None:
            yield
            return
        if told.is_set():
            late.arrive(None, "the devnet stops")
            yield
            return
        loop, data_dir = asyncio.get_running_loop(), self._folder.data_dir
        facts = facts_of(node.store.view, node.engine.writer.state)
        salt = self._options.seed if opener.is_new else self._folder.salt

        def say(words: str) -> None:
            loop.call_soon_threadsafe(self._teller.say, words)

        def take(opening: asyncio.Future[OpenedSettlement]) -> None:
            opened = opening.result()
            late.arrive(opened.chain, opened.problem)
            if opened.chain is not None:
                self._settlement_facts = opened.facts
                self._tell_settled()

        opening = loop.run_in_executor(None, opener.open, data_dir, facts, salt, say)
        opening.add_done_callback(take)
        if not opener.is_new and (await opening).chain is None:
            raise Refused(Reason.SETTLEMENT_ABSENT, opening.result().problem)
        try:
            yield
        finally:
            await asyncio.to_thread(opener.stop, data_dir)
            await opening
            await late.close()
            await asyncio.to_thread(opener.stop, data_dir)

    def _first_standing(self, node: Node, opener: SettlementOpener | None) -> Standing | None:
        """Return what a contract that is deployed now will stand at, None for one that is there."""
        first = node.store.view.block(0)
        is_kept = holds_chain(self._folder.data_dir)
        if first is None or opener is None or not opener.is_new or is_kept:
            return None
        return standing_at(post_of(first))

    def _config(self) -> NodeConfig:
        genesis = make_local_genesis(self._recording, self._cast, self._options.balance)
        return NodeConfig(
            data_dir=self._folder.data_dir,
            operator_key=Secret(self._cast.roles.operator.key),
            genesis=msgspec.json.encode(genesis).decode(),
            block_interval_ms=self._plan.block_ms,
            admin_port=self._plan.admin_port,
            api_host=self._plan.host,
            api_port=self._plan.port,
            api_limits=_LIMITS,
            plugins=self._plan.plugins,
        )

    def _given(self, late: LateSettlement | None) -> Given:
        faucet = self._cast.faucet
        return Given(
            settlement=late,
            settle_pace=_SETTLE_PACE,
            say=self._teller.say,
            methods=lambda service: faucet_methods(service, faucet),
        )


async def _until(told: asyncio.Event, node: Node) -> None:
    """Stop the node once somebody says so."""
    await told.wait()
    node.stop()
