"""The exchange's subscriptions: trades, own orders, books, reorgs; and through a rollback."""

from typing import Any

from sequencer.api.subscriptions.exchange_topics import Trades
from sequencer.api.subscriptions.news import News
from sequencer.model.orders import Side
from sequencer.starknet.felt import format_felt
from tests.unit.api.starknet_rpc.reading import ALICE, BOB
from tests.unit.api.subscriptions.world import Connection, World, telling

BTC = "BTC-USD-PERP"


def types(told: list[Any]) -> list[str]:
    return [each["type"] for each in told]


def place(world: World, height: int) -> dict[str, Any]:
    epoch = world.store.head.epoch
    return {"height": height, "block_hash": world.hash_at(height), "epoch": epoch}


async def test_trades_are_told_with_their_block_and_again_after_an_undo() -> None:
    async with telling() as world:
        stream = Connection()
        ids = [await world.perp(stream, "Trades"), await world.perp(stream, "Trades", market=BTC)]
        world.acted(*world.trade(1))
        await world.rest()
        for id_ in ids:
            start, trades = stream.results(id_)
            assert start == {**place(world, 5), "type": "START"}
            assert {**trades, **place(world, 6)} == trades
            (trade,) = trades["trades"]
            assert (trade["market"], trade["price"], trade["side"]) == (BTC, "60000", "SELL")
            assert (trade["taker"], trade["maker"]) == (format_felt(BOB), format_felt(ALICE))
        news = News.of_block(world.live_blocks(6)[0], 0)
        assert len(Trades(BTC).of_block(news)) == len(Trades().of_block(news)) == 1
        assert not Trades("ETH-USD-PERP").of_block(news)
        world.back(5)
        world.undo(1)
        await world.rest()
        for id_ in ids:
            told = stream.results(id_)
            assert types(told) == ["START", "TRADES", "REORG", "REORG", "TRADES"]
            assert [each["epoch"] for each in told] == [0, 0, 1, 2, 2]
            assert [each["height"] for each in told] == [5, 6, 5, 6, 6]
            assert told[2]["reorg"]["removed"]["first"] == {
                "height": 6,
                "block_hash": world.hash_at(6),
            }
            assert told[3]["reorg"]["undoes"] == 1
            assert told[4]["trades"] == told[1]["trades"]


async def test_an_account_hears_of_its_own_orders_alone() -> None:
    async with telling() as world:
        stream, rig = Connection(), world.rig
        mine = await world.perp(stream, "Orders", account=format_felt(ALICE))
        other = await world.perp(stream, "Orders", account=format_felt(BOB))
        bid = rig.order("alice", Side.BUY, 59_000, 1)
        world.acted(bid)
        world.acted(*world.trade(2))
        (order_id,) = [each for each, row in rig.state.orders.items() if row.order.client_id == 1]
        world.acted(rig.cancel("alice", order_id))
        await world.rest()
        told = stream.results(mine)
        assert types(told) == ["START", "ORDERS", "ORDERS", "ORDERS"]
        events = [[order["event"] for order in each["orders"]] for each in told[1:]]
        assert events == [["OPENED"], ["OPENED", "FILLED", "CLOSED"], ["CLOSED"]]
        assert (
            told[1]["orders"][0] | {"order_id": format_felt(order_id), "market": BTC}
            == (told[1]["orders"][0])
        )
        assert told[2]["orders"][1]["role"] == "MAKER"
        assert told[3]["orders"][0]["reason"] == "USER"
        (start, traded) = stream.results(other)
        assert start["height"] == 5
        assert traded["orders"][0]["event"] == "FILLED"
        assert {order.get("role", "TAKER") for order in traded["orders"]} == {"TAKER"}


