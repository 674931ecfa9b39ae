"""starknet-py's WebSocket client with a memory: what it was told, in the order in which it came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starknet_py.net.websockets.websocket_client import WebsocketClient

from tests.e2e.devnet_process import ClientDevnet
from tests.e2e.local_devnet import PATIENCE_SECONDS
from tests.strategies import Unchecked


class Heard:
    """What one client was told, in the order in which it came."""

    def __init__(self, client: WebsocketClient) -> None:
        self.client = client
        self.told: list[Any] = []
        self._more = asyncio.Event()

    def take(self, told: object) -> None:
        self.told.append(told)
        self._more.set()

    def of(self, subscription_id: str) -> list[Any]:
        return [each for each in self.told if each.subscription_id == subscription_id]

    async def until(self, count: int, subscription_id: str) -> list[Any]:
        """Wait until so much was told to a subscription."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := self.of(subscription_id)) < count:
                self._more.clear()
                await self._more.wait()
        return found

    async def accepted(self, subscription_id: str) -> list[Any]:
        """Wait until a subscription is told of something that is in a block; returns all of it."""
        count = 1
        while (told := await self.until(count, subscription_id))[
            -1
        ].result.finality_status.value != ("ACCEPTED_ON_L2"):
            count = len(told) + 1
        return [each.result for each in told]


@asynccontextmanager
async def connected(devnet: ClientDevnet) -> AsyncIterator[Heard]:
    # Its coroutines without a result have no types.
    client: Unchecked = WebsocketClient(devnet.ws)
    heard = Heard(client)
    client.on_chain_reorg = heard.take
    await client.connect()
    try:
        assert await client.is_connected
        yield heard
    finally:
        await client.disconnect()
    assert not await client.is_connected
    # Whatever the client cannot read ends its listening.
    with pytest.raises(asyncio.CancelledError):
        await client.wait_closed_or_failed()
