"""A node in a process of its own, with a bench's world, a clock that fits it, and its prices.

Promises
- It is whole: what clients reach is what `perpchain node` serves, verification in the background
  included. Only its clock, the publishers inside and the room for one address differ.
- Whoever asked gets it with the exchange open; it stops as planned, and leaves no process.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from scripts.benches.cache import DATA, copied
from scripts.benches.measure import Trading
from scripts.benches.messages import kept_script
from scripts.benches.trading import BenchClock, feed, open_exchange
from scripts.benches.world import OPERATOR_KEY, kept_world
from sequencer.config import NodeConfig
from sequencer.model.api_limits import ServerLimits
from sequencer.model.secret import Secret
from sequencer.node import Given, Node, start_node
from sequencer.serve import answered

_STOP_SECONDS = 30
_TICKS = os.sysconf("SC_CLK_TCK")
_MANY = 1_000_000
# One address is all clients here; each figure is of the work itself.
_LIMITS = ServerLimits(
    connections_per_address_max=4_096,
    calls_per_address_max=2_048,
    tokens_per_second=_MANY,
    tokens_max=_MANY,
)


class Place:
    """Where a node is reached, and its process."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    def cpu_seconds(self) -> float:
        """Return the CPU of all its threads so far, 0 where no system says so."""
        told = Path(f"/proc/{self._pid}/stat")
        if not told.exists():
            return 0.0
        user, system = told.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS


@contextmanager
def serving(trading: Trading, interval_ms: int = 0) -> Iterator[Place]:
    """Run a node on a copy of a world; its blocks stay open for so long, 0 for as ever."""
    kept_script(trading)
    world, _ = kept_world(trading.world)
    context = get_context("spawn")
    with copied(world) as folder:
        here, there = context.Pipe()
        process = context.Process(target=_run, args=(there, folder / DATA, trading, interval_ms))
        process.start()
        there.close()
        try:
            yield Place(_url(here), process.pid or 0)
        finally:
            here.close()
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _url(pipe: Connection) -> str:
    try:
        url: str = pipe.recv()
    except EOFError:
        raise SystemExit("a bench's node did not start") from None
    return url


def _run(pipe: Connection, data: Path, trading: Trading, interval_ms: int) -> None:
    asyncio.run(_serve(pipe, data, trading, interval_ms))


async def _serve(pipe: Connection, data: Path, trading: Trading, interval_ms: int) -> None:
    script = kept_script(trading)
    config = NodeConfig(
        data_dir=data,
        operator_key=Secret(OPERATOR_KEY),
        block_interval_ms=interval_ms,
        api_port=0,
        api_limits=_LIMITS,
    )
    given = Given(clock=BenchClock())
    node = await start_node(config, given)
    try:
        async with answered(config, node, given) as (url, services):
            asyncio.get_running_loop().add_reader(pipe.fileno(), _stop, pipe, node)
            prices = feed(node.clock, node.engine.admission.report, script)
            await node.run((), [*services, prices, _tell_when_open(pipe, node, url)])
    finally:
        node.close()


async def _tell_when_open(pipe: Connection, node: Node, url: str) -> None:
    await open_exchange(node.engine.writer)
    pipe.send(url)


def _stop(pipe: Connection, node: Node) -> None:
    """Stop once the other end of the pipe is closed: nothing is ever sent through it."""
    asyncio.get_running_loop().remove_reader(pipe.fileno())
    node.stop()
