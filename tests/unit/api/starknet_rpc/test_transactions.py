"""Transactions: found from admission on, and not any more once their block is orphaned."""

import asyncio
from pathlib import Path

import pytest

from sequencer.api.json_rpc import PARAMS_INVALID
from sequencer.api.starknet_rpc.wire import message_hash
from sequencer.engine.lookup import read_block
from sequencer.model.refusals import Reason
from sequencer.starknet.felt import format_felt
from sequencer.starknet.transactions import L1Handler
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.executing import sent, world
from tests.unit.api.starknet_rpc.reading import ALICE, BOB, Ledger, full_ledger
from tests.unit.engine.rolling import deposit


async def test_every_transaction_is_found_in_every_way(ledger: Ledger) -> None:
    kinds = set()
    for height in range(ledger.head.height + 1):
        block_id = {"block_number": height}
        whole = await ledger.told("getBlockWithTxs", block_id)
        receipts = await ledger.told("getBlockWithReceipts", block_id)
        for index, transaction in enumerate(whole["transactions"]):
            hash_ = transaction["transaction_hash"]
            kinds.add(transaction["type"])
            assert await ledger.told("getTransactionByHash", hash_) == transaction
            placed = await ledger.told("getTransactionByBlockIdAndIndex", block_id, index)
            assert placed == transaction
            receipt = await ledger.told("getTransactionReceipt", hash_)
            assert receipt.pop("block_number") == height
            assert receipt.pop("block_hash") == whole["block_hash"]
            assert receipt == receipts["transactions"][index]["receipt"]
            status = await ledger.told("getTransactionStatus", hash_)
            assert status == expected_status(receipt)
        assert (
            await ledger.code(
                "getTransactionByBlockIdAndIndex", block_id, len(whole["transactions"])
            )
            == 27
        )
    assert kinds == {"INVOKE", "DECLARE", "DEPLOY_ACCOUNT", "L1_HANDLER"}


def expected_status(receipt: Unchecked) -> dict[str, str]:
    status = {name: receipt[name] for name in ("finality_status", "execution_status")}
    if "revert_reason" in receipt:
        status["failure_reason"] = receipt["revert_reason"]
    return status


async def test_receipts_say_what_is_special(ledger: Ledger) -> None:
    made = await ledger.told("getBlockWithReceipts", {"block_number": 13})
    _, deployed, declared, handled = made["transactions"]
    assert deployed["receipt"]["contract_address"] == hex(ledger.deployment().address())
    assert declared["transaction"]["sender_address"] == hex(BOB)
    assert "contract_address" not in declared["receipt"]
    assert handled["receipt"]["message_hash"] == hex(message_hash(deposit(1, BOB, 6_000_000)))
    assert handled["transaction"]["nonce"] == "0x1"
    failed = await ledger.told("getBlockWithReceipts", {"block_number": 14})
    assert "CASH_INSUFFICIENT" in failed["transactions"][1]["receipt"]["revert_reason"]
    assert failed["transactions"][1]["receipt"]["events"] == []


def test_the_hash_of_a_message_is_the_one_on_ethereum() -> None:
    """A deposit of Goerli's, whose hash Starknet's contract there has published."""
    message = L1Handler(
        contract=0x73314940630FD6DCDA0D772D4C972C4E0A9946BEF9DABF4EF84EDA8EF542B82,
        selector=0x2D757788A8D8D6F21D1CD40BCE38A8222D70654214E96FF95D8086E684FBEE5,
        calldata=(
            0xC3511006C04EF1D78AF4C8E0E74EC18A6E64FF9E,
            0x689EAD7D814E51ED93644BC145F0754839B8DCB340027CE0C30953F38F55D7,
            0x2C68AF0BB140000,
            0,
        ),
        nonce=775_628,
    )
    published = 0xC51A543EF9563AD2545342B390B67EDFCDDF9886AA36846CF70382362FC5FAB3
    assert message_hash(message) == published


async def test_transactions_of_orphaned_blocks_are_29(ledger: Ledger) -> None:
    view, looked_at = ledger.store.view, 0
    for height in range(6, 10):
        for sequence in range(ledger.head.sequence):
            record = view.block_at(height, sequence)
            if record is None or not view.orphaned_by(record):
                continue
            for receipt in read_block(view, record).receipts:
                looked_at += 1
                hash_ = format_felt(receipt.transaction_hash)
                again = view.transaction(receipt.transaction_hash.to_bytes(32, "big"))
                for name in ("Status", "Receipt", "ByHash"):
                    method = f"getTransaction{name}"
                    if again is None:
                        assert await ledger.code(method, hash_) == 29
                    else:
                        await ledger.told(method, hash_)
    assert looked_at > 8


