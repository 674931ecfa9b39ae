"""What the head is read as: against the exchange's own views, and against exact integers."""

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from sequencer.chain.calldata import struct_type
from sequencer.chain.calls import exchange_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_views import MarginView, TopView
from sequencer.chain.executor import call_view
from sequencer.model.limits import DEPTH_LEVELS_MAX
from sequencer.model.orders import Instruction, OrderType, Side
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from sequencer.starknet.felt import format_felt, format_hash, parse_felt
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.chain.network import MARKET, address_of

ALICE, BOB, INSURANCE = (format_felt(address_of(name)) for name in ("alice", "bob", "ins"))


def units(text: str, decimals: int = 8) -> int:
    """Read a decimal by another way than the product's."""
    scaled = Decimal(text).scaleb(decimals)
    assert scaled == scaled.to_integral_value(), text
    return int(scaled)


def viewed(world: World, entry_point: str, kind: Unchecked, **values: object) -> Unchecked:
    """Ask the exchange's contract itself."""
    state = world.state
    to, chosen, data = exchange_call(entry_point, values)
    felts = call_view(state, to, chosen, data, state.system.chain_id)
    return struct_type(kind).read(felts, 0)[0]


async def margin(world: World, account: str) -> MarginView:
    """Return an account's figures as clients read them."""
    told = (await world.call("getAccount", account=account))["account"]
    return MarginView(
        value=units(told["value"]),
        initial=units(told["initial_margin"]),
        maintenance=units(told["maintenance_margin"]),
        free=units(told["free"]),
        healthy=told["is_healthy"],
    )


async def test_figures_are_those_of_the_exchange_through_a_random_day(tmp_path: Path) -> None:
    random = Random(7)
    async with trading(tmp_path) as world:
        price, seen = 60_000, set()
        for _ in range(60):
            name = random.choice(("alice", "bob"))
            side, offset = random.choice(list(Side)), random.randrange(-150, 150)
            size = random.randrange(1, 500) * ONE // 1_000
            order = world.order(name, side, price + offset, size)
            await world.ask("placeOrder", world.signed(order, name))
            if random.random() < 0.3:
                price += random.randrange(-400, 400)
                await world.tick(price)
            for account in (ALICE, BOB, INSURANCE):
                figures = await margin(world, account)
                asked = viewed(world, "get_margin", MarginView, account=parse_felt(account))
                assert figures == asked
                seen.add(figures)
        assert len(seen) > 60
        assert world.state.positions


