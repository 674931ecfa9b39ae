"""Traces: of every type of transaction, in the shape of the protocol, as the block had it."""

from pathlib import Path

import pytest

from sequencer.api.json_rpc import PARAMS_INVALID
from sequencer.api.starknet_rpc.traces import trace_fields
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.calls import exchange_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.shipped_class import SHIPPED, class_fields
from sequencer.chain.token_contract import TOKEN
from sequencer.engine.simulation import SimulatedTransaction, simulate
from sequencer.starknet.felt import encode_short_string, format_hash
from sequencer.starknet.felt_hash import public_key
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import DeclareV3, DeployAccountV3, L1Handler, Terms
from tests.rpc_schemas import validate_result
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import NO_BOUNDS
from tests.unit.api.starknet_rpc.executing import (
    ALICE,
    BOB,
    EXCHANGE_AT,
    World,
    sent,
    sent_class,
    world,
)
from tests.unit.chain.network import PRIVATE

pytestmark = pytest.mark.usefixtures("process")

VALID = hex(encode_short_string("VALID"))


async def traced(at: World, method: str, fields: dict[str, Unchecked]) -> Unchecked:
    """Send a transaction, wait for its block, and return its trace."""
    told = await at.call(method, fields)
    await at.in_block(told["transaction_hash"])
    return await at.call("traceTransaction", transaction_hash=told["transaction_hash"])


