"""Transactions: where they are, what became of them, and how final that is.

Promises
- A transaction is found from admission on: received, pre-confirmed, in a block, final.
- Transactions of orphaned blocks are not found by hash, for they are in no chain any more; their
  blocks still show them.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.errors import INDEX_INVALID, TRANSACTION_NOT_FOUND, starknet_error
from sequencer.api.starknet_rpc.resolve import finality_of, hash_of, resolve
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    INCLUDE_PROOF_FACTS,
    NUMBER_MAX,
    TRANSACTION_FLAGS,
    BlockId,
    read_felt,
    read_integer,
    read_l1_hash,
)
from sequencer.api.starknet_rpc.wire import (
    PRE_CONFIRMED_STATUS,
    RECEIVED,
    Fields,
    execution_fields,
    receipt_fields,
    transaction_fields,
)
from sequencer.engine.lookup import find_place
from sequencer.engine.service import Service
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.transactions import DeclareV3, DeployAccountV3, InvokeV3, Transaction


class _Found(msgspec.Struct, frozen=True):
    """A transaction with what is known of it.

    `receipt` is None while it is received only; `block_hash` until its block is on the disk.
    """

    transaction: Transaction
    finality: str
    receipt: Receipt | None = None
    height: int = -1
    block_hash: Felt | None = None


def transaction_methods(service: Service) -> Sequence[Method]:
    """Return the methods about transactions."""
    one = (Parameter("transaction_hash", read_felt),)
    flagged = (*one, TRANSACTION_FLAGS)
    placed = (BLOCK_ID, Parameter("index", read_integer(0, NUMBER_MAX)), TRANSACTION_FLAGS)
    of_l1 = (Parameter("transaction_hash", read_l1_hash),)
    return [
        Method("starknet_getTransactionStatus", one, partial(_status, service)),
        Method("starknet_getTransactionReceipt", one, partial(_receipt, service)),
        Method("starknet_getTransactionByHash", flagged, partial(_by_hash, service)),
        Method("starknet_getTransactionByBlockIdAndIndex", placed, partial(_by_index, service)),
        Method("starknet_getMessagesStatus", of_l1, _messages_status),
    ]


async def _find(service: Service, hash_: Felt) -> _Found:
    """Look a transaction up, the most final place first. Error: 29."""
    with service.views.at_head() as view:
        place = find_place(view, hash_)
        if place is None:
            return _find_pending(service, hash_)
        record = place.block
        finality = finality_of(service, view, record)
        block = await service.block(view, record)
    item, receipt = block.transactions[place.index], block.receipts[place.index]
    return _Found(item, finality, receipt, record.height, hash_of(record))


def _find_pending(service: Service, hash_: Felt) -> _Found:
    for closed in service.pending():
        for item, receipt in zip(closed.transactions, closed.receipts, strict=True):
            if receipt.transaction_hash == hash_:
                return _Found(item, PRE_CONFIRMED_STATUS, receipt, closed.number)
    waiting = service.admission.find(hash_)
    if waiting is not None and isinstance(waiting.payload, InvokeV3 | DeclareV3 | DeployAccountV3):
        return _Found(waiting.payload, RECEIVED)
    raise starknet_error(TRANSACTION_NOT_FOUND)


async def _status(service: Service, _: object, transaction_hash: Felt) -> Fields:
    found = await _find(service, transaction_hash)
    fields: Fields = {"finality_status": found.finality}
    if found.receipt is not None:
        fields |= execution_fields(found.receipt, "failure_reason")
    return fields


async def _receipt(service: Service, _: object, transaction_hash: Felt) -> Fields:
    found = await _find(service, transaction_hash)
    if found.receipt is None:
        raise starknet_error(TRANSACTION_NOT_FOUND)
    fields = receipt_fields(found.transaction, found.receipt, found.finality)
    fields["block_number"] = found.height
    if found.block_hash is not None:
        fields["block_hash"] = format_felt(found.block_hash)
    return fields


async def _by_hash(
    service: Service, _: object, transaction_hash: Felt, response_flags: frozenset[str]
) -> Fields:
    found = await _find(service, transaction_hash)
    facts = INCLUDE_PROOF_FACTS in response_flags
    return transaction_fields(found.transaction, transaction_hash, proof_facts=facts)


async def _by_index(
    service: Service, _: object, block_id: BlockId, index: int, response_flags: frozenset[str]
) -> Fields:
    with service.views.at_head() as view:
        record = resolve(service, view, block_id)
        block = service.pending()[0] if record is None else await service.block(view, record)
    if index >= len(block.transactions):
        raise starknet_error(INDEX_INVALID)
    facts = INCLUDE_PROOF_FACTS in response_flags
    hash_ = block.receipts[index].transaction_hash
    return transaction_fields(block.transactions[index], hash_, proof_facts=facts)


async def _messages_status(_: object, transaction_hash: int) -> Fields:
    # Messages are known by their own hashes: that of the transaction over there is told to nobody.
    raise starknet_error(TRANSACTION_NOT_FOUND, f"no messages of {transaction_hash:#x}")