async def test_an_account_in_exact_numbers(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await world.place("alice", Side.SELL, 60_000, ONE)
        await world.place("bob", Side.BUY, 60_000, ONE)
        before = world.state.prices[MARKET].funding_index
        for _ in range(3):
            await world.tick(60_300)
        await world.place("bob", Side.BUY, 59_000, 2 * ONE)
        moved = world.state.prices[MARKET].funding_index - before
        mark = world.state.prices[MARKET].mark
        assert moved
        told = await world.call("getAccount", account=BOB)
        assert told["block_hash"] == format_hash(world.service.views.view.head.block_hash)
        account, (position,) = told["account"], told["account"]["positions"]
        fee = 60_000 * 3 * ONE // 10_000
        cash = 100_000 * ONE + ONE // 2 - fee
        accrued = -ONE * moved // 10**18
        assert units(account["cash"]) == cash
        assert (position["size"], position["cost"], position["entry_price"]) == (
            "1",
            "60000",
            "60000",
        )
        assert units(position["accrued_funding"]) == accrued
        assert units(position["notional"]) == mark
        assert units(position["unrealized"]) == mark - 60_000 * ONE
        assert units(account["value"]) == cash + accrued + mark - 60_000 * ONE
        rate = 2_000_000 + 30_000
        assert units(account["initial_margin"]) == -(-3 * mark * rate // ONE)
        needs = mark * (2_000_000 * 50_000_000 + 30_000 * ONE)
        assert units(account["maintenance_margin"]) == -(-needs // 10**16)
        free = units(account["value"]) - units(account["initial_margin"])
        assert free - units(account["free"]) in (0, 1)
        assert (account["open_orders"], account["is_healthy"], account["exists"]) == (1, True, True)
        (short,) = (await world.call("getPositions", account=ALICE))["positions"]
        assert (short["size"], short["cost"], short["entry_price"]) == ("-1", "-60000", "60000")
        assert units(short["accrued_funding"]) == ONE * moved // 10**18


async def test_an_account_that_nobody_used_is_zeros(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        told = (await world.call("getAccount", account="0x777"))["account"]
        assert not told.pop("exists")
        assert told.pop("is_healthy")
        assert told.pop("account") == "0x777"
        assert set(map(str, told.values())) == {"0", "0x0", "", "[]"}
        assert (await world.call("getPositions", account="0x777"))["positions"] == []
        assert (await world.call("getOrders", account="0x777"))["orders"] == []


async def test_isolated_accounts_and_subkeys_are_named(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        alice = address_of("alice")
        opened = exchange_call("open_isolated", {"owner": alice, "market": MARKET})
        added = exchange_call("add_subkey", {"account": alice, "key": 77})
        await world.invoke("alice", opened, added)
        told = (await world.call("getAccount", account=ALICE))["account"]
        (isolated,) = told["isolated_accounts"]
        assert told["subkeys"] == 1
        own = (await world.call("getAccount", account=isolated))["account"]
        assert (own["owner"], own["isolated_market"], own["exists"]) == (ALICE, MARKET, True)


async def test_orders_are_listed_in_pages(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        placed = [
            (await world.place("alice", Side.BUY, 59_000 + each))["order_id"] for each in range(5)
        ]
        await world.place("bob", Side.BUY, 59_000)
        trigger = {"type": OrderType.STOP_LIMIT, "trigger_price": 61_000 * ONE}
        placed.append((await world.place("alice", Side.BUY, 61_000, **trigger))["order_id"])
        found: list[dict[str, Unchecked]] = []
        cursor: int | None = None
        for _ in range(3):
            page = {} if cursor is None else {"cursor": cursor}
            told = await world.call("getOrders", account=ALICE, limit=2, market=MARKET, **page)
            found, cursor = found + told["orders"], told["cursor"]
        assert ([each["order_id"] for each in found], cursor) == (placed, None)
        last = found[-1]
        assert (last["status"], last["resting_price"], last["trigger_price"]) == (
            "WAITING",
            "0",
            "61000",
        )


async def test_the_book_sums_what_rests(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        for price in (59_000, 59_000, 59_100):
            await world.place("alice", Side.BUY, price, instruction=Instruction.POST_ONLY)
        await world.place("bob", Side.SELL, 60_100, ONE // 2)
        book = await world.call("getBook", market=MARKET)
        assert book["bids"] == [
            {"price": "59100", "size": "0.1"},
            {"price": "59000", "size": "0.2"},
        ]
        assert book["asks"] == [{"price": "60100", "size": "0.5"}]
        top = viewed(world, "get_top", TopView, market=MARKET)
        assert (top.bid.price, top.ask.size) == (59_100 * ONE, ONE // 2)
        short = await world.call("getBook", market=MARKET, levels=1)
        assert (len(short["bids"]), len(short["asks"])) == (1, 1)
        for levels in (0, DEPTH_LEVELS_MAX + 1, "1"):
            error = await world.fails("getBook", market=MARKET, levels=levels)
            assert error["code"] == -32_602


async def test_markets_and_prices(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await world.place("alice", Side.SELL, 60_000)
        await world.place("bob", Side.BUY, 60_000)
        (market,) = (await world.call("getMarkets"))["markets"]
        assert market == (await world.call("getMarket", market=MARKET))["market"]
        assert (market["market"], market["status"], market["lot"]) == (MARKET, "ACTIVE", "0.001")
        assert (market["initial_margin"], market["taker_fee"]) == ("0.02", "0.0003")
        assert (market["open_interest"], market["last_trade"]["price"]) == ("0.1", "60000")
        (price,) = (await world.call("getPrices"))["prices"]
        assert price.items() <= market.items()
        row = world.state.prices[MARKET]
        assert units(price["mark"]) == row.mark
        assert units(price["basis"], 9) == row.basis
        assert units(price["funding_index"], 18) == row.funding_index
        assert (price["index"], price["is_stale"]) == ("60000", False)
        for name in ("getMarket", "getBook", "getFunding"):
            for market in ("ETH", ""):
                assert (await world.refused(name, market=market))["code"] == "MARKET_UNKNOWN"
        for name in ("getOrders", "getPositions", "getFundingPayments"):
            data = await world.refused(name, account=ALICE, market="ETH")
            assert data["code"] == "MARKET_UNKNOWN"


async def test_the_mode_says_what_stands_in_the_way(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        told = await world.call("getMode")
        assert (told["mode"], told["halts"], told["guards_off"]) == ("OPEN", [], [])
        assert told["time_ms"] == world.state.system.time_ms
        inbox = told["deposits_next_nonce"], told["deposits_pending"], told["deposits_unmade"]
        assert inbox == (len(world.state.deposits), 0, [])
        target = await world.tick()
        await world.tick()
        reorg_id = await world.back(target)
        told = await world.call("getMode")
        assert (told["mode"], told["recorded_mode"]) == ("HALTED", "OPEN")
        assert (told["halts"], told["halted_by_reorg"]) == (["LATCH"], reorg_id)
        assert (told["height"], told["epoch"]) == (target, reorg_id)
        await world.mode(Mode.CANCEL_ONLY)
        told = await world.call("getMode")
        assert (told["mode"], told["cause"], told["halts"]) == ("CANCEL_ONLY", "ROLLBACK", [])
        assert told["withdrawals_wait_ticks"] > 0


async def test_the_chain_introduces_itself(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        told = await world.call("chainInfo")
        assert (told["chain_name"], told["rules_version"]) == ("PERPCHAIN_TEST", 1)
        assert told["exchange"] == format_felt(EXCHANGE_ADDRESS)
        assert set(told["classes"]) == {"Account", "Exchange", "Collateral"}
        contract = world.state.contracts[EXCHANGE_ADDRESS]
        assert told["classes"]["Exchange"] == format_felt(contract.class_hash)
        assert told["operator"] == format_felt(address_of("op"))
        assert told["signature_domain"]["chainId"] == "PERPCHAIN_TEST"
        assert told["finalized_height"] == -1


async def test_every_method_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        for method in world.methods.values():
            name = method.name.removeprefix("perp_")
            assert (await world.fails(name, surprise=1))["code"] == -32_602
            for epoch in (-1, "0", 2**63, True):
                assert (await world.fails(name, epoch=epoch))["code"] == -32_602
            assert method.parameters[-1].name == "epoch"


@pytest.mark.parametrize("name", ["getMarkets", "getPrices", "getMode", "chainInfo", "reorgs"])
async def test_reads_refuse_a_stale_epoch(tmp_path: Path, name: str) -> None:
    async with trading(tmp_path) as world:
        assert (await world.call(name, epoch=0))["epoch"] == 0
        data = await world.refused(name, epoch=1)
        assert (data["code"], data["epoch"], data["reorgs"]) == ("EPOCH_CONFLICT", 0, [])
