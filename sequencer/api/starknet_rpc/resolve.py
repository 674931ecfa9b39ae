"""From a client's name of a block to the block, and how final it is.

Promises
- Orphaned blocks are found by their hashes; every other name is of the live chain.

Laws
- A name is resolved in the same view from which the answer is read, and nothing waits in between.
"""

from sequencer.api.starknet_rpc.errors import BLOCK_NOT_FOUND, starknet_error
from sequencer.api.starknet_rpc.values import L1_ACCEPTED, LATEST, PRE_CONFIRMED, BlockId
from sequencer.api.starknet_rpc.wire import ACCEPTED_ON_L1, ACCEPTED_ON_L2
from sequencer.engine.service import Service
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt, as_bytes


def resolve(service: Service, view: ChainView, block_id: BlockId) -> BlockRecord | None:
    """Return a block, None for the pre-confirmed one. Error: 24."""
    if block_id.tag == PRE_CONFIRMED:
        return None
    return resolve_sealed(service, view, block_id)


def resolve_sealed(service: Service, view: ChainView, block_id: BlockId) -> BlockRecord:
    """Return a block that is on the disk. Error: 24, also for the pre-confirmed one."""
    record = find_sealed(service, view, block_id)
    if record is not None:
        return record
    if block_id.hash is not None:
        raise starknet_error(BLOCK_NOT_FOUND)
    latest = f"the latest is block {view.head.height}"
    words = "no block is final yet" if block_id.tag == L1_ACCEPTED else latest
    raise starknet_error(BLOCK_NOT_FOUND, words)


def find_sealed(service: Service, view: ChainView, block_id: BlockId) -> BlockRecord | None:
    """Return a block that is on the disk, None where there is none of that name."""
    if block_id.hash is not None:
        return view.block_by_hash(as_bytes(block_id.hash))
    if block_id.tag == L1_ACCEPTED:
        return view.block(service.finalized_height())
    return view.block(view.head.height if block_id.tag == LATEST else block_id.height)


def finality_of(service: Service, view: ChainView, record: BlockRecord) -> str:
    """Say how final a block is. An orphaned one was accepted here, and no status says more."""
    final = record.height <= service.finalized_height() and not view.orphaned_by(record)
    return ACCEPTED_ON_L1 if final else ACCEPTED_ON_L2


def hash_of(record: BlockRecord) -> Felt:
    """Return a block's hash."""
    return int.from_bytes(record.block_hash, "big")
