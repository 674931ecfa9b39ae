"""What subscriptions refuse: each error by its number, and nothing is left behind by one."""

import pytest

from sequencer.api.json_rpc import METHOD_UNKNOWN, PARAMS_INVALID
from sequencer.api.perp_rpc.errors import PERP_REFUSED
from sequencer.api.subscriptions import starknet_methods
from sequencer.model.api_limits import STREAM_SUBSCRIPTIONS_MAX, SUBSCRIPTION_ADDRESSES_MAX
from tests.rpc_schemas import methods_of_protocol, validate_notification
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import Failed
from tests.unit.api.starknet_rpc.reading import ALICE
from tests.unit.api.subscriptions.world import Connection, World, telling
from tests.unit.engine.rolling import deposit

TOO_MANY = ["0x1"] * (SUBSCRIPTION_ADDRESSES_MAX + 1)

REFUSED: list[tuple[str, dict[str, Unchecked], int]] = [
    ("starknet_subscribeNewHeads", {"block_id": "pre_confirmed"}, PARAMS_INVALID),
    ("starknet_subscribeNewHeads", {"block_id": "l1_accepted"}, PARAMS_INVALID),
    ("starknet_subscribeNewHeads", {"block_id": {"block_number": 6}}, 24),
    ("starknet_subscribeNewHeads", {"block_id": {"block_hash": "0x1"}}, 24),
    ("starknet_subscribeNewHeads", {"block_id": {"block_number": 1}}, 68),
    ("starknet_subscribeEvents", {"block_id": {"block_number": 1}}, 68),
    ("starknet_subscribeEvents", {"block_id": {"block_number": 7}}, 24),
    ("starknet_subscribeEvents", {"keys": [["0x1"]] * 100}, 34),
    ("starknet_subscribeEvents", {"keys": ["0x1"]}, PARAMS_INVALID),
    ("starknet_subscribeEvents", {"from_address": 1}, PARAMS_INVALID),
    ("starknet_subscribeEvents", {"finality_status": "ACCEPTED_ON_L1"}, PARAMS_INVALID),
    ("starknet_subscribeEvents", {"finality_status": ["PRE_CONFIRMED"]}, PARAMS_INVALID),
    ("starknet_subscribeTransactionStatus", {}, PARAMS_INVALID),
    ("starknet_subscribeTransactionStatus", {"transaction_hash": "1"}, PARAMS_INVALID),
    ("starknet_subscribeNewTransactions", {"sender_address": TOO_MANY}, 67),
    ("starknet_subscribeNewTransactions", {"finality_status": ["ACCEPTED_ON_L1"]}, PARAMS_INVALID),
    ("starknet_subscribeNewTransactions", {"tags": ["INCLUDE_ALL"]}, PARAMS_INVALID),
    ("starknet_subscribeNewTransactionReceipts", {"sender_address": TOO_MANY}, 67),
    ("starknet_subscribeNewTransactionReceipts", {"finality_status": ["RECEIVED"]}, PARAMS_INVALID),
    ("starknet_unsubscribe", {"subscription_id": "1"}, 66),
    ("starknet_unsubscribe", {"subscription_id": 1}, PARAMS_INVALID),
    ("perp_unsubscribe", {"subscription_id": "x"}, 66),
    ("perp_subscribeBook", {"market": "DOGE-USD-PERP"}, PERP_REFUSED),
    ("perp_subscribeBook", {"market": ""}, PERP_REFUSED),
    ("perp_subscribeBook", {"market": "BTC-USD-PERP", "levels": 0}, PARAMS_INVALID),
    ("perp_subscribeBook", {"market": "BTC-USD-PERP", "levels": 101}, PARAMS_INVALID),
    ("perp_subscribeTrades", {"market": "DOGE-USD-PERP"}, PERP_REFUSED),
    ("perp_subscribeOrders", {}, PARAMS_INVALID),
    ("perp_subscribeOrders", {"account": "0x1", "epoch": 1}, PERP_REFUSED),
    ("perp_subscribeReorgs", {"cursor": -1}, PARAMS_INVALID),
]


