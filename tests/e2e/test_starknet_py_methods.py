"""Every coroutine of starknet-py's client for nodes, on a chain that was rolled back."""

import asyncio
from collections.abc import Iterator
from inspect import getmembers, iscoroutinefunction
from typing import Any, NamedTuple

import pytest
from starknet_py.common import create_casm_class
from starknet_py.hash.casm_class_hash import compute_casm_class_hash
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.hash.sierra_class_hash import compute_sierra_class_hash
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import (
    Call,
    ContractsStorageKeys,
    DeployAccountTransactionV3,
    EstimatedFee,
    InvokeTransactionTrace,
    InvokeTransactionV3,
    PreConfirmedBlockStateUpdate,
    PreConfirmedStarknetBlock,
    PreConfirmedStarknetBlockWithReceipts,
    PreConfirmedStarknetBlockWithTxHashes,
    SimulatedTransactionsWithInitialReads,
    StarknetBlock,
    StorageResponseFlag,
    StorageResult,
    TraceFlag,
    TransactionExecutionStatus,
    TransactionFinalityStatus,
    TransactionResponseFlag,
    TransactionStatus,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.transaction_errors import TransactionNotReceivedError

from tests.e2e.devnet_process import (
    CHECK_SECONDS,
    NO_FEES,
    ClientDevnet,
    client_devnet,
    code_of,
)
from tests.e2e.verify_storage_proof import proven_slots

TOKENS = 1_000_000


class Past(NamedTuple):
    """What happened: a transfer that stayed, one that was undone, and one of the new branch."""

    devnet: ClientDevnet
    kept: int
    kept_block: StarknetBlock
    undone: int
    orphan: StarknetBlock
    fresh: int
    fresh_block: StarknetBlock


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with client_devnet(tmp_path_factory.mktemp("devnet")) as devnet:
        yield asyncio.run(played(devnet))


async def played(devnet: ClientDevnet) -> Past:
    kept, kept_block = await paid(devnet)
    undone, orphan = await paid(devnet, tip=1)
    await devnet.roll_back(kept_block.block_number)
    await devnet.reopen()
    fresh, fresh_block = await paid(devnet)
    return Past(devnet, kept, kept_block, undone, orphan, fresh, fresh_block)


async def paid(devnet: ClientDevnet, tip: int = 0) -> tuple[int, StarknetBlock]:
    """Pay somebody; returns the transaction and its block."""
    sender, client = devnet.account(0), devnet.client()
    call = devnet.transfer(devnet.address(1), TOKENS)
    sent = await sender.execute_v3(call, tip=tip, resource_bounds=NO_FEES)
    receipt = await client.wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)
    assert receipt.block_hash is not None
    block = await client.get_block(block_hash=receipt.block_hash)
    assert isinstance(block, StarknetBlock)
    return sent.transaction_hash, block


