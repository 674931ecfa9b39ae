"""starknet-py as people use it: accounts, contracts, events, classes, messages, orders."""

import json
from functools import cache

import lark
import pytest
from starknet_py.contract import Contract
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.hash.storage import get_storage_var_address
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import (
    Call,
    ContractsStorageKeys,
    StarknetBlock,
    TransactionExecutionStatus,
    TransactionFinalityStatus,
    TransactionReceiptWithBlockInfo,
)
from starknet_py.serialization.factory import serializer_for_event
from starknet_py.transaction_errors import TransactionRevertedError
from starknet_py.utils.typed_data import TypedData

from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.starknet.messages import ORDER_TYPE_TEXT
from tests.e2e.devnet_process import (
    CHECK_SECONDS,
    NO_FEES,
    ClientDevnet,
    code_of,
)
from tests.e2e.verify_storage_proof import proven_slots
from tests.strategies import Unchecked
from tests.unit.api.perp_rpc.proof_reader import zigzag
from tests.unit.api.perp_rpc.test_client import SCALED, order_of, typed_data
from tests.unit.chain.network import MARKET

ONE = 1_000_000
TRANSFERRED = "perpchain::Transferred"
VALID = int.from_bytes(b"VALID", "big")


async def accepted(devnet: ClientDevnet, transaction_hash: int) -> TransactionReceiptWithBlockInfo:
    """Wait until a transaction is in a block that lasts."""
    receipt = await devnet.client().wait_for_tx(transaction_hash, check_interval=CHECK_SECONDS)
    assert receipt.execution_status is TransactionExecutionStatus.SUCCEEDED
    assert receipt.finality_status is TransactionFinalityStatus.ACCEPTED_ON_L2
    return receipt


async def test_an_account_pays_with_and_without_estimates(devnet: ClientDevnet) -> None:
    sender, receiver = devnet.account(0), devnet.account(1)
    before = await receiver.get_balance(devnet.token)
    call, nonce = devnet.transfer(receiver.address, ONE), await sender.get_nonce()
    for terms in (
        {"resource_bounds": NO_FEES},
        {"auto_estimate": True},
        {"auto_estimate": True, "auto_estimate_tip": True},
        {"resource_bounds": NO_FEES, "tip": 12_345},
    ):
        given: Unchecked = terms
        sent = await sender.execute_v3([call, call], **given)
        await accepted(devnet, sent.transaction_hash)
    assert await receiver.get_balance(devnet.token) == before + 8 * ONE
    assert await sender.get_nonce(block_number="latest") == nonce + 4


async def test_ten_in_a_row_without_waiting(devnet: ClientDevnet) -> None:
    sender, receiver = devnet.account(0), devnet.account(1)
    before, nonce = await receiver.get_balance(devnet.token), await sender.get_nonce()
    call = devnet.transfer(receiver.address, ONE)
    sent = [await sender.execute_v3(call, resource_bounds=NO_FEES) for _ in range(10)]
    receipts = [await accepted(devnet, each.transaction_hash) for each in sent]
    assert len({receipt.transaction_hash for receipt in receipts}) == 10
    assert await receiver.get_balance(devnet.token) == before + 10 * ONE
    assert await sender.get_nonce() == nonce + 10


async def test_what_is_refused_and_what_reverts(devnet: ClientDevnet) -> None:
    sender = devnet.account(0)
    call = devnet.transfer(devnet.address(1), ONE)
    nonce = await sender.get_nonce() + 1
    with pytest.raises(ClientError) as caught:
        await sender.execute_v3(call, nonce=nonce, resource_bounds=NO_FEES)
    assert code_of(caught) == 52
    thief = Account(address=sender.address, client=devnet.client(), signer=devnet.account(1).signer)
    with pytest.raises(ClientError) as caught:
        await thief.execute_v3(call, resource_bounds=NO_FEES)
    assert code_of(caught) == 55
    rich = devnet.transfer(devnet.address(1), 10**18)
    with pytest.raises(ClientError) as caught:
        await sender.execute_v3(rich, auto_estimate=True)
    assert code_of(caught) == 41
    sent = await sender.execute_v3(rich, resource_bounds=NO_FEES)
    with pytest.raises(TransactionRevertedError):
        await devnet.client().wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)


