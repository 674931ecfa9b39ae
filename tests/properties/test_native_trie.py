"""The native core's trie against the one in Python and the one built anew from its leaves.

Whatever is stored and whatever comes: the same root, the same changes in the same order, the same
reads. What one of them refuses, the other refuses too.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from random import Random

import pytest

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import FELT_PRIME, Felt, pack_felts
from sequencer.starknet.felt_hash import Blake2s, Hash, pedersen, poseidon
from sequencer.starknet.native import NATIVE
from sequencer.starknet.trie import Changes, Position, Reader, no_nodes, update
from sequencer.starknet.trie_node import Binary, Edge, encode_node
from tests.reference_trie import Nodes, apply, build
from tests.strategies import Unchecked, refused

if NATIVE is None:
    pytest.skip("the native core is not here", allow_module_level=True)

CORE = NATIVE
TAG = b"pc-node"
HASHES: dict[str, tuple[Hash, bytes]] = {
    "pedersen": (pedersen, b""),
    "poseidon": (poseidon, b""),
    "blake2s": (Blake2s(TAG), TAG),
}
HEIGHTS = (1, 2, 7, 64, 127, 128, 129, 248, 251)
SEQUENCES = {"pedersen": 6, "poseidon": 12, "blake2s": 24}

Leaves = dict[int, Felt]


def encoded(leaves: Mapping[int, Felt]) -> bytes:
    return pack_felts(chain.from_iterable(sorted(leaves.items())))


def natively(read: Reader, leaves: Leaves, height: int, name: str) -> tuple[Felt, Changes]:
    root, changes = CORE.trie_update(read, encoded(leaves), height, name, HASHES[name][1])
    return int.from_bytes(root, "big"), changes


def in_python(read: Reader, leaves: Leaves, height: int, name: str) -> tuple[Felt, Changes]:
    """Update with a hash that the core does not know by name."""
    hash_pair = HASHES[name][0]

    def unnamed(left: Felt, right: Felt) -> Felt:
        return hash_pair(left, right)

    done = update(read, leaves, height, unnamed)
    return done.root, done.changes


def batches(random: Random, height: int, count: int, most: int) -> Iterator[Leaves]:
    """Make leaves that crowd at the ends, repeat and vanish."""
    known: list[int] = []
    top = (1 << height) - 1
    for _ in range(count):
        batch: Leaves = {}
        for _ in range(random.randrange(most + 1)):
            near = random.getrandbits(min(height, 5))
            new = (random.getrandbits(height), near, top - near, 1 << random.randrange(height))
            key = random.choice((*new, *random.choices(known, k=4))) if known else new[0]
            batch[key] = random.choice((0, 0, 1, FELT_PRIME - 1, random.randrange(FELT_PRIME)))
        known += batch
        yield batch


def noted(nodes: Nodes, read: list[Position]) -> Reader:
    def reader(position: Position) -> bytes | None:
        read.append(position)
        return nodes.get(position)

    return reader


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("name", HASHES)
def test_roots_changes_and_reads_are_the_same(name: str, height: int) -> None:
    random = Random(f"{name} {height}")
    for _ in range(SEQUENCES[name]):
        nodes: Nodes = {}
        leaves: Leaves = {}
        for batch in batches(random, height, count=6, most=8):
            here: list[Position] = []
            there: list[Position] = []
            root, changes = natively(noted(nodes, there), batch, height, name)
            expected = in_python(noted(nodes, here), batch, height, name)
            assert (root, list(changes.items())) == (expected[0], list(expected[1].items()))
            assert there == here
            nodes = apply(nodes, changes)
            leaves = {key: value for key, value in (leaves | batch).items() if value}
            assert (root, nodes) == build(leaves, height, HASHES[name][0])
            assert natively(nodes.get, {}, height, name) == (root, {})


@pytest.mark.parametrize("name", HASHES)
def test_wide_levels_hashed_by_two_threads_are_the_same(name: str) -> None:
    random = Random(name)
    leaves = {random.getrandbits(248): random.randrange(1, FELT_PRIME) for _ in range(3_000)}
    root, changes = natively(no_nodes, leaves, 248, name)
    assert (root, changes) == in_python(no_nodes, leaves, 248, name)
    gone = random.sample(sorted(leaves), 1_500)
    batch = dict.fromkeys(gone, 0) | {random.getrandbits(248): 5 for _ in range(500)}
    assert natively(changes.get, batch, 248, name) == in_python(changes.get, batch, 248, name)
    everything = dict.fromkeys(leaves, 0)
    assert natively(changes.get, everything, 248, name) == (0, dict.fromkeys(changes))


def test_the_deepest_trie_is_the_same() -> None:
    """Every level branches, and each branch of the way goes at once."""
    leaves = {0: 1, **{1 << place: place + 2 for place in range(251)}}
    root, changes = natively(no_nodes, leaves, 251, "blake2s")
    assert (root, changes) == in_python(no_nodes, leaves, 251, "blake2s")
    for batch in (dict.fromkeys(leaves, 0), {0: 0, 1: 0}, {0: 0, 3: 1, 1 << 250: 0}):
        expected = in_python(changes.get, batch, 251, "blake2s")
        assert natively(changes.get, batch, 251, "blake2s") == expected


def felt(value: int) -> bytes:
    return value.to_bytes(32, "big")


MALFORMED: dict[str, tuple[bytes, int, str, bytes]] = {
    "half a leaf": (felt(1), 3, "pedersen", b""),
    "a byte more": (encoded({1: 2}) + b"\0", 3, "pedersen", b""),
    "a key too long": (encoded({8: 2}), 3, "pedersen", b""),
    "a key beyond felts": (felt(2**256 - 1) + felt(1), 251, "pedersen", b""),
    "a value beyond felts": (felt(1) + felt(FELT_PRIME), 3, "pedersen", b""),
    "keys that fall": (encoded({2: 1}) + encoded({1: 1}), 3, "pedersen", b""),
    "a key twice": (encoded({2: 1}) * 2, 3, "pedersen", b""),
    "no height": (b"", 0, "pedersen", b""),
    "too high": (encoded({1: 1}), 252, "pedersen", b""),
    "below the root": (encoded({1: 1}), -1, "pedersen", b""),
    "far too high": (encoded({1: 1}), 2**64, "pedersen", b""),
    "no such hash": (encoded({1: 1}), 3, "sha256", b""),
    "a tag too long": (encoded({1: 1}), 3, "blake2s", b"123456789"),
    "a tag for nothing": (encoded({1: 1}), 3, "poseidon", b"tag"),
}


@pytest.mark.parametrize("call", MALFORMED.values(), ids=MALFORMED)
def test_malformed_arguments_are_refused_before_anything_is_read(
    call: tuple[bytes, int, str, bytes],
) -> None:
    read: list[Position] = []
    with pytest.raises(ValueError, match=r"\w"):
        CORE.trie_update(noted({}, read), *call)
    assert read == []


NO_NODES = (
    b"",
    b"\0",
    b"\2" + bytes(64),
    b"\0" + bytes(63),
    b"\0" + bytes(65),
    b"\0" + felt(1) + felt(FELT_PRIME),
    b"\0" + felt(FELT_PRIME) + felt(1),
    b"\1" + felt(FELT_PRIME) + b"\3\5",
    b"\1" + felt(5),
    b"\1" + felt(5) + b"\0",
    b"\1" + felt(5) + b"\3\x08",
    b"\1" + felt(5) + b"\3\0\5",
    b"\1" + felt(5) + b"\xff" + bytes(32),
    encode_node(Edge(5, 1, 9)),
)


@pytest.mark.parametrize("data", NO_NODES, ids=repr)
@pytest.mark.parametrize("name", HASHES)
def test_what_is_no_node_is_refused_both_ways(name: str, data: bytes) -> None:
    for nodes in ({(0, 0): data}, {(0, 0): encode_node(Binary(1, 2)), (1, 0): data}):
        with pytest.raises(ValueError, match="no trie node"):
            natively(nodes.get, {0: 0}, 8, name)
        for way in (natively_or_refused, in_python):
            with refused(Reason.ROW_MALFORMED):
                way(nodes.get, {0: 0}, 8, name)


def natively_or_refused(
    read: Reader, leaves: Leaves, height: int, name: str
) -> tuple[Felt, Changes]:
    done = update(read, leaves, height, HASHES[name][0])
    return done.root, done.changes


def outcome(
    way: Callable[[Reader, Leaves, int, str], tuple[Felt, Changes]], nodes: Nodes, batch: Leaves
) -> tuple[Felt, Changes] | Reason:
    try:
        return way(nodes.get, batch, 64, "blake2s")
    except Refused as refusal:
        return refusal.reason


def test_nodes_that_went_wrong_are_read_alike_or_refused_alike() -> None:
    random = Random(11)
    seen: set[bool] = set()
    for _ in range(1_500):
        first, second = batches(random, 64, count=2, most=9)
        nodes = apply({}, natively(no_nodes, first, 64, "blake2s")[1])
        for position in random.sample(sorted(nodes), min(2, len(nodes))):
            data = bytearray(nodes[position])
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            whole = random.choice((len(data), len(data), len(data) - 1))
            nodes[position] = bytes(data[:whole])
        expected = outcome(in_python, nodes, second)
        assert outcome(natively_or_refused, nodes, second) == expected
        seen.add(isinstance(expected, Reason))
    assert seen == {True, False}


class Broken(Exception):
    """What a reader raises."""


@pytest.mark.parametrize("failure", [Broken("gone"), ValueError("gone"), KeyboardInterrupt()])
def test_an_exception_of_the_reader_comes_through(failure: BaseException) -> None:
    _, nodes = build({0: 1, 5: 2, 7: 3}, 8, poseidon)

    def read(position: Position) -> bytes | None:
        if position[0] > 4:
            raise failure
        return nodes.get(position)

    for way in (natively, natively_or_refused):
        with pytest.raises(type(failure)) as caught:
            way(read, {5: 9}, 8, "poseidon")
        assert caught.value is failure


@pytest.mark.parametrize("told", [5, "node", [1], bytearray(65)])
def test_a_node_is_bytes(told: Unchecked) -> None:
    with pytest.raises(ValueError, match="bytes"):
        CORE.trie_update(lambda _: told, encoded({1: 1}), 8, "poseidon", b"")


def test_threads_do_not_meet() -> None:
    """Six updates of different tries in as many threads, some of them on two threads themselves."""
    random = Random(3)
    work = []
    for name in (*HASHES, *HASHES):
        leaves = {random.getrandbits(64): random.randrange(1, 99) for _ in range(900)}
        batch = dict.fromkeys(random.sample(sorted(leaves), 300), 0) | {7: 7}
        work.append((name, leaves, batch))

    def both(name: str, leaves: Leaves, batch: Leaves) -> list[tuple[Felt, Changes]]:
        first = natively(no_nodes, leaves, 64, name)
        return [first, natively(first[1].get, batch, 64, name)]

    alone = [both(*each) for each in work]
    with ThreadPoolExecutor(len(work)) as pool:
        for _ in range(5):
            assert list(pool.map(lambda each: both(*each), work)) == alone