async def test_a_refused_order_in_a_batch_is_told_to_who_signed_it() -> None:
    async with telling() as world:
        stream, rig = Connection(), world.rig
        mine = await world.perp(stream, "Orders", account=format_felt(ALICE))
        world.acted(rig.order("alice", Side.BUY, 59_000, 1, signed_at_ms=1_000))
        await world.rest()
        refused = stream.results(mine)[-1]["orders"]
        assert [each["event"] for each in refused] == ["REFUSED"]
        assert refused[0]["reason"] == "ORDER_EXPIRED"


class Book:
    """A client's book: a snapshot and the changes since."""

    def __init__(self, told: list[Any]) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        for each in told:
            if each["type"] == "SNAPSHOT":
                self.sides = {"bids": {}, "asks": {}}
            for name, side in self.sides.items():
                for level in each[name]:
                    side[level["price"]] = level["size"]
                    if level["size"] == "0":
                        del side[level["price"]]

    def prices(self) -> tuple[list[int], list[int]]:
        bids, asks = (sorted(map(int, self.sides[name])) for name in ("bids", "asks"))
        return bids[::-1], asks


async def test_a_book_is_a_snapshot_and_changes_and_a_snapshot_after_each_reorg() -> None:
    async with telling() as world:
        stream, rig = Connection(), world.rig
        two = await world.perp(stream, "Book", market=BTC, levels=2)
        all_of_it = await world.perp(stream, "Book", market=BTC)
        for number, price in enumerate((59_000, 59_100, 59_200), 1):
            world.acted(rig.order("alice", Side.BUY, price, number))
            await world.rest()
        assert types(stream.results(two)) == ["SNAPSHOT", "CHANGE", "CHANGE", "CHANGE"]
        assert Book(stream.results(two)).prices() == ([59_200, 59_100], [])
        assert Book(stream.results(all_of_it)).prices() == ([59_200, 59_100, 59_000], [])
        gone = {"price": "59000", "size": "0"}
        assert gone in stream.results(two)[-1]["bids"]
        world.acted()
        await world.rest()
        assert len(stream.results(two)) == 4
        late = await world.perp(stream, "Book", market=BTC, levels=2)
        assert Book(stream.results(late)).prices() == ([59_200, 59_100], [])
        world.back(6)
        await world.rest()
        for id_ in (two, late, all_of_it):
            last = stream.results(id_)[-1]
            assert last["type"] == "SNAPSHOT"
            assert {**last, **place(world, 6)} == last
            assert Book(stream.results(id_)).prices() == ([59_000], [])
        world.undo(1)
        await world.rest()
        assert Book(stream.results(all_of_it)).prices() == ([59_200, 59_100, 59_000], [])


async def test_reorgs_are_replayed_from_a_cursor_and_then_told() -> None:
    async with telling() as world:
        early, late = Connection(), Connection()
        first = await world.perp(early, "Reorgs")
        world.blocks(2)
        world.back(6)
        world.undo(1)
        await world.rest()
        ids = {
            cursor: await world.perp(late, "Reorgs", cursor=cursor) for cursor in (0, 1, 2, 10**9)
        }
        world.back(5)
        await world.rest()
        told = [each["reorg"] for each in early.results(first)[1:]]
        assert [each["cursor"] for each in told] == [1, 2, 3]
        assert [each["kind"] for each in told] == ["ROLLBACK", "UNDO", "ROLLBACK"]
        for cursor, id_ in ids.items():
            behind = [each["reorg"] for each in late.results(id_)[1:]]
            assert behind == [each for each in told if each["cursor"] > min(cursor, 2)]


async def test_a_market_that_a_rollback_takes_away_has_no_book() -> None:
    async with telling() as world:
        stream = Connection()
        id_ = await world.perp(stream, "Book", market=BTC)
        world.back(0)
        await world.rest()
        assert types(stream.results(id_)) == ["SNAPSHOT", "SNAPSHOT"]
        del world.served.latest.markets[BTC]
        world.feed._books.forget()
        world.feed._books_at = -1
        world.wake()
        await world.rest()
        assert stream.results(id_)[-1]["bids"] == []