async def test_calls_lie_side_by_side_and_events_are_counted_through(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        moves = [{"sender": ALICE, "receiver": BOB, "amount": amount} for amount in (1, 2)]
        made = [exchange_call("transfer", each) for each in moves]
        made.append(exchange_call("get_account", {"account": BOB}))
        transaction = at.invoke("alice", 0, *made)
        trace = await traced(at, "addInvokeTransaction", sent(transaction))
        executed, validated = trace["execute_invocation"], trace["validate_invocation"]
        assert executed["contract_address"] == validated["contract_address"] == hex(ALICE)
        assert executed["entry_point_selector"] == hex(selector("__execute__"))
        assert validated["entry_point_selector"] == hex(selector("__validate__"))
        assert validated["result"] == [VALID]
        assert executed["class_hash"] == hex(ACCOUNT.class_hash)
        calls = executed["calls"]
        assert [each["calldata"] for each in calls] == [
            [hex(felt) for felt in calldata] for _, _, calldata in made
        ]
        assert {each["caller_address"] for each in calls} == {hex(ALICE)}
        assert [each["order"] for call in calls for each in call["events"]] == [0, 1]
        row = calls[2]["result"]
        assert executed["result"] == ["0x3", "0x0", "0x0", hex(len(row)), *row]
        assert trace["state_diff"]["nonces"] == [{"contract_address": hex(ALICE), "nonce": "0x1"}]


async def test_what_was_reverted_says_why(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        fields = sent(at.transfer(amount=10**29))
        trace = await traced(at, "addInvokeTransaction", fields)
        assert trace["execute_invocation"]["revert_reason"].startswith("CASH_INSUFFICIENT")
        assert not trace["state_diff"]["storage_diffs"]
        receipt = await at.call("getTransactionReceipt", await hash_of(at))
        assert receipt["revert_reason"] == trace["execute_invocation"]["revert_reason"]


async def hash_of(at: World) -> str:
    """Return the hash of the last transaction of the head."""
    block = await at.call("getBlockWithTxHashes", "latest")
    last: str = block["transactions"][-1]
    return last


async def test_a_deployment_and_a_declaration(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        key = public_key(4_711)
        bare = DeployAccountV3(ACCOUNT.class_hash, 5, (key,), Terms(0, NO_BOUNDS))
        deployed = await traced(at, "addDeployAccountTransaction", sent(at.signed(bare, 4_711)))
        built, validated = deployed["constructor_invocation"], deployed["validate_invocation"]
        assert built["entry_point_type"] == "CONSTRUCTOR"
        assert built["calldata"] == [hex(key)]
        assert validated["calldata"] == [hex(ACCOUNT.class_hash), "0x5", hex(key)]
        assert deployed["state_diff"]["deployed_contracts"] == [
            {"address": hex(bare.address()), "class_hash": hex(ACCOUNT.class_hash)}
        ]
        shipped = SHIPPED[TOKEN.class_hash]
        declaring = DeclareV3(
            ALICE, TOKEN.class_hash, shipped.compiled_class_hash, Terms(0, NO_BOUNDS)
        )
        fields = sent_class(at.signed(declaring, PRIVATE["alice"]), class_fields(shipped.sierra))
        declared = await traced(at, "addDeclareTransaction", fields)
        assert declared["validate_invocation"]["calldata"] == [hex(TOKEN.class_hash)]
        hashes = {
            "class_hash": hex(TOKEN.class_hash),
            "compiled_class_hash": hex(shipped.compiled_class_hash),
        }
        assert declared["state_diff"]["declared_classes"] == [hashes]


async def test_a_message_is_traced_as_its_handler(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        message = L1Handler(EXCHANGE_ADDRESS, selector("deposit"), (1, 7, BOB, 100), 7)
        listed = [SimulatedTransaction(message)]
        (done,) = simulate(at.service.newest, listed, at.service.clock.now_ms).traced
        trace = trace_fields(done)
        validate_result("starknet_traceTransaction", trace)
        assert "validate_invocation" not in trace
        handled = trace["function_invocation"]
        assert handled["entry_point_type"] == "L1_HANDLER"
        assert handled["calldata"] == ["0x1", "0x7", hex(BOB), "0x64"]
        assert len(handled["events"]) == 1


async def test_a_whole_block_with_what_was_there_before(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await traced(at, "addInvokeTransaction", sent(at.transfer(amount=5)))
        named = {"block_hash": format_hash(at.service.views.view.head.block_hash)}
        block = await at.call("getBlockWithTxHashes", named)
        plain = await at.call("traceBlockTransactions", block_id=named)
        assert [each["transaction_hash"] for each in plain] == block["transactions"]
        flags = ["RETURN_INITIAL_READS"]
        told = await at.call("traceBlockTransactions", block_id=named, trace_flags=flags)
        assert told["traces"] == plain
        reads = told["initial_reads"]
        number = {"block_number": block["block_number"] - 1}
        for each in reads["storage"]:
            key = each["key"]
            value = await at.call("getStorageAt", each["contract_address"], key, number)
            assert value == each["value"]
        slots = {
            int(entry["key"], 16)
            for each in plain
            for diff in each["trace_root"]["state_diff"]["storage_diffs"]
            for entry in diff["storage_entries"]
        }
        assert {int(each["key"], 16) for each in reads["storage"]} == slots
        assert {"contract_address": hex(ALICE), "nonce": "0x0"} in reads["nonces"]
        assert EXCHANGE_AT in {each["contract_address"] for each in reads["class_hashes"]}


async def test_what_has_no_trace(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        assert (await at.refused("traceTransaction", "0x123")).code == 29
        unknown = {"block_number": 9_999}
        assert (await at.refused("traceBlockTransactions", unknown)).code == 24
        pending = await at.refused("traceBlockTransactions", "pre_confirmed")
        assert pending.code == PARAMS_INVALID
        first = {"block_number": 0}
        assert await at.call("traceBlockTransactions", first) == []
        flags = ["RETURN_INITIAL_READS"]
        told = await at.call("traceBlockTransactions", block_id=first, trace_flags=flags)
        assert told["traces"] == []
        assert [*told["initial_reads"].values()] == [[], [], [], []]


async def test_an_orphaned_block_has_traces_and_its_transactions_do_not(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        below = at.rig.height
        await traced(at, "addInvokeTransaction", sent(at.transfer()))
        gone = {"block_hash": format_hash(at.service.views.view.head.block_hash)}
        before = await at.call("traceBlockTransactions", gone)
        await at.rig.halt()
        await at.rig.back(below)
        assert await at.call("traceBlockTransactions", gone) == before
        hash_ = before[-1]["transaction_hash"]
        assert (await at.refused("traceTransaction", hash_)).code == 29
