"""The native core's Poseidon against the wheel's, each in its process: the same bytes."""

import os
import subprocess
import sys
from itertools import chain, pairwise
from random import Random

import pytest

from sequencer.starknet.felt import FELT_BYTES, FELT_PRIME, pack_felts
from sequencer.starknet.native import NATIVE

if NATIVE is None:
    pytest.skip("the native core is not installed", allow_module_level=True)

CORE = NATIVE

PAIRS = 100_000
ARRAYS = 100_000 // 20
ARRAY_FELTS_MAX = 40
SEED = 20261129

LIMB_ONES = 2**64 - 1
EDGES: tuple[int, ...] = (
    *(0, 1, 2, FELT_PRIME - 2, FELT_PRIME - 1, (FELT_PRIME - 1) // 2, (FELT_PRIME + 1) // 2),
    *(2**bits - 1 for bits in (32, 64, 128, 192, 250, 251)),
    *(2**bits for bits in (32, 64, 128, 192, 250, 251)),
    *(LIMB_ONES << bits for bits in (64, 128)),
    *((LIMB_ONES >> 5 << 192) + low for low in (0, LIMB_ONES, 2**192 - 1)),
    *((2**59 + 16 << 192) + low for low in (0, LIMB_ONES, 2**192 - 1)),
)

WHEEL = """
import sys
from sequencer.starknet.felt_hash import poseidon, poseidon_array
from sequencer.starknet.native import NATIVE

assert NATIVE is None
for line in sys.stdin:
    kind, *felts = line.split()
    values = [int(felt, 16) for felt in felts]
    print(f"{poseidon(*values) if kind == 'pair' else poseidon_array(values):064x}")
"""


def of_wheel(kind: str, inputs: list[tuple[int, ...]]) -> bytes:
    """Hash inputs in a process that leaves the native core out."""
    lines = [" ".join((kind, *(f"{felt:x}" for felt in each))) for each in inputs]
    done = subprocess.run(
        [sys.executable, "-c", WHEEL],
        env={**os.environ, "PERPCHAIN_HASHES": "wheels"},
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return bytes.fromhex(done.stdout)


def random_felt(random: Random) -> int:
    """Make a felt: any at all, one at an edge, or one whose limbs are often all ones or zeros."""
    match random.randrange(4):
        case 0:
            return random.choice(EDGES)
        case 1:
            limbs = [random.choice((0, LIMB_ONES, random.getrandbits(64))) for _ in range(4)]
            return sum(limb << 64 * at for at, limb in enumerate(limbs)) % FELT_PRIME
        case _:
            return random.randrange(FELT_PRIME)


def test_pairs_have_the_bytes_of_the_wheel() -> None:
    random = Random(SEED)
    pairs: list[tuple[int, ...]] = [(left, right) for left in EDGES for right in EDGES]
    pairs += [(random_felt(random), random_felt(random)) for _ in range(PAIRS - len(pairs))]
    assert CORE.poseidon_many(pack_felts(chain.from_iterable(pairs))) == of_wheel("pair", pairs)


def test_arrays_of_every_length_have_the_bytes_of_the_wheel() -> None:
    random = Random(SEED + 1)
    sizes = [at % (ARRAY_FELTS_MAX + 1) for at in range(ARRAYS)]
    arrays = [tuple(random_felt(random) for _ in range(size)) for size in sizes]
    arrays += [(edge,) * size for edge in EDGES for size in range(5)]
    hashes = CORE.poseidon_arrays(
        [len(array) for array in arrays], pack_felts(chain.from_iterable(arrays))
    )
    assert hashes == of_wheel("array", arrays)


def test_what_an_array_is_padded_with_makes_no_two_arrays_alike() -> None:
    arrays = [(), (0,), (1,), (0, 0), (1, 0), (0, 1), (1, 1), (1, 0, 0), (0, 0, 0)]
    sizes = [len(array) for array in arrays]
    hashes = CORE.poseidon_arrays(sizes, pack_felts(chain.from_iterable(arrays)))
    ends = range(0, len(hashes) + 1, FELT_BYTES)
    assert len({hashes[start:end] for start, end in pairwise(ends)}) == len(arrays)
