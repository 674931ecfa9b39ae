"""Hashes and the STARK curve: the only importer of hashing and curve libraries.

The native core does the work where there is one, and the libraries do it elsewhere.

Promises
- Every argument is checked before a library sees it: a value outside its range is refused by code,
  and a signature check answers False.
- No exception of a library gets out, Rust panics included: they derive from BaseException.
- Signing is deterministic (RFC 6979 without extra entropy). It is not hardened against timing
  and serves devnets, tests and scripts.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec
import starknet_pathfinder_crypto as _wheel  # type: ignore[import-untyped]
from Crypto.Hash import keccak as _keccak
from fast_stark_crypto import lib as _curve

from sequencer.model.cache_limits import SIGNER_CURVE_CHECKS_CACHED
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import (
    FELT_BYTES,
    FELT_PRIME,
    Felt,
    is_felt,
    pack_felts,
    require_felt,
)
from sequencer.starknet.native import NATIVE

Hash: TypeAlias = Callable[[Felt, Felt], Felt]
"""A two-to-one hash over felts, as a trie takes it."""

CURVE_ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
"""Order of the STARK curve's generator."""

_CURVE_BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
_SIGNATURE_BOUND = 2**251
_KECCAK_MASK = 2**250 - 1
_KEY_BITS = 256
_NO_SIGNATURE = bytes(4 * FELT_BYTES)


def _pair(left: Felt, right: Felt) -> bytes:
    if not (type(left) is int and 0 <= left < FELT_PRIME):
        require_felt(left)
    if not (type(right) is int and 0 <= right < FELT_PRIME):
        require_felt(right)
    return left.to_bytes(FELT_BYTES, "big") + right.to_bytes(FELT_BYTES, "big")


def pedersen(left: Felt, right: Felt) -> Felt:
    """Return the Pedersen hash of two felts. Refusal: FELT_OUT_OF_RANGE."""
    pair = _pair(left, right)
    if NATIVE is None:
        return int(_wheel.pedersen_hash(left, right))
    return int.from_bytes(NATIVE.pedersen_many(pair), "big")


def pedersen_array(values: Sequence[Felt]) -> Felt:
    """Fold Pedersen from 0 over the values, then over their count. Refusal: FELT_OUT_OF_RANGE."""
    return pedersen_fold(0, (*values, len(values)))


def pedersen_fold(state: Felt, values: Sequence[Felt]) -> Felt:
    """Fold Pedersen from a state over the values: the state of a constant prefix can be kept."""
    if NATIVE is not None and values:
        felts = [require_felt(value) for value in (state, *values)]
        return int.from_bytes(NATIVE.pedersen_fold(pack_felts(felts)), "big")
    for value in values:
        state = pedersen(state, value)
    return state


def poseidon(left: Felt, right: Felt) -> Felt:
    """Return the two-input Poseidon hash (capacity 2). Refusal: FELT_OUT_OF_RANGE."""
    pair = _pair(left, right)
    if NATIVE is None:
        return int(_wheel.poseidon_hash(left, right))
    return int.from_bytes(NATIVE.poseidon_many(pair), "big")


def poseidon_array(values: Sequence[Felt]) -> Felt:
    """Return the Poseidon sponge over the values, padded with 1, 0... Refusal as above."""
    for value in values:
        if not (type(value) is int and 0 <= value < FELT_PRIME):
            require_felt(value)
    if NATIVE is None:
        return int(_wheel.poseidon_hash_many(list(values)))
    return poseidon_packed(pack_felts(values))


