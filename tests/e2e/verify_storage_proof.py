"""Storage proofs of starknet-py's client, verified down to the block hash.

Nothing is taken from what makes them: the hashes are those of other libraries, and the way down a
trie is that of the tests' independent reader.
"""

from collections.abc import Mapping
from typing import Any

from poseidon_py.poseidon_hash import poseidon_hash_many  # type: ignore[import-untyped]
from starknet_py.cairo.felt import encode_shortstring
from starknet_py.hash.utils import pedersen_hash
from starknet_py.net.client_models import (
    BinaryNode,
    ContractLeafData,
    EdgeNode,
    NodeHashToNodeMappingItem,
    StarknetBlock,
    StorageProofResponse,
)
from starknet_py.net.schemas.rpc.block import BlockHeaderSchema

from tests.unit.api.perp_rpc.proof_reader import block_hash, require, walk

HEIGHT = 251


def proven_slots(
    proof: StorageProofResponse,
    block: StarknetBlock,
    contracts: list[int],
    slots: Mapping[int, list[int]],
) -> dict[tuple[int, int], int]:
    """Return the values that a proof binds to a block's hash, by (contract, slot).

    `contracts` and `slots` are what was asked for. Raises Unproven.
    """
    require_root(proof, block)
    leaves = dict(zip(contracts, proof.contracts_proof.contract_leaves_data, strict=True))
    root, nodes = proof.global_roots.contracts_tree_root, nodes_of(proof.contracts_proof.nodes)
    for address, leaf in leaves.items():
        found = walk(root, address, nodes, HEIGHT, pedersen_hash)
        require(found == hash_of(leaf), "the leaf of a contract")
    values = {}
    for (address, keys), listed in zip(slots.items(), proof.contracts_storage_proofs, strict=True):
        storage_root, below = leaves[address].storage_root or 0, nodes_of(listed)
        for key in keys:
            values[address, key] = walk(storage_root, key, below, HEIGHT, pedersen_hash)
    return values


def require_root(proof: StorageProofResponse, block: StarknetBlock) -> None:
    """Bind the roots of a proof to its block, and the block to its hash."""
    roots = proof.global_roots
    tree_roots = (roots.contracts_tree_root, roots.classes_tree_root)
    state_root = poseidon_hash_many([encode_shortstring("STARKNET_STATE_V0"), *tree_roots])
    require(state_root == block.new_root, "the state root")
    require(roots.block_hash == block.block_hash, "the block of the proof")
    require(block_hash(header_of(block)) == block.block_hash, "the block hash")


def header_of(block: StarknetBlock) -> Mapping[str, Any]:
    """Return a block as it was on the wire."""
    header: Mapping[str, Any] = BlockHeaderSchema().dump(block)
    return header


def hash_of(leaf: ContractLeafData) -> int:
    if not (leaf.class_hash or leaf.nonce or leaf.storage_root):
        return 0
    inner = pedersen_hash(leaf.class_hash, leaf.storage_root or 0)
    return pedersen_hash(pedersen_hash(inner, leaf.nonce), 0)


def nodes_of(listed: list[NodeHashToNodeMappingItem]) -> dict[int, dict[str, Any]]:
    return {item.node_hash: node_of(item.node) for item in listed}


def node_of(node: BinaryNode | EdgeNode) -> dict[str, Any]:
    if isinstance(node, BinaryNode):
        return {"left": hex(node.left), "right": hex(node.right)}
    return {"path": hex(node.path), "length": node.length, "child": hex(node.child)}
