"""Followers over WebSockets while an operator goes back and forth: what they fold is the node's."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sequencer.starknet.felt import format_felt
from tests.simulation.api_world import Client, Traders, answering
from tests.unit.chain.network import MARKET, address_of
from tests.unit.engine.builders import until

ALICE = format_felt(address_of("alice"))
_Fields = dict[str, Any]


class Follower:
    """Whoever has subscribed to all that the exchange tells, and folds it as the page says."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.book_at: tuple[int, str, int] = (-1, "", 0)
        self.trades: dict[int, list[_Fields]] = {}
        self.orders: dict[int, list[_Fields]] = {}
        self.reorgs: list[_Fields] = []
        self.began = -1
        self.following: asyncio.Task[None]
        self._take: dict[str, Callable[[_Fields], None]] = {}

    @classmethod
    async def begun(cls, client: Client, group: asyncio.TaskGroup) -> "Follower":
        """Subscribe, and follow in a task; each subscription starts at the head of its moment."""
        follower = cls(await client.connect())
        await follower._begin()
        follower.following = group.create_task(follower._follow())
        return follower

    async def _begin(self) -> None:
        for take, method, params in (
            (self._take_book, "Book", {"market": MARKET, "levels": 100}),
            (self._take_trades, "Trades", {"market": MARKET}),
            (self._take_orders, "Orders", {"account": ALICE}),
            (self._take_reorg, "Reorgs", {}),
        ):
            self._take[await self.client.call(f"perp_subscribe{method}", **params)] = take

    async def _follow(self) -> None:
        while True:
            told = (await self.client.notified())["params"]
            self._take[told["subscription_id"]](told["result"])

    def _take_book(self, told: _Fields) -> None:
        for side, levels in self.book.items():
            if told["type"] == "SNAPSHOT":
                levels.clear()
            for level in told[side]:
                levels[level["price"]] = level["size"]
                if level["size"] == "0":
                    del levels[level["price"]]
        self.book_at = told["height"], told["block_hash"], told["epoch"]

    def _take_trades(self, told: _Fields) -> None:
        self._take_of_block(told, self.trades, "trades")

    def _take_orders(self, told: _Fields) -> None:
        self._take_of_block(told, self.orders, "orders")

    def _take_of_block(self, told: _Fields, kept: dict[int, list[_Fields]], name: str) -> None:
        height = told["height"]
        if told["type"] == "START":
            self.began = max(self.began, height)
        elif told["type"] == "REORG":
            for above in [each for each in kept if each > height]:
                del kept[above]
        else:
            assert height not in kept
            kept[height] = told[name]

    def _take_reorg(self, told: _Fields) -> None:
        if told["type"] == "REORG":
            assert told["epoch"] == told["reorg"]["epoch_after"]
            self.reorgs.append(told["reorg"])

    def own(self) -> set[str]:
        """Return the orders that rest, by what was told of them."""
        found: set[str] = set()
        for height in sorted(self.orders):
            for each in self.orders[height]:
                if each["event"] == "OPENED":
                    assert each["order_id"] not in found
                    found.add(each["order_id"])
                elif each["event"] == "CLOSED":
                    found.discard(each["order_id"])
        return found

    def lowest(self) -> int:
        """Return the height above which it was told everything."""
        heights = [int(each["new_head"]["height"]) for each in self.reorgs]
        return min(self.began, *heights)

    def above(self, height: int) -> list[dict[int, list[_Fields]]]:
        """Return what it knows of blocks above a height."""
        return [
            {each: kept[each] for each in sorted(kept) if each > height}
            for kept in (self.trades, self.orders)
        ]


async def trades_of(client: Client) -> dict[int, list[_Fields]]:
    """Read every trade of the live chain, by height and in order."""
    found: dict[int, list[_Fields]] = {}
    cursor: Any = None
    while True:
        page = await client.call("perp_getTrades", market=MARKET, cursor=cursor)
        for each in page["trades"]:
            found.setdefault(each["height"], []).insert(0, each)
        cursor = page["cursor"]
        if cursor is None:
            return found


async def require_agreement(client: Client, first: Follower, second: Follower) -> None:
    """Hold what was folded against what the node answers, once all of it was told."""
    reorgs = (await client.call("perp_reorgs"))["reorgs"]
    followers = (first, second)
    await until(lambda: all(each.reorgs[-1:] == reorgs[-1:] for each in followers))
    assert all(each.reorgs == reorgs[-len(each.reorgs) :] for each in followers)
    wanted = await trades_of(client)
    orders = await client.call("perp_getOrders", account=ALICE)
    book = await client.call("perp_getBook", market=MARKET, levels=100)
    levels = {side: {each["price"]: each["size"] for each in book[side]} for side in first.book}
    found = {each["order_id"] for each in orders["orders"]}
    assert orders["cursor"] is None
    assert orders["block_hash"] == book["block_hash"]
    await until(lambda: first.own() == found)
    await until(lambda: all(each.book == levels for each in followers))
    # Each subscription catches up by itself after an undo.
    await until(lambda: first.trades.keys() == wanted.keys())
    for height, trades in first.trades.items():
        assert [{name: each[name] for name in trades[0]} for each in wanted[height]] == trades
    await until(lambda: first.above(second.lowest()) == second.above(second.lowest()))


@pytest.mark.parametrize("seed", range(1, 4))
async def test_what_followers_fold_is_what_the_node_answers(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    async with answering(tmp_path) as (kept, session, url), asyncio.TaskGroup() as group:
        traders = Traders(kept, session, url)
        # The first one is there before anybody trades.
        followers = [await Follower.begun(traders.client(), group)]
        async with traders.trading(seed):
            await traders.play(random)
            followers.append(await Follower.begun(traders.client(), group))
            await traders.play(random)
        await require_agreement(traders.client(), *followers)
        assert min(len(each.trades) for each in followers) > 0
        assert len(followers[0].reorgs) > len(followers[1].reorgs) >= 2
        for each in followers:
            each.following.cancel()
