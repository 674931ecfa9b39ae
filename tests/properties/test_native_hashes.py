"""The native core's hashes against the wheels: the same bytes for 10,000 inputs of each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from random import Random

import pytest
import starknet_pathfinder_crypto as wheel  # type: ignore[import-untyped]

from sequencer.starknet.felt import FELT_PRIME, pack_felts
from sequencer.starknet.felt_hash import CURVE_ORDER
from sequencer.starknet.native import NATIVE
from tests.reference_trie import build

INPUTS = 10_000
EDGES = (
    *(0, 1, 2, 15, 16, 255, 256, 2**64, 2**128),
    *(2**248 - 1, 2**248, 2**248 + 1, 2**250, 2**251 - 1, 2**251, 2**251 + 1, 15 << 247),
    *(CURVE_ORDER - 1, CURVE_ORDER, CURVE_ORDER + 1, FELT_PRIME - 2, FELT_PRIME - 1),
    *(0xFF << 8 * place for place in range(31)),
)
TOO_LARGE = (FELT_PRIME, FELT_PRIME + 1, 2**252, 2**256 - 1)

if NATIVE is None:
    pytest.skip("the native core is not installed", allow_module_level=True)

CORE = NATIVE


def decoded(data: bytes) -> list[int]:
    assert len(data) % 32 == 0
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


def random_felts(random: Random, count: int) -> list[int]:
    """Make felts, a quarter of them at an edge."""
    return [
        random.choice(EDGES) if random.random() < 0.25 else random.randrange(FELT_PRIME)
        for _ in range(count)
    ]


def random_pairs(seed: int) -> list[tuple[int, int]]:
    random = Random(seed)
    edges = [(left, right) for left in EDGES for right in EDGES]
    others = random_felts(random, 2 * (INPUTS - len(edges)))
    return edges + list(zip(others[::2], others[1::2], strict=True))


def split(values: list[int], sizes: list[int]) -> list[list[int]]:
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [values[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def test_pairs_are_those_of_the_wheels() -> None:
    pairs = random_pairs(1)
    data = pack_felts(chain.from_iterable(pairs))
    assert decoded(CORE.pedersen_many(data)) == [wheel.pedersen_hash(*pair) for pair in pairs]
    assert decoded(CORE.poseidon_many(data)) == [wheel.poseidon_hash(*pair) for pair in pairs]


def test_a_pair_is_the_same_alone_and_in_every_batch() -> None:
    pairs = random_pairs(2)[-100:]
    data = pack_felts(chain.from_iterable(pairs))
    for many in (CORE.pedersen_many, CORE.poseidon_many):
        hashes = many(data)
        assert b"".join(many(data[at : at + 64]) for at in range(0, len(data), 64)) == hashes
        for count in range(len(pairs) + 1):
            assert many(data[: 64 * count]) == hashes[: 32 * count]


def test_folds_are_those_of_the_wheels() -> None:
    random = Random(3)
    for _ in range(INPUTS // 10):
        felts = random_felts(random, random.randrange(1, 20))
        folded = felts[0]
        for felt in felts[1:]:
            folded = wheel.pedersen_hash(folded, felt)
        assert decoded(CORE.pedersen_fold(pack_felts(felts))) == [folded]


def test_arrays_are_those_of_the_wheels() -> None:
    random = Random(4)
    sizes = [random.choice((0, 1, 2, 2, 3, 5, 12)) for _ in range(INPUTS // 2)]
    for some in (sizes, sizes[:2000], sizes[:9], [0], [1], [2], [0, 0, 3], [301]):
        felts = random_felts(random, sum(some))
        expected = [wheel.poseidon_hash_many(array) for array in split(felts, some)]
        assert decoded(CORE.poseidon_arrays(some, pack_felts(felts))) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 129])
def test_roots_of_lists_follow_the_definition(count: int) -> None:
    random = Random(count)
    for share_absent in (0.0, 0.3, 0.95, 1.0):
        leaves = [
            0 if random.random() < share_absent else random.randrange(1, FELT_PRIME)
            for _ in range(count)
        ]
        root, _ = build(dict(enumerate(leaves)), 64, wheel.poseidon_hash)
        assert decoded(CORE.list_root(pack_felts(leaves))) == [root]


def test_hashes_are_the_same_in_every_thread() -> None:
    pairs = random_pairs(5)[-2000:]
    data = pack_felts(chain.from_iterable(pairs))
    calls: list[Callable[[bytes], bytes]] = [CORE.pedersen_many, CORE.poseidon_many] * 8
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = list(pool.map(lambda call: call(data), calls))
    assert answers == [CORE.pedersen_many(data), CORE.poseidon_many(data)] * 8


@pytest.mark.parametrize("size", [1, 31, 33, 63, 65, 32, 96, 128 + 32])
def test_lengths_that_are_no_pairs_are_malformed(size: int) -> None:
    for many in (CORE.pedersen_many, CORE.poseidon_many):
        with pytest.raises(ValueError, match="64 bytes"):
            many(bytes(size))


@pytest.mark.parametrize("size", [1, 31, 33, 63])
def test_lengths_that_are_no_felts_are_malformed(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        CORE.pedersen_fold(bytes(size))
    with pytest.raises(ValueError, match="32 bytes"):
        CORE.list_root(bytes(size))
    with pytest.raises(ValueError, match="32 bytes"):
        CORE.poseidon_arrays([1], bytes(size))


CALLS: tuple[Callable[[bytes], bytes], ...] = (
    CORE.pedersen_many,
    CORE.poseidon_many,
    CORE.pedersen_fold,
    lambda data: CORE.poseidon_arrays([20, 20], data),
    CORE.list_root,
)


@pytest.mark.parametrize("felt", TOO_LARGE, ids=hex)
@pytest.mark.parametrize("call", CALLS)
def test_felts_of_the_prime_or_more_are_malformed(
    call: Callable[[bytes], bytes], felt: int
) -> None:
    for place in range(40):
        with pytest.raises(ValueError, match="below the prime"):
            call(pack_felts(felt if at == place else 1 for at in range(40)))


def test_arrays_have_just_the_felts_that_they_say() -> None:
    data = pack_felts((1, 2, 3))
    for sizes in ([2], [], [2, 2], [4], [2**63, 1], [1, 1, 2]):
        with pytest.raises(ValueError, match="arrays"):
            CORE.poseidon_arrays(sizes, data)
    for size in (-1, 2**64):
        with pytest.raises(ValueError, match="negative or beyond"):
            CORE.poseidon_arrays([size, 4], data)
    with pytest.raises(ValueError, match="starts from"):
        CORE.pedersen_fold(b"")
    assert CORE.pedersen_many(b"") == CORE.poseidon_arrays([], b"") == b""
