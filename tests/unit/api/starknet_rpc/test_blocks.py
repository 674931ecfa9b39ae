"""Blocks and state updates: by every name, live, orphaned and open, against what is stored."""

import msgspec
import pytest

from sequencer.api.json_rpc import PARAMS_INVALID, answer
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.engine.lookup import read_block
from sequencer.model.records import BlockRecord
from sequencer.starknet.felt import format_felt, format_hash
from tests.rpc_schemas import errors_of, methods_of_protocol
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.reading import ALICE, Ledger, full_ledger

WITH_LIST = ("getBlockWithTxHashes", "getBlockWithTxs", "getBlockWithReceipts")


def orphans(ledger: Ledger) -> list[BlockRecord]:
    view = ledger.store.view
    found = (
        view.block_at(height, sequence)
        for height in range(ledger.head.height)
        for sequence in range(ledger.head.sequence)
    )
    return [record for record in found if record is not None and view.orphaned_by(record)]


def named(record: BlockRecord) -> dict[str, str]:
    return {"block_hash": format_hash(record.block_hash)}


async def test_the_node_says_what_it_is(ledger: Ledger) -> None:
    assert await ledger.told("specVersion") == "0.10.2"
    assert await ledger.told("syncing") is False
    assert bytes.fromhex((await ledger.told("chainId"))[2:]) == b"PERPCHAIN_TEST"
    assert await ledger.told("blockNumber") == ledger.head.height
    head = {"block_hash": ledger.hash_at(ledger.head.height), "block_number": ledger.head.height}
    assert await ledger.told("blockHashAndNumber") == head


async def test_every_method_of_the_protocol_is_there(ledger: Ledger) -> None:
    streamed = {"starknet_unsubscribe"}
    expected = {name for name in methods_of_protocol() if "subscribe" not in name}
    assert ledger.methods.keys() == expected - streamed


async def test_heads_link_and_lists_agree(ledger: Ledger) -> None:
    parent = "0x0"
    for height in range(ledger.head.height + 1):
        block_id = {"block_number": height}
        hashes, whole, receipts = [await ledger.told(name, block_id) for name in WITH_LIST]
        assert hashes["parent_hash"] == parent
        parent = hashes["block_hash"]
        assert parent == ledger.hash_at(height)
        lists = [each.pop("transactions") for each in (hashes, whole, receipts)]
        assert hashes == whole == receipts
        assert hashes["status"] == "ACCEPTED_ON_L2"
        assert hashes["transaction_count"] == len(lists[0])
        assert await ledger.told("getBlockTransactionCount", block_id) == len(lists[0])
        assert [each["transaction_hash"] for each in lists[1]] == lists[0]
        assert [each["receipt"]["transaction_hash"] for each in lists[2]] == lists[0]
        for one, both in zip(lists[1], lists[2], strict=True):
            assert {**both["transaction"], "transaction_hash": one["transaction_hash"]} == one
        events = sum(len(each["receipt"]["events"]) for each in lists[2])
        assert hashes["event_count"] == events


@pytest.mark.parametrize("method", [*WITH_LIST, "getStateUpdate"])
async def test_a_block_is_the_same_under_all_its_names(ledger: Ledger, method: str) -> None:
    head = ledger.head.height
    by_number = await ledger.told(method, {"block_number": head})
    assert await ledger.told(method, "latest") == by_number
    assert await ledger.told(method, {"block_hash": ledger.hash_at(head)}) == by_number
    padded = "0X" + ledger.hash_at(head)[2:].upper().zfill(64)
    assert await ledger.told(method, block_id={"block_hash": padded}) == by_number


async def test_what_is_final_says_so() -> None:
    ledger = full_ledger()
    ledger.finalized = 4
    final = await ledger.told("getBlockWithReceipts", "l1_accepted")
    assert (final["block_number"], final["status"]) == (4, "ACCEPTED_ON_L1")
    assert {each["receipt"]["finality_status"] for each in final["transactions"]} == {
        "ACCEPTED_ON_L1"
    }
    above = await ledger.told("getBlockWithTxHashes", {"block_number": 5})
    assert above["status"] == "ACCEPTED_ON_L2"
    ledger.finalized = 8
    # An orphan of a height that is final is not.
    orphan = await ledger.told("getBlockWithTxHashes", named(orphans(ledger)[0]))
    assert orphan["status"] == "ACCEPTED_ON_L2"


