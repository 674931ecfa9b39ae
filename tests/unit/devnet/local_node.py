"""A local devnet's chain on a real node in this process, with its time in the hands of a test."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import msgspec

from devnet.bots import Bots
from devnet.local_cast import LocalCast, make_local_cast, make_local_genesis
from devnet.market_feed import ScriptClock
from devnet.market_script import MARKET_DATA
from devnet.publishers import Publishers, SpotLoop
from sequencer.config import NodeConfig
from sequencer.engine.admission import Admission
from sequencer.engine.service import Service
from sequencer.engine.worker import ThreadWorker
from sequencer.engine.writer import Pace
from sequencer.exchange.state import State
from sequencer.feeds.recorded import Recording, read_recording
from sequencer.model.commands import SetMode
from sequencer.model.rows import Mode
from sequencer.model.secret import Secret
from sequencer.node import Given, Node, start_node

SEED = 7
ACCOUNTS = 2
TOKENS = 5_000
START_MS = 1_800_000_000_000


@cache
def recording() -> Recording:
    return read_recording(MARKET_DATA)


@cache
def cast() -> LocalCast:
    return make_local_cast(SEED, ACCOUNTS)


class World:
    """A chain that makes a block when it is told to."""

    def __init__(self, node: Node, clock: ScriptClock) -> None:
        self.node = node
        self.clock = clock
        self.reader = ThreadWorker("read")
        self.service = Service(node, self.reader, self.reader)
        self.publishers = Publishers(SpotLoop(recording()), cast().roles, self.admission, clock)
        self.publishers.begin(self.state)

    @property
    def state(self) -> State:
        return self.node.engine.writer.state

    def admission(self) -> Admission:
        return self.node.engine.admission

    def bots(self) -> Bots:
        chain = (lambda: self.state, self.admission, self.clock)
        return Bots(cast().roles, SEED, chain)

    async def block(self, elapsed_ms: int = 1_000) -> None:
        """Let time pass, and make a block of what waits."""
        self.clock.ms += elapsed_ms
        self.publishers.report()
        await self.node.engine.admission.checked()
        await self.node.engine.writer.call()

    async def set_mode(self, mode: Mode) -> None:
        item = self.node.engine.writer.operate(SetMode(mode, "test"))
        await self.block()
        applied = await item.answer
        assert not applied.refusal

    async def open(self) -> None:
        for _ in range(4):
            await self.block()
        await self.set_mode(Mode.POST_ONLY)
        await self.set_mode(Mode.OPEN)


def play(folder: Path, act: Callable[[World], Awaitable[None]]) -> None:
    """Run a node on a folder, and something beside it; then stop."""

    async def run() -> None:
        genesis = make_local_genesis(recording(), cast(), TOKENS)
        config = NodeConfig(
            data_dir=folder,
            api_port=0,
            operator_key=Secret(cast().roles.operator.key),
            genesis=msgspec.json.encode(genesis).decode(),
        )
        clock = ScriptClock()
        clock.ms = START_MS
        node = await start_node(config, Given(clock=clock, pace=Pace(on_call=True)))
        clock.ms = max(START_MS, node.engine.writer.state.system.time_ms)
        world = World(node, clock)
        try:

            async def told() -> None:
                await act(world)
                node.stop()

            await node.run((), [told()])
        finally:
            world.reader.close()
            node.close()

    asyncio.run(run())
