"""Membership and non-membership proofs of a Patricia trie.

Promises
- A proof is the set of nodes on the paths of its keys, each with its hash; leaves are not nodes.
- `proven_value` believes nothing but the root: every node it steps on is hashed again.
- 0 is an answer: the key is proven to be absent.
"""

from collections.abc import Iterable, Mapping

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt, is_felt
from sequencer.starknet.felt_hash import Hash
from sequencer.starknet.trie import Reader, require_key, root_of
from sequencer.starknet.trie_node import Binary, Edge, Node, decode_node, node_hash


def prove(read: Reader, keys: Iterable[int], height: int, hash_pair: Hash) -> dict[Felt, Node]:
    """Collect the nodes that prove each key's value or absence, without duplicates, root first.

    Refusals: TRIE_KEY_OUT_OF_RANGE; ROW_MALFORMED for bytes that are no node.
    """
    proof: dict[Felt, Node] = {}
    root = root_of(read, height, hash_pair)
    for key in keys:
        require_key(key, height)
        depth, expected = 0, root
        while depth < height and (data := read((depth, key >> (height - depth)))) is not None:
            # A node's hash stands in its parent: only the root's has to be worked out.
            node = proof.setdefault(expected, decode_node(data))
            if isinstance(node, Binary):
                depth += 1
                expected = node.right if key >> (height - depth) & 1 else node.left
            elif _follows(node, key, height - depth):
                depth, expected = depth + node.length, node.child
            else:
                break
    return proof


def proven_value(
    root: Felt, key: int, proof: Mapping[Felt, Node], height: int, hash_pair: Hash
) -> Felt:
    """Return the value that a proof binds to a key under a root; 0 where it proves absence.

    Refusals: TRIE_KEY_OUT_OF_RANGE; PROOF_INVALID for a missing, changed or malformed node.
    """
    require_key(key, height)
    expected, rest = root, height
    while rest > 0 and expected != 0:
        node = proof.get(expected)
        if node is None:
            raise Refused(Reason.PROOF_INVALID, f"no node with hash {expected:#x}")
        _require_sound(node, rest)
        if node_hash(node, hash_pair) != expected:
            raise Refused(Reason.PROOF_INVALID, f"a node does not hash to {expected:#x}")
        if isinstance(node, Binary):
            rest -= 1
            expected = node.right if key >> rest & 1 else node.left
        elif _follows(node, key, rest):
            rest -= node.length
            expected = node.child
        else:
            return 0
    return expected


def _follows(edge: Edge, key: int, rest: int) -> bool:
    """Say whether the next bits of a key, `rest` of which are left, run along an edge."""
    return key >> (rest - edge.length) & ((1 << edge.length) - 1) == edge.path


def _require_sound(node: Node, rest: int) -> None:
    children = (node.left, node.right) if isinstance(node, Binary) else (node.child,)
    sound = all(is_felt(child) and child != 0 for child in children)
    if isinstance(node, Edge):
        sound = sound and 0 < node.length <= rest and 0 <= node.path < 1 << node.length
    if not sound:
        raise Refused(Reason.PROOF_INVALID, f"a malformed node: {node}")
