"""Nodes of tries that are none or do not belong where they are, and what changed in a trie."""

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from scripts.fuzzing.native_calls import BEYOND, any_felt, encoded
from sequencer.starknet.trie import Position
from sequencer.starknet.trie_node import Binary, Edge, decode_node, encode_node

_LONG_LEVELS = 64
_LENGTH_MAX = 255


def strange_node(random: Random, rest: int) -> bytes:
    """Make a sound node, `rest` levels above the leaves; its children may be empty."""
    if random.random() < 0.5:
        return encode_node(Binary(any_felt(random), any_felt(random)))
    length = random.randint(1, rest)
    return encode_node(Edge(any_felt(random), random.getrandbits(length), length))


def _spoiled(random: Random, rest: int) -> bytes:
    node = strange_node(random, rest)
    cut = node[: random.randrange(len(node))]
    return random.choice((cut, node + b"\0", b"", bytes([random.randint(2, 255)]) + node[1:]))


def _beyond(random: Random, rest: int) -> bytes:
    node = strange_node(random, rest)
    return node[:1] + encoded([random.choice(BEYOND)]) + node[33:]


def _wrong_edge(random: Random, rest: int) -> bytes:
    """Make an edge without levels, or one whose path is longer than it says."""
    child, length = encoded([any_felt(random)]), random.randint(1, rest)
    path_bytes = length + 7 >> 3
    free_bits = 8 * path_bytes - length
    if free_bits == 0 or random.random() < 0.5:
        return b"\1" + child + b"\0" + bytes(random.randrange(2))
    path = 1 << length + random.randrange(free_bits)
    return b"\1" + child + bytes([length]) + path.to_bytes(path_bytes, "big")


def _below_the_leaves(random: Random, rest: int) -> bytes:
    length = random.randint(rest + 1, _LENGTH_MAX)
    return encode_node(Edge(any_felt(random), random.getrandbits(length), length))


NO_NODES: Mapping[str, Callable[[Random, int], bytes]] = {
    "bytes cut, longer, or of another kind": _spoiled,
    "a number of a node is no felt": _beyond,
    "an edge without levels or with too many bits": _wrong_edge,
    "an edge that leads below the leaves": _below_the_leaves,
}
"""By kind: how to make bytes that are no node, or none so many levels above the leaves."""

CHANGES = (
    *("binary written", "edge written", "tombstone", "binary collapsed"),
    *("edge grew", "edge split", "edge of more than 64 levels", "path of more than 64 bits"),
)
"""What can happen to a position."""


def changes_of(
    nodes: Mapping[Position, bytes], changes: Mapping[Position, bytes | None]
) -> Counter[str]:
    """Count what happened to the positions of a trie."""
    counts: Counter[str] = Counter()
    for position, data in changes.items():
        counts["path of more than 64 bits"] += position[0] > _LONG_LEVELS
        before = decode_node(nodes[position]) if position in nodes else None
        after = decode_node(data) if data is not None else None
        counts["tombstone"] += after is None
        counts["binary written"] += isinstance(after, Binary)
        counts["edge written"] += isinstance(after, Edge)
        counts["binary collapsed"] += isinstance(before, Binary) and not isinstance(after, Binary)
        if isinstance(after, Edge):
            counts["edge of more than 64 levels"] += after.length > _LONG_LEVELS
        if isinstance(before, Edge):
            levels = after.length if isinstance(after, Edge) else 0
            counts["edge grew"] += levels > before.length
            counts["edge split"] += after is not None and levels < before.length
    return counts
