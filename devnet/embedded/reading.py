"""Questions about blocks, contracts and classes of the embedded chain, as Starknet's methods.

Promises
- The pre-confirmed block is an empty one above the newest, and its state is the newest block's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import msgspec

from contracts.twin import Reverted
from devnet.embedded.chain import Chain
from devnet.embedded.classes import Classes
from devnet.embedded.machine import ENTRY_POINT_MISSING, TransactionMachine
from devnet.embedded.predeployed import CHAIN_ID, SEQUENCER
from devnet.embedded.reasons import call_failure
from devnet.embedded.state import CLASS, DECLARED, NONCE, STORAGE, Overlay, View
from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.diff_parts import of_contracts
from sequencer.api.starknet_rpc.errors import (
    BLOCK_NOT_FOUND,
    CLASS_NOT_FOUND,
    CONTRACT_ERROR,
    CONTRACT_NOT_FOUND,
    ENTRY_POINT_NOT_FOUND,
    PROOF_UNSUPPORTED,
    starknet_error,
)
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    L1_ACCEPTED,
    LATEST,
    PRE_CONFIRMED,
    TRANSACTION_FLAGS,
    BlockId,
    read_address,
    read_addresses,
    read_felt,
    read_felts,
    read_object,
)
from sequencer.api.starknet_rpc.wire import (
    ACCEPTED_ON_L2,
    SPECIFICATION,
    Fields,
    felts,
    header_fields,
    pending_header_fields,
    receipt_fields,
    state_diff_fields,
    transaction_fields,
)
from sequencer.chain.block import Block, ClosedBlock
from sequencer.model.units import MS_PER_SECOND
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import Transaction

_CONTRACT = Parameter("contract_address", read_address)
_CLASS_HASH = Parameter("class_hash", read_felt)

_Request: TypeAlias = tuple[Felt, Felt, Sequence[Felt]]
_Item: TypeAlias = Callable[[Transaction, Receipt, bool], Any]
"""Writes one entry of a block's list, with proof facts or without."""


def reading_methods(chain: Chain, classes: Classes) -> Sequence[Method]:
    """Return the methods about blocks, contracts and classes."""
    return (*_chain_methods(chain), *_state_methods(chain, classes))


def find_block(chain: Chain, block_id: BlockId) -> Block | None:
    """Return a block, None for the pre-confirmed one. Error: 24."""
    if block_id.tag == PRE_CONFIRMED:
        return None
    found = chain.block(_height(chain, block_id))
    if found is None:
        raise starknet_error(BLOCK_NOT_FOUND)
    return found


def state_of(chain: Chain, block_id: BlockId) -> View:
    """Return the state behind a block. Error: 24."""
    block = find_block(chain, block_id)
    if block is None or block is chain.head:
        return chain.state
    return chain.state_at(block.header.number)


def _height(chain: Chain, block_id: BlockId) -> int:
    if block_id.hash is not None:
        return chain.height_of(block_id.hash)
    if block_id.tag == LATEST:
        return chain.head.header.number
    # Nothing is ever accepted further down.
    return -1 if block_id.tag == L1_ACCEPTED else block_id.height


def _chain_methods(chain: Chain) -> Sequence[Method]:
    one, flagged = (BLOCK_ID,), (BLOCK_ID, TRANSACTION_FLAGS)
    update = (BLOCK_ID, Parameter("contract_addresses", read_addresses, None))
    lists = ("class_hashes", "contract_addresses", "contracts_storage_keys")
    proof = (BLOCK_ID, *(Parameter(name, lambda value: value, None) for name in lists))
    return (
        Method("starknet_specVersion", (), _spec_version),
        Method("starknet_syncing", (), _syncing),
        Method("starknet_chainId", (), _chain_id),
        Method("starknet_blockNumber", (), partial(_block_number, chain)),
        Method("starknet_blockHashAndNumber", (), partial(_block_hash_and_number, chain)),
        Method("starknet_getBlockTransactionCount", one, partial(_transaction_count, chain)),
        Method("starknet_getBlockWithTxHashes", one, partial(_block, chain, _hash)),
        Method("starknet_getBlockWithTxs", flagged, partial(_block, chain, _transaction)),
        Method("starknet_getBlockWithReceipts", flagged, partial(_block, chain, _with_receipt)),
        Method("starknet_getStateUpdate", update, partial(_state_update, chain)),
        Method("starknet_getStorageProof", proof, _storage_proof),
    )


def _state_methods(chain: Chain, classes: Classes) -> Sequence[Method]:
    at = (BLOCK_ID, _CONTRACT)
    slot = (_CONTRACT, Parameter("key", read_address), BLOCK_ID)
    call = (Parameter("request", _read_request), BLOCK_ID)
    named = (BLOCK_ID, _CLASS_HASH)
    return (
        Method("starknet_getNonce", at, partial(_nonce, chain)),
        Method("starknet_getClassHashAt", at, partial(_class_hash_at, chain)),
        Method("starknet_getClassAt", at, partial(_class_at, chain, classes)),
        Method("starknet_getClass", named, partial(_class, chain, classes)),
        Method("starknet_getStorageAt", slot, partial(_storage_at, chain)),
        Method("starknet_call", call, partial(_call, chain)),
    )


async def _spec_version(_: object) -> str:
    return SPECIFICATION


