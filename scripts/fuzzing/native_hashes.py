"""Hashes, roots of lists, keys and signing: each answer next to that of the wheels."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeAlias

import starknet_pathfinder_crypto as wheel  # type: ignore[import-untyped]
from fast_stark_crypto import lib as curve

from scripts.fuzzing.native_calls import (
    BEYOND,
    BEYOND_MACHINE,
    BOUND,
    EDGES,
    Call,
    any_felt,
    beyond_machine,
    cause,
    cut_or_longer,
    encoded,
    malformed,
    with_beyond,
)
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER
from sequencer.starknet.native import Core
from sequencer.starknet.trie import no_nodes, update

Maker: TypeAlias = Callable[[Random, int], Call]
"""Makes a call with so many inputs at most."""

_MALFORMED_SHARE = 0.2
_PAIRS = (0, 1, 1, 2, 3, 15, 16, 17, 40)
_FOLDED = (1, 1, 2, 2, 3, 5, 12)
_ARRAYS = (0, 1, 1, 2, 3, 9, 20)
_ARRAY_FELTS = (0, 1, 2, 2, 3, 4, 7)
_ARRAY_LONG, _ARRAY_LONG_SHARE = 90, 0.02
_LEAVES = (0, 1, 2, 3, 4, 5, 8, 9, 17)
_LEAVES_MANY, _LEAVES_MANY_SHARE = 70, 0.03
_LIST_HEIGHT = 64
_PAIRS_TOGETHER_MIN, _FELTS_TOGETHER_MIN, _LEAVES_TOGETHER_MIN = 16, 32, 32
_TOGETHER = "in both threads of the core"
_PAIR_KINDS = ("a batch of none", "pairs", _TOGETHER)
_PRIVATE_KEYS = (1, 2, 3, CURVE_ORDER - 2, CURVE_ORDER - 1)
_NO_PRIVATE_KEYS = (0, CURVE_ORDER, CURVE_ORDER + 1, *BEYOND)
_NO_HASHES = (0, BOUND, BOUND + 1, CURVE_ORDER - 1, FELT_PRIME - 1, *BEYOND)
_SHAPES = {"pedersen_many": "64 bytes", "poseidon_many": "64 bytes", "list_root": "32 bytes"}
_NO_LENGTHS = (-1, 2**64, 2**100)
_HUGE_LENGTHS = (2**63 - 1, 2**63, 2**64 - 1)


def pedersen(left: int, right: int) -> int:
    """Hash two felts with the wheels' Pedersen."""
    return int(wheel.pedersen_hash(left, right))


def poseidon(left: int, right: int) -> int:
    """Hash two felts with the wheels' Poseidon."""
    return int(wheel.poseidon_hash(left, right))


def _pedersen_many(random: Random, inputs_max: int) -> Call:
    return _pairs(random, inputs_max, "pedersen_many", lambda core: core.pedersen_many, pedersen)


def _poseidon_many(random: Random, inputs_max: int) -> Call:
    return _pairs(random, inputs_max, "poseidon_many", lambda core: core.poseidon_many, poseidon)


def _pairs(
    random: Random,
    inputs_max: int,
    name: str,
    function: Callable[[Core], Callable[[bytes], bytes]],
    hash_pair: Callable[[int, int], int],
) -> Call:
    size = min(random.choice(_PAIRS), inputs_max)
    felts = [any_felt(random) for _ in range(2 * size)]
    if random.random() < _MALFORMED_SHARE:
        return _malformed_felts(random, name, felts, 64, function)
    data = encoded(felts)
    hashes = [hash_pair(*pair) for pair in zip(felts[::2], felts[1::2], strict=True)]
    counts = Counter({f"{name}: pairs": size, f"{name}: a batch of none": int(size == 0)})
    counts[f"{name}: {_TOGETHER}"] += size >= _PAIRS_TOGETHER_MIN
    return Call(name, lambda core: function(core)(data), encoded(hashes), data, size, counts)


def _malformed_felts(
    random: Random,
    name: str,
    felts: Sequence[int],
    unit: int,
    function: Callable[[Core], Callable[[bytes], bytes]],
) -> Call:
    if felts and random.random() < 0.5:
        data, words = with_beyond(random, list(felts)), "below the prime"
    else:
        data, words = cut_or_longer(random, encoded(felts), unit), f"{unit} bytes"
    return malformed(name, words, data, lambda core: function(core)(data))