def poseidon_packed(felts: bytes) -> Felt:
    """Return `poseidon_array` of felts that follow each other, each of 32 bytes, big-endian.

    For whoever has checked them: the caller answers for each being below the prime.
    """
    if NATIVE is not None:
        return int.from_bytes(NATIVE.poseidon_arrays([len(felts) // FELT_BYTES], felts), "big")
    starts = range(0, len(felts), FELT_BYTES)
    return poseidon_array([int.from_bytes(felts[at : at + FELT_BYTES], "big") for at in starts])


def poseidon_arrays(arrays: Sequence[Sequence[Felt]]) -> list[Felt]:
    """Return `poseidon_array` of each array. Refusal as above."""
    if NATIVE is None:
        return [poseidon_array(array) for array in arrays]
    felts = [value for array in arrays for value in array]
    for value in felts:
        if not (type(value) is int and 0 <= value < FELT_PRIME):
            require_felt(value)
    hashes = NATIVE.poseidon_arrays([len(array) for array in arrays], pack_felts(felts))
    starts = range(0, len(hashes), FELT_BYTES)
    return [int.from_bytes(hashes[start : start + FELT_BYTES], "big") for start in starts]


class Blake2s(msgspec.Struct, frozen=True):
    """The two-to-one hash of the chain's own tries.

    `tag` (at most 8 bytes) keeps uses apart. Refusal: FELT_OUT_OF_RANGE.
    """

    tag: bytes

    def __call__(self, left: Felt, right: Felt) -> Felt:
        """Hash two felts."""
        return blake2s_digest(_pair(left, right), self.tag)


def blake2s_digest(data: bytes, tag: bytes) -> Felt:
    """Return the first 31 bytes of Blake2s under a tag of at most 8 bytes, read big-endian."""
    return int.from_bytes(hashlib.blake2s(data, person=tag).digest()[:31], "big")


def keccak(data: bytes) -> int:
    """Return Keccak-256 as an integer of 256 bits."""
    return int.from_bytes(_keccak.new(digest_bits=256, data=data).digest(), "big")


def starknet_keccak(data: bytes) -> Felt:
    """Return Keccak-256 cut to its low 250 bits: selectors, storage names, type hashes."""
    return keccak(data) & _KECCAK_MASK


def verify(public_key: object, message_hash: object, r: object, s: object) -> bool:
    """Check a STARK-curve signature. Anything malformed is simply False, in every thread.

    Ranges are those of the published verifier: key in the field and on the curve, hash and r in
    1 .. 2^251 - 1, s in 1 .. order - 1 with an inverse below 2^251. The library takes no s of 2^251
    or more, and says so loudly; no signer makes one in a lifetime.
    """
    return verify_many(((public_key, message_hash, r, s),))[0]


def verify_many(signatures: Sequence[tuple[object, object, object, object]]) -> list[bool]:
    """Check signatures (key, message hash, r, s), each as `verify` does."""
    if NATIVE is None:
        return [_is_valid(*each) for each in signatures]
    encoded = b"".join([_signature_bytes(*each) for each in signatures])
    return [verdict == 1 for verdict in NATIVE.verify_many(encoded)]


def _signature_bytes(public_key: object, message_hash: object, r: object, s: object) -> bytes:
    if not (is_felt(public_key) and is_felt(message_hash) and is_felt(r) and is_felt(s)):
        return _NO_SIGNATURE
    return pack_felts((public_key, message_hash, r, s))


def _is_valid(public_key: object, message_hash: object, r: object, s: object) -> bool:
    if not (is_felt(public_key) and is_felt(message_hash) and is_felt(r) and is_felt(s)):
        return False
    if not (0 < message_hash < _SIGNATURE_BOUND and 0 < r < _SIGNATURE_BOUND):
        return False
    if not 0 < s < _SIGNATURE_BOUND or pow(s, -1, CURVE_ORDER) >= _SIGNATURE_BOUND:
        return False
    return _is_on_curve(public_key) and _library_verdict(public_key, message_hash, r, s)


def _library_verdict(public_key: Felt, message_hash: Felt, r: Felt, s: Felt) -> bool:
    # r = +-z/d makes the library add opposite points and panic; no signer makes such an r.
    try:
        return _curve.verify(public_key, message_hash, r, s)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return False


def is_public_key(x: object) -> bool:
    """Say whether a value is the x coordinate of a point that can sign."""
    return is_felt(x) and x != 0 and _is_on_curve(x)


@lru_cache(maxsize=SIGNER_CURVE_CHECKS_CACHED)
def _is_on_curve(x: Felt) -> bool:
    square = (x**3 + x + _CURVE_BETA) % FELT_PRIME
    return pow(square, (FELT_PRIME - 1) // 2, FELT_PRIME) in (0, 1)


def sign(private_key: int, message_hash: Felt) -> tuple[Felt, Felt]:
    """Sign a message hash; returns (r, s).

    Refusals: PRIVATE_KEY_OUT_OF_RANGE, MESSAGE_HASH_OUT_OF_RANGE (0, or 2^251 and above).
    """
    _require_private_key(private_key)
    if not (is_felt(message_hash) and 0 < message_hash < _SIGNATURE_BOUND):
        raise Refused(Reason.MESSAGE_HASH_OUT_OF_RANGE, f"cannot be signed: {shown(message_hash)}")
    if NATIVE is None:
        return _curve.sign(private_key, message_hash)
    signature = NATIVE.sign(pack_felts((private_key,)), pack_felts((message_hash,)))
    r, s = signature[:FELT_BYTES], signature[FELT_BYTES:]
    return int.from_bytes(r, "big"), int.from_bytes(s, "big")


def public_key(private_key: int) -> Felt:
    """Return the x coordinate of the key's point. Refusal: PRIVATE_KEY_OUT_OF_RANGE."""
    _require_private_key(private_key)
    if NATIVE is None:
        return _curve.get_public_key(private_key)
    return int.from_bytes(NATIVE.public_key(pack_felts((private_key,))), "big")


def _require_private_key(private_key: int) -> int:
    if type(private_key) is not int or not 0 < private_key < CURVE_ORDER:
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, "a private key is in 1 .. curve order - 1")
    return private_key


def grind_key(seed: int) -> int:
    """Derive a private key from a seed of up to 256 bits, without modulo bias.

    Seed || counter is hashed with SHA-256 until the digest is below the largest multiple of the
    curve order, then reduced. The seed of a wallet-derived key is the r of an Ethereum signature.
    Refusal: PRIVATE_KEY_OUT_OF_RANGE where the seed is not an integer of 256 bits.
    """
    if type(seed) is not int or not 0 <= seed < 2**_KEY_BITS:
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, "a seed is an integer of up to 256 bits")
    bound = 2**_KEY_BITS - 2**_KEY_BITS % CURVE_ORDER
    counter = 0
    while (digest := _seed_digest(seed, counter)) >= bound:
        counter += 1
    return digest % CURVE_ORDER


def _seed_digest(seed: int, counter: int) -> int:
    data = b"".join(_minimal_bytes(number) for number in (seed, counter))
    return int.from_bytes(hashlib.sha256(data).digest(), "big")


def _minimal_bytes(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