async def test_the_token_as_a_contract(devnet: ClientDevnet) -> None:
    token = await Contract.from_address(devnet.token, devnet.account(2))
    functions = token.functions
    words = [await functions[name].call() for name in ("name", "symbol", "decimals")]
    assert [int(value).to_bytes(8, "big").strip(b"\0") for (value,) in words] == [
        b"USD Coin",
        b"USDC",
        b"\6",
    ]
    before = (await functions["balance_of"].call(devnet.address(3)))[0]
    paid = await functions["transfer"].invoke_v3(devnet.address(3), 7, auto_estimate=True)
    await paid.wait_for_acceptance(check_interval=CHECK_SECONDS)
    assert (await functions["balance_of"].call(devnet.address(3)))[0] == before + 7
    assert (await functions["balanceOf"].call(devnet.address(3)))[0] == before + 7


@pytest.fixture
def quick_abis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the grammar of types made once: starknet-py makes it again for each type of an ABI."""
    monkeypatch.setattr("starknet_py.abi.v2.parser_transformer.lark.Lark", cache(lark.Lark))


@pytest.mark.usefixtures("quick_abis")
async def test_the_exchange_as_a_contract_and_its_events(devnet: ClientDevnet) -> None:
    sender, receiver = devnet.account(2), devnet.address(3)
    exchange = await Contract.from_address(devnet.exchange, sender)
    (system,) = await exchange.functions["get_system"].call()
    assert system["drill"] is True
    paid = await exchange.functions["transfer"].invoke_v3(
        sender.address, receiver, 100 * ONE, resource_bounds=NO_FEES
    )
    await paid.wait_for_acceptance(check_interval=CHECK_SECONDS)
    read = serializer_for_event(exchange.data.parsed_abi.events[TRANSFERRED])
    for chunk_size in (1, 100):
        found = await devnet.client().get_events(
            devnet.exchange,
            keys=[[get_selector_from_name("Transferred")]],
            follow_continuation_token=True,
            chunk_size=chunk_size,
        )
        mine = [each for each in found.events if each.transaction_hash == paid.hash]
        (told,) = [read.deserialize(each.data).as_dict() for each in mine]
        assert told == {"sender": sender.address, "receiver": receiver, "amount": 100 * ONE}


async def test_an_account_deploys_itself(devnet: ClientDevnet) -> None:
    new = devnet.undeployed(0x5EED, salt=3)
    signer: Unchecked = new.signer
    await devnet.perp().call("faucet", {"account": hex(new.address), "amount": "25"})
    deployed = await Account.deploy_account_v3(
        address=new.address,
        class_hash=devnet.account_class,
        salt=3,
        key_pair=signer.key_pair,
        client=devnet.client(),
        auto_estimate=True,
    )
    await deployed.wait_for_acceptance(check_interval=CHECK_SECONDS)
    account = deployed.account
    assert await account.get_balance(devnet.token) == 25 * ONE
    call = devnet.transfer(devnet.address(0), 5 * ONE)
    sent = await account.execute_v3(call, auto_estimate=True)
    await accepted(devnet, sent.transaction_hash)
    assert await account.get_balance(devnet.token) == 20 * ONE
    assert await account.get_nonce() == 2


async def test_a_class_of_the_node_is_declared_and_no_other(devnet: ClientDevnet) -> None:
    account, class_hash = devnet.account(3), devnet.class_hash("exchange")
    sierra, casm = await devnet.texts_of(class_hash)
    declared = await Contract.declare_v3(
        account, sierra, compiled_contract_casm=casm, auto_estimate=True
    )
    await declared.wait_for_acceptance(check_interval=CHECK_SECONDS)
    assert declared.class_hash == class_hash
    foreign = json.dumps({**json.loads(sierra), "sierra_program": ["0x1", "0x2"]})
    with pytest.raises(ClientError, match="CLASS_UNKNOWN"):
        await Contract.declare_v3(
            account, foreign, compiled_contract_casm=casm, resource_bounds=NO_FEES
        )


async def test_messages_are_signed_and_checked_by_the_account(devnet: ClientDevnet) -> None:
    account, account_1 = devnet.account(0), devnet.account(1)
    order = order_of(hex(account.address), 1, client_id="0x9")
    data = await order_to_sign(devnet, order)
    signature = account.sign_message(data)
    assert account.verify_message(data, signature)
    for signer, answer in ((account, VALID), (account_1, 0)):
        given = signer.sign_message(data)
        calldata = [data.message_hash(account.address), len(given), *given]
        selector = get_selector_from_name("is_valid_signature")
        call = Call(account.address, selector, calldata)
        assert await devnet.client().call_contract(call) == [answer]


async def order_to_sign(devnet: ClientDevnet, order: dict[str, Unchecked]) -> TypedData:
    domain = (await devnet.perp().call("chainInfo"))["signature_domain"]
    units = {name: str(int(float(order[name]) * 10**8)) for name in SCALED}
    return typed_data(domain, "Order", ORDER_TYPE_TEXT, {**order, **units})


async def test_an_order_is_placed_by_its_signature(devnet: ClientDevnet) -> None:
    account, perp = devnet.account(0), devnet.perp()
    time_ms = (await perp.call("getMode"))["time_ms"]
    order = order_of(hex(account.address), time_ms, market=MARKET, price="60000")
    data = await order_to_sign(devnet, order)
    signature = [hex(each) for each in account.sign_message(data)]
    told = await perp.call("placeOrder", {"order": order, "signature": signature})
    assert told["order_id"] == hex(data.message_hash(account.address))
    receipt = await devnet.client().get_transaction_receipt(told["transaction_hash"])
    assert receipt.block_number == told["height"]
    shown = await perp.call("getOrders", {"account": hex(account.address)})
    assert told["order_id"] in [each["order_id"] for each in shown["orders"]]


async def test_a_proof_binds_a_balance_to_a_block_hash(devnet: ClientDevnet) -> None:
    account, client = devnet.account(1), devnet.client()
    slot = get_storage_var_address("accounts", account.address)
    block = await client.get_block(block_number="latest")
    assert isinstance(block, StarknetBlock)
    proof = await client.get_storage_proof(
        block_hash=block.block_hash,
        contract_addresses=[devnet.exchange],
        contracts_storage_keys=[ContractsStorageKeys(devnet.exchange, [f"{slot:#x}"])],
    )
    found = proven_slots(proof, block, [devnet.exchange], {devnet.exchange: [slot]})
    # A row begins with its version; cash follows, in 1e-8.
    cash = zigzag(found[devnet.exchange, slot] >> 8)
    assert cash > 0
    balance = await account.get_balance(devnet.token, block_hash=block.block_hash)
    assert balance == cash // QUOTE_PER_TOKEN


async def test_what_was_undone_is_sent_again_with_another_tip(devnet: ClientDevnet) -> None:
    sender, client = devnet.account(0), devnet.client()
    head = await client.get_block_number()
    call = devnet.transfer(devnet.address(1), ONE)
    signed = await sender.sign_invoke_v3(call, resource_bounds=NO_FEES)
    sent = await client.send_transaction(signed)
    await accepted(devnet, sent.transaction_hash)
    rolled = await devnet.roll_back(head)
    await devnet.reopen()
    assert await sender.get_nonce() == signed.nonce
    with pytest.raises(ClientError) as caught:
        await client.send_transaction(signed)
    assert code_of(caught) == 59
    assert f"undone by reorg {rolled['halted_by_reorg']}" in str(caught.value)
    fate = await devnet.perp().call("orphaned", {"hash": hex(sent.transaction_hash)})
    assert (fate["status"], fate["undone_by"]) == ("UNDONE", rolled["halted_by_reorg"])
    again = await sender.execute_v3(call, tip=1, resource_bounds=NO_FEES)
    assert again.transaction_hash != sent.transaction_hash
    await accepted(devnet, again.transaction_hash)
