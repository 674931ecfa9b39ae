"""Storage proofs of the appchain: from one slot of one contract up to the state root.

Laws
- Binary node: H(left, right); edge: H(child, path) + length; H is Pedersen.
- Every node hashes to what names it, from the root down, and the path has exactly 251 bits.
- Only presence is proven: an edge that parts from the key is a refusal.
"""

from collections.abc import Sequence
from typing import assert_never

from contracts.settlement_types import BinaryNode, EdgeNode, ProofNode, WithdrawalProof
from contracts.twin import require
from sequencer.starknet.felt import FELT_PRIME, Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen, poseidon_array

_HEIGHT = 251
_STATE_VERSION = encode_short_string("STARKNET_STATE_V0")


def state_root(proof: WithdrawalProof, contract: Felt, slot: Felt, leaf: Felt) -> Felt:
    """Return the state root that a proof leads to, if it proves a leaf at a contract's slot.

    Refusals: PROOF_EMPTY, PROOF_NODE, PROOF_LENGTH, PROOF_ABSENT, PROOF_VALUE.
    """
    storage_root = _trie_root(proof.storage_nodes, slot, leaf)
    contract_leaf = pedersen(pedersen(pedersen(proof.class_hash, storage_root), proof.nonce), 0)
    contracts_root = _trie_root(proof.contract_nodes, contract, contract_leaf)
    return poseidon_array((_STATE_VERSION, contracts_root, proof.classes_root))


def _trie_root(nodes: Sequence[ProofNode], key: Felt, leaf: Felt) -> Felt:
    require(len(nodes) > 0, "PROOF_EMPTY")
    root = expected = _node_hash(nodes[0])
    rest = _HEIGHT
    for node in nodes:
        require(rest != 0, "PROOF_LENGTH")
        require(_node_hash(node) == expected, "PROOF_NODE")
        match node:
            case BinaryNode():
                rest -= 1
                expected, key = _branch(node, key, 1 << rest)
            case EdgeNode():
                _require_sound(node)
                require(node.length <= rest, "PROOF_LENGTH")
                rest -= node.length
                expected, key = node.child, _along(node, key, 1 << rest)
            case _ as unreachable:
                assert_never(unreachable)
    require(rest == 0, "PROOF_LENGTH")
    require(expected == leaf, "PROOF_VALUE")
    return root


def _branch(node: BinaryNode, key: int, half: int) -> tuple[Felt, int]:
    """Return the child on a key's side, and what is left of the key."""
    return (node.left, key) if key < half else (node.right, key - half)


def _along(node: EdgeNode, key: int, span: int) -> int:
    """Return what is left of a key beyond an edge that it follows."""
    first = node.path * span
    require(first <= key < first + span, "PROOF_ABSENT")
    return key - first


def _require_sound(node: EdgeNode) -> None:
    require(0 < node.length <= _HEIGHT, "PROOF_NODE")
    require(node.path < 1 << node.length, "PROOF_NODE")


def _node_hash(node: ProofNode) -> Felt:
    match node:
        case BinaryNode():
            return pedersen(node.left, node.right)
        case EdgeNode():
            return (pedersen(node.child, node.path) + node.length) % FELT_PRIME
        case _ as unreachable:
            assert_never(unreachable)
