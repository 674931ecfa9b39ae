"""Calls, estimates and simulations: for real, at any block, and without a trace."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_models import Call

from sequencer.api.json_rpc import PARAMS_INVALID
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.calls import exchange_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.shipped_class import SHIPPED, class_fields
from sequencer.chain.token_contract import TOKEN
from sequencer.model.api_limits import SIMULATION_TRANSACTIONS_MAX
from sequencer.model.limits import TRANSACTION_FELTS_MAX
from sequencer.starknet.felt import encode_short_string, format_hash
from sequencer.starknet.felt_hash import public_key, sign
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import DeclareV3, DeployAccountV3, Terms
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import NO_BOUNDS
from tests.unit.api.starknet_rpc.executing import (
    ALICE,
    BOB,
    EXCHANGE_AT,
    QUERY,
    World,
    sent,
    sent_class,
    view_call,
    world,
)
from tests.unit.chain.network import PRIVATE
from tests.unit.engine.builders import rows_of

pytestmark = pytest.mark.usefixtures("process")

FREE = {
    "l1_gas_consumed": "0x0",
    "l1_gas_price": "0x1",
    "l2_gas_consumed": "0x0",
    "l2_gas_price": "0x1",
    "l1_data_gas_consumed": "0x0",
    "l1_data_gas_price": "0x1",
    "overall_fee": "0x0",
    "unit": "FRI",
}


async def cash_of(at: World, block_id: Unchecked, account: int = BOB) -> int:
    told = await at.call("call", request=view_call("get_account", [account]), block_id=block_id)
    return int(told[0], 16)


async def send(at: World, *transactions: Unchecked) -> None:
    for transaction in transactions:
        told = await at.call("addInvokeTransaction", sent(transaction))
        await at.in_block(told["transaction_hash"])


async def test_a_call_reads_the_block_that_it_names(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        before = at.rig.height
        had = await cash_of(at, "latest")
        await send(at, at.transfer(amount=5), at.transfer(nonce=1, amount=7))
        assert await cash_of(at, "latest") == had + 12
        assert await cash_of(at, "pre_confirmed") == had + 12
        assert await cash_of(at, {"block_number": before}) == had
        record = at.service.views.view.block(before + 1)
        assert record is not None
        assert await cash_of(at, {"block_hash": format_hash(record.block_hash)}) == had + 5


async def test_a_call_at_an_orphaned_block_still_answers(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        below, had = at.rig.height, await cash_of(at, "latest")
        await send(at, at.transfer(amount=5))
        gone = format_hash(at.service.views.view.head.block_hash)
        await at.rig.halt()
        await at.rig.back(below)
        assert await cash_of(at, {"block_hash": gone}) == had + 5
        assert await cash_of(at, "latest") == await cash_of(at, "pre_confirmed") == had


async def test_a_call_may_change_what_it_wants_and_nothing_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        before = rows_of(at.service.newest)
        for name, calldata in (("transfer", (ALICE, BOB, 1)), ("add_margin", (1, 2, 3))):
            refused = await at.refused("call", view_call(name, calldata), "pre_confirmed")
            assert refused.code in (21, 40)
        assert rows_of(at.service.newest) == before


async def test_calls_that_fail(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for request, block_id, code in (
            (view_call("get_system", to="0x123"), "latest", 20),
            (view_call("no_such_thing"), "latest", 21),
            (view_call("get_system"), {"block_number": 10_000}, 24),
            (view_call("get_system"), {"block_hash": "0x1"}, 24),
            (view_call("get_system"), "l1_accepted", 24),
            (view_call("get_system", [1]), "latest", 40),
            (view_call("get_system"), "pending", PARAMS_INVALID),
            (view_call("get_system") | {"caller": "0x1"}, "latest", PARAMS_INVALID),
            (view_call("get_system", [0] * (TRANSACTION_FELTS_MAX + 1)), "latest", PARAMS_INVALID),
        ):
            refused = await at.refused("call", request, block_id)
            assert refused.code == code, (request, refused)
        failed = await at.refused("call", view_call("get_market", [1]), "latest")
        assert failed.data["revert_error"].startswith("MARKET_UNKNOWN")


async def test_an_account_says_whose_signature_is_valid(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        r, s = sign(PRIVATE["alice"], 77)
        for signature, valid in (((r, s), True), ((r, s + 1), False)):
            request = view_call("is_valid_signature", (77, 2, *signature), hex(ALICE))
            told = await at.call("call", request, "latest")
            assert told == [hex(encode_short_string("VALID")) if valid else "0x0"]


async def test_estimates_are_zero_and_leave_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        query = at.invoke("alice", 0, query=True)
        request = [sent(query, version=QUERY), sent(at.transfer(nonce=1))]
        older = {"block_number": at.rig.height}
        await at.rig.block()
        before = rows_of(at.service.newest)
        for block_id in ("pre_confirmed", "latest", older):
            params = {"request": request, "simulation_flags": [], "block_id": block_id}
            assert await at.call("estimateFee", **params) == [FREE, FREE]
        assert rows_of(at.service.newest) == before


async def test_every_type_is_estimated_in_one_request(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        deployed = DeployAccountV3(ACCOUNT.class_hash, 1, (public_key(4_711),), terms(0))
        first = at.signed(deployed, 4_711)
        bare = msgspec.structs.replace(at.transfer(), sender=first.address(), terms=terms(1))
        then = at.signed(bare, 4_711)
        request = [sent(first), sent(then), token_declared(at)]
        told = await at.refused("estimateFee", request, [], "pre_confirmed")
        assert (told.code, told.data["transaction_index"]) == (41, 1)
        assert told.data["execution_error"]
        told = await at.call("simulateTransactions", "pre_confirmed", request, [])
        kinds = [each["transaction_trace"]["type"] for each in told]
        assert kinds == ["DEPLOY_ACCOUNT", "INVOKE", "DECLARE"]
        forged = request
        for index in range(3):
            forged = [*request]
            forged[index] = forged[index] | {"signature": ["0x1", "0x2"]}
            told = await at.refused("simulateTransactions", "latest", forged, [])
            assert (told.code, told.data["transaction_index"]) == (41, index)
            assert told.data["execution_error"].startswith("SIGNATURE_INVALID")
        late = [request[0], request[1], request[1], forged[2]]
        told = await at.refused("simulateTransactions", "latest", late, [])
        assert (told.code, told.data["transaction_index"]) == (41, 2)
        assert told.data["execution_error"].startswith("NONCE_INVALID")


def terms(nonce: int) -> Terms:
    return Terms(nonce, NO_BOUNDS)


def token_declared(at: World, nonce: int = 0, **changes: Unchecked) -> dict[str, Unchecked]:
    shipped = SHIPPED[TOKEN.class_hash]
    bare = DeclareV3(ALICE, TOKEN.class_hash, shipped.compiled_class_hash, terms(nonce))
    shown = class_fields(shipped.sierra) | changes
    return sent_class(at.signed(bare, PRIVATE["alice"]), shown)


async def test_estimates_that_fail_name_the_transaction(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        good, forged = sent(at.transfer()), sent(at.transfer(nonce=1), signature=["0x1", "0x2"])
        broke = sent(at.transfer(nonce=1, amount=10**29))
        for wrong, words in (
            (forged, "SIGNATURE_INVALID"),
            (broke, "CASH_INSUFFICIENT"),
            (sent(at.transfer(nonce=0, amount=2)), "NONCE_INVALID"),
            (good | {"version": "0x1"}, "version"),
            (good | {"proof_facts": ["0x1"]}, "proof"),
            (good | {"calldata": ["0x0"] * (TRANSACTION_FELTS_MAX + 1)}, "TOO_LARGE"),
            (token_declared(at, abi=""), "CLASS_UNKNOWN"),
        ):
            refused = await at.refused("estimateFee", [good, wrong], [], "latest")
            assert (refused.code, refused.data["transaction_index"]) == (41, 1), words
            assert words in refused.data["execution_error"]
        unknown = good | {"sender_address": "0x123"}
        assert (await at.refused("estimateFee", [unknown], [], "latest")).code == 20
        skipped = await at.call("estimateFee", [good, forged], ["SKIP_VALIDATE"], "latest")
        assert skipped == [FREE, FREE]
        for request, flags in (
            ([good, {}], []),
            (good, []),
            ([good] * (SIMULATION_TRANSACTIONS_MAX + 1), []),
            ([good], ["SKIP_FEE_CHARGE"]),
            ([good], "SKIP_VALIDATE"),
        ):
            refused = await at.refused("estimateFee", request, flags, "latest")
            assert refused.code == PARAMS_INVALID
        assert (await at.refused("estimateFee", [good], [], {"block_number": 9_999})).code == 24


async def test_an_estimate_waits_for_what_was_sent_before(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for nonce in range(0, 6, 2):
            for each in (nonce, nonce + 1):
                await at.call("addInvokeTransaction", sent(at.transfer(nonce=each)))
            coming = sent(at.transfer(nonce=nonce + 2))
            assert await at.call("estimateFee", [coming], [], "pre_confirmed") == [FREE]


async def test_starknet_py_estimates_signs_and_sends(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        account = at.account("alice")
        to, entry_point, calldata = exchange_call(
            "transfer", {"sender": ALICE, "receiver": BOB, "amount": 3}
        )
        assert entry_point == get_selector_from_name("transfer")
        had = await cash_of(at, "latest")
        made = Call(to, entry_point, list(calldata))
        told = [await account.execute_v3(calls=made, auto_estimate=True) for _ in range(3)]
        await at.in_block(hex(told[-1].transaction_hash))
        assert await cash_of(at, "latest") == had + 9
        signed = await account.sign_invoke_v3(made, resource_bounds=at.bounds())
        client: Unchecked = at.client()
        many = await client.simulate_transactions([signed], return_initial_reads=True)
        assert many.initial_reads.nonces[0].nonce == 3
        (one,) = await client.simulate_transactions([signed], skip_validate=True)
        assert one.transaction_trace.validate_invocation is None
        assert one.transaction_trace.execute_invocation.calls[0].calldata == list(calldata)


async def test_simulations_tell_what_reverts_and_what_was_read(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        listed = [sent(at.transfer(amount=10**29)), sent(at.transfer(nonce=1))]
        named = {"block_id": "latest", "transactions": listed}
        flags = {"simulation_flags": ["SKIP_FEE_CHARGE", "RETURN_INITIAL_READS"]}
        told = await at.call("simulateTransactions", **named, **flags)
        elsewhere = {"simulation_flags": [], "trace_flags": ["RETURN_INITIAL_READS"]}
        assert await at.call("simulateTransactions", **named, **elsewhere) == told
        plain = await at.call("simulateTransactions", **named, simulation_flags=[])
        assert plain == told["simulated_transactions"]
        reverted, done = (each["transaction_trace"] for each in plain)
        assert reverted["execute_invocation"].keys() == {"revert_reason"}
        assert done["execute_invocation"]["calls"][0]["contract_address"] == EXCHANGE_AT
        nonces = {"contract_address": hex(ALICE), "nonce": "0x0"}
        assert told["initial_reads"]["nonces"] == [nonces]
        assert len(told["initial_reads"]["storage"]) == 2
        refused = await at.refused("simulateTransactions", "latest", listed[::-1], [])
        assert (refused.code, refused.data["transaction_index"]) == (41, 1)


async def test_a_message_from_the_settlement_chain_is_estimated(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        before = rows_of(at.service.newest)
        message = {
            "from_address": "0x" + "ab" * 20,
            "to_address": EXCHANGE_AT,
            "entry_point_selector": hex(selector("deposit")),
            "payload": ["0x7", hex(BOB), "0x64"],
        }
        told = await at.call("estimateMessageFee", message=message, block_id="latest")
        assert told == FREE | {"unit": "WEI"}
        assert rows_of(at.service.newest) == before
        for changes, code in (
            ({"to_address": "0x123"}, 20),
            ({"entry_point_selector": "0x1"}, 40),
            ({"payload": ["0x7"]}, 40),
            ({"from_address": hex(2**160)}, PARAMS_INVALID),
        ):
            refused = await at.refused("estimateMessageFee", message | changes, "latest")
            assert refused.code == code, (changes, refused)
        gone = await at.refused("estimateMessageFee", message, {"block_number": 9_999})
        assert gone.code == 24


async def test_whatever_is_tried_out_the_writer_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        had = await cash_of(at, "latest")

        async def estimate(nonce: int) -> None:
            coming = sent(at.transfer(nonce=nonce, amount=1))
            await at.call("simulateTransactions", "pre_confirmed", [coming], ["SKIP_VALIDATE"])

        for nonce in range(10):
            await at.call("addInvokeTransaction", sent(at.transfer(nonce=nonce)))
            await asyncio.gather(*(estimate(nonce + 1) for _ in range(5)))
        await send(at, at.transfer(nonce=10))
        assert await cash_of(at, "latest") == had + 11
        assert EXCHANGE_ADDRESS in at.service.latest.contracts
