"""Proofs of state: paths in the tries of classes, contracts and slots, under a block's root.

Promises
- A proof at a block verifies against that block's header, live or orphaned, as long as its nodes
  are kept; afterwards it is 42, never a proof of something else.
- What is absent is proven to be absent, an absent contract with a leaf of zeros.

Laws
- Leaves of contracts stand in the order of the request; nodes of a list stand there once.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from sequencer.api.json_rpc import PARAMS_INVALID, Method, Parameter, RpcError
from sequencer.api.starknet_rpc.errors import PROOF_UNSUPPORTED, starknet_error
from sequencer.api.starknet_rpc.resolve import hash_of, resolve_sealed
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    PRE_CONFIRMED,
    BlockId,
    read_address,
    read_list,
    read_object,
)
from sequencer.api.starknet_rpc.wire import Fields, encoded, proof_fields
from sequencer.engine.lookup import trie_reader
from sequencer.engine.service import Service
from sequencer.engine.state_reads import contract_at
from sequencer.model.api_limits import PROOF_KEYS_MAX
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord
from sequencer.model.rows import Contract
from sequencer.ports import ChainView, StateReader, StoreRefused
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.felt_hash import Hash, pedersen, poseidon
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE
from sequencer.starknet.trie import root_of
from sequencer.starknet.trie_proof import prove

_COST = 10


class _SlotsWanted(msgspec.Struct, frozen=True):
    """Slots of one contract."""

    address: Felt
    keys: Sequence[Felt]


class _Wanted(msgspec.Struct, frozen=True):
    """What is to be proven."""

    classes: Sequence[Felt]
    contracts: Sequence[Felt]
    slots: Sequence[_SlotsWanted]

    def count(self) -> int:
        """Count the keys; a contract without any is one, for its list is made all the same."""
        slots = sum(max(len(each.keys), 1) for each in self.slots)
        return len(self.classes) + len(self.contracts) + slots


def proof_methods(service: Service) -> Sequence[Method]:
    """Return the method that proves."""
    addresses = read_list(read_address)
    parameters = (
        BLOCK_ID,
        Parameter("class_hashes", addresses, ()),
        Parameter("contract_addresses", addresses, ()),
        Parameter("contracts_storage_keys", read_list(_read_slots), ()),
    )
    run = partial(_storage_proof, service)
    return [Method("starknet_getStorageProof", parameters, run, cost=_COST)]


def _read_slots(value: object) -> _SlotsWanted:
    given = read_object(value, ("contract_address", "storage_keys"), ())
    keys = read_list(read_address)(given["storage_keys"])
    return _SlotsWanted(read_address(given["contract_address"]), keys)


async def _storage_proof(
    service: Service,
    _: object,
    block_id: BlockId,
    class_hashes: Sequence[Felt],
    contract_addresses: Sequence[Felt],
    contracts_storage_keys: Sequence[_SlotsWanted],
) -> msgspec.Raw:
    if block_id.tag == PRE_CONFIRMED:
        raise RpcError(PARAMS_INVALID, data="block_id: a pre-confirmed block has no root")
    wanted = _Wanted(class_hashes, contract_addresses, contracts_storage_keys)
    if wanted.count() > PROOF_KEYS_MAX:
        raise RpcError(PARAMS_INVALID, data=f"{PROOF_KEYS_MAX} keys at most")
    with service.views.at_head() as view:
        record = resolve_sealed(service, view, block_id)
        try:
            return await service.reader.run(partial(_prove_all, view, record, wanted))
        except StoreRefused as refused:
            raise starknet_error(PROOF_UNSUPPORTED, refused.detail) from None


def _prove_all(view: ChainView, record: BlockRecord, wanted: _Wanted) -> msgspec.Raw:
    state = view.state_at(record)
    return encoded(
        {
            "classes_proof": _nodes(state, CLASSES_TRIE, wanted.classes, poseidon),
            "contracts_proof": {
                "nodes": _nodes(state, CONTRACTS_TRIE, wanted.contracts, pedersen),
                "contract_leaves_data": [_leaf(state, each) for each in wanted.contracts],
            },
            "contracts_storage_proofs": [
                _nodes(state, each.address, each.keys, pedersen) for each in wanted.slots
            ],
            "global_roots": {
                "contracts_tree_root": _root(state, CONTRACTS_TRIE, pedersen),
                "classes_tree_root": _root(state, CLASSES_TRIE, poseidon),
                "block_hash": format_felt(hash_of(record)),
            },
        }
    )


def _leaf(state: StateReader, address: Felt) -> Fields:
    contract = contract_at(state, address) or Contract(0)
    return {
        "nonce": format_felt(contract.nonce),
        "class_hash": format_felt(contract.class_hash),
        "storage_root": _root(state, address, pedersen),
    }


def _root(state: StateReader, trie: int, hash_pair: Hash) -> str:
    return format_felt(root_of(trie_reader(state, trie), TRIE_HEIGHT_MAX, hash_pair))


def _nodes(state: StateReader, trie: int, keys: Iterable[Felt], hash_pair: Hash) -> list[Fields]:
    return proof_fields(prove(trie_reader(state, trie), keys, TRIE_HEIGHT_MAX, hash_pair))
