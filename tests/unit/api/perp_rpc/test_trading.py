"""Placing, modifying and cancelling, from the request to the block that holds it."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from sequencer.engine.lookup import find_block, read_block
from sequencer.model.orders import Instruction, OrderType, Side
from sequencer.model.units import ONE
from sequencer.starknet.felt import format_felt, format_hash, parse_felt
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import until


def block_of(world: World, told: dict[str, Any]) -> list[int]:
    """Check that the block an answer names is there, and return its transactions' hashes."""
    view = world.service.views.view
    record = find_block(view, str(told["height"]))
    assert format_hash(record.block_hash) == told["block_hash"]
    return [each.transaction_hash for each in read_block(view, record).receipts]


async def test_an_order_is_answered_with_its_block(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        order = world.order("alice", Side.BUY, 59_000)
        told = await world.call("placeOrder", **world.signed(order, "alice"))
        assert parse_felt(told["transaction_hash"]) in block_of(world, told)
        assert told["order_id"] == format_felt(world.order_id(order, "alice"))
        assert (told["status"], told["remaining"], told["fills"]) == ("OPEN", "0.1", [])
        assert told["epoch"] == 0
        assert world.order_id(order, "alice") in world.state.orders


async def test_a_taker_hears_of_its_own_fills(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        dear = await world.place("alice", Side.SELL, 60_010)
        cheap = await world.place("alice", Side.SELL, 60_000)
        told = await world.place("bob", Side.BUY, 60_010, ONE * 15 // 100)
        assert (told["status"], told["remaining"]) == ("FILLED", "0")
        fills = [(each["price"], each["size"], each["maker_order"]) for each in told["fills"]]
        assert fills == [("60000", "0.1", cheap["order_id"]), ("60010", "0.05", dear["order_id"])]
        first = told["fills"][0]
        assert (first["side"], first["taker_order"]) == ("BUY", told["order_id"])
        assert (first["taker_fee"], first["maker_fee"]) == ("1.8", "0")
        left = await world.call("getOrder", order_id=dear["order_id"])
        assert (left["order"]["remaining"], left["order"]["filled"]) == ("0.05", "0.05")


async def test_what_does_not_rest_says_why(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await world.place("alice", Side.SELL, 60_000)
        told = await world.place("bob", Side.BUY, 60_000, ONE, instruction=Instruction.IOC)
        assert (told["status"], told["close_reason"]) == ("CANCELLED", "IOC_REMAINDER")
        assert (told["remaining"], len(told["fills"])) == ("0.9", 1)
        waits = await world.place(
            "bob",
            Side.SELL,
            59_000,
            type=OrderType.STOP_LIMIT,
            trigger_price=59_500 * ONE,
        )
        assert (waits["status"], waits["remaining"]) == ("WAITING", "0.1")


async def test_orders_that_share_a_transaction_hear_of_their_own(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        orders = [
            world.order(name, side)
            for name, side in (("alice", Side.SELL), ("bob", Side.BUY), ("alice", Side.SELL))
        ]
        calls = [
            world.call("placeOrder", **world.signed(order, name))
            for order, name in zip(orders, ("alice", "bob", "alice"), strict=True)
        ]
        sold, bought, rests = await asyncio.gather(*calls)
        # The engine takes what waits together, so the maker's receipt has its fill as well.
        assert sold["transaction_hash"] == bought["transaction_hash"] == rests["transaction_hash"]
        assert sold["fills"] == bought["fills"]
        assert (sold["status"], sold["remaining"]) == ("FILLED", "0")
        assert (rests["status"], rests["fills"]) == ("OPEN", [])


async def test_a_modification_takes_the_place_of_its_order(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        first = await world.place("alice", Side.BUY, 59_000)
        replaced = parse_felt(first["order_id"])
        second = await world.place("alice", Side.BUY, 59_100, replaces=replaced)
        assert second["status"] == "OPEN"
        listed = await world.call("getOrders", account=format_felt(address_of("alice")))
        assert [each["order_id"] for each in listed["orders"]] == [second["order_id"]]
        assert listed["orders"][0]["replaces"] == first["order_id"]
        again = world.signed(world.order("alice", Side.BUY, replaces=replaced), "alice")
        assert (await world.refused("placeOrder", **again))["code"] == "PARAMETER_INVALID"
        plain = world.signed(world.order("alice", Side.BUY), "alice")
        assert (await world.refused("modifyOrder", **plain))["code"] == "PARAMETER_INVALID"
        assert (await world.refused("modifyOrder", **again))["code"] == "ORDER_UNKNOWN"


async def test_a_cancellation_is_recorded_also_where_it_is_refused(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        placed = await world.place("alice", Side.BUY, 59_000)
        cancel = world.signed_cancel(parse_felt(placed["order_id"]), "alice")
        told = await world.call("cancelOrder", **cancel)
        assert (told["status"], told["close_reason"]) == ("CANCELLED", "USER")
        assert (told["order_id"], told["remaining"]) == (placed["order_id"], "0.1")
        await world.tick()
        data = await world.refused("cancelOrder", **cancel)
        assert (data["code"], data["order_id"]) == ("ORDER_UNKNOWN", placed["order_id"])
        assert data["height"] == world.service.views.view.head.height
        assert parse_felt(data["transaction_hash"]) in block_of(world, data)


async def test_a_refusal_of_the_chain_names_its_block(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        order = world.order("alice", Side.BUY, 60_000, 90 * ONE)
        data = await world.refused("placeOrder", **world.signed(order, "alice"))
        assert data["code"] == "MARGIN_INSUFFICIENT"
        assert data["order_id"] == format_felt(world.order_id(order, "alice"))
        assert parse_felt(data["transaction_hash"]) in block_of(world, data)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SIGNATURE_INVALID", {"signature": ["0x1", "0x2"]}),
        ("SIGNATURE_INVALID", {"signer": "0x777"}),
        ("NOT_AUTHORIZED", {"key": "0x777"}),
    ],
)
async def test_who_may_not_sign_changes_nothing(
    tmp_path: Path, code: str, changes: dict[str, object]
) -> None:
    async with trading(tmp_path) as world:
        head = world.service.views.view.head
        given = world.signed(world.order("alice", Side.BUY), "alice")
        data = await world.refused("placeOrder", **(given | changes))
        assert (data["code"], data["height"]) == (code, head.height)
        assert world.service.views.view.head == head


async def test_a_command_counts_once(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        given = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
        await world.call("placeOrder", **given)
        assert (await world.refused("placeOrder", **given))["code"] == "DUPLICATE_COMMAND"
        old = world.order("alice", Side.BUY, signed_at_ms=1)
        data = await world.refused("placeOrder", **world.signed(old, "alice"))
        assert data["code"] == "ORDER_EXPIRED"


MALFORMED: list[tuple[str, object]] = [
    ("price", 60_000),
    ("price", "6e4"),
    ("price", "-1"),
    ("price", "1.000000001"),
    ("price", None),
    ("size", "+1"),
    ("size", ""),
    ("side", "buy"),
    ("type", "ICEBERG"),
    ("account", 17),
    ("account", "17"),
    ("account", "0x" + "f" * 63),
    ("market", 5),
    ("market", "M" * 40),
    ("reduce_only", 1),
    ("reduce_only", "false"),
    ("client_id", 1),
    ("signed_at_ms", "1700000000000"),
    ("signed_at_ms", -1),
    ("signed_at_ms", True),
    ("expires_at_ms", 10**30),
    ("surprise", "1"),
]


async def test_a_malformed_order_is_named(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        given = world.signed(world.order("alice", Side.BUY), "alice")
        for field, value in MALFORMED:
            order = {**given["order"], field: value}
            error = await world.fails("placeOrder", **{**given, "order": order})
            assert error["code"] == -32_602, (field, value, error)
            assert error["data"].startswith("order: "), error
            assert field in error["data"], error
        for signature in ([], ["0x1"], ["0x1"] * 3, "0x1", [1, 2], None):
            error = await world.fails("placeOrder", **{**given, "signature": signature})
            assert error["code"] == -32_602, error
        short = {name: each for name, each in given["order"].items() if name != "pair_id"}
        error = await world.fails("placeOrder", **{**given, "order": short})
        assert "pair_id" in error["data"]


async def test_parameters_may_come_in_order(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        given = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
        listed = [given["order"], given["signature"], given["order"]["account"], "0x0", 0]
        assert (await world.ask("placeOrder", listed))["result"]["status"] == "OPEN"


async def test_liberal_in_canonical_out(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        given = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
        account = given["order"]["account"]
        loose = {"account": "0x0" + account[2:].upper(), "size": "0.10000000", "price": "59000.0"}
        told = await world.call("placeOrder", **{**given, "order": {**given["order"], **loose}})
        shown = (await world.call("getOrder", order_id=told["order_id"]))["order"]
        assert {name: shown[name] for name in given["order"]} == given["order"]


async def test_a_stale_epoch_is_a_conflict_before_anything_happens(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        target = await world.tick()
        await world.tick()
        reorg_id = await world.back(target)
        await world.reopen()
        order = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
        data = await world.refused("placeOrder", **order, epoch=0)
        assert (data["code"], data["epoch"]) == ("EPOCH_CONFLICT", reorg_id)
        assert [each["reorg_id"] for each in data["reorgs"]] == [reorg_id]
        ahead = await world.refused("placeOrder", **order, epoch=reorg_id + 1)
        assert (ahead["code"], ahead["reorgs"]) == ("EPOCH_CONFLICT", [])
        told = await world.call("placeOrder", **order, epoch=reorg_id)
        assert told["epoch"] == reorg_id


async def test_what_waits_is_not_carried_into_another_epoch(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        target = world.service.views.view.head.height
        await world.tick()
        free = threading.Event()
        order = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
        async with asyncio.TaskGroup() as group:
            # Signatures wait for this, and the order for its own.
            holding = world.node.node._verifying.run(free.wait)
            held = group.create_task(asyncio.wait_for(holding, None))
            await asyncio.sleep(0)
            sent = group.create_task(world.refused("placeOrder", **order, epoch=0))
            await until(lambda: bool(world.service.admission._pending))
            going = group.create_task(world.back(target))
            await until(lambda: world.service.views.view.head.epoch == 1)
            free.set()
            await asyncio.gather(held, going)
        assert sent.result()["code"] == "HALTED"
        await world.reopen()
        assert not world.state.orders
        assert (await world.call("placeOrder", **order, epoch=1))["status"] == "OPEN"


async def test_whoever_gives_up_leaves_the_command_counted(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        free = threading.Event()
        order = world.order("alice", Side.BUY, 59_000)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.wait_for(world.node.node._verifying.run(free.wait), None))
            await asyncio.sleep(0)
            sent = group.create_task(world.call("placeOrder", **world.signed(order, "alice")))
            await until(lambda: bool(world.service.admission._pending))
            sent.cancel()
            await asyncio.wait([sent])
            assert len(world.service.admission._pending) == 1
            free.set()
            await until(lambda: not world.service.admission._pending)
        assert world.order_id(order, "alice") in world.state.orders
