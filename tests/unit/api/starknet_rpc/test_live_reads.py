"""Reads of a node that makes blocks and goes back meanwhile: each answer is of one moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.model.rows import Mode
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import Failed
from tests.unit.api.starknet_rpc.executing import ALICE, World, sent, world
from tests.unit.api.starknet_rpc.test_proofs import require_proof

pytestmark = pytest.mark.usefixtures("process")

EXCHANGE_AT, ROWS = hex(EXCHANGE_ADDRESS), hex(ROWS_ROOT_SLOT)
ASKED = {
    "class_hashes": [],
    "contract_addresses": [EXCHANGE_AT],
    "contracts_storage_keys": [{"contract_address": EXCHANGE_AT, "storage_keys": [ROWS]}],
}
ALLOWED = frozenset({24, 29, 33, 42})
"""What may happen where the block that was asked about is gone by the time of the next question."""


@asynccontextmanager
async def asking(at: World, rounds: list[int]) -> AsyncIterator[None]:
    """Ask all the time, by two clients."""
    ended = asyncio.Event()

    async def ask() -> None:
        while not ended.is_set():
            try:
                await look(at)
                rounds.append(at.service.views.view.head.epoch)
            except Failed as failed:
                if failed.code not in ALLOWED:
                    raise
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        group.create_task(ask())
        try:
            yield
        finally:
            ended.set()


async def look(at: World) -> None:
    """Ask for one block in every way, by its hash."""
    head = await at.call("blockHashAndNumber")
    block_id = {"block_hash": head["block_hash"]}
    block = await at.call("getBlockWithReceipts", block_id)
    assert block["block_number"] == head["block_number"]
    proof = await at.call("getStorageProof", block_id=block_id, **ASKED)
    (root,) = require_proof(proof, ASKED, block["new_root"]).values()
    assert await at.call("getStorageAt", EXCHANGE_AT, ROWS, block_id) == hex(root)
    update = await at.call("getStateUpdate", block_id)
    assert update["new_root"] == block["new_root"]
    open_block = await at.call("getBlockWithTxs", "pre_confirmed")
    assert open_block["block_number"] > 0
    await at.call("getStorageAt", EXCHANGE_AT, ROWS, "pre_confirmed")
    await at.call("getNonce", "pre_confirmed", hex(ALICE))
    await require_events(at, block)


async def require_events(at: World, block: Unchecked) -> None:
    """The events of a live block are those of its receipts."""
    number = {"block_number": block["block_number"]}
    wanted = {"from_block": number, "to_block": number, "chunk_size": 1_000}
    page = await at.call("getEvents", wanted)
    if page["events"] and page["events"][0]["block_hash"] == block["block_hash"]:
        told = [(each["transaction_hash"], each["data"]) for each in page["events"]]
        receipts = [each["receipt"] for each in block["transactions"]]
        assert told == [
            (receipt["transaction_hash"], event["data"])
            for receipt in receipts
            for event in receipt["events"]
        ]


async def test_every_answer_is_of_one_moment(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        rounds: list[int] = []
        async with asking(at, rounds):
            for nonce in range(5):
                transaction = at.transfer(nonce=nonce)
                await at.call("addInvokeTransaction", invoke_transaction=sent(transaction))
                await at.rig.block()
            kept = await at.call("getBlockWithTxHashes", "latest")
            await at.rig.halt()
            await at.rig.back(kept["block_number"] - 3)
            assert await at.call("blockNumber") == kept["block_number"] - 3
            orphan = await at.call("getBlockWithTxHashes", {"block_hash": kept["block_hash"]})
            assert orphan == kept
            await at.rig.desk.mode(Mode.CANCEL_ONLY, "on again", 0, 0)
            await at.rig.blocks(3)
            again = await at.call("getBlockWithTxHashes", {"block_number": kept["block_number"]})
            assert again["block_hash"] != kept["block_hash"]
        assert {0, 1} <= set(rounds)