def _pedersen_fold(random: Random, _: int) -> Call:
    name = "pedersen_fold"
    felts = [any_felt(random) for _ in range(random.choice(_FOLDED))]
    if random.random() < _MALFORMED_SHARE:
        if random.random() < 0.3:
            return malformed(name, "from a felt", b"", lambda core: core.pedersen_fold(b""))
        return _malformed_felts(random, name, felts, 32, lambda core: core.pedersen_fold)
    folded = felts[0]
    for felt in felts[1:]:
        folded = pedersen(folded, felt)
    data = encoded(felts)
    kind = "one felt" if len(felts) == 1 else "felts"
    counts = Counter([f"{name}: {kind}"])
    return Call(name, lambda core: core.pedersen_fold(data), encoded([folded]), data, 1, counts)


def _poseidon_arrays(random: Random, inputs_max: int) -> Call:
    name = "poseidon_arrays"
    size = min(random.choice(_ARRAYS), inputs_max)
    lengths = [_array_length(random) for _ in range(size)]
    arrays = [[any_felt(random) for _ in range(length)] for length in lengths]
    felts = [felt for array in arrays for felt in array]
    if random.random() < _MALFORMED_SHARE:
        return _malformed_arrays(random, name, lengths, felts)
    hashes = [int(wheel.poseidon_hash_many(array)) for array in arrays]
    data = encoded(felts)
    counts = Counter(f"{name}: {_array_kind(length)}" for length in lengths)
    counts[f"{name}: no arrays"] += size == 0
    counts[f"{name}: {_TOGETHER}"] += size > 1 and len(felts) >= _FELTS_TOGETHER_MIN
    return Call(
        name,
        lambda core: core.poseidon_arrays(lengths, data),
        encoded(hashes),
        data,
        size,
        counts,
        f"lengths {lengths}",
    )


def _array_length(random: Random) -> int:
    is_long = random.random() < _ARRAY_LONG_SHARE
    return random.randrange(_ARRAY_LONG) if is_long else random.choice(_ARRAY_FELTS)


def _array_kind(length: int) -> str:
    if length == 0:
        return "empty array"
    return "array of an odd length" if length % 2 else "array of an even length"


def _malformed_arrays(
    random: Random, name: str, lengths: Sequence[int], felts: Sequence[int]
) -> Call:
    data, place = encoded(felts), random.randrange(len(lengths) + 1)

    def with_length(length: int) -> list[int]:
        return [*lengths[:place], length, *lengths[place:]]

    choice = random.randrange(5)
    if choice == 0:
        lengths, words = with_length(random.choice((1, 2, 100, *_HUGE_LENGTHS))), "longer than"
    elif choice == 1:
        data, words = data + encoded([any_felt(random)]), "shorter than"
    elif choice == 2:
        wrong = with_length(random.choice(_NO_LENGTHS))
        return beyond_machine(name, lambda core: core.poseidon_arrays(wrong, data))
    elif choice == 3 and felts:
        data, words = with_beyond(random, list(felts)), "below the prime"
    else:
        data, words = cut_or_longer(random, data, 32), "32 bytes"
    given = list(lengths)
    return malformed(
        name,
        words,
        data,
        lambda core: core.poseidon_arrays(given, data),
        f"lengths {given}",
    )


def _list_root(random: Random, _: int) -> Call:
    name = "list_root"
    is_many = random.random() < _LEAVES_MANY_SHARE
    size = random.randrange(_LEAVES_MANY) if is_many else random.choice(_LEAVES)
    share_absent = random.choice((0, 0, 0.3, 0.9, 1))
    leaves = [0 if random.random() < share_absent else any_felt(random) for _ in range(size)]
    if random.random() < _MALFORMED_SHARE:
        return _malformed_felts(random, name, leaves, 32, lambda core: core.list_root)
    root = update(no_nodes, dict(enumerate(leaves)), _LIST_HEIGHT, poseidon).root
    data = encoded(leaves)
    kinds = [
        *([f"{name}: without leaves"] if not any(leaves) else []),
        *([f"{name}: with gaps"] if any(leaves) and not all(leaves) else []),
        *([f"{name}: full"] if leaves and all(leaves) else []),
        *([f"{name}: {_TOGETHER}"] if len(leaves) >= _LEAVES_TOGETHER_MIN else []),
    ]
    answer = encoded([root])
    return Call(name, lambda core: core.list_root(data), answer, data, 1, Counter(kinds))