async def test_an_undo_brings_them_back() -> None:
    ledger = full_ledger()
    whole = await ledger.told("getBlockWithTxs", "latest")
    hash_ = whole["transactions"][0]["transaction_hash"]
    ledger.back(12)
    assert await ledger.code("getTransactionReceipt", hash_) == 29
    ledger.undo(ledger.head.epoch)
    told = await ledger.told("getTransactionReceipt", hash_)
    assert told["block_hash"] == whole["block_hash"]


async def test_pre_confirmed_ones_have_a_receipt_without_a_block_hash() -> None:
    ledger = full_ledger()
    transfer = ledger.transfer("bob", 5)
    ledger.open(transfer)
    hash_ = ledger.hash_of(transfer)
    receipt = await ledger.told("getTransactionReceipt", hash_)
    assert receipt["block_number"] == ledger.head.height + 1
    assert "block_hash" not in receipt
    assert receipt["finality_status"] == "PRE_CONFIRMED"
    status = await ledger.told("getTransactionStatus", hash_)
    assert status == {"finality_status": "PRE_CONFIRMED", "execution_status": "SUCCEEDED"}
    whole = await ledger.told("getTransactionByHash", hash_)
    assert await ledger.told("getTransactionByBlockIdAndIndex", "pre_confirmed", 1) == whole
    assert await ledger.code("getTransactionByBlockIdAndIndex", "pre_confirmed", 2) == 27
    ledger.rig.producer.drop()
    assert await ledger.code("getTransactionStatus", hash_) == 29


@pytest.mark.usefixtures("process")
async def test_a_transaction_is_received_then_open_then_accepted(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        transfer = at.transfer()
        told = await at.call("addInvokeTransaction", invoke_transaction=sent(transfer))
        hash_ = told["transaction_hash"]
        status = await at.call("getTransactionStatus", hash_)
        assert status["finality_status"] in {"RECEIVED", "PRE_CONFIRMED", "ACCEPTED_ON_L2"}
        seen = await at.call("getTransactionByHash", hash_)
        assert seen["sender_address"] == format_felt(ALICE)
        await at.in_block(hash_)
        status = await at.call("getTransactionStatus", hash_)
        assert status == {
            "finality_status": "ACCEPTED_ON_L2",
            "execution_status": "SUCCEEDED",
        }


async def test_what_waits_is_received() -> None:
    ledger = full_ledger()
    admission, transfer = ledger.rig.admission, ledger.transfer("bob", 5)
    nonce = int(await ledger.told("getNonce", "pre_confirmed", hex(BOB)), 16)
    async with asyncio.TaskGroup() as group:
        checking = group.create_task(admission.verify_all())
        item = admission.transaction(transfer)
        await admission.accepted(item)
        checking.cancel()
    hash_ = ledger.hash_of(transfer)
    assert await ledger.told("getTransactionStatus", hash_) == {"finality_status": "RECEIVED"}
    assert (await ledger.told("getTransactionByHash", hash_))["transaction_hash"] == hash_
    assert await ledger.code("getTransactionReceipt", hash_) == 29
    assert await ledger.told("getNonce", "pre_confirmed", hex(BOB)) == hex(nonce + 1)
    assert await ledger.told("getNonce", "latest", hex(BOB)) == hex(nonce)
    item.refuse(Reason.HALTED, "the test is over")
    await asyncio.sleep(0)
    assert await ledger.code("getTransactionStatus", hash_) == 29


async def test_what_nobody_knows_is_29(ledger: Ledger) -> None:
    for method in ("getTransactionStatus", "getTransactionReceipt", "getTransactionByHash"):
        assert await ledger.code(method, "0x1") == 29
        for wrong in (1, "1", "0x", "0x" + "f" * 64, None, ["0x1"]):
            assert await ledger.code(method, wrong) == PARAMS_INVALID
    assert await ledger.code("getMessagesStatus", "0x" + "f" * 64) == 29
    for wrong in (1, "1", "0x", "0x" + "f" * 65):
        assert await ledger.code("getMessagesStatus", wrong) == PARAMS_INVALID
    for index in (-1, "0x0", True, 2**63):
        assert (
            await ledger.code("getTransactionByBlockIdAndIndex", "latest", index) == PARAMS_INVALID
        )
