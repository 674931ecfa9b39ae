"""The codes of errors: each one that is documented exists, and each that comes is documented."""

import asyncio
import threading
from collections import Counter
from pathlib import Path
from random import Random

from sequencer.api.perp_rpc.errors import EPOCH_CONFLICT
from sequencer.model.orders import Instruction, OrderType, Side
from sequencer.model.refusals import Reason
from sequencer.model.units import ONE
from sequencer.ports import StoreProblem
from sequencer.starknet.felt import format_felt
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.world import documented_codes, trading
from tests.unit.chain.network import MARKET, address_of
from tests.unit.engine.builders import until

MALFORMED_ORDERS: dict[str, dict[str, Unchecked]] = {
    "ORDER_RPI_UNSUPPORTED": {"instruction": Instruction.RPI},
    "ORDER_INSTRUCTION_INVALID": {"type": OrderType.MARKET, "price": 0},
    "ORDER_PRICE_INVALID": {"type": OrderType.MARKET, "instruction": Instruction.IOC},
    "ORDER_TRIGGER_INVALID": {"trigger_price": ONE},
    "ORDER_SIZE_INVALID": {"size": 1},
    "ORDER_PAIR_INVALID": {"pair_id": 1},
    "ORDER_OUTSIDE_BAND": {"price": 90_000},
    "ORDER_REDUCE_ONLY": {"reduce_only": True},
    "ORDER_WOULD_CROSS": {"instruction": Instruction.POST_ONLY, "price": 60_100},
    "ORDER_EXPIRED": {"expires_at_ms": 1},
    "ORDER_FROM_FUTURE": {"signed_at_ms": 2 * 10**12},
    "MARKET_UNKNOWN": {"market": "DOGE-USD-PERP"},
    "MARGIN_INSUFFICIENT": {"size": 90 * ONE},
    "NOT_AUTHORIZED": {"account": 0x777},
    "ORDER_UNKNOWN": {"replaces": 5},
}


def test_documented_codes_exist() -> None:
    known = {*Reason.__members__, *StoreProblem.__members__, EPOCH_CONFLICT}
    assert documented_codes() <= known
    assert len(documented_codes()) > 30


async def test_orders_that_the_chain_refuses(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await world.place("bob", Side.SELL, 60_050)
        for code, changes in MALFORMED_ORDERS.items():
            order = world.order("alice", Side.BUY, **changes)
            given = world.signed(order, "alice")
            given["signer"] = format_felt(address_of("alice"))
            head = world.service.views.view.head
            method = "modifyOrder" if order.replaces else "placeOrder"
            data = await world.refused(method, **given)
            assert data["code"] == code
            if "transaction_hash" not in data:
                assert world.service.views.view.head == head
        assert len(world.state.orders) == 1


async def test_numbers_that_no_signature_covers(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        given = world.signed(world.order("alice", Side.BUY), "alice")
        for field, value, code in (
            ("price", str(2**128), "ORDER_FIELD_OUT_OF_RANGE"),
            ("market", "é", "SHORT_STRING_MALFORMED"),
        ):
            order = {**given["order"], field: value}
            assert (await world.refused("placeOrder", **{**given, "order": order}))["code"] == code


NONSENSE: list[Unchecked] = [
    *(None, True, False, 0, 1, -1, 2**63, 10**79, "", "0", "0x", "0x0", "0X1", "-0x1", "0xg"),
    *("0x" + "f" * 64, "0x" + "0" * 64, "1e400", "NaN", "9" * 60, "\0", "\u202e", "latest"),
    *("pre_confirmed", MARKET, "BTC", "LIMIT", "BUY", "\u0663", " 1", "1.", "." * 9),
    *([], [[]], ["0x1", "0x2"], ["0x1"] * 200, {}, {"block_number": -1}, {"block_hash": 5}),
    *({"block_number": 0}, {"block_number": 10**30}, {"a": {"b": [{}]}}, "0.0.0.0.0x0"),
]


async def test_nonsense_is_answered_and_changes_nothing(tmp_path: Path) -> None:
    random, codes = Random(11), Counter[int]()
    async with trading(tmp_path) as world:
        sound = world.signed(world.order("alice", Side.BUY), "alice")
        alice = format_felt(address_of("alice"))
        known = {"account": alice, "market": MARKET, "hash": alice, "order_id": alice, **sound}
        head = world.service.views.view.head
        for _ in range(2_000):
            method = random.choice([*world.methods.values()])
            given = {}
            for parameter in method.parameters:
                if random.random() < 0.7:
                    given[parameter.name] = known.get(parameter.name)
                if random.random() < 0.3:
                    given[parameter.name] = random.choice(NONSENSE)
            if "order" in given and isinstance(given["order"], dict) and given["order"]:
                field = random.choice([*given["order"]])
                given["order"] = {**given["order"], field: random.choice(NONSENSE)}
            # The one order that is signed may not come in: only what is refused is looked at here.
            if given.get("order") == sound["order"]:
                continue
            told = await world.ask(method.name.removeprefix("perp_"), given)
            codes[told["error"]["code"] if "error" in told else 0] += 1
        assert world.service.views.view.head == head
        assert not world.state.orders
    assert codes.keys() == {0, -32_000, -32_602}
    assert min(codes.values()) > 50


async def test_a_state_that_is_gone_is_named(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        alice = format_felt(address_of("alice"))
        target = await world.tick()
        await world.tick()
        hash_ = (await world.call("getMode"))["block_hash"]
        await world.back(target)
        await world.reopen()
        worker, store = world.node.node.worker, world.node.node.store
        collected = await worker.run(lambda: store.collect(store.head.epoch, 100_000))
        assert collected.removed
        await world.tick()
        data = await world.refused("accountProof", account=alice, block_id={"block_hash": hash_})
        assert data["code"] == "STATE_COLLECTED"


async def test_a_stopping_node_says_so(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        free = threading.Event()
        order = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
        async with asyncio.TaskGroup() as group:
            # The stop waits for the block that is being sealed.
            group.create_task(asyncio.wait_for(world.node.node.worker.run(free.wait), None))
            await asyncio.sleep(0)
            world.node.node.stop()
            await until(world.service.engine.gate.is_stopping)
            assert (await world.refused("placeOrder", **order))["code"] == "SHUTTING_DOWN"
            assert (await world.call("getBook", market=MARKET))["bids"] == []
            free.set()
