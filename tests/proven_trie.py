"""A trie of Starknet's height in memory that proves its leaves, and proofs with one bit changed."""

import random
from collections.abc import Mapping

from msgspec.structs import replace

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.trie import no_nodes, update
from sequencer.starknet.trie_node import Binary, Node
from sequencer.starknet.trie_proof import prove


class ProvenTrie:
    """A trie over leaves, by the product's own update and proof."""

    def __init__(self, leaves: Mapping[int, Felt]) -> None:
        made = update(no_nodes, leaves, TRIE_HEIGHT_MAX, pedersen)
        self.root = made.root
        self._nodes = made.changes

    def path(self, key: int) -> list[Node]:
        """Return the nodes that prove a key's value or absence, from the root down."""
        return [*prove(self._nodes.get, [key], TRIE_HEIGHT_MAX, pedersen).values()]


def flipped(node: Node, choose: random.Random) -> Node:
    """Change one bit of a node."""
    bit = 1 << choose.randrange(250)
    if isinstance(node, Binary):
        if choose.random() < 0.5:
            return replace(node, left=node.left ^ bit)
        return replace(node, right=node.right ^ bit)
    match choose.randrange(3):
        case 0:
            return replace(node, child=node.child ^ bit)
        case 1:
            return replace(node, path=node.path ^ 1)
        case _:
            return replace(node, length=node.length ^ 1 << choose.randrange(8))
