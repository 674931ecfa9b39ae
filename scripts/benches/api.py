"""Benches of the public API: a whole node in one process, its clients in another.

Promises
- Every answer is awaited, read whole and checked to be no error; errors are told by their codes.
- An order counts when its answer has come, which is after its block is on the disk with its
  witness. The world, the script and the number under way are those of the engine's own benches.

Node and clients share the machine's cores: the CPU of both is told, so one sees who was the slower.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

from scripts.benches.api_load import (
    Ask,
    Load,
    all_asked,
    over_http,
    over_websockets,
    paced,
    pressed,
)
from scripts.benches.api_node import Place, serving
from scripts.benches.api_requests import (
    METHODS,
    Request,
    asked_of,
    mixed_requests,
    order_requests,
    read_requests,
)
from scripts.benches.measure import Figure, Sizes, Trading, percentile_ms, spread

CONNECTIONS = 8
"""Connections of those who read, each with one request under way."""

SEALED_TOGETHER = 300
"""Orders of a block while reads are timed."""

READS_PER_SECOND = 100
"""Reads at that time, at an even pace."""

READERS = 64
"""Connections for them: enough that nobody waits for another one's answer."""

OPEN_MS = 2_000
"""Milliseconds for which those blocks stay open: orders come at half of what a node can do."""

_SOCKETS = 2
_UNDER_WAY = 384
_READS_PART = 6
_WARM_PART = 5
_WARM_SECONDS_MAX = 3


class Pressed(NamedTuple):
    """A closed load, and the CPU in seconds that node and clients spent meanwhile."""

    load: Load
    node_cpu: float
    client_cpu: float

    def words(self) -> str:
        """Say it in a note."""
        count = max(1, len(self.load.latencies))
        each = 1_000_000 / count
        refused = ", ".join(f"{many} {name}" for name, many in self.load.refused.most_common())
        return (
            f"{self.load.seconds:.0f} s, refused: {refused or 'none'}; ms: "
            f"{spread(self.load.latencies)}; {self.load.bytes // count} bytes an answer; CPU us "
            f"each: node {self.node_cpu * each:.0f}, clients {self.client_cpu * each:.0f}"
        )


class Sealing(NamedTuple):
    """Reads while blocks were sealed, and how many orders each of those blocks had."""

    load: Load
    orders: Counter[int]


def http_orders_per_second(sizes: Sizes) -> Figure:
    """Orders and cancels over HTTP, a connection for each that is under way."""
    return _orders_figure(sizes.trading, f"{_UNDER_WAY} connections", is_stream=False)


def ws_orders_per_second(sizes: Sizes) -> Figure:
    """The same over WebSockets that carry many at a time."""
    return _orders_figure(sizes.trading, f"{_SOCKETS} WebSockets", is_stream=True)