async def test_orphaned_blocks_are_served_by_hash(ledger: Ledger) -> None:
    heights = set()
    for record in orphans(ledger):
        heights.add(record.height)
        block = await ledger.told("getBlockWithReceipts", named(record))
        assert block["block_number"] == record.height
        assert block["block_hash"] != ledger.hash_at(record.height)
        assert block["parent_hash"] == format_hash(record.parent_hash)
        await require_update(ledger, record)
    assert heights == {6, 7, 8, 9}


async def require_update(ledger: Ledger, record: BlockRecord) -> None:
    """Compare a state update with the stored diff, and its length with the header's."""
    told = await ledger.told("getStateUpdate", named(record))
    diff, of_diff = read_block(ledger.store.view, record).diff, told["state_diff"]
    slots = {
        (each["address"], entry["key"]): entry["value"]
        for each in of_diff["storage_diffs"]
        for entry in each["storage_entries"]
    }
    assert slots == {
        (format_felt(address), format_felt(key)): format_felt(value)
        for address, entries in diff.storage.items()
        for key, value in entries.items()
    }
    count = len(slots) + len(of_diff["nonces"]) + len(of_diff["deployed_contracts"])
    count += len(of_diff["declared_classes"])
    header = await ledger.told("getBlockWithTxHashes", named(record))
    assert count == header["state_diff_length"]
    assert told["new_root"] == header["new_root"]
    parent = await ledger.told("getBlockWithTxHashes", {"block_hash": header["parent_hash"]})
    assert told["old_root"] == parent["new_root"]


async def test_state_updates_are_what_blocks_changed(ledger: Ledger) -> None:
    declared = deployed = 0
    for height in range(1, ledger.head.height + 1):
        record = ledger.store.view.block(height)
        assert record is not None
        await require_update(ledger, record)
        diff = (await ledger.told("getStateUpdate", {"block_number": height}))["state_diff"]
        declared += len(diff["declared_classes"])
        deployed += len(diff["deployed_contracts"])
    assert (declared, deployed) == (1, 1)
    genesis = await ledger.told("getStateUpdate", {"block_number": 0})
    assert genesis["old_root"] == "0x0"
    assert len(genesis["state_diff"]["deployed_contracts"]) == 7


async def test_a_state_update_can_be_of_some_contracts(ledger: Ledger) -> None:
    whole = await ledger.told("getStateUpdate", {"block_number": 13})
    alice, exchange = format_felt(ALICE), format_felt(EXCHANGE_ADDRESS)
    part = await ledger.told("getStateUpdate", {"block_number": 13}, [alice, exchange])
    assert part["state_diff"]["declared_classes"] == whole["state_diff"]["declared_classes"]
    assert [each["address"] for each in part["state_diff"]["storage_diffs"]] == [exchange]
    assert part["state_diff"]["deployed_contracts"] == []
    none = await ledger.told("getStateUpdate", {"block_number": 13}, [])
    assert none["state_diff"]["storage_diffs"] == none["state_diff"]["nonces"] == []
    assert {**part, "state_diff": 0} == {**whole, "state_diff": 0}