async def _syncing(_: object) -> bool:
    return False


async def _chain_id(_: object) -> str:
    return format_felt(CHAIN_ID)


async def _block_number(chain: Chain, _: object) -> int:
    return chain.head.header.number


async def _block_hash_and_number(chain: Chain, _: object) -> Fields:
    head = chain.head
    return {"block_hash": format_felt(head.hash), "block_number": head.header.number}


async def _transaction_count(chain: Chain, _: object, block_id: BlockId) -> int:
    block = find_block(chain, block_id)
    return 0 if block is None else len(block.transactions)


async def _block(
    chain: Chain,
    write: _Item,
    _: object,
    block_id: BlockId,
    response_flags: frozenset[str] = frozenset(),
) -> Fields:
    block = find_block(chain, block_id)
    if block is None:
        number, time_ms = chain.head.header.number + 1, chain.next_time() * MS_PER_SECOND
        pending = ClosedBlock(number, SEQUENCER, time_ms, {}, (), ())
        return {**pending_header_fields(pending), "transactions": []}
    facts = bool(response_flags)
    pairs = zip(block.transactions, block.receipts, strict=True)
    items = [write(item, receipt, facts) for item, receipt in pairs]
    head = {"status": ACCEPTED_ON_L2, **header_fields(block.header, block.hash)}
    return {**head, "transactions": items}


def _hash(_: Transaction, receipt: Receipt, __: bool) -> str:
    return format_felt(receipt.transaction_hash)


def _transaction(item: Transaction, receipt: Receipt, facts: bool) -> Fields:
    return transaction_fields(item, receipt.transaction_hash, proof_facts=facts)


def _with_receipt(item: Transaction, receipt: Receipt, facts: bool) -> Fields:
    return {
        "transaction": transaction_fields(item, None, proof_facts=facts),
        "receipt": receipt_fields(item, receipt, ACCEPTED_ON_L2),
    }


async def _state_update(
    chain: Chain, _: object, block_id: BlockId, contract_addresses: frozenset[Felt] | None
) -> Fields:
    block = find_block(chain, block_id)
    if block is None:
        return {"old_root": "0x0", "state_diff": state_diff_fields(StateDiff())}
    wanted = contract_addresses
    diff = block.diff if wanted is None else of_contracts(block.diff, wanted)
    return {
        "block_hash": format_felt(block.hash),
        "new_root": format_felt(block.header.state_root),
        "old_root": "0x0",
        "state_diff": state_diff_fields(diff),
    }


async def _storage_proof(_: object, **__: object) -> None:
    raise starknet_error(PROOF_UNSUPPORTED, "an embedded devnet keeps no tries")


async def _nonce(chain: Chain, _: object, block_id: BlockId, contract_address: Felt) -> str:
    state = state_of(chain, block_id)
    _require_class(state, contract_address)
    return format_felt(state.get((NONCE, contract_address, 0)))


async def _class_hash_at(chain: Chain, _: object, block_id: BlockId, contract_address: Felt) -> str:
    return format_felt(_require_class(state_of(chain, block_id), contract_address))


async def _class_at(
    chain: Chain, classes: Classes, _: object, block_id: BlockId, contract_address: Felt
) -> msgspec.Raw:
    return _served(classes, _require_class(state_of(chain, block_id), contract_address))


async def _class(
    chain: Chain, classes: Classes, _: object, block_id: BlockId, class_hash: Felt
) -> msgspec.Raw:
    if not state_of(chain, block_id).get((DECLARED, class_hash, 0)):
        raise starknet_error(CLASS_NOT_FOUND)
    return _served(classes, class_hash)


async def _storage_at(
    chain: Chain, _: object, contract_address: Felt, key: Felt, block_id: BlockId
) -> str:
    state = state_of(chain, block_id)
    _require_class(state, contract_address)
    return format_felt(state.get((STORAGE, contract_address, key)))


async def _call(chain: Chain, _: object, request: _Request, block_id: BlockId) -> list[str]:
    contract, entry_point, calldata = request
    block = find_block(chain, block_id) or chain.head
    state = state_of(chain, block_id)
    _require_class(state, contract)
    around = chain.around(block.header.timestamp)
    machine = TransactionMachine(Overlay(state), around, 0)
    try:
        return felts(machine.call(0, contract, entry_point, calldata))
    except Reverted as error:
        failure = machine.failure
        if failure is None or (len(failure.calls) == 1 and error.code == ENTRY_POINT_MISSING):
            raise starknet_error(ENTRY_POINT_NOT_FOUND) from None
        raise starknet_error(CONTRACT_ERROR, call_failure(failure)) from None


def _require_class(state: View, contract: Felt) -> Felt:
    class_hash = state.get((CLASS, contract, 0))
    if not class_hash:
        raise starknet_error(CONTRACT_NOT_FOUND)
    return class_hash


def _served(classes: Classes, class_hash: Felt) -> msgspec.Raw:
    fields = classes.fields(class_hash)
    if fields is None:
        raise starknet_error(CLASS_NOT_FOUND)
    return fields


def _read_request(value: object) -> _Request:
    given = read_object(value, ("contract_address", "entry_point_selector", "calldata"), ())
    entry_point = read_felt(given["entry_point_selector"])
    return read_address(given["contract_address"]), entry_point, read_felts(given["calldata"])
