"""The errors of the `perp_*` methods: one number, and the stable code in `data.code`.

Promises
- Every error says which head it was decided at: height, block hash, epoch. A refusal of the chain
  itself names the transaction and the block that record it instead.
- Whoever believes in an older epoch learns of every reorg since, up to a named number.

Laws
- Codes are those of `model/refusals.py`, those of `ports.py` where the store says no, and
  EPOCH_CONFLICT. None changes its meaning.
"""

from collections.abc import Sequence
from typing import Any

from sequencer.api.json_rpc import RpcError
from sequencer.api.perp_rpc.wire import head_fields, place_fields, reorg_fields
from sequencer.engine.items import Applied
from sequencer.engine.reorgs import Reorg
from sequencer.model.records import Head
from sequencer.model.refusals import Refused
from sequencer.ports import StoreError
from sequencer.starknet.felt import as_bytes, format_felt

PERP_REFUSED = -32_000
"""The number of every error of these methods that is not one of JSON-RPC itself."""

EPOCH_CONFLICT = "EPOCH_CONFLICT"
"""The code for a request, or a cursor, of an epoch that is over."""


def refused_error(head: Head, refused: Refused) -> RpcError:
    """Return what a refusal becomes that no block records."""
    return _error(refused.reason.value, refused.detail, head_fields(head))


def store_error(head: Head, error: StoreError) -> RpcError:
    """Return what it becomes that the store has no such state, or cannot be read."""
    return _error(error.problem.value, error.detail, head_fields(head))


def recorded_error(applied: Applied, **names: str) -> RpcError:
    """Return what a refusal becomes that a block records. `names` say whose it is."""
    place = place_fields(applied.height, as_bytes(applied.block_hash), applied.epoch)
    recorded = {"transaction_hash": format_felt(applied.receipt.transaction_hash), **names}
    words = applied.receipt.revert_reason or f"refused by the chain: {applied.refusal}"
    return _error(applied.refusal, words, {**place, **recorded})


def conflict_error(head: Head, named: int, since: Sequence[Reorg]) -> RpcError:
    """Return what a stale epoch becomes. `since` are the reorgs behind it."""
    words = f"the epoch is {head.epoch}, not {named}"
    reorgs = [reorg_fields(each) for each in since]
    return _error(EPOCH_CONFLICT, words, {**head_fields(head), "reorgs": reorgs})


def _error(code: str, words: str, data: dict[str, Any]) -> RpcError:
    return RpcError(PERP_REFUSED, words or code, {"code": code, **data})
