"""starknet-py's own client, unmodified, reads all that there is."""

import pytest
from starknet_py.contract import Contract
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import (
    L1HandlerTransaction,
    StarknetBlock,
    TransactionExecutionStatus,
    TransactionStatus,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.transaction_errors import TransactionNotReceivedError

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.token_contract import TOKEN_ADDRESS
from sequencer.engine.lookup import find_block, read_block
from tests.unit.api.starknet_rpc.in_process import client_of
from tests.unit.api.starknet_rpc.reading import ALICE, Ledger, full_ledger


@pytest.fixture
def client(ledger: Ledger) -> FullNodeClient:
    return client_of(ledger.methods)


async def test_blocks_of_every_kind(ledger: Ledger, client: FullNodeClient) -> None:
    assert await client.spec_version() == "0.10.2"
    assert await client.get_syncing_status() is False
    assert await client.get_block_number() == ledger.head.height
    head = await client.get_block_hash_and_number()
    assert head.block_hash == int.from_bytes(ledger.head.block_hash, "big")
    for height in range(ledger.head.height + 1):
        block = await client.get_block(block_number=height)
        assert isinstance(block, StarknetBlock)
        again = await client.get_block_with_txs(block_hash=block.block_hash)
        assert again == block
        hashes = await client.get_block_with_tx_hashes(block_number=height)
        assert hashes.transactions == [each.hash for each in block.transactions]
        receipts = await client.get_block_with_receipts(block_number=height)
        assert len(receipts.transactions) == len(block.transactions)
        await client.get_state_update(block_number=height)
        count = await client.get_block_transaction_count(block_number=height)
        assert count == len(block.transactions)
    for tag in ("latest", "pre_confirmed"):
        await client.get_block(block_number=tag)
        await client.get_block_with_receipts(block_number=tag)
        await client.get_state_update(block_number=tag)


async def test_events_with_continuation(ledger: Ledger, client: FullNodeClient) -> None:
    expected = [
        (height, receipt.transaction_hash, number)
        for height in range(ledger.head.height + 1)
        for receipt in read_block(
            ledger.store.view, find_block(ledger.store.view, str(height))
        ).receipts
        for number, _ in enumerate(receipt.events)
    ]
    whole = await client.get_events(address=EXCHANGE_ADDRESS, follow_continuation_token=True)
    found = [(each.block_number, each.transaction_hash, each.event_index) for each in whole.events]
    assert found == expected
    part = await client.get_events(from_block_number=5, to_block_number=9, keys=[[]], chunk_size=3)
    assert len(part.events) == 3
    assert part.continuation_token
    following = await client.get_events(
        from_block_number=5,
        to_block_number=9,
        keys=[[]],
        chunk_size=3,
        continuation_token=part.continuation_token,
    )
    assert following.events[0] not in part.events


async def test_transactions_and_their_receipts(ledger: Ledger, client: FullNodeClient) -> None:
    block = await client.get_block(block_number=13)
    for index, transaction in enumerate(block.transactions):
        assert transaction.hash is not None
        assert await client.get_transaction(transaction.hash) == transaction
        placed = await client.get_transaction_by_block_id(index, block_number=13)
        assert placed == transaction
        receipt = await client.get_transaction_receipt(transaction.hash)
        assert receipt.block_number == 13
        status = await client.get_transaction_status(transaction.hash)
        assert status.finality_status is TransactionStatus.ACCEPTED_ON_L2
        if isinstance(transaction, L1HandlerTransaction):
            message = await client.get_l1_message_hash(transaction.hash)
            assert receipt.message_hash == message
    failed = (await client.get_block_with_receipts(block_number=14)).transactions[1].receipt
    assert failed.execution_status is TransactionExecutionStatus.REVERTED
    assert failed.revert_reason
    with pytest.raises(TransactionNotReceivedError):
        await client.get_transaction(5)
    with pytest.raises(ClientError, match="29"):
        await client.get_messages_status(5)


async def test_state_and_classes(ledger: Ledger, client: FullNodeClient) -> None:
    class_hash = await client.get_class_hash_at(EXCHANGE_ADDRESS)
    assert class_hash == EXCHANGE.class_hash
    assert await client.get_class_at(EXCHANGE_ADDRESS) == await client.get_class_by_hash(class_hash)
    assert (await client.get_compiled_casm(class_hash)).bytecode
    assert await client.get_contract_nonce(ALICE, block_number="latest") > 0
    value = await client.get_storage_at(EXCHANGE_ADDRESS, 9, block_number=3)
    assert value == 0
    proof = await client.get_storage_proof(
        block_number="latest",
        class_hashes=[class_hash],
        contract_addresses=[ALICE, 77],
        contracts_storage_keys=[],
    )
    assert proof.contracts_proof.contract_leaves_data[0].nonce > 0
    assert proof.contracts_proof.contract_leaves_data[1].class_hash == 0


async def test_contracts_are_found_by_address(client: FullNodeClient) -> None:
    contract = await Contract.from_address(TOKEN_ADDRESS, client)
    assert {"balance_of", "transfer"} <= contract.functions.keys()


async def test_a_client_sees_a_rollback() -> None:
    ledger = full_ledger()
    client = client_of(ledger.methods)
    head = await client.get_block(block_number="latest")
    assert isinstance(head, StarknetBlock)
    ledger.back(14)
    assert await client.get_block_number() == 14
    for transaction in head.transactions:
        assert transaction.hash is not None
        with pytest.raises(ClientError, match="29"):
            await client.get_transaction_receipt(transaction.hash)
    orphan = await client.get_block(block_hash=head.block_hash)
    assert orphan == head
    ledger.undo(ledger.head.epoch)
    assert await client.get_block(block_number="latest") == head
