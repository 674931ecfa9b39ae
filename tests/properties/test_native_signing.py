"""The native core's signing against the wheels: the same bytes for 10,000 inputs of each."""

from random import Random

import pytest
from fast_stark_crypto import lib as wheel

from sequencer.starknet.felt import as_bytes
from sequencer.starknet.felt_hash import CURVE_ORDER
from sequencer.starknet.native import NATIVE

INPUTS = 10_000
KEY_EDGES = (1, 2, 3, 2**250, 2**251 - 1, 2**251, CURVE_ORDER - 2, CURVE_ORDER - 1)
HASH_EDGES = (1, 2, 2**128, 2**247, 2**248 - 1, 2**248, 2**250, 2**251 - 2, 2**251 - 1)

if NATIVE is None:
    pytest.skip("the native core is not installed", allow_module_level=True)

CORE = NATIVE


def test_public_keys_are_those_of_the_wheels() -> None:
    random = Random(1)
    keys = [*range(1, 300), *(CURVE_ORDER - key for key in range(1, 300))]
    keys += [1 << bit for bit in range(252)]
    # Each of the generator's multiples, at every place of its table.
    keys += [int.from_bytes(bytes((digit,)) * 31, "big") for digit in range(1, 256)]
    keys += [random.randrange(1, CURVE_ORDER) for _ in range(INPUTS - len(keys))]
    for key in keys:
        assert CORE.public_key(as_bytes(key)) == as_bytes(wheel.get_public_key(key)), hex(key)


def test_signatures_are_those_of_the_wheels() -> None:
    random = Random(2)
    pairs = [(key, hash_) for key in KEY_EDGES for hash_ in HASH_EDGES]
    pairs += [
        (random.randrange(1, CURVE_ORDER), random.randrange(1, 2**251))
        for _ in range(INPUTS - len(pairs))
    ]
    for key, hash_ in pairs:
        r, s = wheel.sign(key, hash_)
        assert CORE.sign(as_bytes(key), as_bytes(hash_)) == as_bytes(r) + as_bytes(s), (key, hash_)


@pytest.mark.parametrize("key", [0, CURVE_ORDER, CURVE_ORDER + 1, 2**252, 2**256 - 1], ids=hex)
def test_other_private_keys_are_malformed(key: int) -> None:
    with pytest.raises(ValueError, match="private key"):
        CORE.public_key(as_bytes(key))
    with pytest.raises(ValueError, match="private key"):
        CORE.sign(as_bytes(key), as_bytes(1))


@pytest.mark.parametrize("hash_", [0, 2**251, CURVE_ORDER - 1, 2**252, 2**256 - 1], ids=hex)
def test_other_message_hashes_are_malformed(hash_: int) -> None:
    with pytest.raises(ValueError, match="message hash"):
        CORE.sign(as_bytes(1), as_bytes(hash_))


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_other_lengths_are_malformed(size: int) -> None:
    data = as_bytes(1) * 3
    with pytest.raises(ValueError, match="private key"):
        CORE.public_key(data[:size])
    with pytest.raises(ValueError, match="private key"):
        CORE.sign(data[:size], as_bytes(1))
    with pytest.raises(ValueError, match="message hash"):
        CORE.sign(as_bytes(1), data[:size])
