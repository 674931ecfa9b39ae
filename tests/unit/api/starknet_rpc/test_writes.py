"""Sending transactions: answered at admission, or refused by the specification's numbers."""

import json
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest
from starknet_py.net.client_errors import ClientError

from sequencer.api.json_rpc import PARAMS_INVALID
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.shipped_class import SHIPPED, class_fields
from sequencer.chain.token_contract import TOKEN
from sequencer.engine.lookup import find_transaction
from sequencer.model.api_limits import CLASS_PROGRAM_FELTS_MAX, CONSTRUCTOR_FELTS_MAX
from sequencer.model.limits import TRANSACTION_FELTS_MAX
from sequencer.model.rows import Mode
from sequencer.starknet.felt_hash import public_key
from sequencer.starknet.transactions import DeclareV3, DeployAccountV3, Terms, transaction_hash
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import NO_BOUNDS
from tests.unit.api.starknet_rpc.executing import (
    ALICE,
    EXCHANGE_AT,
    QUERY,
    World,
    sent,
    sent_class,
    world,
)
from tests.unit.chain.network import PRIVATE

pytestmark = pytest.mark.usefixtures("process")

INVOKE, DECLARE = "addInvokeTransaction", "addDeclareTransaction"
DEPLOY = "addDeployAccountTransaction"


