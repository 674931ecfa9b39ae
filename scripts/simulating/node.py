"""The node of a run: the real one, with simulated threads, clock, note, disk and free space.

Laws
- What is replaced is what stands outside the engine; nothing of the product is written again here.
- Replaced by name, in this process alone: threads, the halt's note, free space, the collector, and
  the clock by which background work rests.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import cast

from scripts.simulating.cast import Cast, open_store
from scripts.simulating.settlement import SettlementChain
from scripts.simulating.surroundings import (
    DELAY_SECONDS,
    LoopClock,
    MemoryNote,
    PlentyOfSpace,
    SimulatedWorker,
)
from sequencer import node as node_module
from sequencer.config import NodeConfig
from sequencer.engine import throttle
from sequencer.engine.recovery import recover
from sequencer.engine.rollback import resume
from sequencer.engine.settler import SettlePace, Surroundings
from sequencer.engine.throttle import Throttle
from sequencer.engine.worker import ThreadWorker
from sequencer.engine.writer import Pace
from sequencer.model.secret import Secret
from sequencer.node import Given, Node
from sequencer.storage.simulated import SimulatedDisk

PACE = Pace(interval_ms=200, heartbeat_ms=1_000)
SETTLE_PACE = SettlePace(blocks=2, seconds=1)
_NOWHERE = Path("no folder of a simulated node")
_SECONDS = {"execute": (0.3, 0.9), "check": (0.02, 0.2), "read": (0.0002, 0.004)}
"""Virtual seconds of work of other threads: those in the background rest most of the time."""


class _NoCollector:
    """In place of the collector: a run is too short to need it, and a full round is slow."""

    def collect(self) -> None:
        """Do nothing."""

    freeze = unfreeze = enable = disable = collect


class _NoRest(Throttle):
    """A throttle whose clock stands still: the worker's virtual time is rest enough."""

    def __init__(self, rest_times: int) -> None:
        super().__init__(rest_times, now=lambda: 0.0, rest=lambda _: None)


class MemoryPlans:
    """Plans of rollbacks in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def save(self, plan_id: str, content: bytes) -> None:
        """Keep a plan."""
        self._kept[plan_id] = content

    def find(self, beginning: str) -> tuple[str, bytes]:
        """Return a plan's id and content."""
        return beginning, self._kept[beginning]


class Around:
    """What outlives the nodes of one run.

    `is_stopping`: the node of the moment was told to stop. `is_telling`: a row of the outbox is on
    its way to somebody.
    """

    def __init__(
        self,
        seed: int,
        cast_: Cast,
        disk: SimulatedDisk,
        clock: LoopClock,
        settlement: SettlementChain,
    ) -> None:
        self.cast = cast_
        self.disk = disk
        self.clock = clock
        self.settlement = settlement
        self.note = MemoryNote()
        self.plans = MemoryPlans()
        self.is_stopping = False
        self.is_telling: Callable[[], bool] = lambda: False
        self.threads: list[SimulatedWorker] = []
        self._random = Random(f"threads {seed}")
        self._on_cut: Callable[[], None] = lambda: None

    def start(self, on_cut: Callable[[], None]) -> Node:
        """Start a node as `start_node` does, on the simulated disk."""
        self._on_cut, self.threads = on_cut, []
        self._replace_outside()
        worker = self.thread("seal")
        store = open_store(self.disk)
        resume(store)
        recovered = recover(store, read=True)
        # Clients have their state and their view; nobody listens.
        config = NodeConfig(_NOWHERE, Secret(self.cast.operator_key), api_port=0)
        given = Given(
            clock=self.clock, pace=PACE, settlement=self.settlement, settle_pace=SETTLE_PACE
        )
        return Node(config, store, recovered, cast("ThreadWorker", worker), given)

    def kill(self) -> None:
        """Have no thread do or say anything any more."""
        for thread in self.threads:
            thread.is_dead = True

    def _replace_outside(self) -> None:
        vars(node_module).update(
            gc=_NoCollector(),
            ThreadWorker=self.thread,
            Surroundings=partial(Surroundings, now=asyncio.get_running_loop().time),
            HaltFile=lambda _: self.note,
            FolderSpace=lambda _: PlentyOfSpace(),
        )
        for name, module in [*sys.modules.items()]:
            is_user = name.startswith("sequencer.engine.") and module is not throttle
            if is_user and vars(module).get("Throttle") is Throttle:
                vars(module)["Throttle"] = _NoRest

    def thread(self, name: str) -> SimulatedWorker:
        """Make a thread of the node of the moment."""
        delay = _SECONDS.get(name, DELAY_SECONDS)
        thread = SimulatedWorker(self._random, delay, self._on_cut)
        self.threads.append(thread)
        return thread


async def wait_for(holds: Callable[[], bool], seconds_max: float, step: float = 0.001) -> bool:
    """Look again and again until something holds; says whether it came to that."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds_max
    while loop.time() < until:
        if holds():
            return True
        await asyncio.sleep(step)
    return holds()
