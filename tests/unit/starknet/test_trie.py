"""The trie's published roots, its laws on small cases, and what it refuses."""

from collections.abc import Iterable
from itertools import product

import pytest

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import Hash, pedersen, poseidon
from sequencer.starknet.trie import Pausing, Position, no_nodes, root_of, update
from sequencer.starknet.trie_node import Binary, Edge, Node, decode_node, encode_node, node_hash
from sequencer.starknet.trie_proof import prove, proven_value
from tests.reference_trie import Nodes, apply, build
from tests.strategies import Unchecked, refused

HEIGHT = 251


def root(leaves: dict[int, int], height: int = HEIGHT, hash_pair: Hash = pedersen) -> int:
    return update(no_nodes, leaves, height, hash_pair).root


def decoded(nodes: Nodes) -> dict[Position, Node]:
    return {position: decode_node(data) for position, data in nodes.items()}


PUBLISHED_ROOTS: tuple[tuple[dict[int, int], int, Hash, int], ...] = (
    (
        {1: 2},
        251,
        pedersen,
        0x2AB889BD35E684623DF9B4EA4A4A1F6D9E0EF39B67C1293B8A89DD17E351330,
    ),
    (
        {0: 1, 1: 2},
        251,
        pedersen,
        0x599927F1181D5633C6F680DBF039534DE49C44E0B9903C5305B2582DFD6A625,
    ),
    (
        {1: 2, 2**250: 5},
        251,
        pedersen,
        0xAD5473B64C5D0D0431801435FDC6C79A7BC4C9479A885E2C9E357F730C699A,
    ),
    (
        {1: 2},
        251,
        poseidon,
        0x34E9424867E647D2CAB6D8EFA14BEE5B8E05F49065A65A96713278CB707A6DC,
    ),
    (
        {0: 1},
        64,
        poseidon,
        0x7752582C54A42FE0FA35C40F07293BB7D8EFE90E21D8D2C06A7DB52D7D9B7E1,
    ),
    (
        {0: 1, 1: 2, 2: 3},
        64,
        poseidon,
        0x3B5CC7F1292EB3847C3F902D048A7E5DC7702D1C191CCD17C2D33F797E6FC32,
    ),
)


@pytest.mark.parametrize(("leaves", "height", "hash_pair", "expected"), PUBLISHED_ROOTS)
def test_known_roots(leaves: dict[int, int], height: int, hash_pair: Hash, expected: int) -> None:
    assert root(leaves, height, hash_pair) == expected
    assert build(leaves, height, hash_pair)[0] == expected


def test_an_empty_trie_has_root_0() -> None:
    assert root_of(no_nodes, HEIGHT, pedersen) == 0
    assert update(no_nodes, {}, HEIGHT, pedersen) == update(no_nodes, {5: 0}, HEIGHT, pedersen)
    assert update(no_nodes, {5: 0, 6: 0}, HEIGHT, pedersen).root == 0
    assert update(no_nodes, {5: 0, 6: 0}, HEIGHT, pedersen).changes == {}


def test_nodes_hash_as_they_are_defined() -> None:
    assert node_hash(Binary(1, 2), pedersen) == pedersen(1, 2)
    assert node_hash(Edge(1, 2, 3), pedersen) == pedersen(1, 2) + 3
    assert node_hash(Edge(1, 2, 3), lambda _left, _right: FELT_PRIME - 1) == 2


def test_one_leaf_is_one_edge() -> None:
    change = update(no_nodes, {5: 7}, HEIGHT, pedersen)
    assert change.changes == {(0, 0): encode_node(Edge(7, 5, HEIGHT))}


def test_the_last_removal_leaves_a_tombstone_and_nothing_else() -> None:
    nodes: Nodes = {(0, 0): encode_node(Edge(7, 5, HEIGHT))}
    change = update(nodes.get, {5: 0}, HEIGHT, pedersen)
    assert change.root == 0
    assert change.changes == {(0, 0): None}


def test_a_removed_sibling_gives_its_levels_back() -> None:
    _, nodes = build({0b000: 1, 0b010: 2, 0b011: 3}, 3, pedersen)
    assert decoded(nodes) == {
        (0, 0): Edge(pedersen(pedersen(1, 0) + 1, pedersen(2, 3)), 0, 1),
        (1, 0): Binary(pedersen(1, 0) + 1, pedersen(2, 3)),
        (2, 0): Edge(1, 0, 1),
        (2, 1): Binary(2, 3),
    }
    change = update(nodes.get, {0b000: 0}, 3, pedersen)
    assert change.changes == {
        (0, 0): encode_node(Edge(pedersen(2, 3), 0b01, 2)),
        (1, 0): None,
        (2, 0): None,
    }


def test_writing_what_stands_there_changes_nothing() -> None:
    leaves = {0: 1, 3: 4, 2**250: 5, 2**251 - 1: 6}
    known, nodes = build(leaves, HEIGHT, pedersen)
    for again in ({}, {3: 4}, leaves, {**leaves, 17: 0}, {2**249: 0}):
        change = update(nodes.get, again, HEIGHT, pedersen)
        assert change.root == known
        assert change.changes == {}


