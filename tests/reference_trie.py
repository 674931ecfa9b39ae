"""The trie as its definition reads: built whole from the leaves, without any cleverness.

It shares the nodes and their bytes with the product, and nothing else.
"""

from collections.abc import Mapping

from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import Hash
from sequencer.starknet.trie import Position
from sequencer.starknet.trie_node import Binary, Edge, encode_node

Nodes = dict[Position, bytes]


def build(leaves: Mapping[int, int], height: int, hash_pair: Hash) -> tuple[int, Nodes]:
    """Return the root and every node of the trie that holds just these leaves."""
    nodes: Nodes = {}
    present = {format(key, f"0{height}b"): value for key, value in leaves.items() if value}

    def hash_below(prefix: str) -> int:
        below = [key for key in present if key.startswith(prefix)]
        if not below:
            return 0
        if len(prefix) == height:
            return present[prefix]
        run = common_prefix(below)[len(prefix) :]
        position = (len(prefix), int(prefix or "0", 2))
        if run:
            child = hash_below(prefix + run)
            nodes[position] = encode_node(Edge(child, int(run, 2), len(run)))
            return (hash_pair(child, int(run, 2)) + len(run)) % FELT_PRIME
        left, right = hash_below(prefix + "0"), hash_below(prefix + "1")
        nodes[position] = encode_node(Binary(left, right))
        return hash_pair(left, right)

    return hash_below(""), nodes


def common_prefix(texts: list[str]) -> str:
    """Return the longest beginning that all texts share."""
    first, last = min(texts), max(texts)
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return first[:same]


def apply(nodes: Nodes, changes: Mapping[Position, bytes | None]) -> Nodes:
    """Write changes over stored nodes; a tombstone must stand where a node was."""
    after = dict(nodes)
    for position, node in changes.items():
        if node is None:
            assert position in after, f"a tombstone where nothing was: {position}"
            del after[position]
        else:
            assert after.get(position) != node, f"no change at {position}"
            after[position] = node
    return after
