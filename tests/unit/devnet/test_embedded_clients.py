"""The embedded devnet as starknet-py and our own settlement client see it, over HTTP."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import aiohttp
import pytest
from starknet_py.contract import Contract
from starknet_py.hash.address import compute_address
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import (
    Call,
    FunctionInvocation,
    InvokeTransactionTrace,
    PreConfirmedStarknetBlock,
    StarknetBlock,
    TransactionExecutionStatus,
    TransactionFinalityStatus,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient
from starknet_py.transaction_errors import TransactionNotReceivedError, TransactionRevertedError

from contracts.artifacts import load_artifact
from contracts.natives import USDC
from devnet.embedded.predeployed import ACCOUNTS, CHAIN_ID, DEPLOYERS
from devnet.starknet_devnet import predeployed_accounts
from scripts.money.devnets import l1_message
from sequencer.model.settlement import SettlementError
from sequencer.settlement.signer import StarkSigner
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import decode_short_string
from sequencer.starknet.felt_hash import public_key
from sequencer.starknet.names import contract_address, selector
from tests.contracts.settlement_world import GENESIS, access, deployed, post
from tests.unit.devnet.embedded_world import (
    BOUNDS,
    OTHER,
    OWNER,
    START,
    STARTED_WITH,
    STRK,
    Devnet,
    number_of,
    pay,
)

FRIEND = 0x5EC4E7
UDC = DEPLOYERS[0]


async def usdc_of(account: Account) -> Contract:
    """Declare and deploy the token, and look it up again as a client does."""
    declared = await Contract.declare_v3(
        account,
        compiled_contract=load_artifact("usdc").sierra,
        compiled_class_hash=USDC.compiled_class_hash,
        resource_bounds=BOUNDS,
    )
    await declared.wait_for_acceptance(check_interval=0.01)
    assert declared.class_hash == USDC.class_hash
    calldata = [USDC.class_hash, 7, 0, 0]
    call = Call(UDC, selector("deployContract"), calldata)
    sent = await account.execute_v3(calls=call, resource_bounds=BOUNDS)
    await account.client.wait_for_tx(sent.transaction_hash, check_interval=0.01)
    return await Contract.from_address(contract_address(7, USDC.class_hash, ()), account)


async def test_money_is_sent_and_found(devnet: Devnet) -> None:
    account = devnet.account()
    assert decode_short_string(int(await devnet.client.get_chain_id(), 16)) == "SN_SEPOLIA"
    assert await devnet.client.spec_version() == "0.10.2"
    assert await account.get_nonce() == 0
    sent = await account.execute_v3(calls=[pay(3), pay(4)], resource_bounds=BOUNDS)
    receipt = await devnet.client.wait_for_tx(sent.transaction_hash, check_interval=0.01)
    assert receipt.execution_status is TransactionExecutionStatus.SUCCEEDED
    assert receipt.finality_status is TransactionFinalityStatus.ACCEPTED_ON_L2
    assert [event.data for event in receipt.events] == [[3, 0], [4, 0]]
    assert (await account.get_nonce(), receipt.block_number) == (1, 1)
    found = await devnet.client.get_transaction(sent.transaction_hash)
    assert found.hash == sent.transaction_hash
    assert await devnet.client.get_transaction_by_block_id(0, block_number=1) == found
    assert (await account.get_balance(STRK)) == 10**21 - 7


async def test_a_token_is_declared_deployed_and_called(devnet: Devnet) -> None:
    account = devnet.account()
    usdc = await usdc_of(account)
    minted = await usdc.functions["mint"].invoke_v3(
        OTHER.address, 5_000_000, resource_bounds=BOUNDS
    )
    await minted.wait_for_acceptance(check_interval=0.01)
    (balance,) = await usdc.functions["balance_of"].call(OTHER.address)
    assert balance == 5_000_000
    (decimals,) = await usdc.functions["decimals"].call()
    assert decimals == 6
    with pytest.raises(TransactionRevertedError, match="AMOUNT_TOO_LARGE"):
        await (
            await usdc.functions["mint"].invoke_v3(1, 10**15 + 1, resource_bounds=BOUNDS)
        ).wait_for_acceptance(check_interval=0.01)
    assert await devnet.client.get_class_hash_at(usdc.address) == USDC.class_hash


async def test_an_account_deploys_itself_and_sends(devnet: Devnet) -> None:
    owner, key = devnet.account(), public_key(FRIEND)
    class_hash = await devnet.client.get_class_hash_at(owner.address)
    address = compute_address(
        class_hash=class_hash, constructor_calldata=[key], salt=5, deployer_address=0
    )
    friend = Account(
        address=address,
        client=devnet.client,
        signer=StarkSigner(FRIEND, CHAIN_ID),
        chain=CHAIN_ID,
    )
    signed = await friend.sign_deploy_account_v3(
        class_hash=class_hash,
        contract_address_salt=5,
        constructor_calldata=[key],
        resource_bounds=BOUNDS,
    )
    sent = await devnet.client.deploy_account(signed)
    assert sent.address == address
    await devnet.ask("mint", address=hex(address), amount=50)
    await friend.execute_v3(calls=pay(20), resource_bounds=BOUNDS)
    assert await friend.get_balance(STRK) == 30
    receipt = await devnet.client.get_transaction_receipt(sent.transaction_hash)
    assert receipt.contract_address == address


async def test_blocks_are_read_in_every_form(devnet: Devnet) -> None:
    account = devnet.account()
    sent = await account.execute_v3(calls=pay(3), resource_bounds=BOUNDS)
    client = devnet.client
    head = await client.get_block_hash_and_number()
    by_hash = await client.get_block(block_hash=head.block_hash)
    assert by_hash == await client.get_block(block_number=1)
    assert [each.hash for each in by_hash.transactions] == [sent.transaction_hash]
    first = await client.get_block(block_number=0)
    assert isinstance(by_hash, StarknetBlock)
    assert isinstance(first, StarknetBlock)
    assert by_hash.parent_hash == first.block_hash
    hashes = await client.get_block_with_tx_hashes(block_number="latest")
    assert hashes.transactions == [sent.transaction_hash]
    receipts = await client.get_block_with_receipts(block_number=1)
    assert receipts.transactions[0].receipt.transaction_hash == sent.transaction_hash
    assert await client.get_block_transaction_count(block_number=1) == 1
    pending = await client.get_block(block_number="pre_confirmed")
    assert isinstance(pending, PreConfirmedStarknetBlock)
    assert (pending.block_number, pending.timestamp, pending.transactions) == (2, START, [])
    update = await client.get_state_update(block_number=1)
    assert [each.nonce for each in update.state_diff.nonces] == [1]
    await client.get_state_update(block_number="pre_confirmed")
    assert not await client.get_syncing_status()


ABSENT: Sequence[tuple[int, Callable[[FullNodeClient], Awaitable[object]]]] = (
    (24, lambda client: client.get_block(block_number=9)),
    (24, lambda client: client.get_block(block_number="l1_accepted")),
    (24, lambda client: client.get_storage_at(STRK, 1, block_hash=5)),
    (20, lambda client: client.get_class_hash_at(0x47)),
    (20, lambda client: client.get_contract_nonce(0x47)),
    (20, lambda client: client.get_storage_at(0x47, 1)),
    (20, lambda client: client.call_contract(Call(0x47, 1, []))),
    (21, lambda client: client.call_contract(Call(STRK, 1, []))),
    (40, lambda client: client.call_contract(Call(STRK, selector("transfer"), [1, 1, 0]))),
    (28, lambda client: client.get_class_by_hash(0x47)),
    (29, lambda client: client.get_transaction_receipt(5)),
    (29, lambda client: client.get_transaction_status(5)),
    (27, lambda client: client.get_transaction_by_block_id(0, block_number=0)),
    (42, lambda client: client.get_storage_proof(block_number=0)),
)


async def test_nothing_is_there_that_is_not(devnet: Devnet) -> None:
    for number, ask in ABSENT:
        with pytest.raises(ClientError) as caught:
            await ask(devnet.client)
        assert number_of(caught) == number


async def test_events_come_page_by_page(devnet: Devnet) -> None:
    account = devnet.account()
    for amount in range(1, 6):
        await account.execute_v3(calls=[pay(amount), pay(amount * 10)], resource_bounds=BOUNDS)
    for size in (1, 3, 100):
        found, token = [], None
        while True:
            page = await devnet.client.get_events(
                address=STRK,
                keys=[[selector("Transfer")], [OWNER.address]],
                from_block_number=2,
                to_block_number=4,
                chunk_size=size,
                continuation_token=token,
            )
            assert len(page.events) <= size
            found += [(each.block_number, each.data[0]) for each in page.events]
            token = page.continuation_token
            if token is None:
                break
        assert found == [(2, 2), (2, 20), (3, 3), (3, 30), (4, 4), (4, 40)]
    none = await devnet.client.get_events(address=STRK, keys=[[1]], chunk_size=5)
    assert none.events == []


async def test_what_is_tried_out_leaves_nothing(devnet: Devnet) -> None:
    account = devnet.account()
    sent = await account.execute_v3(calls=pay(3), auto_estimate=True)
    receipt = await devnet.client.get_transaction_receipt(sent.transaction_hash)
    assert receipt.actual_fee.amount == 0
    signed = await account.sign_invoke_v3(pay(4), resource_bounds=BOUNDS)
    deferred = await account.sign_invoke_v3(pay(5), nonce=2, resource_bounds=BOUNDS)
    tried = await devnet.client.simulate_transactions([signed, deferred])
    assert isinstance(tried, list)
    paid = []
    for each in tried:
        assert isinstance(each.transaction_trace, InvokeTransactionTrace)
        assert isinstance(each.transaction_trace.execute_invocation, FunctionInvocation)
        paid += [event.data for event in each.transaction_trace.execute_invocation.events]
    assert paid == [[4, 0], [5, 0]]
    forged = replace(signed, signature=[1, 2])
    with pytest.raises(ClientError, match="invalid signature") as caught:
        await devnet.client.simulate_transactions([forged])
    assert number_of(caught) == 41
    await devnet.client.simulate_transactions([forged], skip_validate=True)
    with pytest.raises(ClientError, match="insufficient balance") as caught:
        await devnet.client.estimate_fee(
            await account.sign_for_fee_estimate(
                await account.sign_invoke_v3(pay(10**22), resource_bounds=BOUNDS)
            )
        )
    assert number_of(caught) == 41
    assert await account.get_nonce() == 1


async def test_our_own_client_posts_and_is_refused(devnet: Devnet) -> None:
    address = await deployed(devnet.url, 0, 1)
    assert await deployed(devnet.url, 0, 1) == address
    _, operator, *_ = await predeployed_accounts(devnet.url)
    settlement = StarknetSettlement(access(devnet.url, operator), address)
    try:
        await settlement.update_state(0, GENESIS, post(6))
        standing = await settlement.standing()
        assert (standing.newest, standing.time) == (post(6), START)
        assert (settlement.backend, settlement.cairo_executed) == ("embedded", False)
        with pytest.raises(SettlementError) as caught:
            await settlement.update_state(0, GENESIS, post(7))
        assert caught.value.code == "PREV_BLOCK_DIFFERS"
        await settlement.advance_time(60)
        assert (await settlement.standing()).time == START + 60
    finally:
        await settlement.close()


async def test_accounts_and_their_money_are_those_of_the_real_one(devnet: Devnet) -> None:
    found = await predeployed_accounts(devnet.url)
    assert [each.address for each in found] == [each.address for each in ACCOUNTS[:STARTED_WITH]]
    keys = [public_key(each.private_key.value) for each in found]
    assert keys == [each.public_key for each in ACCOUNTS[:STARTED_WITH]]
    address = hex(OTHER.address)
    minted = await devnet.ask("mint", address=address, amount=5, unit="WEI")
    assert (minted["new_balance"], minted["unit"]) == (str(10**21 + 5), "WEI")
    balance = await devnet.ask("getAccountBalance", address=address)
    assert balance == {"amount": str(10**21), "unit": "FRI"}
    config = await devnet.ask("getConfig")
    assert (config["embedded"], config["cairo_executed"]) == (True, False)


async def test_blocks_and_time_are_moved_as_on_the_real_one(devnet: Devnet) -> None:
    account = devnet.account()
    sent = await account.execute_v3(calls=pay(3), resource_bounds=BOUNDS)
    made = await devnet.ask("createBlock")
    moved = await devnet.ask("increaseTime", time=50)
    assert moved["timestamp_increased_by"] == 50
    assert (await devnet.client.get_block(block_number=3)).timestamp == START + 50
    aborted = await devnet.ask("abortBlocks", starting_block_id={"block_number": 1})
    listed = aborted["aborted"]
    assert isinstance(listed, list)
    assert (listed[0], listed[1]) == (moved["block_hash"], made["block_hash"])
    assert await devnet.client.get_block_number() == 0
    assert await account.get_nonce() == 0
    with pytest.raises(TransactionNotReceivedError):
        await devnet.client.get_transaction(sent.transaction_hash)
    with pytest.raises(ClientError, match="Genesis block can't be aborted"):
        await devnet.ask("abortBlocks", starting_block_id={"block_number": 0})
    with pytest.raises(ClientError, match="is not between"):
        await devnet.ask("setTime", time=START - 1)
    await devnet.ask("setTime", time=START + 100, generate_block=False)
    assert await devnet.client.get_block_number() == 0


async def test_a_message_from_ethereum_is_a_transaction(devnet: Devnet) -> None:
    message = l1_message(0xE71, STRK, (1, 2), 0)
    sent = await devnet.ask("postmanSendMessageToL2", **message)
    receipt = await devnet.client.get_transaction_receipt(str(sent["transaction_hash"]))
    assert receipt.execution_status is TransactionExecutionStatus.REVERTED
    assert "ENTRYPOINT_NOT_FOUND" in (receipt.revert_reason or "")
    assert receipt.message_hash is not None


@pytest.mark.parametrize("path", ["/", "/rpc"])
async def test_it_answers_at_both_paths_and_says_that_it_lives(devnet: Devnet, path: str) -> None:
    rpc = RpcHttpClient(devnet.url + path, method_prefix="starknet")
    assert await rpc.call("blockNumber", {}) == 0
    async with aiohttp.ClientSession() as session:
        async with session.get(devnet.url + "/is_alive") as alive:
            assert (alive.status, await alive.text()) == (200, "Alive!!!")
        async with session.get(devnet.url + "/elsewhere") as elsewhere:
            assert elsewhere.status == 404
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method}
            for number, method in enumerate(("starknet_blockNumber", "devnet_nothing"))
        ]
        async with session.post(devnet.url + path, json=batch) as answered:
            first, second = await answered.json()
    assert first["result"] == 0
    assert second["error"]["code"] == -32_601
