"""starknet-py's own client for methods of a prefix, over HTTP, and its own signatures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starknet_py.hash.utils import message_signature
from starknet_py.net.client_errors import ClientError
from starknet_py.net.http_client import RpcHttpClient
from starknet_py.utils.typed_data import TypedData

from sequencer.api.json_rpc import Method, Methods
from sequencer.api.server import RpcServer
from sequencer.model.orders import Side
from sequencer.model.units import ONE
from sequencer.starknet.felt import format_felt
from sequencer.starknet.messages import CANCEL_TYPE_TEXT, ORDER_TYPE_TEXT
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.chain.network import MARKET, PRIVATE, address_of

DOMAIN = [(name, "shortstring") for name in ("name", "version", "chainId", "revision")]
SCALED = ("size", "price", "trigger_price")


def members(type_text: str) -> list[tuple[str, str]]:
    """Read a type as it is written down: its fields and their types."""
    inside = type_text.partition("(")[2].rstrip(")")
    pairs = [field.split(":") for field in inside.replace('"', "").split(",")]
    return [(name, kind) for name, kind in pairs]


def typed_data(
    domain: dict[str, Unchecked], name: str, type_text: str, message: dict[str, Unchecked]
) -> TypedData:
    kinds = {"StarknetDomain": DOMAIN, name: members(type_text)}
    types = {
        kind: [{"name": field, "type": type_} for field, type_ in fields]
        for kind, fields in kinds.items()
    }
    content: Unchecked = {"types": types, "primaryType": name, "domain": domain}
    content["message"] = message
    return TypedData.from_dict(content)


async def version(_: object) -> str:
    return "0.10.2"


@asynccontextmanager
async def served(world: World) -> AsyncIterator[RpcHttpClient]:
    name = "starknet_specVersion"
    methods: Methods = {**world.methods, name: Method(name, (), version)}
    server = RpcServer(methods, "127.0.0.1", 0)
    url = await server.start()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        try:
            yield RpcHttpClient(f"{url}/rpc", method_prefix="perp")
        finally:
            await server.close()
            running.cancel()


def order_of(account: str, signed_at_ms: int, **changes: Unchecked) -> dict[str, Any]:
    return {
        "account": account,
        "market": MARKET,
        "side": Side.BUY.value,
        "type": "LIMIT",
        "size": "0.1",
        "price": "59000.5",
        "trigger_price": "0",
        "instruction": "GTC",
        "self_trade": "EXPIRE_TAKER",
        "reduce_only": False,
        "client_id": "0x7",
        "pair_id": "0x0",
        "replaces": "0x0",
        "signed_at_ms": signed_at_ms,
        "receive_window_ms": 60_000,
        "expires_at_ms": 0,
        **changes,
    }


async def test_a_client_of_starknet_py_trades(tmp_path: Path) -> None:
    async with trading(tmp_path) as world, served(world) as client:
        info = await client.call("chainInfo", {})
        domain, key = info["signature_domain"], PRIVATE["alice"]
        account = address_of("alice")
        order = order_of(format_felt(account), world.node.clock.ms)
        units = {name: str(int(float(order[name]) * ONE)) for name in SCALED}
        signed = typed_data(domain, "Order", ORDER_TYPE_TEXT, {**order, **units})
        hash_ = signed.message_hash(account)
        signature = [format_felt(each) for each in message_signature(hash_, key)]
        told = await client.call("placeOrder", {"order": order, "signature": signature})
        assert told["order_id"] == format_felt(hash_)
        shown = (await client.call("getOrder", {"order_id": told["order_id"]}))["order"]
        assert {name: shown[name] for name in order} == order
        cancel = {"account": format_felt(account), "order_id": told["order_id"]}
        signed = typed_data(domain, "CancelOrder", CANCEL_TYPE_TEXT, cancel)
        pair = message_signature(signed.message_hash(account), key)
        signature = [format_felt(each) for each in pair]
        gone = await client.call("cancelOrder", {**cancel, "signature": signature})
        assert gone["close_reason"] == "USER"


async def test_a_conflict_reaches_the_client_as_data(tmp_path: Path) -> None:
    async with trading(tmp_path) as world, served(world) as client:
        target = await world.tick()
        await world.tick()
        reorg_id = await world.back(target)
        with pytest.raises(ClientError) as caught:
            await client.call("getAccount", {"account": "0x5", "epoch": 0})
        # Its code is said to be text, and is the number that came.
        error: Unchecked = caught.value
        data = error.data
        assert error.code == -32_000
        assert (data["code"], data["epoch"]) == ("EPOCH_CONFLICT", reorg_id)
        assert data["reorgs"] == (await client.call("reorgs", {}))["reorgs"]
