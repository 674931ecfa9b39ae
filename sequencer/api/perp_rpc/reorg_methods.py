"""What operators did to the chain, and what became of a transaction or an order by it."""

from collections.abc import Sequence

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.perp_rpc.family import search
from sequencer.api.perp_rpc.wire import (
    Fields,
    block_fields,
    order_fields,
    outcome_fields,
    reorg_fields,
)
from sequencer.api.starknet_rpc.values import NUMBER_MAX, read_felt, read_integer
from sequencer.chain.block import Block
from sequencer.engine.outcomes import mentions, outcome_of
from sequencer.engine.reorgs import Fate, Standing, fate_of, list_reorgs
from sequencer.engine.service import Service
from sequencer.model.api_limits import PERP_REORGS_MAX
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt, format_felt

_LIMIT = Parameter("limit", read_integer(1, PERP_REORGS_MAX), PERP_REORGS_MAX)
_CURSOR = Parameter("cursor", read_integer(0, NUMBER_MAX), 0)
_HASH = Parameter("hash", read_felt)
_COST = 5


def reorg_methods(service: Service) -> Sequence[Method]:
    """Return the methods that tell of rollbacks and undos."""

    async def reorgs(view: ChainView, cursor: int, limit: int) -> Fields:
        found = await service.reader.run(lambda: list_reorgs(view, cursor, limit))
        following = found[-1].number if found else cursor
        return {"reorgs": [reorg_fields(each) for each in found], "cursor": following}

    async def orphaned(view: ChainView, hash: Felt) -> Fields:
        waits, row = service.admission.find(hash) is not None, service.latest.orders.get(hash)
        fate = await service.reader.run(lambda: fate_of(view, hash))
        if fate.standing is Standing.UNKNOWN and (waits or row is not None):
            # An open order outlives the mark that says which block took it.
            fate = Fate(Standing.WAITING if row is None else Standing.APPLIED)
        told = {"hash": format_felt(hash), **_fate_fields(fate)}
        if row is not None:
            told |= {"kind": "ORDER", "open_order": order_fields(hash, row)}
        if fate.block is not None:
            told |= _found_in(await service.block(view, fate.block), hash)
        return told

    return (
        search(service, "reorgs", (_CURSOR, _LIMIT), reorgs, _COST),
        search(service, "orphaned", (_HASH,), orphaned, _COST),
    )


def _fate_fields(fate: Fate) -> Fields:
    undone_by = fate.reorgs[-1] if fate.standing is Standing.UNDONE else None
    return {
        "status": fate.standing.value,
        "kind": None,
        "applied_in": None if fate.block is None else block_fields(fate.block),
        "undone_by": 0 if undone_by is None else undone_by.reorg_id,
        "reason": "" if undone_by is None else undone_by.details.reason,
        "reorgs": [reorg_fields(each) for each in fate.reorgs],
        "transaction": None,
        "order": None,
        "open_order": None,
    }


def _found_in(block: Block, hash_: Felt) -> Fields:
    """Say what a hash is in its block: a transaction, or an order that a transaction carried."""
    for index, receipt in enumerate(block.receipts):
        if receipt.transaction_hash == hash_:
            found = _transaction_fields(receipt.transaction_hash, index, receipt.revert_reason)
            return {"kind": "TRANSACTION", "transaction": found}
    for index, receipt in enumerate(block.receipts):
        if mentions(receipt, hash_):
            found = _transaction_fields(receipt.transaction_hash, index, receipt.revert_reason)
            order = outcome_fields(outcome_of(receipt, hash_))
            return {"kind": "ORDER", "transaction": found, "order": order}
    return {}


def _transaction_fields(hash_: Felt, index: int, revert_reason: str | None) -> Fields:
    return {
        "transaction_hash": format_felt(hash_),
        "transaction_index": index,
        "revert_reason": revert_reason,
    }
