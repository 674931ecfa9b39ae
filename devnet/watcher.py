"""A client of a run, with nothing but starknet-py: it follows the chain, also through a reorg.

Promises
- It keeps the heads and the liquidations that it was told of, drops what a reorg undid, and at the
  end compares what it has with what the node answers.
- Whatever does not fit is named: a head whose parent it does not have, a reorg of blocks that it
  was never told of, a liquidation too many or too few.

Laws
- It speaks to the node's public address alone, as any client does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from starknet_py.net.client_models import BlockHeader, EmittedEvent, EmittedEventWithFinalityStatus
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.websockets.models import (
    NewEventsNotification,
    NewHeadsNotification,
    ReorgNotification,
)
from starknet_py.net.websockets.websocket_client import WebsocketClient

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.recorded_limits import CLIENT_PATIENCE_SECONDS_MAX
from sequencer.starknet.names import selector

_LIQUIDATED = selector("Liquidated")
_CHUNK = 1_000

Place = tuple[int, int, int]
"""Height, place of the transaction in its block, place of the event in the transaction."""


class Watched(msgspec.Struct, frozen=True):
    """What a client saw: the heads that it holds, reorgs, and what these undid for it."""

    heads: int
    reorgs: int
    undone_blocks: int
    liquidations: int
    undone_liquidations: int
    problems: tuple[str, ...]


class Watcher:
    """Follows one chain."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = FullNodeClient(url)
        self._heads: dict[int, BlockHeader] = {}
        self._liquidations: dict[Place, int] = {}
        self._reorgs: set[tuple[int, int]] = set()
        self._undone_blocks = self._undone_liquidations = 0
        self._problems: list[str] = []
        self._news = asyncio.Event()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Subscribe, from the present head on, for as long as it takes."""
        websocket = WebsocketClient(self._url.replace("http", "ws", 1) + "/ws")
        await websocket.connect()  # type: ignore[no-untyped-call]
        try:
            websocket.on_chain_reorg = self._go_back
            await websocket.subscribe_new_heads(self._take_head)
            await websocket.subscribe_events(
                self._take_event, from_address=EXCHANGE_ADDRESS, keys=[[_LIQUIDATED]]
            )
            yield
        finally:
            await websocket.disconnect()  # type: ignore[no-untyped-call]

    async def reconcile(self) -> Watched:
        """Wait until it has been told of the node's head, and compare everything."""
        newest = await self._client.get_block_number()
        try:
            async with asyncio.timeout(CLIENT_PATIENCE_SECONDS_MAX):
                while newest not in self._heads:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            self._problems.append(f"the client was never told of block {newest}")
        await self._compare_heads()
        await self._compare_liquidations()
        return Watched(
            heads=len(self._heads),
            reorgs=len(self._reorgs),
            undone_blocks=self._undone_blocks,
            liquidations=len(self._liquidations),
            undone_liquidations=self._undone_liquidations,
            problems=tuple(self._problems),
        )

    def _take_head(self, told: NewHeadsNotification) -> None:
        head = told.result
        parent = self._heads.get(head.block_number - 1)
        if self._heads and (parent is None or parent.block_hash != head.parent_hash):
            self._problems.append(f"the client has no parent of block {head.block_number}")
        if head.block_number in self._heads:
            self._problems.append(f"the client was told of block {head.block_number} twice")
        self._heads[head.block_number] = head
        self._news.set()

    def _take_event(self, told: NewEventsNotification) -> None:
        event = told.result
        place = _place_of(event)
        if place in self._liquidations:
            self._problems.append(f"the client was told of liquidation {place} twice")
        self._liquidations[place] = event.data[0]

    def _go_back(self, told: ReorgNotification) -> None:
        # One for each subscription: the second finds nothing left to be done.
        first, last = told.result.starting_block_number, told.result.ending_block_number
        self._reorgs.add((told.result.starting_block_hash, told.result.ending_block_hash))
        known = min(self._heads, default=first)
        undone = [height for height in self._heads if height >= first]
        if undone and (min(undone), max(undone)) != (max(first, known), last):
            self._problems.append(f"a reorg of blocks {first} to {last}, the client has others")
        for height in undone:
            del self._heads[height]
        gone = [place for place in self._liquidations if place[0] >= first]
        for place in gone:
            del self._liquidations[place]
        self._undone_blocks += len(undone)
        self._undone_liquidations += len(gone)

    async def _compare_heads(self) -> None:
        for height, head in sorted(self._heads.items()):
            block = await self._client.get_block_with_tx_hashes(block_number=height)
            if getattr(block, "block_hash", 0) != head.block_hash:
                self._problems.append(f"the client has another block {height}")

    async def _compare_liquidations(self) -> None:
        first = min(self._heads, default=0)
        chunk = await self._client.get_events(
            EXCHANGE_ADDRESS,
            [[_LIQUIDATED]],
            from_block_number=first,
            to_block_number="latest",
            follow_continuation_token=True,
            chunk_size=_CHUNK,
        )
        found = {_place_of(event): event.data[0] for event in chunk.events}
        if found != self._liquidations:
            words = f"{len(self._liquidations)} liquidations, the node has {len(found)}"
            self._problems.append(f"the client has {words}")


def _place_of(event: EmittedEvent | EmittedEventWithFinalityStatus) -> Place:
    return event.block_number or 0, event.transaction_index, event.event_index
