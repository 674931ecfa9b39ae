"""A whole node in this process with its clients' port, and clients that look twice.

`Kept` knows every head that there ever was. A `Client` asks one thing after the other, over HTTP or
a WebSocket, and each answer that names a head is held against that.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from sequencer.config import NodeConfig
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.node import Given
from sequencer.serve import answered
from sequencer.starknet.felt import format_hash
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.api.toys import GENEROUS
from tests.unit.chain.network import PRIVATE
from tests.unit.engine.desks import ORDER

PATIENCE_SECONDS = 30

Place = tuple[int, str, int]
"""Height, block hash and epoch, as a client reads them."""


class Failed(Exception):
    """An error that came back."""

    def __init__(self, method: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{method}: {error}")
        self.code: int = error["code"]
        self.data: Any = error.get("data")

    @property
    def reason(self) -> str:
        """The stable code of an error of the exchange's methods, "" for any other."""
        return str(self.data["code"]) if isinstance(self.data, dict) else ""


class Kept:
    """Every head that there ever was, in the order in which they came."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heads: list[Place] = []
        view = world.service.views.view
        blocks = (view.block(height) for height in range(view.head.height))
        self.known = {(each.height, format_hash(each.block_hash), 0) for each in blocks if each}
        world.service.listen(self._note, lambda: None)

    @property
    def blocks(self) -> set[tuple[int, str]]:
        """Every block that was a head."""
        return {place[:2] for place in self.known}

    @property
    def head(self) -> Place:
        head = self.world.service.views.view.head
        return head.height, format_hash(head.block_hash), head.epoch

    def _note(self) -> None:
        if self.head not in self.known:
            self.heads.append(self.head)
            self.known.add(self.head)


class Client:
    """One who asks one thing after the other."""

    def __init__(self, kept: Kept, session: aiohttp.ClientSession, url: str) -> None:
        self.kept, self._session, self._url = kept, session, url
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._ids = count(1)
        self._told: deque[dict[str, Any]] = deque()
        self.epoch = self.height = 0

    async def connect(self) -> "Client":
        """Ask over a WebSocket from now on."""
        self._socket = await self._session.ws_connect(self._url + "/ws")
        return self

    async def call(self, method: str, **params: Unchecked) -> Unchecked:
        """Ask for something; `Failed` for an error."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        async with asyncio.timeout(PATIENCE_SECONDS):
            told = await self._answer(request)
        assert told["id"] == request["id"], told
        if "error" in told:
            failed = Failed(method, told["error"])
            if isinstance(failed.data, dict) and "epoch" in failed.data:
                self._look(method, failed.data)
            raise failed
        if method.startswith("perp_") and isinstance(told["result"], dict):
            self._look(method, told["result"])
        return told["result"]

    async def notified(self) -> dict[str, Any]:
        """Wait for what the connection is told of by itself."""
        if self._told:
            return self._told.popleft()
        assert self._socket is not None
        told: dict[str, Any] = await self._socket.receive_json()
        assert "method" in told, told
        return told

    async def _answer(self, request: Mapping[str, Unchecked]) -> dict[str, Any]:
        if self._socket is None:
            async with self._session.post(self._url, json=request) as response:
                assert response.status == 200
                told: dict[str, Any] = json.loads(await response.read())
        else:
            await self._socket.send_json(request)
            while "method" in (told := await self._socket.receive_json()):
                self._told.append(told)
        return told

    def _look(self, method: str, told: Mapping[str, Any]) -> None:
        """The head of an answer was one, and no epoch ends before an older one is named again."""
        place = told["height"], told["block_hash"], told["epoch"]
        assert place in self.kept.known, (method, place, self.kept.heads[-3:])
        assert place[2] >= self.epoch, (method, place, self.epoch)
        if place[2] == self.epoch:
            assert place[0] >= self.height, (method, place, self.height)
        self.epoch, self.height = place[2], place[0]


class Traders:
    """Those who place orders. `answers` holds each order and what was answered to it."""

    def __init__(self, kept: Kept, session: aiohttp.ClientSession, url: str) -> None:
        self.kept, self.world = kept, kept.world
        self._session, self._url = session, url
        self.told: Counter[str] = Counter()
        self.answers: list[tuple[dict[str, Any], Any]] = []
        self.ended = asyncio.Event()
        self._placed = asyncio.Event()

    def client(self) -> Client:
        """Return another client."""
        return Client(self.kept, self._session, self._url)

    async def trade(self, client: Client, name: str, side: Side, seed: int) -> None:
        """Place orders, some of which meet; whatever is answered is kept."""
        random = Random(seed)
        while not self.ended.is_set():
            price = 60_000 + random.choice((-20, -10, 0, 10, 20))
            sent = self.world.signed(self.world.order(name, side, price, 10**5), name)
            try:
                answer: Any = await client.call("perp_placeOrder", **sent)
                self.told["placed"] += 1
            except Failed as failed:
                answer = failed
                self.told[f"refused {failed.reason}"] += 1
                # Whoever is refused at once lets others go first.
                await asyncio.sleep(0.001)
            self.answers.append((sent, answer))
            self._placed.set()

    async def placed(self, more: int) -> None:
        """Wait until so many more orders were answered by a block."""
        wanted = self.told["placed"] + more
        while self.told["placed"] < wanted:
            self._placed.clear()
            await self._placed.wait()

    @asynccontextmanager
    async def trading(self, seed: int) -> AsyncIterator[asyncio.TaskGroup]:
        """Trade all the time; yields the group of tasks, for others who act until `ended`."""
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                client = self.client() if number < 2 else await self.client().connect()
                name, side = (("alice", Side.BUY), ("bob", Side.SELL))[number % 2]
                group.create_task(self.trade(client, name, side, seed * 100 + 50 + number))
            try:
                yield group
            finally:
                self.ended.set()

    async def play(self, random: Random) -> None:
        """Two rounds of blocks, a rollback, maybe an undo, and another rollback."""
        for _ in range(2):
            await self.placed(random.randint(5, 25))
            if random.random() < 0.5:
                await self.world.node.halt()
            reorg_id = await go_back(self.kept, random.randint(1, 6))
            if random.random() < 0.7:
                await self.world.node.desk.undo(reorg_id, ORDER)
                if random.random() < 0.7:
                    await go_back(self.kept, random.randint(1, 4))
            await self.world.reopen()
        await self.placed(10)


async def go_back(kept: Kept, depth: int) -> int:
    """Go back so many blocks from wherever the chain is by then; returns the reorg's id."""
    node = kept.world.node
    while True:
        plan = await node.plan(kept.head[0] - depth)
        try:
            await node.desk.apply(plan.plan_id.hex(), ORDER)
        except Refused as refused:
            # It is halted now, so that the next plan stands.
            if refused.reason is not Reason.PLAN_STALE:
                raise
        else:
            return kept.head[2]


@asynccontextmanager
async def answering(folder: Path) -> AsyncIterator[tuple[Kept, aiohttp.ClientSession, str]]:
    """Run a node that is OPEN, and answer its clients as its process does."""
    config = NodeConfig(folder / "data", Secret(PRIVATE["op"]), api_port=0, api_limits=GENEROUS)
    async with (
        trading(folder) as world,
        answered(config, world.node.node, Given()) as (url, services),
        asyncio.TaskGroup() as group,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        tasks = [group.create_task(service) for service in services]
        try:
            yield Kept(world), session, url
        finally:
            for task in tasks:
                task.cancel()
