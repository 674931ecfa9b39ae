"""The appchain of a history: a real node in this process that makes a block when it is told to.

Promises
- Each history begins with a copy of one chain that is OPEN. It is a drill, and withdrawals need
  not wait after a rollback: a history is shorter than that wait.

Laws
- Time is the history's own: a second a block.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec

from devnet import appchain_facts
from devnet.appchain_facts import AppchainFacts
from devnet.market_feed import ScriptClock
from scripts.simulating.cast import OPENED_MS, PRICE, START_MS, Cast
from scripts.simulating.node import wait_for
from scripts.simulating.signatures import Signatures
from sequencer.chain.exchange_contract import SignedOrder
from sequencer.config import NodeConfig
from sequencer.engine.desk import Desk
from sequencer.engine.items import Item
from sequencer.engine.lookup import find_block, state_at
from sequencer.engine.settler import SettlePace
from sequencer.engine.worker import ThreadWorker
from sequencer.engine.writer import Pace
from sequencer.exchange.state import State
from sequencer.model.commands import Command, Reopen, SetGuard, SetMode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode
from sequencer.model.secret import Secret
from sequencer.node import Given, Node, start_node
from sequencer.ports import Settlement
from sequencer.serve import desk_of
from sequencer.starknet.transactions import InvokeV3
from sequencer.storage.folder import open_folder

PATIENCE_SECONDS = 30.0
"""How long anything may take to come about."""

INSURANCE = "insurance"
L1_BRIDGE = 0xE7
"""The bridge on Ethereum whose messages a contract takes."""

_BLOCK_MS = 1_000
_DATA = "data"
_CLIMB_BLOCKS_MAX = 40
_SETTLE_PACE = SettlePace(blocks=2, seconds=0)
_UP = {
    Mode.HALTED: Mode.CANCEL_ONLY,
    Mode.CANCEL_ONLY: Mode.POST_ONLY,
    Mode.POST_ONLY: Mode.OPEN,
}


class Violated(Exception):
    """A law that does not hold, or something that never came about."""


class Appchain:
    """A node that runs, its operator's desk, and everybody's keys."""

    def __init__(self, node: Node, desk: Desk, cast: Cast, clock: ScriptClock) -> None:
        self.node = node
        self.desk = desk
        self.cast = cast
        self._clock = clock

    @property
    def state(self) -> State:
        """Return the state with the open block."""
        return self.node.engine.writer.state

    @property
    def height(self) -> int:
        """Return the height of the durable head that everybody sees."""
        return self.node.views.view.head.height

    @property
    def is_halted(self) -> bool:
        """Say whether no block is made."""
        return self.node.engine.gate.is_halted(self.state)

    @property
    def unmade(self) -> list[int]:
        """Return the nonces of credited deposits that the settlement chain has lost."""
        return self.node.deposits.unmade(self.state.deposits)

    def now_ms(self) -> int:
        """Return the chain's time outside."""
        return self._clock.ms

    async def block(self, *commands: SetMode | SetGuard | Reopen) -> list[str]:
        """Have a block made of what waits; returns what refused each command, "" for nothing."""
        engine = self.node.engine
        self._clock.ms += _BLOCK_MS
        for report in self.cast.reports(PRICE * 100, self._clock.ms // 1_000):
            engine.admission.report(report)
        items = [engine.writer.operate(command) for command in commands]
        await engine.admission.checked()
        await engine.writer.call()
        return [await refusal_of(item) for item in items]

    def invoke(self, name: str, command: Command) -> tuple[InvokeV3, Item]:
        """Sign a command and hand it to admission. Refusals are admission's."""
        nonce = self.state.contracts[self.cast.addresses[name]].nonce
        # What a rollback has undone is new with another tip.
        signed = self.cast.invoke(name, command, nonce, tip=self.node.views.view.head.epoch)
        return signed, self.node.engine.admission.transaction(signed)

    def order(self, signed: SignedOrder) -> Item:
        """Hand an order to admission. Refusals are admission's."""
        return self.node.engine.admission.order(signed)

    async def climb(self, top: Mode = Mode.OPEN) -> None:
        """Go up to a mode, step by step. Error: Violated where that takes for ever."""
        refused = ""
        for _ in range(_CLIMB_BLOCKS_MAX):
            mode = self.state.system.mode
            if mode is top and not self.is_halted:
                if top is Mode.OPEN:
                    # A rollback has switched it on again.
                    await self.block(SetGuard(Guard.WITHDRAWAL_WAIT, on=False))
                return
            step = Mode.CANCEL_ONLY if self.is_halted else _UP[mode]
            (refused,) = await self.block(SetMode(step, "reviewed", accept=9))
            if refused == Reason.ROOT_UNVERIFIED:
                await until(lambda: not self.node.engine.gate.owes_root, "the root is worked out")
            if refused == Reason.DEPOSIT_UNMADE:
                return
        raise Violated(f"the chain does not come to {top.value}: {refused}")

    async def stored(self) -> None:
        """Wait until every block is in the store."""
        writer = self.node.engine.writer
        await until(lambda: self.height >= writer.made_height, "every block is in the store")


async def refusal_of(item: Item) -> str:
    """Wait for an answer; returns what refused it, "" for nothing."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return (await item.answer).refusal
        except Refused as refused:
            return refused.reason.value


async def until(holds: Callable[[], bool], words: str) -> None:
    """Wait until something holds. Error: Violated."""
    if not await wait_for(holds, PATIENCE_SECONDS):
        raise Violated(f"it never came about that {words}")


def real_cast() -> Cast:
    """Return a cast whose signatures are real, in a process that checks real ones."""
    cast = Cast(Signatures(real=True))
    cast.signatures.install()
    return cast


async def begin(cast: Cast, folder: Path) -> None:
    """Make the chain that every history begins with a copy of, OPEN at its head.

    The folder is there, and empty.
    """
    genesis = msgspec.json.encode({**msgspec.json.decode(cast.genesis()), "drill": True}).decode()
    clock = ScriptClock()
    clock.ms = START_MS
    config = NodeConfig(folder / _DATA, Secret(cast.operator_key), genesis)
    async with _running(config, cast, clock, None) as chain:
        for _ in range(3):
            await chain.block()
        await chain.block(
            SetMode(Mode.POST_ONLY, "the first day"),
            SetMode(Mode.OPEN, "the first day"),
            SetGuard(Guard.WITHDRAWAL_WAIT, on=False),
        )
        if chain.state.system.mode is not Mode.OPEN:
            raise Violated("the chain did not open")


@asynccontextmanager
async def going_on(
    cast: Cast, folder: Path, settlement: Settlement | None, api_port: int = -1
) -> AsyncIterator[Appchain]:
    """Run a node on a folder with a chain, and stop it as planned at the end.

    With a port somebody else may have its clients answered.
    """
    clock = ScriptClock()
    config = NodeConfig(folder / _DATA, Secret(cast.operator_key), api_port=api_port)
    async with _running(config, cast, clock, settlement) as chain:
        yield chain


def copy_of(begun: Path, folder: Path) -> None:
    """Copy the chain that was begun."""
    shutil.copytree(begun, folder)


def facts_of(begun: Path) -> AppchainFacts:
    """Return what a contract has to know of the chain that was begun."""
    with closing(open_folder(begun / _DATA)) as store:
        state = state_at(store.view, find_block(store.view, "latest"))
        return appchain_facts.facts_of(store.view, state, L1_BRIDGE)


@asynccontextmanager
async def _running(
    config: NodeConfig, cast: Cast, clock: ScriptClock, settlement: Settlement | None
) -> AsyncIterator[Appchain]:
    given = Given(
        clock=clock, pace=Pace(on_call=True), settlement=settlement, settle_pace=_SETTLE_PACE
    )
    reader, searcher = ThreadWorker("desk"), ThreadWorker("search")
    node = await start_node(config, given)
    clock.ms = max(clock.ms, node.engine.writer.state.system.time_ms, OPENED_MS)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(node.run([]))
            try:
                yield Appchain(node, desk_of(config, node, given, reader, searcher), cast, clock)
            finally:
                node.stop()
                await running
    finally:
        reader.close()
        searcher.close()
        node.close()
