"""The Patricia-Merkle trie of Starknet, over nodes that somebody else keeps.

Promises
- A node is addressed by its position (depth, path), not by its hash, and is stored whole, as bytes.
  The keeper decides about versions: hand `update` a reader bound to one version and it works there.
- `update` is pure: it reads positions and returns the new root with every position that changed.
  A vacated position is returned as None, a tombstone, so that a versioned store can hide it.
- The result depends on the final leaves alone, never on their order or on the way they came.
- The native core, where there is one, and the code below it give the same root and changes.

Laws
- Setting a leaf to 0 removes it; the root of an empty trie is 0.
- Every run without a branch is one edge; no stored node has an empty child.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import FELT_PRIME, Felt, pack_felts, require_felt
from sequencer.starknet.felt_hash import Blake2s, Hash, pedersen, poseidon
from sequencer.starknet.native import NATIVE, Core
from sequencer.starknet.trie_node import Binary, Edge, Node, decode_node, encode_node, node_hash

Position: TypeAlias = tuple[int, int]
"""Depth below the root, and the `depth` bits that lead there as an integer."""

Reader: TypeAlias = Callable[[Position], bytes | None]
"""How a trie asks its keeper for the node at a position; None where there is none."""

Changes: TypeAlias = dict[Position, bytes | None]
"""Each changed position with its node, or None, a tombstone."""

_PIECE_LEAVES = 32


class Update(msgspec.Struct, frozen=True):
    """What an update did: the new root, and what changed."""

    root: Felt
    changes: Changes


class Pausing(msgspec.Struct, frozen=True):
    """A hash for whoever must not work without a rest: `pause` is called in between, often."""

    hash_pair: Hash
    pause: Callable[[], None]

    def __call__(self, left: Felt, right: Felt) -> Felt:
        """Pause, then hash two felts."""
        self.pause()
        return self.hash_pair(left, right)


def no_nodes(_: Position) -> None:
    """Read from an empty trie."""


def root_of(read: Reader, height: int, hash_pair: Hash) -> Felt:
    """Return the root of a stored trie, 0 where it is empty. Refusal: ROW_MALFORMED."""
    data = read((0, 0)) if height > 0 else None
    return 0 if data is None else node_hash(_decoded(data, height), hash_pair)


def _decoded(data: bytes, height: int) -> Node:
    node = decode_node(data)
    if isinstance(node, Edge) and node.length > height:
        raise Refused(Reason.ROW_MALFORMED, f"an edge below the leaves: {data.hex():.80}")
    return node


def update(read: Reader, leaves: Mapping[int, Felt], height: int, hash_pair: Hash) -> Update:
    """Set many leaves at once.

    `leaves` maps keys of `height` bits to values; 0 removes. Cost: one hash per node on the union
    of the paths. Refusals: TRIE_HEIGHT_OUT_OF_RANGE, TRIE_KEY_OUT_OF_RANGE, FELT_OUT_OF_RANGE,
    ROW_MALFORMED for bytes that are no node.
    """
    _require_leaves(leaves, height)
    if not leaves:
        return Update(root_of(read, height, hash_pair), {})
    ordered = sorted(leaves.items())
    if NATIVE is None:
        return _updated_here(read, ordered, height, hash_pair)
    if isinstance(hash_pair, Pausing):
        return _in_pieces(NATIVE, read, ordered, height, hash_pair)
    return _updated_natively(NATIVE, read, ordered, height, hash_pair)


def _updated_here(
    read: Reader, leaves: Sequence[tuple[int, Felt]], height: int, hash_pair: Hash
) -> Update:
    work = _Work(read, leaves, height, hash_pair)
    root = work.seal((0, 0), work.descend((0, 0), 0, len(leaves)))
    return Update(root, work.changes())


def _updated_natively(
    core: Core, read: Reader, leaves: Sequence[tuple[int, Felt]], height: int, hash_pair: Hash
) -> Update:
    name, tag = _native_name(hash_pair)
    if name is None:
        return _updated_here(read, leaves, height, hash_pair)
    encoded = pack_felts(felt for leaf in leaves for felt in leaf)
    try:
        root, changes = core.trie_update(read, encoded, height, name, tag)
    except ValueError:
        # A node is malformed, or the reader itself failed: this says which, in its own words.
        return _updated_here(read, leaves, height, hash_pair)
    return Update(int.from_bytes(root, "big"), changes)


def _native_name(hash_pair: Hash) -> tuple[str | None, bytes]:
    """Return how the native core calls a hash; None: it has it not."""
    if hash_pair is pedersen:
        return "pedersen", b""
    if hash_pair is poseidon:
        return "poseidon", b""
    return ("blake2s", hash_pair.tag) if isinstance(hash_pair, Blake2s) else (None, b"")


def _in_pieces(
    core: Core, read: Reader, leaves: Sequence[tuple[int, Felt]], height: int, hash_pair: Pausing
) -> Update:
    """Set leaves in pieces with a pause before each: the core cannot be stopped within one."""
    written: Changes = {}
    root = 0

    def read_written(position: Position) -> bytes | None:
        return written[position] if position in written else read(position)

    for start in range(0, len(leaves), _PIECE_LEAVES):
        hash_pair.pause()
        piece = leaves[start : start + _PIECE_LEAVES]
        done = _updated_natively(core, read_written, piece, height, hash_pair.hash_pair)
        written |= done.changes
        root = done.root
    changes = {position: node for position, node in written.items() if node != read(position)}
    return Update(root, changes)


def _require_leaves(leaves: Mapping[int, Felt], height: int) -> None:
    if not 0 < height <= TRIE_HEIGHT_MAX:
        raise Refused(Reason.TRIE_HEIGHT_OUT_OF_RANGE, f"not in 1 .. {TRIE_HEIGHT_MAX}: {height}")
    bound = 1 << height
    for key, value in leaves.items():
        if not (type(key) is int and 0 <= key < bound):
            require_key(key, height)
        if not (type(value) is int and 0 <= value < FELT_PRIME):
            require_felt(value)


def require_key(key: int, height: int) -> None:
    """Refuse with TRIE_KEY_OUT_OF_RANGE what is not a key of `height` bits."""
    if type(key) is not int or not 0 <= key < 1 << height:
        raise Refused(Reason.TRIE_KEY_OUT_OF_RANGE, f"not a key of {height} bits: {shown(key)}")


_Run: TypeAlias = tuple[Felt, int, int]
"""A subtree as the edge that would lead to it: (hash below, path, length); length 0 is no edge."""

_EMPTY: _Run = (0, 0, 0)


class _Work:
    """One update in progress: the leaves in key order, what was read, what will be written."""

    __slots__ = ("_hash", "_height", "_leaves", "_read", "_seen", "_written")

    def __init__(
        self, read: Reader, leaves: Sequence[tuple[int, Felt]], height: int, hash_pair: Hash
    ) -> None:
        self._read = read
        self._leaves = leaves
        self._height = height
        self._hash = hash_pair
        self._seen: dict[Position, Node] = {}
        self._written: dict[Position, Node] = {}

    def changes(self) -> Changes:
        """Compare what was read with what was written: tombstones for the vacated."""
        changed: Changes = {
            position: None for position in self._seen if position not in self._written
        }
        for position, node in self._written.items():
            if self._seen.get(position) != node:
                changed[position] = encode_node(node)
        return changed

    def descend(self, position: Position, low: int, high: int) -> _Run:
        """Apply leaves[low:high] to the stored subtree at a position."""
        if position[0] == self._height:
            return (self._leaves[low][1], 0, 0)
        node = self._visit(position)
        if node is None:
            return self._grow(position, low, high)
        if isinstance(node, Edge):
            return self._along(position, (node.child, node.path, node.length), low, high)
        depth, path = position
        middle = self._split(position, low, high)
        left, right = (depth + 1, path << 1), (depth + 1, path << 1 | 1)
        left_run = self.descend(left, low, middle) if middle > low else None
        right_run = self.descend(right, middle, high) if middle < high else None
        return self._join_stored(position, node, left_run, right_run)

    def seal(self, position: Position, run: _Run) -> Felt:
        """Write the edge that leads to a subtree, if there is one, and return its hash."""
        child, path, length = run
        if length == 0:
            return child
        self._written[position] = Edge(child, path, length)
        return (self._hash(child, path) + length) % FELT_PRIME

    def _visit(self, position: Position) -> Node | None:
        node = self._stored(position)
        if node is not None:
            self._seen[position] = node
        return node

    def _stored(self, position: Position) -> Node | None:
        data = self._read(position)
        return None if data is None else _decoded(data, self._height - position[0])

    def _split(self, position: Position, low: int, high: int) -> int:
        """Find the first of leaves[low:high] that turns right below a position."""
        depth, path = position
        turn = (path << 1 | 1) << (self._height - depth - 1)
        leaves = self._leaves
        while low < high:
            middle = (low + high) >> 1
            if leaves[middle][0] < turn:
                low = middle + 1
            else:
                high = middle
        return low

    def _grow(self, position: Position, low: int, high: int) -> _Run:
        """Build leaves[low:high] where nothing was stored."""
        leaves = self._leaves
        while low < high and leaves[low][1] == 0:
            low += 1
        while low < high and leaves[high - 1][1] == 0:
            high -= 1
        if low == high:
            return _EMPTY
        rest = self._height - position[0]
        first, last = leaves[low][0], leaves[high - 1][0]
        if high - low == 1:
            return (leaves[low][1], first & ((1 << rest) - 1), rest)
        below = (first ^ last).bit_length()
        branch = (self._height - below, first >> below)
        middle = self._split(branch, low, high)
        left, right = (branch[0] + 1, branch[1] << 1), (branch[0] + 1, branch[1] << 1 | 1)
        run = self._join(branch, self._grow(left, low, middle), self._grow(right, middle, high))
        return _extend(run, branch[1] & ((1 << rest - below) - 1), rest - below)

    def _along(self, position: Position, edge: _Run, low: int, high: int) -> _Run:
        """Apply leaves[low:high] where an edge, stored or what is left of one, begins."""
        _, edge_path, length = edge
        depth, path = position
        if length == 0:
            return self.descend(position, low, high)
        rest = self._height - depth - length
        end = path << length | edge_path
        first, last = self._leaves[low][0] >> rest, self._leaves[high - 1][0] >> rest
        below = max((first ^ end).bit_length(), (last ^ end).bit_length())
        if below == 0:
            run = self.descend((depth + length, end), low, high)
            return _extend(run, edge_path, length)
        return self._fork(position, edge, below, low, high)

    def _fork(self, position: Position, edge: _Run, below: int, low: int, high: int) -> _Run:
        """Split an edge where a leaf leaves it, `below` levels above the edge's end."""
        child, edge_path, length = edge
        depth, path = position
        above = length - below
        branch = (depth + above, (path << length | edge_path) >> below)
        middle = self._split(branch, low, high)
        left, right = (branch[0] + 1, branch[1] << 1), (branch[0] + 1, branch[1] << 1 | 1)
        kept: _Run = (child, edge_path & ((1 << below - 1) - 1), below - 1)
        if edge_path >> (below - 1) & 1 == 0:
            kept = self._along(left, kept, low, middle) if middle > low else kept
            run = self._join(branch, kept, self._grow(right, middle, high))
        else:
            kept = self._along(right, kept, middle, high) if middle < high else kept
            run = self._join(branch, self._grow(left, low, middle), kept)
        return _extend(run, edge_path >> below, above)

    def _join(self, position: Position, left: _Run, right: _Run) -> _Run:
        """Put two built subtrees under a position."""
        if left[0] == 0:
            return _extend(right, 1, 1)
        if right[0] == 0:
            return _extend(left, 0, 1)
        depth, path = position
        node = Binary(
            self.seal((depth + 1, path << 1), left),
            self.seal((depth + 1, path << 1 | 1), right),
        )
        self._written[position] = node
        return (self._hash(node.left, node.right), 0, 0)

    def _join_stored(
        self, position: Position, node: Binary, left: _Run | None, right: _Run | None
    ) -> _Run:
        """Put subtrees under a stored branch; None is a side that no leaf touched."""
        depth, path = position
        if left is None and right is not None and right[0] == 0:
            left = self._stored_run((depth + 1, path << 1), node.left)
        if right is None and left is not None and left[0] == 0:
            right = self._stored_run((depth + 1, path << 1 | 1), node.right)
        return self._join(position, left or (node.left, 0, 0), right or (node.right, 0, 0))

    def _stored_run(self, position: Position, child: Felt) -> _Run:
        """Read an untouched sibling that is about to lose its branch: its edge grows upwards."""
        if position[0] == self._height:
            return (child, 0, 0)
        node = self._stored(position)
        if isinstance(node, Edge):
            self._seen[position] = node
            return (node.child, node.path, node.length)
        return (child, 0, 0)


def _extend(run: _Run, path: int, length: int) -> _Run:
    """Lengthen a run upwards by `length` levels; nothing stays nothing."""
    child, run_path, run_length = run
    if child == 0:
        return _EMPTY
    return (child, path << run_length | run_path, run_length + length)