async def test_transactions_follow_one_another_and_enter_blocks(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        transactions = [at.transfer(nonce=nonce) for nonce in range(4)]
        hashes = [hex(transaction_hash(each, at.chain_id)) for each in transactions]
        for transaction, hash_ in zip(transactions, hashes, strict=True):
            told = await at.call(INVOKE, invoke_transaction=sent(transaction))
            assert told == {"transaction_hash": hash_}
        await at.in_block(hashes[-1])
        found = find_transaction(at.service.views.view, int(hashes[-1], 16))
        assert found.transaction == transactions[-1]
        assert found.receipt.revert_reason is None


async def test_felts_are_read_liberally(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        transaction = at.transfer()
        fields = sent(transaction, sender_address=f"0X0{ALICE:063X}", nonce="0x00")
        fields |= {"proof": None, "proof_facts": []}
        told = await at.call(INVOKE, fields)
        assert told["transaction_hash"] == hex(transaction_hash(transaction, at.chain_id))


async def test_an_account_deploys_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        transaction = deployment(at)
        told = await at.call(DEPLOY, deploy_account_transaction=sent(transaction))
        assert told["contract_address"] == hex(transaction.address())
        await at.in_block(told["transaction_hash"])
        assert transaction.address() in at.service.latest.contracts
        with_tip = deployment(at, tip=1)
        refused = await at.refused(DEPLOY, sent(with_tip))
        assert refused.code == 52


def deployment(at: World, key: int = 4_711, **terms: Unchecked) -> DeployAccountV3:
    all_terms = Terms(0, NO_BOUNDS, **terms)
    bare = DeployAccountV3(ACCOUNT.class_hash, 5, (public_key(key),), all_terms)
    signed: DeployAccountV3 = at.signed(bare, key)
    return signed


@pytest.mark.parametrize("native", [ACCOUNT, EXCHANGE, TOKEN])
async def test_a_shipped_class_is_declared_once(tmp_path: Path, native: Unchecked) -> None:
    async with world(tmp_path) as at:
        told = await at.call(DECLARE, declare_transaction=declared(at, native.class_hash))
        assert told["class_hash"] == hex(native.class_hash)
        await at.in_block(told["transaction_hash"])
        compiled = SHIPPED[native.class_hash].compiled_class_hash
        assert at.service.latest.classes[native.class_hash].compiled_class_hash == compiled
        again = await at.refused(DECLARE, declared(at, native.class_hash, nonce=1))
        assert again.code == 51
        assert again.data.startswith("CLASS_DECLARED")


def declared(
    at: World, class_hash: int = TOKEN.class_hash, nonce: int = 0, **changes: Unchecked
) -> dict[str, Unchecked]:
    compiled = SHIPPED[class_hash].compiled_class_hash
    bare = DeclareV3(ALICE, class_hash, compiled, Terms(nonce, NO_BOUNDS))
    shown = class_fields(SHIPPED[class_hash].sierra) | changes
    return sent_class(at.signed(bare, PRIVATE["alice"]), shown)


async def test_classes_that_this_chain_does_not_have(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        abi = SHIPPED[TOKEN.class_hash].sierra.abi
        program = class_fields(SHIPPED[TOKEN.class_hash].sierra)["sierra_program"]
        other = ["0x1"] * len(program)
        for changes in (
            {"sierra_program": ["0x1"] * 5_000},
            {"sierra_program": other},
            {"abi": abi[:-1] + " "},
        ):
            foreign = await at.refused(DECLARE, declared(at, **changes))
            assert foreign.code == 56
            assert foreign.data.startswith("CLASS_UNKNOWN")
        huge = ["0x1"] * (CLASS_PROGRAM_FELTS_MAX + 1)
        assert (await at.refused(DECLARE, declared(at, sierra_program=huge))).code == 57
        old = declared(at, contract_class_version="0.0.1")
        assert (await at.refused(DECLARE, old)).code == 62
        mismatch = await at.refused(DECLARE, declared(at) | {"compiled_class_hash": "0x1"})
        assert mismatch.code == 60
        assert not at.service.newest.classes


async def test_each_refusal_has_its_number_and_names_its_code(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        transaction = at.transfer()
        fields = sent(transaction)
        long = ["0x0"] * (TRANSACTION_FELTS_MAX + 1)
        for changes, code, words in (
            ({"signature": ["0x1", "0x2"]}, 55, "SIGNATURE_INVALID"),
            ({"signature": []}, 55, "SIGNATURE_INVALID"),
            ({"sender_address": "0x123"}, 55, "CONTRACT_UNKNOWN"),
            ({"sender_address": EXCHANGE_AT}, 58, "CONTRACT_UNKNOWN"),
            ({"version": "0x1", "max_fee": "0x0"}, 61, "0x1"),
            ({"version": QUERY}, 61, "query"),
            ({"proof_facts": ["0x1"]}, 69, "no proofs"),
            ({"proof": "AAAA"}, 69, "no proofs"),
            ({"calldata": long}, 63, "TRANSACTION_TOO_LARGE"),
        ):
            refused = await at.refused(INVOKE, fields | changes)
            assert (refused.code, words in refused.data) == (code, True), (changes, refused)
        early = await at.refused(INVOKE, sent(at.transfer(nonce=1)))
        assert (early.code, early.data.split(":")[0]) == (52, "NONCE_INVALID")
        reserved = await at.refused(INVOKE, sent(at.transfer("op", nonce=11)))
        assert (reserved.code, reserved.data.split(":")[0]) == (63, "OPERATOR_RESERVED")
        told = await at.call(INVOKE, fields)
        assert (await at.refused(INVOKE, fields)).code == 59
        await at.in_block(told["transaction_hash"])
        assert (await at.refused(INVOKE, fields)).code == 59


async def test_a_deployment_of_another_class_or_with_other_arguments(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        other = msgspec.structs.replace(deployment(at), class_hash=1)
        assert (await at.refused(DEPLOY, sent(other))).code == 28
        more = msgspec.structs.replace(deployment(at), calldata=(1, 2))
        many = msgspec.structs.replace(more, calldata=(1,) * (CONSTRUCTOR_FELTS_MAX + 1))
        error = await at.refused(DEPLOY, sent(many))
        assert (error.code, error.data.partition(":")[0]) == (55, "TRANSACTION_TOO_LARGE")
        assert (await at.refused(DEPLOY, sent(more))).code == 55
        assert (await at.refused(DEPLOY, sent(deployment(at), nonce="0x1"))).code == 55


MALFORMED: list[dict[str, Unchecked]] = [
    {"type": "DECLARE"},
    {"type": None},
    {"type": 3},
    {"version": None},
    {"version": 3},
    {"sender_address": None},
    {"sender_address": hex(2**251 + 1)},
    {"calldata": "0x1"},
    {"calldata": [1]},
    {"calldata": ["1"]},
    {"nonce": hex(2**252)},
    {"max_fee": "0x0"},
    {"tip": hex(2**64)},
    {"nonce_data_availability_mode": "L3"},
    {"fee_data_availability_mode": 0},
    {"resource_bounds": {}},
    {"resource_bounds": {name: {"max_amount": "0x0"} for name in ("l1_gas", "l2_gas")}},
    {"signature": {"r": "0x1"}},
    {"paymaster_data": None},
]


async def test_what_is_malformed_is_named_and_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        fields = sent(at.transfer())
        for changes in MALFORMED:
            wrong = {name: value for name, value in (fields | changes).items() if value is not None}
            refused = await at.refused(INVOKE, wrong)
            assert refused.code == PARAMS_INVALID, (changes, refused)
            assert refused.data.startswith("invoke_transaction: ")
        assert (await at.refused(INVOKE)).code == PARAMS_INVALID
        assert (await at.refused(INVOKE, ["0x1"])).code == PARAMS_INVALID
        assert at.service.admission.next_nonce(ALICE) == 0


async def test_an_undone_transaction_is_new_with_another_tip(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        below = at.rig.height
        fields = sent(at.transfer())
        await at.in_block((await at.call(INVOKE, fields))["transaction_hash"])
        await at.rig.halt()
        halted = await at.refused(INVOKE, fields)
        assert (halted.code, halted.data.split(":")[0]) == (63, "HALTED")
        await at.rig.back(below)
        await at.rig.desk.mode(Mode.CANCEL_ONLY, "a drill", 0, 60_000)
        undone = await at.refused(INVOKE, fields)
        assert undone.code == 59
        assert "reorg 1" in undone.data
        assert "another tip" in undone.data
        again = await at.call(INVOKE, sent(at.transfer(tip=1)))
        await at.in_block(again["transaction_hash"])


async def test_starknet_py_sends_what_is_understood(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        account = at.account("alice")
        made = await account.sign_invoke_v3([], nonce=0, resource_bounds=at.bounds())
        told = await at.client().send_transaction(made)
        await at.in_block(hex(told.transaction_hash))
        assert at.service.latest.contracts[ALICE].nonce == 1
        shipped = SHIPPED[TOKEN.class_hash]
        shown = class_fields(shipped.sierra)
        for program, code in ((shown["sierra_program"], ""), (["0x1"], "56")):
            compiled = shown | {"sierra_program": program, "abi": json.loads(shown["abi"])}
            declaring = await account.sign_declare_v3(
                compiled_contract=json.dumps(compiled),
                compiled_class_hash=shipped.compiled_class_hash,
                resource_bounds=at.bounds(),
            )
            with pytest.raises(ClientError, match=code) if code else nullcontext():
                assert (await at.client().declare(declaring)).class_hash == TOKEN.class_hash
