"""The proof of an account: everything that binds its rows to a block hash, in one answer.

Promises
- `docs/perp.md` says how each part is checked; nothing beside the answer is needed for it.
"""

from collections.abc import Sequence

import msgspec

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.perp_rpc.family import search
from sequencer.api.perp_rpc.wire import Fields, decimal, index_decimal, order_fields
from sequencer.api.starknet_rpc.resolve import find_sealed, hash_of
from sequencer.api.starknet_rpc.values import (
    LATEST,
    BlockId,
    read_address,
    read_block_id,
    read_felts,
)
from sequencer.api.starknet_rpc.wire import header_fields, proof_fields
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.engine.account_proof import AccountProof, LeafRow, SlotRow, orders_at, prove_account
from sequencer.engine.account_reads import open_orders
from sequencer.engine.service import Service
from sequencer.model.api_limits import ACCOUNT_PROOF_ORDERS_MAX
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, OrderRow, Position
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt, format_felt

_ACCOUNT = Parameter("account", read_address)
_BLOCK = Parameter("block_id", read_block_id, BlockId(tag=LATEST))
_ORDER_IDS = Parameter("order_ids", read_felts, None)
_COST = 20


def proof_methods(service: Service) -> Sequence[Method]:
    """Return the method that proves an account."""

    async def proof(
        view: ChainView,
        account: Felt,
        block_id: BlockId,
        order_ids: tuple[Felt, ...] | None,
    ) -> Fields:
        block = _block_of(service, view, block_id)
        known = None
        if order_ids is None and block.block_hash == view.head.block_hash:
            # At the head the list is in memory: this very moment, for it moves on with the chain.
            count_max = ACCOUNT_PROOF_ORDERS_MAX + 1
            known = [each for each, _ in open_orders(service.latest, account, "", -1, count_max)]
        return await service.reader.run(
            lambda: _proof_fields(view, block, account, order_ids, known)
        )

    return (search(service, "accountProof", (_ACCOUNT, _BLOCK, _ORDER_IDS), proof, _COST),)


def _block_of(service: Service, view: ChainView, name: BlockId) -> BlockRecord:
    """Return the block that a client names. Refusal: BLOCK_UNKNOWN."""
    block = find_sealed(service, view, name)
    if block is None:
        raise Refused(Reason.BLOCK_UNKNOWN, "no such block, or one that is not sealed yet")
    return block


def _proof_fields(
    view: ChainView,
    block: BlockRecord,
    account: Felt,
    named: Sequence[Felt] | None,
    known: Sequence[Felt] | None,
) -> Fields:
    found, is_whole = named if named is not None else known, True
    if found is None:
        found, is_whole = orders_at(view, block, account)
    proven = found[:ACCOUNT_PROOF_ORDERS_MAX]
    if named is not None and len(named) > len(proven):
        words = f"order_ids: up to {ACCOUNT_PROOF_ORDERS_MAX} of them"
        raise Refused(Reason.PARAMETER_INVALID, words)
    proof = prove_account(view, block, account, proven)
    return {
        "account": format_felt(account),
        "orders_left_out": not is_whole or len(found) > len(proven),
        **_fields(proof, hash_of(block)),
    }


def _fields(proof: AccountProof, block_hash: Felt) -> Fields:
    roots, leaf = proof.roots, proof.exchange
    return {
        "header": header_fields(proof.header, block_hash),
        "contracts_root": format_felt(roots.contracts),
        "classes_root": format_felt(roots.classes),
        "exchange": {
            "contract_address": format_felt(EXCHANGE_ADDRESS),
            "class_hash": format_felt(leaf.class_hash),
            "storage_root": format_felt(leaf.storage_root),
            "nonce": format_felt(leaf.nonce),
        },
        "rows_root": {"slot": format_felt(ROWS_ROOT_SLOT), "value": format_felt(roots.rows)},
        "slot_rows": [_slot_row_fields(each) for each in (proof.account, *proof.positions)],
        "leaf_rows": [_leaf_row_fields(each) for each in proof.leaves],
        "contracts_proof": proof_fields(proof.contract_nodes),
        "storage_proof": proof_fields(proof.storage_nodes),
        "rows_proof": proof_fields(proof.row_nodes),
    }


def _slot_row_fields(row: SlotRow) -> Fields:
    slots = [{"slot": format_felt(slot), "value": format_felt(value)} for slot, value in row.slots]
    return {"table": row.table, "market": row.market, "row": _row_fields(row.row), "slots": slots}


def _leaf_row_fields(row: LeafRow) -> Fields:
    shown = None
    if isinstance(row.row, OrderRow) and isinstance(row.name, int):
        shown = order_fields(row.name, row.row)
    return {
        "table": row.table,
        "market": row.name if isinstance(row.name, str) else "",
        "order": shown,
        "key_bytes": "0x" + row.key.hex(),
        "row_bytes": "0x" + row.content.hex(),
        "place": hex(row.place),
        "leaf": format_felt(row.leaf),
    }


def _row_fields(row: msgspec.Struct | None) -> Fields | None:
    match row:
        case Account():
            owner = format_felt(row.owner)
            return {"cash": decimal(row.cash), "owner": owner, "isolated_market": row.market}
        case Position():
            index = index_decimal(row.index)
            return {"size": decimal(row.size), "cost": decimal(row.cost), "funding_index": index}
    return None
