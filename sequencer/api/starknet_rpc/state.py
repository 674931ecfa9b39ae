"""State: nonces, class hashes and slots, at the open block, the head or any block before.

Promises
- Pre-confirmed reads see the newest state: nonces count what waits, slots what nobody sealed yet.
- At an older block a fact is read by itself: no state is loaded for it.

Laws
- The value of a slot is the one that a proof at the same block binds to it.
"""

from collections.abc import Sequence
from functools import partial

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.errors import CONTRACT_NOT_FOUND, starknet_error
from sequencer.api.starknet_rpc.resolve import resolve
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    PRE_CONFIRMED,
    BlockId,
    read_address,
    read_flags,
)
from sequencer.api.starknet_rpc.wire import Fields
from sequencer.chain.block import ClosedBlock
from sequencer.chain.commitment import split_changes
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.engine.overlay import pending_diff
from sequencer.engine.service import Service
from sequencer.engine.state_reads import contract_at, last_change, slot_at
from sequencer.model.records import BlockRecord
from sequencer.model.rows import Contract
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt, format_felt

CONTRACT_ADDRESS = Parameter("contract_address", read_address)

_COST = 2
_LAST_UPDATE = "INCLUDE_LAST_UPDATE_BLOCK"
_STORAGE_FLAGS = Parameter("response_flags", read_flags(_LAST_UPDATE), frozenset())


def state_methods(service: Service) -> Sequence[Method]:
    """Return the methods about contracts' state."""
    at = (BLOCK_ID, CONTRACT_ADDRESS)
    slot = (CONTRACT_ADDRESS, Parameter("key", read_address), BLOCK_ID, _STORAGE_FLAGS)
    return [
        Method("starknet_getNonce", at, partial(_nonce, service)),
        Method("starknet_getClassHashAt", at, partial(_class_hash_at, service)),
        Method("starknet_getStorageAt", slot, partial(_storage_at, service), cost=_COST),
    ]


def require_contract(service: Service, block_id: BlockId, address: Felt) -> Contract:
    """Return a contract as it is at a block. Errors: 20, 24."""
    view = service.views.view
    return _contract(service, view, resolve(service, view, block_id), address)


def _contract(
    service: Service, view: ChainView, record: BlockRecord | None, address: Felt
) -> Contract:
    if record is None:
        contract = service.newest.contracts.get(address)
    elif record.sequence == view.head.block_sequence:
        contract = service.latest.contracts.get(address)
    else:
        contract = contract_at(view.state_at(record), address)
    if contract is None:
        raise starknet_error(CONTRACT_NOT_FOUND)
    return contract


async def _nonce(service: Service, _: object, block_id: BlockId, contract_address: Felt) -> str:
    if block_id.tag == PRE_CONFIRMED:
        nonce = service.admission.next_nonce(contract_address)
        if nonce:
            return format_felt(nonce)
    return format_felt(require_contract(service, block_id, contract_address).nonce)


async def _class_hash_at(
    service: Service, _: object, block_id: BlockId, contract_address: Felt
) -> str:
    return format_felt(require_contract(service, block_id, contract_address).class_hash)


async def _storage_at(
    service: Service,
    _: object,
    contract_address: Felt,
    key: Felt,
    block_id: BlockId,
    response_flags: frozenset[str],
) -> Fields | str:
    flagged = _LAST_UPDATE in response_flags
    with service.views.at_head() as view:
        record = resolve(service, view, block_id)
        _contract(service, view, record, contract_address)
        if record is None:
            pending = service.pending()
            read = partial(_newest_slot, view, pending, contract_address, key, flagged)
            value, height = await service.reader.run(read)
        elif flagged:
            read = partial(_slot, view, record, contract_address, key)
            value, height = await service.reader.run(read)
        else:
            return format_felt(slot_at(view.state_at(record), contract_address, key))
    if not flagged:
        return format_felt(value)
    return {"value": format_felt(value), "last_update_block": height}


def _newest_slot(
    view: ChainView, pending: Sequence[ClosedBlock], address: Felt, key: Felt, flagged: bool
) -> tuple[Felt, int]:
    """Return a slot under the blocks above the head, and the height that changed it last."""
    if key == ROWS_ROOT_SLOT:
        diffs = pending_diff(view, pending)
    else:
        # Only that one slot needs the trie of rows to be worked out.
        diffs = [split_changes(closed.net)[0] for closed in pending]
    for closed, diff in reversed([*zip(pending, diffs, strict=True)]):
        value = diff.storage.get(address, {}).get(key)
        if value is not None:
            return value, closed.number
    record = view.block(view.head.height)
    if not flagged or record is None:
        return slot_at(view.state(), address, key), 0
    return _slot(view, record, address, key)


def _slot(view: ChainView, record: BlockRecord, address: Felt, key: Felt) -> tuple[Felt, int]:
    value = slot_at(view.state_at(record), address, key)
    return value, last_change(view, record, address, key)