async def test_the_open_block_becomes_the_latest() -> None:
    ledger = full_ledger()
    empty = await ledger.told("getBlockWithTxHashes", "pre_confirmed")
    assert empty["transactions"] == []
    assert empty["block_number"] == ledger.head.height + 1
    assert await ledger.told("getBlockTransactionCount", "pre_confirmed") == 0
    ledger.open(ledger.transfer("bob", 5), ledger.transfer(amount=10**29))
    opened = {name: await ledger.told(name, "pre_confirmed") for name in WITH_LIST}
    update = await ledger.told("getStateUpdate", "pre_confirmed")
    head = await ledger.told("getBlockWithTxHashes", "latest")
    assert update["old_root"] == head["new_root"]
    for block in opened.values():
        assert len(block["transactions"]) == 3
        assert block.keys() & {"block_hash", "parent_hash", "new_root", "status"} == set()
    statuses = [each["receipt"] for each in opened["getBlockWithReceipts"]["transactions"]]
    assert {each["finality_status"] for each in statuses} == {"PRE_CONFIRMED"}
    assert [each["execution_status"] for each in statuses] == [
        "SUCCEEDED",
        "SUCCEEDED",
        "REVERTED",
    ]
    ledger.block()
    for name, block in opened.items():
        sealed = await ledger.told(name, "latest")
        for field in block.keys() - {"transactions"}:
            assert sealed[field] == block[field]
    assert (await ledger.told("getBlockWithTxs", "latest"))["transactions"] == opened[
        "getBlockWithTxs"
    ]["transactions"]
    assert (await ledger.told("getStateUpdate", "latest"))["state_diff"] == update["state_diff"]


@pytest.mark.parametrize(
    "block_id",
    [
        {"block_number": 16},
        {"block_number": 2**63 - 1},
        {"block_hash": "0x0"},
        {"block_hash": "0x123"},
        "l1_accepted",
    ],
)
async def test_blocks_that_are_not_there_are_24(ledger: Ledger, block_id: Unchecked) -> None:
    for method in methods_of_protocol():
        parameters = {"block_id": block_id} | {
            "class_hash": "0x1",
            "contract_address": "0x1",
            "key": "0x1",
            "index": 0,
            "filter": {"from_block": block_id, "chunk_size": 1},
        }
        if 24 in errors_of(method) and method in ledger.methods:
            names = {each.name for each in ledger.methods[method].parameters}
            if not names & {"request", "message", "transactions"}:
                given = {name: value for name, value in parameters.items() if name in names}
                assert await ledger.code(method.removeprefix("starknet_"), **given) == 24


@pytest.mark.parametrize(
    "block_id",
    [
        "pending",
        "earliest",
        "",
        5,
        True,
        [],
        {},
        {"block_number": -1},
        {"block_number": "0x1"},
        {"block_number": True},
        {"block_number": 2**63},
        {"block_number": 1, "block_hash": "0x1"},
        {"block_hash": 1},
        {"block_hash": "1"},
        {"block_hash": "0x"},
        {"block_hash": "0x" + "f" * 64},
        {"block_tag": "latest"},
        {"block_number": None},
    ],
)
async def test_names_of_no_block_are_refused(ledger: Ledger, block_id: Unchecked) -> None:
    for method in WITH_LIST:
        assert await ledger.code(method, block_id) == PARAMS_INVALID


async def test_flags_and_names_that_do_not_exist_are_refused(ledger: Ledger) -> None:
    flags = ["INCLUDE_PROOF_FACTS"]
    plain, flagged = [
        await ledger.told("getBlockWithTxs", "latest", given) for given in ([], flags)
    ]
    assert "proof_facts" not in plain["transactions"][0]
    assert flagged["transactions"][0]["proof_facts"] == []
    wrong: Unchecked
    for wrong in (["INCLUDE"], "INCLUDE_PROOF_FACTS", [1], {}, [flags]):
        assert await ledger.code("getBlockWithTxs", "latest", wrong) == PARAMS_INVALID
    assert await ledger.code("getBlockWithTxHashes", "latest", []) == PARAMS_INVALID
    assert await ledger.code("getBlockWithTxHashes", block="latest") == PARAMS_INVALID
    assert await ledger.code("getBlockWithTxHashes") == PARAMS_INVALID


async def test_a_store_that_cannot_be_read_is_no_crash() -> None:
    ledger = full_ledger()
    ledger.rig.views.close()
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "starknet_getBlockWithTxs",
        "params": ["latest"],
    }
    told = await answer(msgspec.json.encode(request), ledger.methods, None)
    error = msgspec.json.decode(told or b"")["error"]
    assert (error["code"], error["data"][:12]) == (63, "STORE_CLOSED")
