"""Signatures by arithmetic alone: of keys that come back and of keys that nobody has.

Laws
- A signature of key d with the nonce k has r = x(k G) and s = (hash + r d) / k modulo the order.
- What is valid stays valid where s becomes N - s, or d becomes -d: both points have the same x.
"""

from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeAlias

from scripts.fuzzing.curve import Walk, add, is_on_curve, point_of
from scripts.fuzzing.native_calls import BOUND, EDGES
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER

Fields: TypeAlias = tuple[int, int, int, int]
"""Public key, message hash, r, s."""

SCALAR_EDGES = (
    *(1, 2, 7, 8, 9, 15, 16, 17, 127, 128, 129, 255, 256, 2**128, 2**248, BOUND - 1, BOUND),
    *(CURVE_ORDER - 1, CURVE_ORDER - 2, CURVE_ORDER // 2, CURVE_ORDER // 2 + 1),
    # Digits whose sum up to the highest is the very point that the highest stands for.
    *(2 * BOUND - CURVE_ORDER + more for more in (-1, 0, 1)),
    *(int(digit * 62, 16) for digit in "178f"),
    *(int(digits * 31, 16) for digits in ("08", "80", "7f", "81", "f0")),
)
"""Multiples at which a table's digits carry, vanish, or are all the same."""

_OFTEN, _RETURNING_MAX, _NONCES, _OFF_CURVE = 64, 6_144, 128, 64
_FRESH_NONCE_SHARE = 0.05
_FACTORS = (1, 2, 3)


class Signer(NamedTuple):
    """A private key and its public key."""

    private_key: int
    key: int


class Nonce(NamedTuple):
    """A scalar, its inverse, and the x of its point."""

    scalar: int
    inverse: int
    r: int


class Pool:
    """Signers who come often, who come back now and then, and who are new."""

    def __init__(self, random: Random) -> None:
        self._walk = Walk(random)
        self._often = [self._new_signer(random) for _ in range(_OFTEN)]
        self._returning = [self._new_signer(random)]
        self._nonces = [self._new_nonce(random) for _ in range(_NONCES)]
        self._off_curve: list[int] = []
        while len(self._off_curve) < _OFF_CURVE:
            x = random.randrange(1, FELT_PRIME)
            self._off_curve += [] if is_on_curve(x) else [x]

    def signer(self, random: Random) -> Signer:
        """Choose who signs."""
        chance = random.random()
        if chance < 0.6:
            return random.choice(self._often)
        if chance < 0.8:
            return random.choice(self._returning)
        fresh = self._new_signer(random)
        if len(self._returning) < _RETURNING_MAX:
            self._returning.append(fresh)
        else:
            self._returning[random.randrange(_RETURNING_MAX)] = fresh
        return fresh

    def nonce(self, random: Random) -> Nonce:
        """Choose a nonce."""
        place = random.randrange(_NONCES)
        if random.random() < _FRESH_NONCE_SHARE:
            self._nonces[place] = self._new_nonce(random)
        return self._nonces[place]

    def off_curve(self, random: Random) -> int:
        """Choose a felt that is the x of no point."""
        return random.choice(self._off_curve)

    def forged(self, random: Random) -> Fields:
        """Sign for a key at an edge: r is the x of a G + b Q, s is r / b, the hash is a s."""
        key = random.choice(_edge_keys())
        while True:
            first, factor = self._walk.next(random), random.choice(_FACTORS)
            r = add(first.point, _small_multiple(key, factor))[0]
            s = r * pow(factor, -1, CURVE_ORDER) % CURVE_ORDER
            fields = (key, first.scalar * s % CURVE_ORDER, r, s)
            if is_in_range(fields):
                return fields

    def _new_signer(self, random: Random) -> Signer:
        private_key, point = self._walk.next(random)
        return Signer(private_key, point[0])

    def _new_nonce(self, random: Random) -> Nonce:
        while True:
            scalar, point = self._walk.next(random)
            if scalar and point[0] < BOUND:
                return Nonce(scalar, pow(scalar, -1, CURVE_ORDER), point[0])


def is_in_range(fields: Fields) -> bool:
    """Say whether all but the curve and the equation is as it should be."""
    return range_fault(fields) == ""


def range_fault(fields: Fields) -> str:
    """Name the field that is out of its range, "" where none is."""
    key, message_hash, r, s = fields
    if not 0 < key < FELT_PRIME:
        return "key"
    if not 0 < message_hash < BOUND:
        return "hash"
    if not 0 < r < BOUND:
        return "r"
    if not 0 < s < BOUND:
        return "s"
    return "inverse of s" if pow(s, -1, CURVE_ORDER) >= BOUND else ""


def signed(random: Random, signer: Signer, nonce: Nonce) -> Fields:
    """Sign a message hash, one in eight at an edge."""
    while True:
        edge = random.random() < 0.125
        message_hash = random.choice((1, 2, BOUND - 1)) if edge else random.randrange(1, BOUND)
        s = (message_hash + nonce.r * signer.private_key) * nonce.inverse % CURVE_ORDER
        # An inverse of 2^251 and above is as rare as an s of that size, 1 in 2^55.
        if 0 < s < BOUND:
            return signer.key, message_hash, nonce.r, s


def signed_with(signer: Signer, nonce: Nonce, s: int) -> Fields:
    """Find the message hash that has this s."""
    message_hash = (nonce.scalar * s - nonce.r * signer.private_key) % CURVE_ORDER
    return signer.key, message_hash, nonce.r, s


def steered(random: Random, pool: Pool) -> Fields:
    """Sign so that the generator, or the key, is multiplied by a scalar at an edge."""
    while True:
        signer, nonce = pool.signer(random), pool.nonce(random)
        scalar = random.choice(SCALAR_EDGES)
        if random.random() < 0.5:
            of_key = (nonce.scalar - scalar) * pow(signer.private_key, -1, CURVE_ORDER)
        else:
            of_key = scalar
        if of_key % CURVE_ORDER == 0:
            continue
        fields = signed_with(signer, nonce, nonce.r * pow(of_key, -1, CURVE_ORDER) % CURVE_ORDER)
        if is_in_range(fields):
            return fields


def doubled_points(random: Random, pool: Pool) -> Fields:
    """Sign so that both points are equal or opposite, and r is the x of their double or nothing.

    The hash follows from the nonce, so nobody can do so for a message of their choice.
    """
    while True:
        signer, nonce = pool.signer(random), pool.nonce(random)
        product = nonce.r * signer.private_key % CURVE_ORDER
        message_hash = random.choice((product, CURVE_ORDER - product))
        s = random.choice((1, -1)) * 2 * product * nonce.inverse % CURVE_ORDER
        fields = (signer.key, message_hash, nonce.r, s)
        if is_in_range(fields):
            return fields


@lru_cache(maxsize=1)
def _edge_keys() -> tuple[int, ...]:
    return tuple(x for x in EDGES if x and is_on_curve(x))


@lru_cache(maxsize=4 * len(EDGES))
def _small_multiple(key: int, factor: int) -> tuple[int, int]:
    if factor == 1:
        return point_of(key)
    return add(_small_multiple(key, factor - 1), _small_multiple(key, 1))
