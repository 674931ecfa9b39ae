"""Proofs of accounts, checked by a reader of another hand: at every block, live and orphaned."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sequencer.chain.codec import decode_row
from sequencer.engine.lookup import find_block
from sequencer.model import api_limits
from sequencer.model.orders import Side
from sequencer.model.rows import Mode, OrderRow
from sequencer.model.units import ONE
from sequencer.starknet.felt import format_felt, format_hash, parse_felt
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.proof_reader import Proven, Unproven, read_proof
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.chain.network import MARKET, address_of

ALICE = format_felt(address_of("alice"))


async def busy(world: World) -> None:
    """Give alice a position and two orders, one of which has traded in part."""
    await world.place("alice", Side.SELL, 60_000, ONE)
    await world.place("bob", Side.BUY, 60_000, ONE // 4)
    await world.tick(60_050)
    await world.place("alice", Side.BUY, 59_000)


def require_agrees(world: World, proven: Proven) -> None:
    """Compare what is proven with the state at the head."""
    state, alice = world.state, address_of("alice")
    assert proven.account is not None
    assert proven.account["cash"] == state.accounts[alice].cash
    row = state.positions[alice, MARKET]
    figures = {"size": row.size, "cost": row.cost, "index": row.index}
    assert proven.positions == {MARKET: figures}
    orders = {key: decode_row(content, OrderRow) for key, content in proven.orders.items()}
    own = {key: row for key, row in state.orders.items() if row.order.account == alice}
    assert orders == own


async def test_a_proof_binds_an_account_to_the_block_hash(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await busy(world)
        told = await world.call("accountProof", account=ALICE)
        proven = read_proof(told)
        assert proven.block_hash == told["block_hash"]
        require_agrees(world, proven)
        assert len(proven.orders) == 2
        assert not told["orders_left_out"]
        tables = [each["table"] for each in told["leaf_rows"]]
        assert tables == ["order", "order", "market", "price"]
        shown = (await world.call("getPositions", account=ALICE))["positions"][0]
        row = told["slot_rows"][1]["row"]
        assert (row["size"], row["cost"]) == (shown["size"], shown["cost"])
        listed = await world.call("getOrders", account=ALICE)
        assert [each["order"] for each in told["leaf_rows"][:2]] == listed["orders"]


async def test_every_block_is_proven_against_its_own_header(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await busy(world)
        view = world.service.views.view
        hashes = [format_hash(find_block(view, str(n)).block_hash) for n in range(view.head.height)]
        seen = set()
        for height, hash_ in enumerate(hashes):
            told = await world.call(
                "accountProof", account=ALICE, block_id={"block_number": height}
            )
            proven = read_proof(told)
            assert proven.block_hash == hash_
            seen.add(json.dumps([proven.account, proven.positions, [*proven.orders]]))
        assert len(seen) > 2
        target = view.head.height - 2
        await world.back(target)
        await world.reopen()
        for hash_ in hashes:
            told = await world.call("accountProof", account=ALICE, block_id={"block_hash": hash_})
            assert read_proof(told).block_hash == hash_
            assert told["epoch"] == 1
        told = await world.call("accountProof", account=ALICE)
        require_agrees(world, read_proof(told))


async def test_no_answer_mixes_two_heads(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await busy(world)
        seen: set[int] = set()

        async def read() -> None:
            while len(seen) < 5:
                told = await world.call("accountProof", account=ALICE)
                proven = read_proof(told)
                header = (proven.block_hash, told["header"]["block_number"])
                assert (told["block_hash"], told["height"]) == header
                page = await world.call("getTrades", account=ALICE)
                assert all(each["height"] <= page["height"] for each in page["trades"])
                seen.add(told["height"])

        async def move() -> None:
            while len(seen) < 5:
                await world.place("bob", Side.BUY, 60_000 - len(seen), ONE // 100)

        await asyncio.gather(read(), read(), move())


async def test_what_is_not_there_is_proven_absent(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        told = await world.call("accountProof", account="0x777")
        assert read_proof(told)[1:] == (None, {}, {})
        assert {each["row"] for each in told["slot_rows"]} == {None}


async def test_named_orders_are_proven_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading(tmp_path) as world:
        ids = [(await world.place("alice", Side.BUY, 59_000 + n))["order_id"] for n in range(4)]
        told = await world.call("accountProof", account=ALICE, order_ids=ids[1:3])
        assert [*read_proof(told).orders] == [parse_felt(each) for each in ids[1:3]]
        other = (await world.place("bob", Side.BUY, 59_000))["order_id"]
        for wrong in (other, "0x5"):
            data = await world.refused("accountProof", account=ALICE, order_ids=[wrong])
            assert data["code"] == "ORDER_UNKNOWN"
        await world.tick()
        older = {"block_number": world.service.views.view.head.height - 1}
        whole = await world.call("accountProof", account=ALICE, block_id=older)
        assert [*read_proof(whole).orders] == [parse_felt(each) for each in ids]
        with monkeypatch.context() as patched:
            patched.setattr("sequencer.engine.account_proof.ACCOUNT_PROOF_ROWS_MAX", 2)
            told = await world.call("accountProof", account=ALICE, block_id=older)
            assert told["orders_left_out"]
            assert read_proof(told).orders.items() <= read_proof(whole).orders.items()
        monkeypatch.setattr("sequencer.api.perp_rpc.proofs.ACCOUNT_PROOF_ORDERS_MAX", 3)
        for block_id in ("latest", older):
            told = await world.call("accountProof", account=ALICE, block_id=block_id)
            assert told["orders_left_out"]
            assert [*read_proof(told).orders] == [parse_felt(each) for each in ids[:3]]
        data = await world.refused("accountProof", account=ALICE, order_ids=ids)
        assert data["code"] == "PARAMETER_INVALID"
    assert api_limits.ACCOUNT_PROOF_ORDERS_MAX > 3


async def test_an_orphan_at_the_height_of_the_head_is_proven_with_its_own_orders(
    tmp_path: Path,
) -> None:
    async with trading(tmp_path) as world:
        placed = await world.place("alice", Side.BUY, 59_000)
        orphan = {"block_hash": placed["block_hash"]}
        await world.back(placed["height"] - 1)
        await world.mode(Mode.CANCEL_ONLY)
        assert world.service.views.view.head.height == placed["height"]
        told = await world.call("accountProof", account=ALICE, block_id=orphan)
        assert [*read_proof(told).orders] == [parse_felt(placed["order_id"])]
        assert not (await world.call("accountProof", account=ALICE))["leaf_rows"]


async def test_blocks_that_cannot_be_proven(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        unknown = ({"block_number": 999}, {"block_hash": "0x5"})
        for block_id in ("l1_accepted", "pre_confirmed", *unknown):
            data = await world.refused("accountProof", account=ALICE, block_id=block_id)
            assert data["code"] == "BLOCK_UNKNOWN"
        assert (await world.fails("accountProof", account=ALICE, block_id=7))["code"] == -32_602


def texts(value: Unchecked, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List where in an answer there are numbers in hexadecimal."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from texts(item, (*path, key))
    elif isinstance(value, str) and value.startswith("0x"):
        yield path


# What is shown for people only, and is not what the proof proves.
SHOWN = frozenset({"row", "order"})


async def test_nothing_can_be_changed(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        await busy(world)
        told = await world.call("accountProof", account=ALICE)
        proven, caught, harmless = read_proof(told), 0, 0
        del told["block_hash"], told["height"], told["epoch"]
        for path in list(texts(told)):
            if SHOWN & set(path):
                continue
            forged = copy.deepcopy(told)
            holder = forged
            for key in path[:-1]:
                holder = holder[key]
            text = holder[path[-1]]
            holder[path[-1]] = text[:-1] + ("1" if text[-1] != "1" else "2")
            try:
                # A node that no key leads to may say anything; what is proven is the same then.
                assert read_proof(forged) == proven, path
                harmless += 1
            except Unproven:
                caught += 1
        assert caught > 100
        assert harmless == 0