def rpc_p99_ms_while_sealing(sizes: Sizes) -> Figure:
    """Reads of all kinds at an even pace, while orders come in bursts of one block each."""
    sealing = _sealing(sizes.trading)
    load, blocks = sealing.load, sealing.orders
    kinds = ", ".join(f"{kind} {percentile_ms(each, 99)}" for kind, each in load.by_kind.items())
    middle = sorted(blocks.values())[len(blocks) // 2]
    note = (
        f"{len(load.latencies)} reads, {READS_PER_SECOND} a second over {READERS} connections, "
        f"each from when it was due: {spread(load.latencies)}; p99 of {kinds}; {len(blocks)} "
        f"blocks open for {OPEN_MS} ms, half of them with {middle} orders and more; "
        f"{_words(sizes.trading)}"
    )
    return Figure(percentile_ms(load.latencies, 99), "ms", note)


def _read_per_second(method: str, sizes: Sizes) -> Figure:
    read = _reads(sizes.trading)[method]
    note = f"{METHODS[method]}; {CONNECTIONS} connections over HTTP; {read.words()}"
    return Figure(round(len(read.load.latencies) / read.load.seconds), "per second", note)


def _read_p99_ms(method: str, sizes: Sizes) -> Figure:
    read = _reads(sizes.trading)[method]
    note = f"{METHODS[method]}; at full load of {CONNECTIONS} connections over HTTP"
    return Figure(percentile_ms(read.load.latencies, 99), "ms", note)


def _orders_figure(trading: Trading, how: str, *, is_stream: bool) -> Figure:
    run = _orders(trading, is_stream)
    note = f"{_words(trading)}; {how}, {_UNDER_WAY} under way; {run.words()}"
    return Figure(round(len(run.load.latencies) / run.load.seconds), "per second", note)


@cache
def _orders(trading: Trading, is_stream: bool) -> Pressed:
    requests = order_requests(trading)
    with serving(trading) as place:
        gc.freeze()
        return asyncio.run(_traded(place, trading, requests, is_stream))


async def _traded(
    place: Place, trading: Trading, requests: Sequence[Request], is_stream: bool
) -> Pressed:
    clients = (
        over_websockets(place.url, _SOCKETS) if is_stream else over_http(place.url, _UNDER_WAY)
    )
    async with clients as ask:
        await all_asked(ask, requests[: trading.traders], _UNDER_WAY)
        following = iter(requests[trading.traders :])
        return await _pressed(place, ask, following, _UNDER_WAY, trading.seconds)


@cache
def _reads(trading: Trading) -> dict[str, Pressed]:
    requests = order_requests(trading)[: trading.traders]
    with serving(trading) as place:
        return asyncio.run(_read(place, trading, requests))


async def _read(place: Place, trading: Trading, requests: Sequence[Request]) -> dict[str, Pressed]:
    async with over_websockets(place.url, _SOCKETS) as ask:
        asked = asked_of(trading, list(await all_asked(ask, requests, _UNDER_WAY)))
    told = {}
    async with over_http(place.url, CONNECTIONS) as ask:
        for method in METHODS:
            requests_of = read_requests(method, asked)
            seconds = trading.seconds / _READS_PART
            told[method] = await _pressed(place, ask, requests_of, CONNECTIONS, seconds)
    return told


@cache
def _sealing(trading: Trading) -> Sealing:
    requests = order_requests(trading)
    with serving(trading, OPEN_MS) as place:
        gc.freeze()
        return asyncio.run(_sealed(place, trading, requests))


async def _sealed(place: Place, trading: Trading, requests: Sequence[Request]) -> Sealing:
    async with (
        over_websockets(place.url, _SOCKETS) as send,
        over_http(place.url, READERS) as ask,
    ):
        first = await all_asked(send, requests[: trading.traders], SEALED_TOGETHER)
        reads = mixed_requests(asked_of(trading, list(first)))
        orders = Counter[int]()
        async with asyncio.TaskGroup() as group:
            bursts = group.create_task(_burst(send, requests[trading.traders :], orders))
            load = await paced(ask, reads, READS_PER_SECOND, trading.seconds)
            bursts.cancel()
    if not orders:
        raise SystemExit("a bench's node sealed no block of orders in time")
    return Sealing(load, orders)


async def _burst(ask: Ask, requests: Sequence[Request], orders: Counter[int]) -> None:
    """Send one block's orders at once, and the next ones when all of them are answered."""
    for start in range(0, len(requests), SEALED_TOGETHER):
        together = requests[start : start + SEALED_TOGETHER]
        orders += await all_asked(ask, together, SEALED_TOGETHER)


async def _pressed(
    place: Place, ask: Ask, requests: Iterator[Request], together: int, seconds: float
) -> Pressed:
    warm = min(_WARM_SECONDS_MAX, seconds / _WARM_PART)
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(pressed(ask, requests, together, warm, seconds))
        await asyncio.sleep(warm)
        node, clients = place.cpu_seconds(), time.process_time()
        await asyncio.sleep(seconds)
        node, clients = place.cpu_seconds() - node, time.process_time() - clients
    return Pressed(loading.result(), node, clients)


def _words(trading: Trading) -> str:
    world = trading.world
    return f"{world.accounts} accounts, {world.holders} with positions, {trading.traders} signers"


def _read_benches() -> Iterator[Callable[[Sizes], Figure]]:
    for method in METHODS:
        for name, measure in (("per_second", _read_per_second), ("p99_ms", _read_p99_ms)):
            bench = partial(measure, method)
            bench.__name__ = f"rpc_{method}_{name}"  # type: ignore[attr-defined]
            yield bench


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    *_read_benches(),
    http_orders_per_second,
    ws_orders_per_second,
    rpc_p99_ms_while_sealing,
)
