"""starknet-py's own client, over a real socket, on a node that goes back, and back again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from starknet_py.net.client_models import (
    TransactionFinalityStatusWithoutL1,
    TransactionStatusWithoutL1,
)
from starknet_py.net.websockets.websocket_client import WebsocketClient

from sequencer.api.server import RpcServer
from sequencer.api.subscriptions import press
from sequencer.api.subscriptions.feed import Feed
from sequencer.api.subscriptions.methods import subscription_methods
from sequencer.api.subscriptions.subscription import CLOSE_TOO_FAR
from sequencer.engine.worker import ThreadWorker
from sequencer.model.rows import Mode
from tests.strategies import Unchecked
from tests.unit.api.toys import GENEROUS
from tests.unit.engine.builders import until
from tests.unit.engine.desks import ORDER, Operated, operated

pytestmark = pytest.mark.usefixtures("process")

EARLY = TransactionFinalityStatusWithoutL1.PRE_CONFIRMED
LATE = TransactionFinalityStatusWithoutL1.ACCEPTED_ON_L2


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Operated, str]]:
    """Run a node with a feed behind a socket."""
    worker = ThreadWorker("feed")
    try:
        async with operated(folder) as node, asyncio.TaskGroup() as group:
            feed = Feed(node.service, worker)
            server = RpcServer(subscription_methods(feed), "127.0.0.1", 0, GENEROUS)
            tasks = [group.create_task(feed.run()), group.create_task(server.run())]
            url = await server.start()
            yield node, url.replace("http", "ws", 1) + "/ws"
            await server.close()
            for task in tasks:
                task.cancel()
    finally:
        worker.close()


class Client:
    """A client with one handler for each subscription."""

    def __init__(self, url: str) -> None:
        self.client: Unchecked = WebsocketClient(url)
        self.heads: list[Unchecked] = []
        self.others: Counter[str] = Counter()
        self.reorgs: list[Unchecked] = []
        self.ids: list[str] = []

    def count(self, name: str) -> Callable[[Unchecked], None]:
        def handle(notification: Unchecked) -> None:
            self.others[name] += 1
            assert notification.result is not None

        return handle

    def live(self) -> list[tuple[int, int]]:
        """Return the chain that this client knows, as it was told of it."""
        return [(head.block_number, head.block_hash) for head in self.heads]

    def head(self, notification: Unchecked) -> None:
        header = notification.result
        if self.heads:
            assert header.parent_hash == self.heads[-1].block_hash
        self.heads.append(header)

    def reorg(self, notification: Unchecked) -> None:
        told = notification.result
        self.reorgs.append(told)
        # One comes for each subscription: what it names is dropped once.
        self.heads = [head for head in self.heads if head.block_number < told.starting_block_number]

    async def subscribe(self, transaction_hash: int) -> None:
        client = self.client
        client.on_chain_reorg = self.reorg
        self.ids = [
            await client.subscribe_new_heads(self.head, block_number=0),
            await client.subscribe_events(
                self.count("events"), block_number=0, finality_status=EARLY
            ),
            await client.subscribe_transaction_status(self.count("status"), transaction_hash),
            await client.subscribe_new_transactions(
                self.count("transactions"),
                finality_status=[
                    TransactionStatusWithoutL1.PRE_CONFIRMED,
                    TransactionStatusWithoutL1.ACCEPTED_ON_L2,
                ],
            ),
            await client.subscribe_new_transaction_receipts(
                self.count("receipts"), finality_status=[EARLY, LATE]
            ),
        ]


async def test_two_clients_through_rollback_undo_rollback(tmp_path: Path) -> None:
    async with served(tmp_path) as (node, url):
        await node.blocks(3)
        view = node.service.views.view
        record = view.block(1)
        assert record is not None
        block = await node.service.block(view, record)
        clients = [Client(url), Client(url)]
        for client in clients:
            await client.client.connect()
            await client.subscribe(block.receipts[0].transaction_hash)
        await agreed(node, clients)
        await node.blocks(2)
        await agreed(node, clients)
        await node.halt()
        await node.back(3)
        await told(clients, 1)
        await node.desk.undo(1, ORDER)
        await agreed(node, clients)
        await node.back(2)
        await told(clients, 2)
        await node.desk.mode(Mode.CANCEL_ONLY, "a drill", 0, 0)
        await node.blocks(2)
        await agreed(node, clients)
        for client in clients:
            assert len(client.reorgs) == 10
            assert client.others.pop("status") == 1
            assert min(client.others.values()) > 10
            for id_ in client.ids:
                assert await client.client.unsubscribe(id_)
            assert await client.client.is_connected
            await client.client.disconnect()


async def agreed(node: Operated, clients: list[Client]) -> None:
    """Wait until every client knows the node's chain, whole."""

    def chain() -> list[tuple[int, int]]:
        view = node.service.views.view
        blocks = [view.block(height) for height in range(view.head.height + 1)]
        return [
            (each.height, int.from_bytes(each.block_hash, "big"))
            for each in blocks
            if each is not None
        ]

    await until(lambda: all(client.live() == chain() for client in clients))


async def told(clients: list[Client], times: int) -> None:
    """Wait until every subscription has been told of so many rollbacks."""
    await until(lambda: all(len(client.reorgs) == 5 * times for client in clients))


async def test_a_socket_that_would_go_back_too_far_is_closed_with_code_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(press, "SUBSCRIPTION_BLOCKS_BACK_MAX", 1)
    async with served(tmp_path) as (node, url), aiohttp.ClientSession() as session:
        await node.blocks(3)
        # A pong to a server that is gone by then would raise before the close is read.
        async with session.ws_connect(url, autoping=False) as socket:
            for method in ("starknet_subscribeNewHeads", "perp_subscribeReorgs"):
                await socket.send_json({"jsonrpc": "2.0", "id": method, "method": method})
            answers = [await socket.receive_json() for _ in range(2)]
            assert {each["id"] for each in answers} == {
                "starknet_subscribeNewHeads",
                "perp_subscribeReorgs",
            }
            await node.halt()
            await node.back(1)
            await node.desk.undo(1, ORDER)
            told = []
            goes_on = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING)
            while (message := await socket.receive()).type in goes_on:
                if message.type is aiohttp.WSMsgType.TEXT:
                    told.append(message.json()["method"])
            # The client's own `close_code` is 1006 where the server is gone before it confirms.
            assert message.data == CLOSE_TOO_FAR
            assert message.extra == "68: Cannot go back more than 1024 blocks"
            assert "starknet_subscriptionReorg" in told
            assert "perp_subscription" in told
