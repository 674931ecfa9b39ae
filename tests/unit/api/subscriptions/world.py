"""A chain that stands still between calls, the feed over it, and connections of clients.

`World` is a `Ledger` that tells the feed of each block, rollback and undo, and of what is open.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sequencer.api.callers import Caller
from sequencer.api.json_rpc import answer
from sequencer.api.subscriptions.feed import Feed
from sequencer.api.subscriptions.methods import subscription_methods
from sequencer.chain.block import Block
from sequencer.engine.lookup import find_block, read_block
from sequencer.engine.service import Follower
from sequencer.ports import Worker
from sequencer.starknet.transactions import Transaction
from sequencer.storage.simulated import SimulatedDisk
from tests.rpc_schemas import SPECIFICATION, require_error, validate_notification, validate_result
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import Failed
from tests.unit.api.starknet_rpc.reading import Ledger
from tests.unit.engine.builders import InlineWorker, until

STARKNET = "starknet_"


class Connection:
    """One connection as a `Stream`. `messages` are the notifications, in the order they were sent.

    A `held` one takes messages and hands none of them on. Nothing may be sent for an id before the
    answer that names it. Each is held against the protocol's files, where these are.
    """

    def __init__(self, *, validates: bool = True) -> None:
        self.validates = validates and SPECIFICATION.is_dir()
        self.subscriptions: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.closed: tuple[int, bytes] | None = None
        self.held, self.waiting = False, 0
        self.unsent = self.unsent_max = 0
        self.named: set[str] = set()
        self._flushed = asyncio.Event()
        self._acts: list[Callable[[], None]] = []
        self._closing: list[Callable[[], None]] = []

    def send(self, message: bytes) -> None:
        if self.closed is not None:
            return
        told = json.loads(message)
        assert told.keys() == {"jsonrpc", "method", "params"}
        params = told["params"]
        assert params["subscription_id"] in self.named
        if self.validates and told["method"].startswith(STARKNET):
            validate_notification(told["method"], params)
        self.unsent += 1
        self.unsent_max = max(self.unsent_max, self.unsent)
        self.messages.append(told)

    async def flushed(self) -> None:
        await asyncio.sleep(0)
        self.waiting += 1
        while self.held and self.closed is None:
            self._flushed.clear()
            await self._flushed.wait()
        self.waiting -= 1
        self.unsent = 0

    def release(self) -> None:
        self.held = False
        self._flushed.set()

    def after_answer(self, act: Callable[[], None]) -> None:
        self._acts.append(act)

    def on_close(self, act: Callable[[], None]) -> None:
        self._closing.append(act)

    def close(self, code: int = 1_000, reason: bytes = b"") -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self._flushed.set()
            for act in self._closing:
                act()

    def answered(self, id_: str) -> None:
        self.named.add(id_)
        acts, self._acts = self._acts, []
        for act in acts:
            act()

    def results(self, id_: str) -> list[Any]:
        """Return what was told for one subscription."""
        return [told["params"]["result"] for told in self.told(id_)]

    def told(self, id_: str) -> list[dict[str, Any]]:
        return [each for each in self.messages if each["params"]["subscription_id"] == id_]

    def methods(self, id_: str) -> list[str]:
        return [each["method"].removeprefix("starknet_subscription") for each in self.told(id_)]


class World(Ledger):
    """The chain, the feed, and how both are driven."""

    def __init__(self, disk: SimulatedDisk | None = None, worker: Worker | None = None) -> None:
        self.wakes: list[Callable[[], None]] = []
        super().__init__(disk)
        self._living.follow = self._follow
        if worker is not None:
            self.worker = self.served.reader = self.served.history._reader = worker
        self.feed = Feed(self.served, self.worker, pause_ms=0, look_ms=0)
        self.methods = subscription_methods(self.feed)

    def _follow(self, follower: Follower) -> None:
        self.wakes += (follower.durable, follower.pending)
        self.rig.admission.watch(follower.accepted)

    @property
    def served(self) -> Unchecked:
        assert self.service is not None
        return self.service

    def serve(self) -> None:
        """Answer from the head as it is now, and wake the feed."""
        super().serve()
        self.wake()

    def wake(self) -> None:
        for wake in self.wakes:
            wake()

    def open(self, *transactions: Transaction) -> None:
        super().open(*transactions)
        self.wake()

    def seal(self) -> None:
        """Seal what is open."""
        self.block()

    async def ask(self, stream: Connection | None, method: str, **named: Unchecked) -> Unchecked:
        """Call a method for a connection; `Failed` for an error."""
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": named}
        body = await answer(json.dumps(request).encode(), self.methods, Caller("here", stream))
        assert body is not None
        decoded = json.loads(body)
        if "error" in decoded:
            if method.startswith(STARKNET) and SPECIFICATION.is_dir():
                require_error(method, decoded["error"])
            raise Failed(decoded["error"])
        if method.startswith(STARKNET) and stream is not None and stream.validates:
            validate_result(method, decoded["result"])
        if stream is not None and isinstance(decoded["result"], str):
            stream.answered(decoded["result"])
        return decoded["result"]

    async def begin(self, stream: Connection, name: str, **named: Unchecked) -> str:
        """Subscribe to something of Starknet's, and wait until it is live."""
        return await self._begun(stream, f"starknet_subscribe{name}", named)

    async def perp(self, stream: Connection, name: str, **named: Unchecked) -> str:
        """Subscribe to something of the exchange's, and wait until it is live."""
        return await self._begun(stream, f"perp_subscribe{name}", named)

    async def _begun(self, stream: Connection, method: str, named: dict[str, Unchecked]) -> str:
        id_: str = await self.ask(stream, method, **named)
        await self.rest()
        return id_

    async def refused(self, stream: Connection | None, method: str, **named: Unchecked) -> int:
        """Call a method that must fail, and return the error's number."""
        try:
            told = await self.ask(stream, method, **named)
        except Failed as failed:
            return failed.code
        raise AssertionError(f"{method} answered {told}")

    async def rest(self) -> None:
        """Wait until everybody has been told everything."""
        await until(self.is_at_rest)

    def is_at_rest(self) -> bool:
        feed = self.feed
        newest = self.served.views.view.head.next_effect - 1
        is_awake = feed._news.is_set() or feed._looks_soon
        if is_awake or feed._cursor != newest or not feed._is_running:
            return False
        for stream in feed._streams:
            waiting = stream.waiting if isinstance(stream, Connection) and stream.held else 0
            states = stream.subscriptions.values()
            if sum(not (each.is_live or each.is_over) for each in states) > waiting:
                return False
        return True

    def live_blocks(self, first: int = 0) -> Sequence[Block]:
        """Read the live chain from a height on."""
        view = self.served.views.view
        heights = range(first, view.head.height + 1)
        return [read_block(view, find_block(view, str(height))) for height in heights]


@asynccontextmanager
async def telling(
    disk: SimulatedDisk | None = None, worker: Worker | None = None
) -> AsyncIterator[World]:
    """Run a feed over a chain that is OPEN at block 5."""
    world = World(disk, worker or InlineWorker())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(world.feed.run())
        await until(lambda: world.feed._is_running)
        try:
            yield world
        finally:
            running.cancel()
