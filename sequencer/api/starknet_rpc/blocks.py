"""Blocks and what they changed: the head, headers with their transactions, state updates.

Promises
- Orphaned blocks are served by hash for ever, with what they changed.
- The pre-confirmed block is the one after the latest: the one being sealed, if there is one.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.diff_parts import of_contracts
from sequencer.api.starknet_rpc.errors import NO_BLOCKS, starknet_error
from sequencer.api.starknet_rpc.resolve import finality_of, hash_of, resolve
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    INCLUDE_PROOF_FACTS,
    TRANSACTION_FLAGS,
    BlockId,
    read_addresses,
)
from sequencer.api.starknet_rpc.wire import (
    PRE_CONFIRMED_STATUS,
    SPECIFICATION,
    Fields,
    encoded,
    header_fields,
    pending_header_fields,
    receipt_fields,
    state_diff_fields,
    transaction_fields,
)
from sequencer.chain.stored import decode_header
from sequencer.engine.overlay import pending_diff
from sequencer.engine.service import Service
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, format_felt, format_hash
from sequencer.starknet.transactions import Transaction

_COST = 5

_Item = Callable[[Transaction, Receipt, str], Any]
"""Writes one entry of a block's list, given how final the block is."""


def block_methods(service: Service) -> Sequence[Method]:
    """Return the methods about blocks."""
    one, flagged = (BLOCK_ID,), (BLOCK_ID, TRANSACTION_FLAGS)
    update = (BLOCK_ID, Parameter("contract_addresses", read_addresses, None))
    return [
        Method("starknet_specVersion", (), _spec_version),
        Method("starknet_syncing", (), _syncing),
        Method("starknet_chainId", (), partial(_chain_id, service)),
        Method("starknet_blockNumber", (), partial(_block_number, service)),
        Method("starknet_blockHashAndNumber", (), partial(_block_hash_and_number, service)),
        Method("starknet_getBlockTransactionCount", one, partial(_transaction_count, service)),
        _whole("starknet_getBlockWithTxHashes", one, partial(_with_hashes, service)),
        _whole("starknet_getBlockWithTxs", flagged, partial(_with_transactions, service)),
        _whole("starknet_getBlockWithReceipts", flagged, partial(_with_receipts, service)),
        _whole("starknet_getStateUpdate", update, partial(_state_update, service)),
    ]


def _whole(
    name: str, parameters: Sequence[Parameter], run: Callable[..., Awaitable[msgspec.Raw]]
) -> Method:
    return Method(name, parameters, run, cost=_COST)


async def _spec_version(_: object) -> str:
    return SPECIFICATION


async def _syncing(_: object) -> bool:
    return False


async def _chain_id(service: Service, _: object) -> str:
    return format_felt(service.latest.system.chain_id)


async def _block_number(service: Service, _: object) -> int:
    height = service.views.view.head.height
    if height < 0:
        raise starknet_error(NO_BLOCKS)
    return height


async def _block_hash_and_number(service: Service, caller: object) -> Fields:
    height = await _block_number(service, caller)
    return {
        "block_hash": format_hash(service.views.view.head.block_hash),
        "block_number": height,
    }


async def _with_hashes(service: Service, _: object, block_id: BlockId) -> msgspec.Raw:
    return await _block(service, block_id, lambda _, receipt, __: _hash(receipt))


async def _with_transactions(
    service: Service, _: object, block_id: BlockId, response_flags: frozenset[str]
) -> msgspec.Raw:
    facts = INCLUDE_PROOF_FACTS in response_flags
    return await _block(
        service,
        block_id,
        lambda item, receipt, _: transaction_fields(
            item, receipt.transaction_hash, proof_facts=facts
        ),
    )


async def _with_receipts(
    service: Service, _: object, block_id: BlockId, response_flags: frozenset[str]
) -> msgspec.Raw:
    facts = INCLUDE_PROOF_FACTS in response_flags
    return await _block(
        service,
        block_id,
        lambda item, receipt, finality: {
            "transaction": transaction_fields(item, None, proof_facts=facts),
            "receipt": receipt_fields(item, receipt, finality),
        },
    )


def _hash(receipt: Receipt) -> str:
    return format_felt(receipt.transaction_hash)


async def _block(service: Service, block_id: BlockId, write: _Item) -> msgspec.Raw:
    """Write a block in the reader's thread: one may hold thousands of felts."""
    with service.views.at_head() as view:
        record = resolve(service, view, block_id)
        if record is None:
            closed = service.pending()[0]
            finality, head = PRE_CONFIRMED_STATUS, pending_header_fields(closed)
            transactions, receipts = closed.transactions, closed.receipts
        else:
            finality = finality_of(service, view, record)
            block = await service.block(view, record)
            head = {"status": finality, **header_fields(block.header, block.hash)}
            transactions, receipts = block.transactions, block.receipts

    def encode() -> msgspec.Raw:
        pairs = zip(transactions, receipts, strict=True)
        items = [write(item, receipt, finality) for item, receipt in pairs]
        return encoded({**head, "transactions": items})

    return await service.reader.run(encode)


async def _transaction_count(service: Service, _: object, block_id: BlockId) -> int:
    view = service.views.view
    record = resolve(service, view, block_id)
    if record is None:
        return len(service.pending()[0].transactions)
    return decode_header(record.header).commitments.transaction_count


async def _state_update(
    service: Service, _: object, block_id: BlockId, contract_addresses: frozenset[Felt] | None
) -> msgspec.Raw:
    with service.views.at_head() as view:
        record = resolve(service, view, block_id)
        if record is None:
            pending = service.pending()[:1]
            head = {"old_root": format_hash(view.head.state_root)}
            (diff,) = await service.reader.run(partial(pending_diff, view, pending))
        else:
            head = {
                "block_hash": format_felt(hash_of(record)),
                "new_root": format_hash(record.state_root),
                "old_root": _root_before(view, record),
            }
            diff = (await service.block(view, record)).diff

    def encode() -> msgspec.Raw:
        wanted = diff if contract_addresses is None else of_contracts(diff, contract_addresses)
        return encoded({**head, "state_diff": state_diff_fields(wanted)})

    return await service.reader.run(encode)


def _root_before(view: ChainView, record: BlockRecord) -> str:
    if record.height == 0:
        return "0x0"
    parent = view.block_at(record.height - 1, record.parent_sequence)
    return "0x0" if parent is None else format_hash(parent.state_root)
