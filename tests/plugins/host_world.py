"""Plugins in real processes, told of a chain on a simulated disk that a test drives."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from sequencer.config import environment_for_others
from sequencer.engine.deliveries import Position
from sequencer.engine.plan import Plan
from sequencer.engine.reverse_diff import Reverser
from sequencer.engine.views import Views
from sequencer.model.plugins import PluginConfig, PluginOpinion, PluginStanding, PluginState
from sequencer.model.records import Cursor
from sequencer.plugins.host.calls import next_call
from sequencer.plugins.host.host import Around, HostLimits
from sequencer.plugins.host.hosts import PluginHosts
from sequencer.plugins.host.messages import Begin
from sequencer.ports import ChainView, Worker
from sequencer.storage.simulated import SimulatedDisk
from tests.plugins.probe import CALLS
from tests.unit.engine.builders import InlineWorker, copy_of
from tests.unit.engine.rolling import Chain

_T = TypeVar("_T")
PROBE = "tests.plugins.probe:Probe"
QUICK, PATIENT = HostLimits(call_seconds_max=1), HostLimits(call_seconds_max=60)
PATIENCE_SECONDS = 30
LOOK_SECONDS = 0.01
ORDERS = ("park", "unpark", "rebuild")


def probe(
    name: str = "probe", *, is_dry: bool = False, use: str = PROBE, **options: str
) -> PluginConfig:
    named = {key.rstrip("_"): value for key, value in options.items()}
    return PluginConfig(name, use, named, is_dry)


def begin(folder: Path, **options: str) -> Begin:
    """Return the first message for a probe of its own."""
    named = probe(is_dry=False, **options).options
    return Begin("probe", PROBE, named, str(folder), b"\x01", None, False, [])


@cache
def _rolled_disk() -> SimulatedDisk:
    chain = Chain()
    chain.blocks(3)
    chain.back(5)
    chain.undo(1)
    chain.back(4)
    chain.reopen()
    chain.blocks(2)
    return chain.disk


def rolled_chain() -> Chain:
    """Return a chain with a rollback, its undo, another rollback, and blocks on top."""
    return Chain(copy_of(_rolled_disk()))


def straight(view: ChainView) -> list[str]:
    """List the calls of a plugin that nothing ever happens to, as `Probe` notes them."""
    position, calls, reverser = Position(), [], Reverser()
    while (call := next_call(view, position, reverser)) is not None:
        method, _, rest = call.what.partition(" ")
        height = call.after.height if method == "reorg_done" else int(rest.split()[-1])
        sequence, step = call.message.key
        calls.append(f"{sequence}.{step} {method} {height}")
        position = call.after
    return calls


class _Changing:
    """The worker of the moment."""

    def __init__(self, now: Callable[[], Worker]) -> None:
        self._now = now

    async def run(self, work: Callable[[], _T]) -> _T:
        return await self._now().run(work)


class Hosted:
    """Hosts of plugins, with what they say. `worker` and `reader` can be others at any time."""

    def __init__(
        self, chain: Chain, folder: Path, configs: tuple[PluginConfig, ...], limits: HostLimits
    ) -> None:
        self.chain, self.folder, self.said = chain, folder, list[str]()
        self.views = Views(chain.store)
        self.worker: Worker = InlineWorker()
        self.reader: Worker = InlineWorker()
        around = Around(
            store=chain.store,
            worker=_Changing(lambda: self.worker),
            views=self.views,
            reader=_Changing(lambda: self.reader),
            folder=folder,
            say=self.said.append,
            environment=environment_for_others(),
            limits=limits,
        )
        self.hosts = PluginHosts(configs, around)

    def standing(self, name: str = "probe") -> PluginStanding:
        return next(each for each in self.hosts.standings() if each.name == name)

    def act(self) -> None:
        """Make a block, and tell of it."""
        self.chain.act()
        self.views.advance()
        self.hosts.wake()

    def cursor(self, name: str = "probe") -> Cursor | None:
        return self.chain.store.view.cursor(f"plugin:{name}")

    def bucket(self, name: str = "probe") -> dict[bytes, bytes]:
        return dict(self.chain.store.view.bucket(name))

    def noted(self, name: str = "probe", file: str = CALLS) -> list[str]:
        """List what a probe noted outside."""
        path = self.folder / name / file
        return path.read_text().splitlines() if path.exists() else []

    def calls(self, name: str = "probe") -> list[str]:
        return [line for line in self.noted(name) if " init " not in line]

    async def told_all(self, name: str = "probe") -> None:
        """Wait until a plugin knows of everything."""
        await until(lambda: self.standing(name).lag == 0)

    async def parked(self, name: str = "probe") -> str:
        """Wait until a plugin is parked, and return why."""
        await until(lambda: self.standing(name).state is PluginState.PARKED)
        return self.standing(name).reason


@asynccontextmanager
async def hosted(
    chain: Chain, folder: Path, *configs: PluginConfig, limits: HostLimits = QUICK
) -> AsyncIterator[Hosted]:
    """Run hosts, and expect that they leave no process behind."""
    rig = Hosted(chain, folder, configs, limits)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(rig.hosts.run())
            try:
                yield rig
            finally:
                running.cancel()
                await asyncio.wait({running})
    finally:
        rig.views.close()
    # One whose end was cut short is killed, and goes on its own.
    await until(lambda: children() == [])


async def order(rig: Hosted, word: str, name: str = "probe") -> None:
    match word:
        case "park":
            await rig.hosts.park(name, "a drill")
        case "unpark":
            await rig.hosts.unpark(name)
        case _:
            await rig.hosts.rebuild(name)


async def opinions(rig: Hosted, plan: Plan) -> dict[str, PluginOpinion]:
    return {each.name: each for each in await rig.hosts.opinions(plan)}


_EARLIER: set[int] = set()


def leave_out_earlier_children() -> None:
    """Leave out of `children` those that are there by now: other tests in this process share them.

    A settlement devnet of a whole session is one, and what Python forks from for processes.
    """
    _EARLIER.clear()
    _EARLIER.update(children())


def children() -> list[int]:
    """List the processes that this one has started since then, and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = stat.read_text().rpartition(")")[2].split()
            if int(words[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return [process_id for process_id in found if process_id not in _EARLIER]


def is_there(process_id: int) -> bool:
    """Say whether a process runs: one that has ended and keeps its number does not."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def until(holds: Callable[[], bool], seconds_max: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        await asyncio.sleep(LOOK_SECONDS)
