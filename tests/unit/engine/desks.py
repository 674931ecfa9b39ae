"""The operator's desk of a real node in a folder, and one beside a store whose node is stopped.

`Operated` puts a node together as a process does, with clock and settlement chain in the hands of a
test. Blocks are made when something waits, and never for the time that passes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.config import NodeConfig
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.plan import Plan
from sequencer.engine.reach import Reach
from sequencer.engine.rollback import Order
from sequencer.engine.service import Service
from sequencer.engine.settler import SettlePace
from sequencer.engine.settling import post_of
from sequencer.engine.worker import ThreadWorker
from sequencer.model.commands import OrderPolicy, SetMode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.model.secret import Secret
from sequencer.model.settlement import TimedPost
from sequencer.node import Given, Node, start_node
from sequencer.ports import Settlement, Store
from sequencer.serve import desk_of
from sequencer.settlement.contract_rules import ContractState
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.starknet.felt import encode_short_string
from sequencer.storage.folder import open_folder
from sequencer.storage.plan_folder import PlanFolder
from tests.process_state import process_as_before
from tests.unit.chain.network import PRIVATE, START_MS
from tests.unit.engine.builders import (
    PACE,
    InlineWorker,
    ManualClock,
    MemoryNote,
    applied,
    genesis_text,
    until,
)

OWNER, OPERATOR = 1, 2
CHAIN_ID = encode_short_string("PERPCHAIN_TEST")
DELAY_SECONDS = 3_600
ORDER = Order("olga", "a drill", 1_700_000_000_000)


def contract_at(store: Store, clock: ManualClock) -> SimulatedSettlement:
    """Return a settlement chain on which a store's block 0 is posted."""
    genesis = store.view.block(0)
    assert genesis is not None
    posts = (TimedPost(post_of(genesis), clock.ms // 1_000),)
    state = ContractState(
        OWNER,
        OPERATOR,
        DELAY_SECONDS,
        posts,
        exchange=EXCHANGE_ADDRESS,
        chain_id=CHAIN_ID,
    )
    return SimulatedSettlement(SimulatedChain(state, clock), OPERATOR)


class Operated:
    """A node with its desk."""

    def __init__(self, config: NodeConfig, node: Node, given: Given, clock: ManualClock) -> None:
        self.node, self.clock = node, clock
        self.reader, self.searcher = ThreadWorker("desk"), ThreadWorker("search")
        self.desk = desk_of(config, node, given, self.reader, self.searcher)
        self._settlement = given.settlement
        self.service = Service(node, self.reader, self.reader)

    @property
    def contract(self) -> SimulatedSettlement:
        """The settlement chain of a node that is settled."""
        assert isinstance(self._settlement, SimulatedSettlement)
        return self._settlement

    @property
    def height(self) -> int:
        return self.node.store.head.height

    async def block(self) -> int:
        """Have a block made, and return its height."""
        writer = self.node.engine.writer
        self.clock.ms += 1_000
        return (await applied(writer.operate(SetMode(writer.state.system.mode)))).height

    async def blocks(self, count: int) -> None:
        for _ in range(count):
            await self.block()

    async def halt(self) -> Facts:
        return await self.desk.mode(Mode.HALTED, "a drill", 0, 60_000)

    async def plan(self, to: object, policy: OrderPolicy = OrderPolicy.KEEP) -> Plan:
        return await self.desk.plan(str(to), policy, ())

    async def back(self, to: object) -> Facts:
        return await self.desk.apply((await self.plan(to)).plan_id.hex(), ORDER)

    async def idle(self) -> None:
        """Wait until the settlement chain is at the head."""
        settler = self.node.settler
        assert settler is not None
        await until(lambda: settler.status().is_idle)


@asynccontextmanager
async def operated(
    folder: Path, *, settled: bool = False, drill: bool = False
) -> AsyncIterator[Operated]:
    """Run a node; one that is settled posts each block."""
    clock = ManualClock(START_MS + 5_000)
    genesis = genesis_text(drill=drill)
    config = NodeConfig(folder / "data", Secret(PRIVATE["op"]), genesis, api_port=0)
    given = Given(clock=clock, pace=PACE)
    if settled:
        (await start_node(config, given)).close()
        given = Given(
            clock=clock,
            pace=PACE,
            settlement=_contract_of(config, clock),
            settle_pace=SettlePace(blocks=1, seconds=1),
        )
    async with run_on(config, given, clock) as rig:
        yield rig


@asynccontextmanager
async def run_on(config: NodeConfig, given: Given, clock: ManualClock) -> AsyncIterator[Operated]:
    """Run a node on what is in its folder, and its desk, until the end of the block.

    The process is then as it was before, and nobody waits for a look at the settlement chain.
    """
    with process_as_before(), _looking_often():
        node = await start_node(config, given)
        rig = Operated(config, node, given, clock)
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(node.run([]))
                try:
                    yield rig
                finally:
                    node.stop()
                    await running
        finally:
            rig.reader.close()
            rig.searcher.close()
            node.close()


@contextmanager
def _looking_often() -> Iterator[None]:
    """Have a settler and a collector of deposits look at the settlement chain all the time."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("settler", "deposits"):
            patched.setattr(f"sequencer.engine.{module}._LOOK_SECONDS", 0.005)
        yield


def _contract_of(config: NodeConfig, clock: ManualClock) -> SimulatedSettlement:
    store = open_folder(config.data_dir)
    try:
        return contract_at(store, clock)
    finally:
        store.close()


def desk_beside(
    store: Store, folder: Path, settlement: Settlement | None = None, note: str = ""
) -> Desk:
    """Return the desk beside a store whose node is stopped."""
    reach = Reach(
        store=store,
        view=lambda: nullcontext(store.view),
        advance=lambda: None,
        change=InlineWorker().run,
        worker=InlineWorker(),
        reader=InlineWorker(),
        searcher=InlineWorker(),
        clock=ManualClock(),
        note=MemoryNote(note),
        plans=PlanFolder(folder),
        settlement=settlement,
    )
    return Desk(reach)


@contextmanager
def denied(reason: Reason, words: str = ":") -> Iterator[None]:
    """Expect a refusal by its code."""
    with pytest.raises(Refused, match=words) as caught:
        yield
    assert caught.value.reason is reason, str(caught.value)
