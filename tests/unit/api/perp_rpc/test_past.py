"""Trades, liquidations and funding: every one of them, once, newest first, across rollbacks."""

from pathlib import Path
from typing import Any

import pytest

from sequencer.chain.exchange_contract import read_event
from sequencer.engine import events_back
from sequencer.engine.lookup import live_blocks
from sequencer.model.events import Event, Fill, FundingIndexMoved, FundingPaid, Liquidated
from sequencer.model.orders import Side
from sequencer.model.units import ONE
from sequencer.starknet.felt import format_felt
from tests.unit.api.perp_rpc.test_reads import units
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.chain.network import MARKET, address_of

ALICE, BOB = (format_felt(address_of(name)) for name in ("alice", "bob"))


def told_by_blocks(world: World, *kinds: type[Event]) -> list[Event]:
    """Read every event of some kinds out of all live blocks, newest first."""
    found = [
        event
        for block in live_blocks(world.service.views.view, 0)
        for receipt in block.receipts
        for event in map(read_event, receipt.events)
        if isinstance(event, kinds)
    ]
    return found[::-1]


async def pages(world: World, name: str, entries: str, **params: object) -> list[dict[str, Any]]:
    """Follow a history to its end."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, object] = {}
    for _ in range(200):
        told = await world.call(name, **params, **cursor)
        found += told[entries]
        if told["cursor"] is None:
            return found
        cursor = {"cursor": told["cursor"]}
    raise AssertionError("it has no end")


async def trade(world: World, price: int, size: int = ONE // 10) -> None:
    await world.place("alice", Side.SELL, price, size)
    await world.place("bob", Side.BUY, price, size)


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_every_trade_comes_once(tmp_path: Path, limit: int) -> None:
    async with trading(tmp_path) as world:
        for step in range(3):
            for maker in range(2):
                await world.place("alice", Side.SELL, 60_000 + maker)
            await world.place("bob", Side.BUY, 60_001, ONE // 5)
            await world.tick(60_000 + step)
        trades = await pages(world, "getTrades", "trades", market=MARKET, limit=limit)
        fills = [each for each in told_by_blocks(world, Fill) if isinstance(each, Fill)]
        assert len(fills) == 6
        assert [units(each["price"]) for each in trades] == [each.price for each in fills]
        assert [units(each["size"]) for each in trades] == [abs(each.size) for each in fills]
        assert [each["maker_order"] for each in trades] == [
            format_felt(each.maker_order) for each in fills
        ]
        places = [(each["height"], each["transaction_index"]) for each in trades]
        assert places == sorted(places, reverse=True)


@pytest.mark.parametrize(
    ("name", "trades"), [("EVENTS_BACK_BLOCKS_MAX", 0), ("EVENTS_BACK_BYTES_MAX", 1)]
)
async def test_an_answer_looks_at_so_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trades: int
) -> None:
    async with trading(tmp_path) as world:
        for _ in range(2):
            await trade(world, 60_000)
        for _ in range(4):
            await world.tick()
        whole = await pages(world, "getTrades", "trades")
        monkeypatch.setattr(events_back, name, 1)
        told = await world.call("getTrades", market=MARKET)
        assert (told["trades"], bool(told["cursor"])) == (whole[:trades], True)
        assert await pages(world, "getTrades", "trades") == whole
        assert len(whole) == 2


async def test_an_account_sees_its_own(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await trade(world, 60_000)
        for account in (ALICE, BOB):
            (own,) = await pages(world, "getTrades", "trades", account=account)
            assert (own["taker"], own["maker"], own["kind"]) == (BOB, ALICE, "TRADE")
        assert await pages(world, "getTrades", "trades", account="0x7") == []


async def test_a_liquidation_is_in_the_history(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await trade(world, 60_000, 45 * ONE)
        for price in (61_500, 62_000):
            await world.tick(price)
        closed = list(told_by_blocks(world, Liquidated))
        assert closed
        trades = await pages(world, "getTrades", "trades", account=ALICE)
        (liquidated,) = [each for each in trades if each["kind"] == "LIQUIDATION"]
        (event,) = [each for each in closed if isinstance(each, Liquidated)]
        assert units(liquidated["size"]) == abs(event.size)
        assert units(liquidated["price"]) == event.price
        assert (liquidated["side"], liquidated["account"]) == ("BUY", ALICE)
        held = world.state.positions.get((address_of("alice"), MARKET))
        assert (0 if held is None else held.size) == -45 * ONE - event.size


async def test_funding_is_listed_and_its_payments(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await trade(world, 60_000)
        for _ in range(3):
            await world.tick(60_100)
        await trade(world, 60_000)
        moves = await pages(world, "getFunding", "funding", market=MARKET, limit=2)
        said = [
            each
            for each in told_by_blocks(world, FundingIndexMoved)
            if isinstance(each, FundingIndexMoved)
        ]
        assert [units(each["funding_index"], 18) for each in moves] == [each.index for each in said]
        now = (await world.call("getFunding", market=MARKET))["now"]
        assert now["funding_index"] == moves[0]["funding_index"]
        # No basis but that of the trades: the rate is interest, 0.01 % a period, within its clamp.
        assert abs(units(now["funding_rate"], 9)) <= 500_000
        for account in (ALICE, BOB):
            paid = await pages(world, "getFundingPayments", "payments", account=account)
            own = [
                each.amount
                for each in told_by_blocks(world, FundingPaid)
                if isinstance(each, FundingPaid) and format_felt(each.account) == account
            ]
            assert [units(each["amount"]) for each in paid] == own
            assert own


async def test_a_cursor_lives_as_long_as_its_block(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        for _ in range(3):
            await trade(world, 60_000)
        target = world.service.views.view.head.height
        await trade(world, 60_001)
        first = await world.call("getTrades", limit=1)
        second = await world.call("getTrades", limit=1, cursor=first["cursor"])
        reorg_id = await world.back(target)
        data = await world.refused("getTrades", limit=1, cursor=first["cursor"])
        assert (data["code"], data["epoch"]) == ("EPOCH_CONFLICT", reorg_id)
        assert [each["reorg_id"] for each in data["reorgs"]] == [reorg_id]
        # The older trade's block is where it was: going on from there means what it meant.
        rest = await pages(world, "getTrades", "trades", cursor=second["cursor"])
        assert rest == (await pages(world, "getTrades", "trades"))[1:]
        assert len(rest) == 2
        for cursor in ("1", "9.9.9.9.0x9", "", 5, "0.1.2.3.0xg", "1.0.0.0.0x1"):
            assert (await world.fails("getTrades", cursor=cursor))["code"] == -32_602