async def test_what_is_wrong_is_refused_by_number_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starknet_methods, "SUBSCRIPTION_BLOCKS_BACK_MAX", 3)
    async with telling() as world:
        stream = Connection()
        for method, given, code in REFUSED:
            assert await world.refused(stream, method, **given) == code, (method, given)
        await world.rest()
        assert not stream.subscriptions
        assert not stream.messages
        assert not world.feed._streams


async def test_there_are_no_subscriptions_without_a_websocket() -> None:
    async with telling() as world:
        needed = {
            "starknet_subscribeTransactionStatus": {"transaction_hash": "0x1"},
            "perp_subscribeBook": {"market": "BTC-USD-PERP"},
            "perp_subscribeOrders": {"account": "0x1"},
            "starknet_unsubscribe": {"subscription_id": "1"},
            "perp_unsubscribe": {"subscription_id": "1"},
        }
        for method in world.methods:
            assert await world.refused(None, method, **needed.get(method, {})) == METHOD_UNKNOWN


async def test_each_kind_of_message_is_what_the_protocol_says() -> None:
    async with telling() as world:
        stream, early = Connection(validates=False), {"finality_status": "PRE_CONFIRMED"}
        await world.begin(stream, "NewHeads")
        await world.begin(stream, "Events", **early)
        for kind in ("NewTransactions", "NewTransactionReceipts"):
            await world.begin(stream, kind, finality_status=["PRE_CONFIRMED", "ACCEPTED_ON_L2"])
        good, bad = world.transfer(nonce=0), world.transfer(amount=10**29, nonce=1)
        for each in (good, bad):
            await world.begin(stream, "TransactionStatus", transaction_hash=world.hash_of(each))
        world.open(good, bad, world.deployment(), deposit(1, ALICE, 5_000_000))
        await world.rest()
        world.seal()
        await world.rest()
        world.back(5)
        await world.rest()
        for told in stream.messages:
            validate_notification(told["method"], told["params"])
        assert len({told["method"] for told in stream.messages}) == 6


async def test_every_subscription_of_the_protocol_is_there() -> None:
    async with telling() as world:
        named = {each for each in methods_of_protocol() if "ubscribe" in each}
        assert named == {each for each in world.methods if each.startswith("starknet_")}


async def test_an_orphaned_block_cannot_be_begun_with() -> None:
    async with telling() as world:
        stream = Connection()
        world.blocks(1)
        orphaned = world.hash_at(6)
        world.back(5)
        named = {"block_id": {"block_hash": orphaned}}
        assert await world.refused(stream, "starknet_subscribeNewHeads", **named) == 24
        live = {"block_id": {"block_hash": world.hash_at(5)}}
        id_ = await world.begin(stream, "NewHeads", **live)
        assert stream.results(id_)[0]["block_hash"] == world.hash_at(5)


async def test_one_connection_has_so_many_and_an_ended_one_makes_room() -> None:
    async with telling() as world:
        stream = Connection()
        ids = [
            await world.ask(stream, "starknet_subscribeNewHeads")
            for _ in range(STREAM_SUBSCRIPTIONS_MAX)
        ]
        assert len(set(ids)) == STREAM_SUBSCRIPTIONS_MAX
        with pytest.raises(Failed) as caught:
            await world.ask(stream, "starknet_subscribeNewHeads")
        assert caught.value.data["code"] == "BUSY"
        await world.ask(stream, "starknet_unsubscribe", subscription_id=ids[0])
        fresh = await world.begin(stream, "NewHeads")
        assert fresh not in ids


async def test_a_stale_epoch_is_a_conflict_that_names_what_happened_since() -> None:
    async with telling() as world:
        stream = Connection()
        world.blocks(1)
        world.back(5)
        with pytest.raises(Failed) as caught:
            await world.ask(stream, "perp_subscribeTrades", epoch=0)
        assert caught.value.data["code"] == "EPOCH_CONFLICT"
        assert [each["reorg_id"] for each in caught.value.data["reorgs"]] == [1]
        assert await world.perp(stream, "Trades", epoch=1)


async def test_a_feed_that_does_not_run_takes_nobody() -> None:
    world = World()
    with pytest.raises(Failed) as caught:
        await world.ask(Connection(), "starknet_subscribeNewHeads")
    assert caught.value.data["code"] == "SHUTTING_DOWN"