class Calls:
    """One method for each coroutine of the client: it calls it, and knows the answer."""

    def __init__(self, past: Past) -> None:
        self.past, self.devnet, self.client = past, past.devnet, past.devnet.client()

    async def call_contract(self) -> None:
        balance = Call(
            self.devnet.token, get_selector_from_name("balance_of"), [self.devnet.address(1)]
        )
        found = [
            await self.client.call_contract(balance, block_hash=at)
            for at in (self.past.kept_block.block_hash, self.past.fresh_block.block_hash)
        ]
        assert found[1][0] - found[0][0] == TOKENS
        assert await self.client.call_contract(balance, block_number="latest") == found[1]

    async def declare(self) -> None:
        account, class_hash = self.devnet.account(2), self.devnet.class_hash("token")
        sierra, casm = await self.devnet.texts_of(class_hash)
        compiled = compute_casm_class_hash(create_casm_class(casm))
        signed = await account.sign_declare_v3(sierra, compiled, resource_bounds=NO_FEES)
        told = await self.client.declare(signed)
        assert told.class_hash == class_hash
        await self.client.wait_for_tx(told.transaction_hash, check_interval=CHECK_SECONDS)
        signed = await account.sign_declare_v3(sierra, compiled, resource_bounds=NO_FEES)
        with pytest.raises(ClientError) as caught:
            await self.client.declare(signed)
        assert code_of(caught) == 51

    async def deploy_account(self) -> None:
        account = self.devnet.undeployed(0xABC, salt=9)
        signed = await account.sign_deploy_account_v3(
            self.devnet.account_class,
            9,
            constructor_calldata=[account.signer.public_key],
            resource_bounds=NO_FEES,
        )
        told = await self.client.deploy_account(signed)
        assert told.address == account.address
        await self.client.wait_for_tx(told.transaction_hash, check_interval=CHECK_SECONDS)
        found = await self.client.get_transaction(told.transaction_hash)
        assert isinstance(found, DeployAccountTransactionV3)

    async def estimate_fee(self) -> None:
        sender = self.devnet.account(0)
        invoke = await sender.sign_invoke_v3(
            self.devnet.transfer(1, TOKENS), resource_bounds=NO_FEES
        )
        query = await sender.sign_for_fee_estimate(invoke)
        fee = await self.client.estimate_fee(query)
        assert isinstance(fee, EstimatedFee)
        assert (fee.overall_fee, fee.unit.value) == (0, "FRI")
        assert await self.client.estimate_fee([invoke], skip_validate=True) == [fee]

    async def estimate_message_fee(self) -> None:
        sender, deposit = "0x" + "1" * 40, get_selector_from_name("deposit")
        payload: list[int | str] = [7, self.devnet.address(0), 5 * TOKENS]
        fee = await self.client.estimate_message_fee(sender, self.devnet.exchange, deposit, payload)
        assert (fee.overall_fee, fee.unit.value) == (0, "WEI")
        # The client makes an error of its own of 40, and leaves the number out.
        with pytest.raises(ClientError, match="might be invalid"):
            await self.client.estimate_message_fee(sender, self.devnet.exchange, deposit, [7])

    async def get_block(self) -> None:
        orphan = await self.client.get_block(block_hash=self.past.orphan.block_hash)
        assert orphan == self.past.orphan
        # The orphan may have come some blocks later.
        block = await self.client.get_block(block_number=self.past.kept_block.block_number + 1)
        assert isinstance(block, StarknetBlock)
        assert block.block_hash != self.past.orphan.block_hash
        below = await self.client.get_block(block_number=block.block_number - 1)
        assert isinstance(below, StarknetBlock)
        assert block.parent_hash == below.block_hash
        await self.newest("get_block", PreConfirmedStarknetBlock)
        with pytest.raises(ClientError) as caught:
            await self.client.get_block(block_number="l1_accepted")
        assert code_of(caught) == 24

    async def get_block_with_txs(self) -> None:
        flags = [TransactionResponseFlag.INCLUDE_PROOF_FACTS]
        block = await self.client.get_block_with_txs(self.past.fresh_block.block_hash, None, flags)
        assert [each.hash for each in block.transactions].count(self.past.fresh) == 1
        await self.newest("get_block_with_txs", PreConfirmedStarknetBlock)

    async def get_block_with_tx_hashes(self) -> None:
        block = await self.client.get_block_with_tx_hashes(self.past.fresh_block.block_hash)
        assert self.past.fresh in block.transactions
        await self.newest("get_block_with_tx_hashes", PreConfirmedStarknetBlockWithTxHashes)

    async def get_block_with_receipts(self) -> None:
        block = await self.client.get_block_with_receipts(self.past.fresh_block.block_hash)
        assert self.past.fresh in [each.receipt.transaction_hash for each in block.transactions]
        await self.newest("get_block_with_receipts", PreConfirmedStarknetBlockWithReceipts)

    async def newest(self, name: str, kind: type) -> None:
        method = getattr(self.client, name)
        latest = await method(block_number="latest")
        assert latest.block_number >= self.past.fresh_block.block_number
        assert isinstance(await method(block_number="pre_confirmed"), kind)

    async def get_block_hash_and_number(self) -> None:
        told = await self.client.get_block_hash_and_number()
        block = await self.client.get_block(block_number=told.block_number)
        assert isinstance(block, StarknetBlock)
        assert block.block_hash == told.block_hash

    async def get_block_number(self) -> None:
        assert await self.client.get_block_number() >= self.past.fresh_block.block_number

    async def get_block_transaction_count(self) -> None:
        count = await self.client.get_block_transaction_count(self.past.fresh_block.block_hash)
        assert count == len(self.past.fresh_block.transactions)

    async def get_chain_id(self) -> None:
        assert await self.client.get_chain_id() == self.devnet.facts["chain_id_felt"]

    async def get_class_at(self) -> None:
        found = await self.client.get_class_at(self.devnet.token)
        told = await self.client.get_class_by_hash(self.devnet.class_hash("token"))
        assert found == told

    async def get_class_by_hash(self) -> None:
        class_hash = self.devnet.class_hash("exchange")
        found: Any = await self.client.get_class_by_hash(class_hash, block_number=0)
        assert compute_sierra_class_hash(found) == class_hash

    async def get_class_hash_at(self) -> None:
        found = await self.client.get_class_hash_at(self.devnet.address(0), block_number=0)
        assert found == self.devnet.account_class

    async def get_compiled_casm(self) -> None:
        class_hash = self.devnet.class_hash("token")
        casm = await self.client.get_compiled_casm(class_hash)
        assert compute_casm_class_hash(casm)

    async def get_contract_nonce(self) -> None:
        address, block = self.devnet.address(0), self.past.kept_block
        before = await self.client.get_contract_nonce(address, block_hash=block.block_hash)
        assert (await self.client.get_contract_nonce(address, block_number=0), before) == (0, 1)
        orphan = self.past.orphan.block_hash
        assert await self.client.get_contract_nonce(address, block_hash=orphan) == 2
        assert await self.client.get_contract_nonce(address) >= 2

    async def get_events(self) -> None:
        fixed: dict[str, Any] = {"to_block_hash": self.past.fresh_block.block_hash}
        found = await self.client.get_events(
            self.devnet.exchange, follow_continuation_token=True, chunk_size=100, **fixed
        )
        hashes = {event.transaction_hash for event in found.events}
        assert {self.past.kept, self.past.fresh} <= hashes
        assert self.past.undone not in hashes

    async def get_l1_message_hash(self) -> None:
        with pytest.raises(TypeError, match="not a result of L1->L2"):
            await self.client.get_l1_message_hash(self.past.kept)

    async def get_messages_status(self) -> None:
        with pytest.raises(ClientError) as caught:
            await self.client.get_messages_status(self.past.kept)
        assert code_of(caught) == 29

    async def get_state_update(self) -> None:
        block = self.past.fresh_block
        update: Any = await self.client.get_state_update(block.block_hash)
        assert (update.block_hash, update.new_root) == (block.block_hash, block.new_root)
        sender = self.devnet.address(0)
        assert sender in [each.contract_address for each in update.state_diff.nonces]
        told: Any = await self.client.get_state_update(
            block.block_hash, contract_addresses=[self.devnet.exchange]
        )
        assert told.state_diff.storage_diffs == update.state_diff.storage_diffs
        newest = await self.client.get_state_update(block_number="pre_confirmed")
        assert isinstance(newest, PreConfirmedBlockStateUpdate)
        orphan: Any = await self.client.get_state_update(self.past.orphan.block_hash)
        assert orphan.new_root == self.past.orphan.new_root

    async def get_storage_at(self) -> None:
        block, (address, key, value) = await self.a_slot()
        assert await self.client.get_storage_at(address, key, block_hash=block) == value
        flags = [StorageResponseFlag.INCLUDE_LAST_UPDATE_BLOCK]
        told = await self.client.get_storage_at(address, key, block, None, flags)
        assert told == StorageResult(value, self.past.fresh_block.block_number)
        assert await self.client.get_storage_at(address, 0x123, block_number="latest") == 0

    async def a_slot(self) -> tuple[int, tuple[int, int, int]]:
        """Find a slot that the fresh block changed: its address, key and value."""
        block = self.past.fresh_block.block_hash
        update: Any = await self.client.get_state_update(block)
        (changed,) = update.state_diff.storage_diffs
        entry = changed.storage_entries[0]
        return block, (changed.address, entry.key, entry.value)

    async def get_storage_proof(self) -> None:
        for block in (self.past.kept_block, self.past.orphan, self.past.fresh_block):
            update: Any = await self.client.get_state_update(block.block_hash)
            (changed,) = update.state_diff.storage_diffs
            expected = {(changed.address, each.key): each.value for each in changed.storage_entries}
            keys = [key for _, key in expected] + [0x123]
            contracts = [self.devnet.exchange, self.devnet.address(0), 0x777]
            proof = await self.client.get_storage_proof(
                block_hash=block.block_hash,
                class_hashes=[self.devnet.account_class],
                contract_addresses=contracts,
                contracts_storage_keys=[
                    ContractsStorageKeys(self.devnet.exchange, [hex(key) for key in keys])
                ],
            )
            slots = {self.devnet.exchange: keys}
            found = proven_slots(proof, block, contracts, slots)
            assert found == expected | {(self.devnet.exchange, 0x123): 0}

    async def get_syncing_status(self) -> None:
        assert await self.client.get_syncing_status() is False

    async def get_transaction(self) -> None:
        found = await self.client.get_transaction(self.past.kept)
        assert isinstance(found, InvokeTransactionV3)
        assert found.sender_address == self.devnet.address(0)
        with pytest.raises(TransactionNotReceivedError):
            await self.client.get_transaction(self.past.undone)

    async def get_transaction_by_block_id(self) -> None:
        block = self.past.fresh_block
        for index, each in enumerate(block.transactions):
            found = await self.client.get_transaction_by_block_id(index, block.block_hash)
            assert found == each
        with pytest.raises(ClientError) as caught:
            await self.client.get_transaction_by_block_id(99, block.block_hash)
        assert code_of(caught) == 27

    async def get_transaction_receipt(self) -> None:
        receipt = await self.client.get_transaction_receipt(self.past.fresh)
        block = self.past.fresh_block
        assert (receipt.block_hash, receipt.block_number) == (block.block_hash, block.block_number)
        assert receipt.execution_status is TransactionExecutionStatus.SUCCEEDED
        assert receipt.finality_status is TransactionFinalityStatus.ACCEPTED_ON_L2
        with pytest.raises(ClientError) as caught:
            await self.client.get_transaction_receipt(self.past.undone)
        assert code_of(caught) == 29

    async def get_transaction_status(self) -> None:
        status = await self.client.get_transaction_status(self.past.fresh)
        assert status.finality_status is TransactionStatus.ACCEPTED_ON_L2
        assert status.execution_status is TransactionExecutionStatus.SUCCEEDED

    async def send_transaction(self) -> None:
        sender = self.devnet.account(0)
        signed = await sender.sign_invoke_v3(
            self.devnet.transfer(self.devnet.address(2), 1), resource_bounds=NO_FEES
        )
        sent = await self.client.send_transaction(signed)
        await self.client.wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)

    async def simulate_transactions(self) -> None:
        sender = self.devnet.account(0)
        call = self.devnet.transfer(self.devnet.address(2), 1)
        signed = await sender.sign_invoke_v3(call, resource_bounds=NO_FEES)
        nonce = await sender.get_nonce()
        call = self.devnet.transfer(self.devnet.address(2), 10**15)
        poor = await sender.sign_invoke_v3(call, nonce=nonce + 1, resource_bounds=NO_FEES)
        traces: Any = await self.client.simulate_transactions([signed, poor])
        invocations = [each.transaction_trace.execute_invocation for each in traces]
        assert invocations[0].calls[0].result == [1]
        assert "revert" in type(invocations[1]).__name__.lower()
        told = await self.client.simulate_transactions(
            [signed], skip_validate=True, skip_fee_charge=True, return_initial_reads=True
        )
        assert isinstance(told, SimulatedTransactionsWithInitialReads)
        assert await sender.get_nonce() == nonce

    async def spec_version(self) -> None:
        assert await self.client.spec_version() == "0.10.2"

    async def trace_block_transactions(self) -> None:
        block = self.past.fresh_block
        traces: Any = await self.client.trace_block_transactions(block.block_hash)
        hashes = [each.transaction_hash for each in traces]
        assert hashes == [each.hash for each in block.transactions]
        flags = [TraceFlag.RETURN_INITIAL_READS]
        told: Any = await self.client.trace_block_transactions(block.block_hash, None, flags)
        assert told.transaction_traces == traces

    async def trace_transaction(self) -> None:
        trace = await self.client.trace_transaction(self.past.fresh)
        assert isinstance(trace, InvokeTransactionTrace)
        with pytest.raises(ClientError) as caught:
            await self.client.trace_transaction(self.past.undone)
        assert code_of(caught) == 29

    async def wait_for_tx(self) -> None:
        receipt = await self.client.wait_for_tx(self.past.kept, check_interval=CHECK_SECONDS)
        assert receipt.block_hash == self.past.kept_block.block_hash
        with pytest.raises(TransactionNotReceivedError):
            await self.client.wait_for_tx(self.past.undone, check_interval=CHECK_SECONDS, retries=2)


async def test_every_coroutine_of_the_client_is_answered(past: Past) -> None:
    calls = Calls(past)
    names = {name for name, _ in getmembers(FullNodeClient, iscoroutinefunction)}
    public = sorted(name for name in names if not name.startswith("_"))
    for name in public:
        await getattr(calls, name)()