def _sign(random: Random, _: int) -> Call:
    name = "sign"
    private_key, key_data = _private_key(random)
    message_hash = random.choice(EDGES) if random.random() < 0.3 else random.randrange(1, BOUND)
    if not 0 < message_hash < BOUND:
        message_hash = BOUND - 1
    hash_data = encoded([message_hash])
    if random.random() < _MALFORMED_SHARE:
        if random.random() < 0.5:
            words, key_data = "private key", _no_key(random)
        else:
            words, hash_data = "message hash", _no_hash(random)
        shown = key_data + hash_data
        return malformed(name, words, shown, lambda core: core.sign(key_data, hash_data))
    signature = encoded(curve.sign(private_key, message_hash))
    return Call(
        name,
        lambda core: core.sign(key_data, hash_data),
        signature,
        key_data + hash_data,
        1,
        Counter([f"{name}: signed"]),
    )


def _public_key(random: Random, _: int) -> Call:
    name = "public_key"
    private_key, data = _private_key(random)
    if random.random() < _MALFORMED_SHARE:
        wrong = _no_key(random)
        return malformed(name, "private key", wrong, lambda core: core.public_key(wrong))
    answer = encoded([curve.get_public_key(private_key)])
    counts = Counter([f"{name}: of a key"])
    return Call(name, lambda core: core.public_key(data), answer, data, 1, counts)


def _private_key(random: Random) -> tuple[int, bytes]:
    is_edge = random.random() < 0.2
    key = random.choice(_PRIVATE_KEYS) if is_edge else random.randrange(1, CURVE_ORDER)
    return key, encoded([key])


def _no_key(random: Random) -> bytes:
    if random.random() < 0.5:
        return encoded([random.choice(_NO_PRIVATE_KEYS)])
    return random.choice((encoded([5])[1:], encoded([5]) + b"\0", b"", random.randbytes(64)))


def _no_hash(random: Random) -> bytes:
    if random.random() < 0.5:
        return encoded([random.choice(_NO_HASHES)])
    return random.choice((encoded([5])[1:], b"\0" + encoded([5]), b"", random.randbytes(64)))


MAKERS: Mapping[str, Maker] = {
    "pedersen_many": _pedersen_many,
    "poseidon_many": _poseidon_many,
    "pedersen_fold": _pedersen_fold,
    "poseidon_arrays": _poseidon_arrays,
    "list_root": _list_root,
    "sign": _sign,
    "public_key": _public_key,
}


def wanted() -> list[str]:
    """List the counters of hashes and keys that may not stay 0."""
    arrays = (
        "no arrays",
        "empty array",
        "array of an odd length",
        "array of an even length",
        _TOGETHER,
    )
    return [
        *(f"{name}: {kind}" for name in ("pedersen_many", "poseidon_many") for kind in _PAIR_KINDS),
        *(cause(name, words) for name, words in _SHAPES.items()),
        *(cause(name, "below the prime") for name in (*_SHAPES, "pedersen_fold")),
        *(f"pedersen_fold: {kind}" for kind in ("one felt", "felts")),
        *(cause("pedersen_fold", words) for words in ("from a felt", "32 bytes")),
        *(f"poseidon_arrays: {kind}" for kind in arrays),
        *(cause("poseidon_arrays", words) for words in ("longer than", "shorter than", "32 bytes")),
        *(cause("poseidon_arrays", words) for words in ("below the prime", BEYOND_MACHINE)),
        *(f"list_root: {kind}" for kind in ("without leaves", "with gaps", "full", _TOGETHER)),
        *("sign: signed", "public_key: of a key", cause("sign", "message hash")),
        *(cause(name, "private key") for name in ("sign", "public_key")),
    ]
