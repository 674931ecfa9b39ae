"""What a withdrawal is claimed with: the path from a state root to the slot that stands for it.

Promises
- `ordered_path` takes nothing that a node claims: every trie node is filed under the hash that it
  really has, so one that was changed is not found where its parent points to.
- `require_proof` refuses what the contract would refuse, by the same names, before it costs a fee.

Laws
- A proof is two paths of exactly 251 bits, nodes from the root down: from the storage root of the
  exchange to the slot withdrawals[id], and from the contracts root to the exchange.
- The slot holds Poseidon(id, recipient, amount), the amount in 1e-6 of the token.
"""

from collections.abc import Iterable, Sequence

import msgspec

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen, poseidon_array
from sequencer.starknet.names import storage_address
from sequencer.starknet.state import ContractLeaf, contract_leaf_hash, state_root
from sequencer.starknet.trie_node import Binary, Edge, Node, node_hash
from sequencer.starknet.version import STATE_ROOT_ALWAYS_COMBINED

_BINARY, _EDGE = 0, 1


class WithdrawalProof(msgspec.Struct, frozen=True):
    """The contract's argument: the exchange's leaf but for its storage root, and both paths."""

    classes_root: Felt
    class_hash: Felt
    nonce: Felt
    contract_nodes: tuple[Node, ...]
    storage_nodes: tuple[Node, ...]


class Claim(msgspec.Struct, frozen=True):
    """A withdrawal with its proof under the root of a block; the amount in 1e-6 of the token.

    `contract` is the settlement contract that pays it, `exchange` the contract of the appchain
    that owes it.
    """

    contract: Felt
    exchange: Felt
    chain_id: Felt
    height: int
    state_root: Felt
    withdrawal_id: Felt
    recipient: Felt
    amount: int
    proof: WithdrawalProof


def withdrawal_slot(withdrawal_id: Felt) -> Felt:
    """Return the address of the slot that stands for a withdrawal."""
    return storage_address("withdrawals", withdrawal_id)


def ordered_path(root: Felt, key: int, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Pick the nodes from a root down to a key out of those that were given in any order.

    Refusals: PROOF_EMPTY for a root of nothing; PROOF_NODE where one is missing or malformed;
    PROOF_LENGTH for an edge past the leaf; PROOF_ABSENT where the key is not in the trie.
    """
    if root == 0:
        raise Refused(Reason.PROOF_EMPTY, "there is nothing under the root")
    filed = {node_hash(node, pedersen): node for node in nodes}
    path: list[Node] = []
    expected, rest = root, TRIE_HEIGHT_MAX
    while rest > 0:
        node = filed.get(expected)
        if node is None:
            raise Refused(Reason.PROOF_NODE, f"no node hashes to {expected:#x}")
        path.append(node)
        expected, rest = _step(node, key, rest)
    return tuple(path)


def require_proof(claim: Claim) -> None:
    """Check a claim against the root that it names.

    Refusals: PROOF_EMPTY, PROOF_NODE, PROOF_LENGTH, PROOF_ABSENT, PROOF_VALUE, ROOT_DIFFERS.
    """
    proof = claim.proof
    slot = withdrawal_slot(claim.withdrawal_id)
    storage_root, value = _walked(proof.storage_nodes, slot)
    owed = poseidon_array((claim.withdrawal_id, claim.recipient, claim.amount))
    if value != owed:
        words = "the slot stands for another recipient or amount"
        raise Refused(Reason.PROOF_VALUE, words)
    contracts_root, leaf = _walked(proof.contract_nodes, claim.exchange)
    if leaf != contract_leaf_hash(ContractLeaf(proof.class_hash, storage_root, proof.nonce)):
        raise Refused(Reason.PROOF_VALUE, "the exchange has another class, nonce or storage")
    root = state_root(contracts_root, proof.classes_root, STATE_ROOT_ALWAYS_COMBINED)
    if root != claim.state_root:
        words = f"the proof leads to the root {root:#x}, block {claim.height} has another"
        raise Refused(Reason.ROOT_DIFFERS, words)


def proof_calldata(proof: WithdrawalProof) -> Sequence[Felt]:
    """Return a proof as the contract reads it."""
    felts = [proof.classes_root, proof.class_hash, proof.nonce]
    for nodes in (proof.contract_nodes, proof.storage_nodes):
        felts.append(len(nodes))
        for node in nodes:
            felts += _node_felts(node)
    return felts


def _node_felts(node: Node) -> tuple[Felt, ...]:
    if isinstance(node, Binary):
        return (_BINARY, node.left, node.right)
    return (_EDGE, node.path, node.length, node.child)


def _walked(nodes: Sequence[Node], key: int) -> tuple[Felt, Felt]:
    """Walk ordered nodes; returns the hash of the first one and the leaf below the last."""
    if not nodes:
        raise Refused(Reason.PROOF_EMPTY, "a path has no node")
    root = expected = node_hash(nodes[0], pedersen)
    rest = TRIE_HEIGHT_MAX
    for node in nodes:
        if rest == 0:
            raise Refused(Reason.PROOF_LENGTH, f"a path goes on after {TRIE_HEIGHT_MAX} bits")
        if node_hash(node, pedersen) != expected:
            raise Refused(Reason.PROOF_NODE, f"a node does not hash to {expected:#x}")
        expected, rest = _step(node, key, rest)
    if rest:
        words = f"a path ends {rest} bits before the leaf"
        raise Refused(Reason.PROOF_LENGTH, words)
    return root, expected


def _step(node: Node, key: int, rest: int) -> tuple[Felt, int]:
    """Go one node down, with `rest` bits of the key left; returns what comes next."""
    if isinstance(node, Binary):
        rest -= 1
        return node.right if key >> rest & 1 else node.left, rest
    _require_sound(node)
    if node.length > rest:
        words = f"an edge of {node.length} bits, where {rest} are left"
        raise Refused(Reason.PROOF_LENGTH, words)
    rest -= node.length
    if key >> rest & ((1 << node.length) - 1) != node.path:
        raise Refused(Reason.PROOF_ABSENT, f"the trie has nothing at {key:#x}")
    return node.child, rest


def _require_sound(edge: Edge) -> None:
    if not 0 < edge.length <= TRIE_HEIGHT_MAX or not 0 <= edge.path < 1 << edge.length:
        raise Refused(Reason.PROOF_NODE, f"an edge of {edge.length} bits with path {edge.path:#x}")
