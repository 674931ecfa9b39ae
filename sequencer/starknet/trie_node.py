"""The nodes of a Patricia-Merkle trie: what they say, what they hash to, and their bytes.

Promises
- A node has one encoding, and bytes that nobody wrote are refused: equal nodes are equal bytes.

Laws
- binary = H(left, right); edge = (H(child, path) + length) mod P.
- A branch is 0, left, right. An edge is 1, child, length, path; the path is in as many whole bytes
  as hold `length` bits. Felts are 32 bytes, big-endian.
"""

from typing import TypeAlias

import msgspec

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import FELT_BYTES, FELT_PRIME, Felt, pack_felts
from sequencer.starknet.felt_hash import Hash

_BINARY, _EDGE = 0, 1
_BINARY_START = bytes((_BINARY,))
_CHILD_END = 1 + FELT_BYTES
_BINARY_BYTES = 1 + 2 * FELT_BYTES
_PATH_START = _CHILD_END + 1


class Binary(msgspec.Struct, frozen=True, gc=False, tag="binary"):
    """A branch: the hashes of both subtrees, neither of them 0."""

    left: Felt
    right: Felt


class Edge(msgspec.Struct, frozen=True, gc=False, tag="edge"):
    """A run of `length` levels (>= 1) without a branch; `path` holds their bits in order."""

    child: Felt
    path: int
    length: int


Node: TypeAlias = Binary | Edge


def node_hash(node: Node, hash_pair: Hash) -> Felt:
    """Hash one node."""
    if isinstance(node, Binary):
        return hash_pair(node.left, node.right)
    return (hash_pair(node.child, node.path) + node.length) % FELT_PRIME


def encode_node(node: Node) -> bytes:
    """Write a node."""
    if isinstance(node, Binary):
        return _BINARY_START + pack_felts((node.left, node.right))
    path = node.path.to_bytes(node.length + 7 >> 3, "big")
    child = node.child.to_bytes(FELT_BYTES, "big")
    return b"%c%b%c%b" % (_EDGE, child, node.length, path)


def decode_node(data: bytes) -> Node:
    """Read a node. Refusal: ROW_MALFORMED."""
    size, first = len(data), int.from_bytes(data[1:_CHILD_END], "big")
    if size == _BINARY_BYTES and data[0] == _BINARY:
        second = int.from_bytes(data[_CHILD_END:], "big")
        if first < FELT_PRIME and second < FELT_PRIME:
            return Binary(first, second)
    elif size > _PATH_START and data[0] == _EDGE:
        path, length = int.from_bytes(data[_PATH_START:], "big"), data[_CHILD_END]
        whole = length > 0 and size == _PATH_START + (length + 7 >> 3)
        if whole and first < FELT_PRIME and not path >> length:
            return Edge(first, path, length)
    raise Refused(Reason.ROW_MALFORMED, f"no trie node: {data.hex():.80}")