def test_an_update_leaves_its_arguments_alone() -> None:
    leaves = {0: 1, 3: 4}
    _, nodes = build(leaves, HEIGHT, pedersen)
    before = (dict(nodes), dict(leaves))
    change = {0: 0, 9: 9}
    update(nodes.get, change, HEIGHT, pedersen)
    assert (nodes, leaves, change) == (*before, {0: 0, 9: 9})


@pytest.mark.parametrize("height", [1, 2, 3])
def test_every_change_between_small_tries(height: int) -> None:
    """Each set of leaves of 0 or 1 to each other one: same root, same nodes as built anew."""
    hash_pair: Hash = lambda left, right: (left * 31 + right * 17 + 5) % 1_000_003 + 1  # noqa: E731
    states = [dict(enumerate(values)) for values in product((0, 1), repeat=1 << height)]
    built = [build(state, height, hash_pair) for state in states]
    for (_, nodes), (target, (known, expected)) in product(built, zip(states, built, strict=True)):
        change = update(nodes.get, target, height, hash_pair)
        assert change.root == known
        assert apply(nodes, change.changes) == expected


def test_stored_nodes_keep_the_laws() -> None:
    leaves = {key: key + 1 for key in (0, 1, 2, 7, 2**64, 2**250, 2**250 + 1, 2**251 - 1)}
    nodes = decoded(apply({}, update(no_nodes, leaves, HEIGHT, pedersen).changes))
    assert len([node for node in nodes.values() if isinstance(node, Binary)]) == len(leaves) - 1
    for (depth, path), node in nodes.items():
        assert 0 <= path < 1 << depth
        if isinstance(node, Binary):
            assert 0 not in (node.left, node.right)
            continue
        assert node.child != 0
        assert 1 <= node.length <= HEIGHT - depth
        assert 0 <= node.path < 1 << node.length
        end = (depth + node.length, path << node.length | node.path)
        assert end[0] == HEIGHT or isinstance(nodes[end], Binary), "an edge below an edge"
        above = (depth - 1, path >> 1)
        assert depth == 0 or isinstance(nodes[above], Binary), "an edge that could begin higher"


@pytest.mark.parametrize("height", [0, -1, 252, 1000])
def test_other_heights_are_refused(height: int) -> None:
    for leaves in ({}, {0: 1}):
        with refused(Reason.TRIE_HEIGHT_OUT_OF_RANGE):
            update(no_nodes, leaves, height, pedersen)


@pytest.mark.parametrize("key", [-1, 8, 2**251, True, None, "1", 1.0])
def test_other_keys_are_refused(key: Unchecked) -> None:
    with refused(Reason.TRIE_KEY_OUT_OF_RANGE):
        update(no_nodes, {key: 1}, 3, pedersen)
    with refused(Reason.TRIE_KEY_OUT_OF_RANGE):
        prove(no_nodes, [key], 3, pedersen)
    with refused(Reason.TRIE_KEY_OUT_OF_RANGE):
        proven_value(0, key, {}, 3, pedersen)


@pytest.mark.parametrize("value", [-1, FELT_PRIME, True, None, "1", 1.0])
def test_other_values_are_refused(value: Unchecked) -> None:
    with refused(Reason.FELT_OUT_OF_RANGE):
        update(no_nodes, {1: value}, 3, pedersen)


def test_a_refused_update_reads_nothing() -> None:
    read: list[Position] = []

    def reader(position: Position) -> None:
        read.append(position)

    with refused(Reason.FELT_OUT_OF_RANGE):
        update(reader, {1: 1, 2: FELT_PRIME}, 3, pedersen)
    assert read == []


class Stopped(Exception):
    """What a pause raises."""


def test_a_pausing_hash_gives_the_same_and_stops_where_it_is_told() -> None:
    _, nodes = build(dict.fromkeys(range(0, 900, 3), 5), 16, poseidon)
    leaves = {key: key % 7 for key in range(100, 700)}
    pauses: list[int] = []
    paused = update(nodes.get, leaves, 16, Pausing(poseidon, lambda: pauses.append(1)))
    assert paused == update(nodes.get, leaves, 16, poseidon)
    assert len(pauses) > len(leaves) // 100

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        update(nodes.get, leaves, 16, Pausing(poseidon, stop))


def test_nothing_is_read_twice_and_nothing_beside_the_paths() -> None:
    leaves = dict.fromkeys(range(0, 64, 3), 1)
    _, nodes = build(leaves, 8, pedersen)
    read: list[Position] = []

    def reader(position: Position) -> bytes | None:
        read.append(position)
        return nodes.get(position)

    update(reader, {3: 9, 4: 9}, 8, pedersen)
    assert len(read) == len(set(read))
    assert set(read) <= set(positions_of((3, 4), 8))


def positions_of(keys: Iterable[int], height: int) -> Iterable[Position]:
    return ((depth, key >> height - depth) for key in keys for depth in range(height + 1))
