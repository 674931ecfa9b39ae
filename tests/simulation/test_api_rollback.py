"""What clients are told while an operator goes back and forth: the truth of one moment, always.

Readers and traders ask a whole node over its port while it makes blocks, goes back, takes that back
and goes back again.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sequencer.chain.calls import exchange_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.starknet.felt import FELT_PRIME, format_felt
from tests.simulation.api_world import Client, Failed, Traders, answering
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.proof_reader import read_proof
from tests.unit.chain.network import MARKET, address_of

ALICE = format_felt(address_of("alice"))
EXCHANGE, ROWS = format_felt(EXCHANGE_ADDRESS), format_felt(ROWS_ROOT_SLOT)
GONE = frozenset({"STATE_COLLECTED", "STATE_PRUNED", "EPOCH_CONFLICT"})
CODES_GONE = frozenset({24, 29, 33, 42})


async def at_block(client: Client, name: str, block_hash: str, **values: Unchecked) -> list[int]:
    """Call a view of the exchange at a block."""
    _, chosen, data = exchange_call(name, values)
    request = {
        "contract_address": EXCHANGE,
        "entry_point_selector": format_felt(chosen),
        "calldata": [format_felt(each) for each in data],
    }
    block = {"block_hash": block_hash}
    found = await client.call("starknet_call", request=request, block_id=block)
    return [int(each, 16) for each in found]


def units(text: str) -> int:
    """Read a decimal of 1e-8 as a felt."""
    whole, _, fraction = text.lstrip("-").partition(".")
    value = int(whole) * 10**8 + int(fraction.ljust(8, "0") or "0")
    return -value % FELT_PRIME if text.startswith("-") else value


async def look_at_account(client: Client, told: Counter[str]) -> None:
    """An account's figures are those of the contract's own view at the block that they name."""
    name = Random(told["accounts"]).choice(("alice", "bob"))
    account = format_felt(address_of(name))
    answer = await client.call("perp_getAccount", account=account)
    figures = answer["account"]
    names = ("value", "initial_margin", "maintenance_margin", "free")
    seen = await at_block(client, "get_margin", answer["block_hash"], account=address_of(name))
    assert seen[:4] == [units(figures[each]) for each in names], answer
    assert seen[4] == figures["is_healthy"]
    told["accounts"] += 1


async def look_at_orders(client: Client, told: Counter[str]) -> None:
    """So are its open orders."""
    answer = await client.call("perp_getOrders", account=ALICE)
    if answer["cursor"] is None:
        hash_, account = answer["block_hash"], address_of("alice")
        seen = await at_block(client, "get_order_ids", hash_, account=account, market=MARKET)
        assert sorted(seen[1:]) == sorted(int(each["order_id"], 16) for each in answer["orders"])
        told["orders"] += 1


async def look_at_proof(client: Client, told: Counter[str]) -> None:
    """A proof binds the account to the head that it names; the slots there say the same."""
    answer = await client.call("perp_accountProof", account=ALICE)
    proven = read_proof(answer)
    assert proven.block_hash == answer["header"]["block_hash"] == answer["block_hash"]
    assert answer["header"]["block_number"] == answer["height"]
    block = {"block_hash": answer["block_hash"]}
    root = await client.call(
        "starknet_getStorageAt", contract_address=EXCHANGE, key=ROWS, block_id=block
    )
    assert root == answer["rows_root"]["value"]
    told["proofs"] += 1


async def look_at_block(client: Client, told: Counter[str]) -> None:
    """The newest block is one that was a head; its parent, its update and its number agree."""
    block = await client.call("starknet_getBlockWithReceipts", block_id="latest")
    assert (block["block_number"], block["block_hash"]) in client.kept.blocks
    parent = {"block_hash": block["parent_hash"]}
    before = await client.call("starknet_getBlockWithTxHashes", block_id=parent)
    assert before["block_number"] == block["block_number"] - 1
    named = {"block_hash": block["block_hash"]}
    update = await client.call("starknet_getStateUpdate", block_id=named)
    assert (update["old_root"], update["new_root"]) == (before["new_root"], block["new_root"])
    again = await client.call("starknet_getBlockWithReceipts", block_id=named)
    assert again == block
    told["blocks"] += 1


async def look_at_number(client: Client, told: Counter[str]) -> None:
    """A block that is found by its number was a head at that height; one that is gone is 24."""
    number = await client.call("starknet_blockNumber")
    for height in (number, number - 1):
        named = {"block_number": height}
        block = await client.call("starknet_getBlockWithTxHashes", block_id=named)
        assert (block["block_number"], block["block_hash"]) in client.kept.blocks
    told["numbers"] += 1


async def look_at_pending(client: Client, told: Counter[str]) -> None:
    """What is pre-confirmed stands on a head, and is read without a hash."""
    block = await client.call("starknet_getBlockWithReceipts", block_id="pre_confirmed")
    assert "block_hash" not in block
    assert block["block_number"] - 1 in {place[0] for place in client.kept.known}
    for receipt in (each["receipt"] for each in block["transactions"]):
        assert receipt["finality_status"] == "PRE_CONFIRMED"
    nonce = await client.call("starknet_getNonce", block_id="pre_confirmed", contract_address=ALICE)
    assert int(nonce, 16) >= 0
    told["pending"] += 1


async def look_back(client: Client, told: Counter[str]) -> None:
    """What happened, the markets, the mode and the reorgs are each of one head."""
    trades = await client.call("perp_getTrades", market=MARKET, limit=20)
    assert all(each["height"] <= trades["height"] for each in trades["trades"])
    reorgs = await client.call("perp_reorgs")
    assert len(reorgs["reorgs"]) == reorgs["epoch"]
    for each in reorgs["reorgs"]:
        ends = each["new_head"]["height"], each["new_head"]["block_hash"], each["epoch_after"]
        assert ends in client.kept.known
    mode = await client.call("perp_getMode")
    assert mode["halted_by_reorg"] in (0, mode["epoch"])
    await client.call("perp_getMarkets")
    await client.call("perp_getBook", market=MARKET)
    told["looks back"] += 1


async def look_at_events(client: Client, told: Counter[str]) -> None:
    """Pages of events are those of the blocks of one branch; a token of another one is 33."""
    height = await client.call("starknet_blockNumber")
    wanted: dict[str, Any] = {"from_block": {"block_number": max(0, height - 3)}, "chunk_size": 5}
    found, is_more = [], True
    while is_more:
        page = await client.call("starknet_getEvents", filter=wanted)
        found += page["events"]
        is_more = "continuation_token" in page
        wanted["continuation_token"] = page.get("continuation_token")
    hashes = {each["block_number"]: each["block_hash"] for each in found}
    assert {(each["block_number"], each["block_hash"]) for each in found} == set(hashes.items())
    for height, hash_ in hashes.items():
        named = {"block_hash": hash_}
        block = await client.call("starknet_getBlockWithTxHashes", block_id=named)
        assert block["parent_hash"] == hashes.get(height - 1, block["parent_hash"])
    names = ("block_number", "transaction_index", "event_index")
    places = [tuple(each[name] for name in names) for each in found]
    assert places == sorted(set(places))
    told["events"] += 1


async def look_at_traces(client: Client, told: Counter[str]) -> None:
    """What a block did when it is executed again is what it says; what is open is simulated."""
    block = await client.call("starknet_getBlockWithReceipts", block_id="latest")
    named = {"block_hash": block["block_hash"]}
    traces = await client.call("starknet_traceBlockTransactions", block_id=named)
    receipts = [each["receipt"] for each in block["transactions"]]
    hashes = [each["transaction_hash"] for each in receipts]
    assert [each["transaction_hash"] for each in traces] == hashes
    for receipt, traced in zip(receipts, traces, strict=True):
        invoked = traced["trace_root"]["execute_invocation"]
        said = [each["data"] for call in invoked["calls"] for each in call["events"]]
        assert said == [each["data"] for each in receipt["events"]]
    told["traces"] += 1


async def look_at_epoch(client: Client, told: Counter[str]) -> None:
    """Who believes in another epoch is told so, with every reorg since."""
    for epoch in range(max(client.epoch - 1, 0), client.epoch + 2):
        try:
            answer = await client.call("perp_getPrices", epoch=epoch)
        except Failed as failed:
            told["conflicts"] += 1
            require_conflict(failed, epoch)
        else:
            told["epochs"] += 1
            assert answer["epoch"] == epoch


def require_conflict(failed: Failed, epoch: int) -> None:
    assert (failed.code, failed.reason) == (-32_000, "EPOCH_CONFLICT")
    assert failed.data["epoch"] != epoch
    since = [each["epoch_after"] for each in failed.data["reorgs"]]
    assert since == [*range(epoch + 1, failed.data["epoch"] + 1)]


LOOKS = (
    look_at_account,
    look_at_orders,
    look_at_proof,
    look_at_block,
    look_at_number,
    look_at_pending,
    look_back,
    look_at_events,
    look_at_traces,
    look_at_epoch,
)


KINDS = (
    *("accounts", "orders", "proofs", "blocks", "numbers", "pending", "looks back"),
    *("events", "traces", "epochs", "conflicts", "placed", "APPLIED", "UNDONE"),
)
"""What must have come to pass for a run to say anything."""


class Crowd(Traders):
    """Those who trade, and those who look."""

    async def read(self, client: Client, seed: int) -> None:
        """Look at one thing after the other."""
        random = Random(seed)
        while not self.ended.is_set():
            try:
                await random.choice(LOOKS)(client, self.told)
            except Failed as failed:
                if failed.reason not in GONE and failed.code not in CODES_GONE:
                    raise
                self.told[f"gone {failed.code} {failed.reason}"] += 1

    @asynccontextmanager
    async def asking(self, seed: int) -> AsyncIterator[None]:
        """Ask and trade all the time."""
        async with self.trading(seed) as group:
            for number in range(6):
                client = self.client() if number % 2 else await self.client().connect()
                group.create_task(self.read(client, seed * 100 + number))
            yield


async def require_fates(crowd: Crowd) -> None:
    """Each order has the one answer that the chain bears out."""
    client, kept = crowd.client(), crowd.kept
    for sent, answer in crowd.answers:
        if isinstance(answer, Failed):
            assert answer.reason in ("HALTED", "MODE_FORBIDS"), answer
            continue
        place = answer["height"], answer["block_hash"], answer["epoch"]
        assert place in kept.known
        fate = await client.call("perp_orphaned", hash=answer["order_id"])
        assert fate["applied_in"] == {"height": place[0], "block_hash": place[1]}, fate
        assert fate["transaction"]["transaction_hash"] == answer["transaction_hash"]
        assert fate["order"]["status"] == answer["status"]
        block = await client.call(
            "starknet_getBlockWithTxHashes", block_id={"block_number": place[0]}
        )
        is_live = block["block_hash"] == place[1]
        assert fate["status"] == ("APPLIED" if is_live else "UNDONE")
        crowd.told[fate["status"]] += 1
        with pytest.raises(Failed) as again:
            await client.call("perp_placeOrder", **sent)
        assert again.value.reason == ("DUPLICATE_COMMAND" if is_live else "ORPHANED_COMMAND")


@pytest.mark.parametrize("seed", range(1, 4))
async def test_every_answer_is_of_one_head_that_there_was(tmp_path: Path, seed: int) -> None:
    async with answering(tmp_path) as (kept, session, url):
        crowd = Crowd(kept, session, url)
        async with crowd.asking(seed):
            await crowd.play(Random(seed))
        await require_fates(crowd)
        assert min(crowd.told[name] for name in KINDS) > 0, crowd.told
