"""One WebSocket connection: subscribe from the last block of a ledger, and take what is told."""

import asyncio
from typing import Any

from starknet_py.net.websockets.errors import WebsocketClientError
from starknet_py.net.websockets.models import ReorgNotification

from scripts.clients.keeper import BLOCK_NOT_FOUND, Keeper, say
from scripts.clients.ledger import Head

TOO_MANY_BLOCKS_BACK = "68"

Told = asyncio.Queue[Any]


class Stranger(Exception):
    """What answers is another chain."""


async def listen(socket: Any, keeper: Keeper) -> None:  # noqa: ANN401
    """Take what a connection tells, until it ends; raises what ended it."""
    told: Told = asyncio.Queue()
    await socket.connect()
    socket.on_chain_reorg = told.put_nowait
    await subscribe(socket, keeper, told)
    say(f"subscribed from block {keeper.ledger.tip.number}")
    ended = asyncio.create_task(socket.wait_closed_or_failed())
    ended.add_done_callback(told.put_nowait)
    was_undone = False
    while (news := await told.get()) is not ended:
        if isinstance(news, ReorgNotification):
            first, last = news.result.starting_block_number, news.result.ending_block_number
            say(f"told that blocks {first} to {last} are undone")
            await keeper.learn()
            was_undone = True
            continue
        if was_undone:
            # An undo is not told as such, its blocks just come again; the records have it.
            was_undone = await keeper.learn()
        head = Head(news.result.block_number, news.result.block_hash)
        if head.number > keeper.ledger.tip.number + 1:
            await keeper.catch_up()
        await keeper.take(head, news.result.parent_hash)
    await ended


async def subscribe(socket: Any, keeper: Keeper, told: Told) -> None:  # noqa: ANN401
    """Subscribe from the ledger's last block, and first do what is needed for that."""
    while True:
        await keeper.learn()
        try:
            await socket.subscribe_new_heads(told.put_nowait, block_hash=keeper.ledger.tip.hash)
            return
        except WebsocketClientError as error:
            tip, code = keeper.ledger.tip.number, str(error.code)
            if code == TOO_MANY_BLOCKS_BACK:
                say(f"block {tip} is too far back: reading what followed")
                await keeper.catch_up()
            elif code != BLOCK_NOT_FOUND:
                raise ConnectionError(error.message) from error
            elif not await keeper.learn():
                raise Stranger(f"block {tip} is unknown, and no reorg undid it") from error
