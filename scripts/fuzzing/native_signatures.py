"""Signatures for `verify_many`: valid ones, what was made of them, and what never was one.

Promises
- The verdict follows from how a signature was made. One in 50 is judged by the wheels as well, and
  so is each one whose verdict only they know.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeAlias

from scripts.fuzzing.curve import is_on_curve
from scripts.fuzzing.native_calls import (
    BEYOND,
    BOUND,
    EDGES,
    Call,
    cause,
    cut_or_longer,
    encoded,
    malformed,
)
from scripts.fuzzing.native_signers import (
    Fields,
    Pool,
    doubled_points,
    range_fault,
    signed,
    signed_with,
    steered,
)
from scripts.fuzzing.wheel_judge import SIGNATURE_BYTES, WheelJudge, fields_of
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER

WHEELS_SHARE = 0.02
"""The share of inputs over which the wheels are asked as well."""

_NAME = "verify_many"
_TABLES_MAX, _SEEN_MAX = 2_048, 16_384
_VALID_SHARE, _UNMIXED_SHARE, _DOUBLED_WEIGHT = 0.3, 0.1, 0.2
_MALFORMED_SHARE = 0.05
_SIZES = (0, 1, 1, 1, 2, 3, 5, 7, 8, 9, 17, 64, 300)
_BOTH_THREADS_MIN = 8


class Claim(NamedTuple):
    """A signature's bytes and its verdict; None: the wheels know."""

    data: bytes
    is_valid: bool | None


Maker: TypeAlias = Callable[[Random, Pool], Claim]


def _made(fields: Fields, *, is_valid: bool | None) -> Claim:
    return Claim(encoded(fields), is_valid)


def _valid_fields(random: Random, pool: Pool) -> Fields:
    return signed(random, pool.signer(random), pool.nonce(random))


def _valid(random: Random, pool: Pool) -> Claim:
    return _made(_valid_fields(random, pool), is_valid=True)


def _twin(random: Random, pool: Pool) -> Claim:
    key, message_hash, r, s = _valid_fields(random, pool)
    twin = (key, message_hash, r, CURVE_ORDER - s)
    return _made(twin, is_valid=not range_fault(twin))


def _opposite_key(random: Random, pool: Pool) -> Claim:
    signer = pool.signer(random)
    opposite = signer._replace(private_key=CURVE_ORDER - signer.private_key)
    return _made(signed(random, opposite, pool.nonce(random)), is_valid=True)


def _forged(random: Random, pool: Pool) -> Claim:
    return _made(pool.forged(random), is_valid=True)


def _steered(random: Random, pool: Pool) -> Claim:
    return _made(steered(random, pool), is_valid=True)


def _doubled(random: Random, pool: Pool) -> Claim:
    return _made(doubled_points(random, pool), is_valid=None)


def _opposite_points(random: Random, pool: Pool) -> Claim:
    signer = pool.signer(random)
    r = random.randrange(1, BOUND)
    message_hash = random.choice((1, -1)) * r * signer.private_key % CURVE_ORDER
    fields = (signer.key, message_hash, r, random.randrange(1, BOUND))
    return _made(fields, is_valid=False)


def _large_s(random: Random, pool: Pool) -> Claim:
    s = random.randrange(BOUND, CURVE_ORDER)
    return _made(signed_with(pool.signer(random), pool.nonce(random), s), is_valid=False)


def _large_inverse(random: Random, pool: Pool) -> Claim:
    s = pow(random.randrange(BOUND, CURVE_ORDER), -1, CURVE_ORDER)
    return _made(signed_with(pool.signer(random), pool.nonce(random), s), is_valid=False)


def _large_hash(random: Random, pool: Pool) -> Claim:
    signer, nonce = pool.signer(random), pool.nonce(random)
    message_hash = random.randrange(BOUND, CURVE_ORDER)
    s = (message_hash + nonce.r * signer.private_key) * nonce.inverse % CURVE_ORDER
    return _made((signer.key, message_hash, nonce.r, s), is_valid=False)


def _other_form(random: Random, pool: Pool) -> Claim:
    fields, place = _valid_fields(random, pool), random.randrange(4)
    more = FELT_PRIME if place == 0 else random.choice((CURVE_ORDER, FELT_PRIME))
    return _made(_replaced(fields, place, fields[place] + more), is_valid=False)


def _off_curve(random: Random, pool: Pool) -> Claim:
    fields = _valid_fields(random, pool)
    return _made(_replaced(fields, 0, pool.off_curve(random)), is_valid=False)


def _flipped(random: Random, pool: Pool) -> Claim:
    data = bytearray(encoded(_valid_fields(random, pool)))
    data[random.randrange(SIGNATURE_BYTES)] ^= 1 << random.randrange(8)
    return Claim(bytes(data), is_valid=False)


def _swapped(random: Random, pool: Pool) -> Claim:
    fields = _valid_fields(random, pool)
    first, second = random.sample(range(4), 2)
    swapped = _replaced(_replaced(fields, first, fields[second]), second, fields[first])
    return _made(swapped, is_valid=swapped == fields)


def _of_another(random: Random, pool: Pool) -> Claim:
    fields, other = _valid_fields(random, pool), _valid_fields(random, pool)
    place = random.randrange(4)
    mixed = _replaced(fields, place, other[place])
    return _made(mixed, is_valid=mixed in (fields, other))


def _at_an_edge(random: Random, pool: Pool) -> Claim:
    fields, place = _valid_fields(random, pool), random.randrange(4)
    mixed = _replaced(fields, place, random.choice((*EDGES, *BEYOND)))
    return _made(mixed, is_valid=mixed == fields)


def _all_edges(random: Random, _: Pool) -> Claim:
    key, message_hash, r, s = random.choices((*EDGES, *BEYOND), k=4)
    return _made((key, message_hash, r, s), is_valid=False)


def _random_in_range(random: Random, _: Pool) -> Claim:
    key, message_hash, r, s = (random.randrange(1, BOUND) for _ in range(4))
    return _made((key, message_hash, r, s), is_valid=False)


def _random_bytes(random: Random, _: Pool) -> Claim:
    return Claim(random.randbytes(SIGNATURE_BYTES), is_valid=False)


def _replaced(fields: Fields, place: int, value: int) -> Fields:
    changed = list(fields)
    changed[place] = value
    key, message_hash, r, s = changed
    return key, message_hash, r, s


ACCEPTED: Mapping[str, Maker] = {
    "valid": _valid,
    "twin of a valid one, N - s": _twin,
    "signed with the opposite key": _opposite_key,
    "forged for a key at an edge": _forged,
    "multiples at an edge": _steered,
    "points that double": _doubled,
}
REFUSED: Mapping[str, Maker] = {
    "points that double": _doubled,
    "r = +-hash / key": _opposite_points,
    "s too large, else valid": _large_s,
    "inverse of s too large, else valid": _large_inverse,
    "hash too large, else valid": _large_hash,
    "a number in another form": _other_form,
    "key not on the curve, else valid": _off_curve,
    "one bit flipped": _flipped,
    "two fields swapped": _swapped,
    "one field of another": _of_another,
    "one field at an edge": _at_an_edge,
}
NOT_OF_VALID: Mapping[str, Maker] = {
    "all fields at an edge": _all_edges,
    "random numbers in range": _random_in_range,
    "random bytes": _random_bytes,
}
_KINDS = {**ACCEPTED, **REFUSED, **NOT_OF_VALID}
_REASONS = (*(f"range of {field}" for field in ("key", "hash", "r", "s", "inverse of s")), "curve")
_SIGHTS = ("first sight", "second sight", "known key")
_BATCHES = ("empty", "one", "in both threads of the core", "with good and bad")
FORGETTING = ("a table gave way", "all sights forgotten")
"""What only comes about after tens of thousands of inputs."""


def wanted() -> list[str]:
    """List the counters of signatures that may not stay 0."""
    names = [
        *(f"input: {kind}" for kind in _KINDS),
        *(f"accepted: {kind}" for kind in ACCEPTED),
        *(f"refused: {kind}" for kind in {**REFUSED, **NOT_OF_VALID}),
        *(f"refused by {reason}" for reason in (*_REASONS, "equation")),
        *(f"{sight}, {how}" for sight in _SIGHTS for how in ("accepted", "refused")),
        *(f"batch: {batch}" for batch in _BATCHES),
        *(*FORGETTING, "asked of the wheels"),
    ]
    return [cause(_NAME, "128 bytes"), *(f"{_NAME}: {name}" for name in names)]


class Sights:
    """What the core remembers of keys, as far as one can know from outside."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._tables: OrderedDict[int, None] = OrderedDict()

    def see(self, key: int, counts: Counter[str], *, is_valid: bool) -> str:
        """Tell of a signature that was looked at, and learn what its key was until then."""
        if key in self._tables:
            if is_valid:
                self._tables.move_to_end(key)
            return "known key"
        if key in self._seen:
            if is_valid:
                self._seen.remove(key)
                self._tables[key] = None
            if len(self._tables) > _TABLES_MAX:
                self._tables.popitem(last=False)
                counts[f"{_NAME}: a table gave way"] += 1
            return "second sight"
        if is_valid:
            if len(self._seen) >= _SEEN_MAX:
                self._seen.clear()
                counts[f"{_NAME}: all sights forgotten"] += 1
            self._seen.add(key)
        return "first sight"


class Signatures:
    """Calls of `verify_many`, one after the other."""

    def __init__(self, random: Random, judge: WheelJudge, violated: Callable[[str], None]) -> None:
        self._pool = Pool(random)
        self._sights = Sights()
        self._judge, self._violated = judge, violated

    def call(self, random: Random, inputs_max: int) -> Call:
        """Make a call with so many signatures at most."""
        if random.random() < _MALFORMED_SHARE:
            valid = [_valid(random, self._pool).data for _ in range(random.randrange(3))]
            data = cut_or_longer(random, b"".join(valid), SIGNATURE_BYTES)
            return malformed(_NAME, "128 bytes", data, lambda core: core.verify_many(data))
        size = min(random.choice(_SIZES), inputs_max)
        kinds = self._kinds(random, size)
        claims = [_KINDS[kind](random, self._pool) for kind in kinds]
        counts = Counter({f"{_NAME}: batch: {name}": 1 for name in _batch_names(claims)})
        verdicts = self._verdicts(random, claims, counts)
        for kind, claim, verdict in zip(kinds, claims, verdicts, strict=True):
            self._count(counts, kind, claim, is_valid=verdict)
        data = b"".join([claim.data for claim in claims])
        return Call(_NAME, lambda core: core.verify_many(data), bytes(verdicts), data, size, counts)

    def _kinds(self, random: Random, size: int) -> list[str]:
        style = random.random()
        if style < _UNMIXED_SHARE:
            return _chosen_kinds(random, ACCEPTED, size)
        if style < 2 * _UNMIXED_SHARE:
            return _chosen_kinds(random, {**REFUSED, **NOT_OF_VALID}, size)
        others = _chosen_kinds(random, _KINDS, size)
        return ["valid" if random.random() < _VALID_SHARE else other for other in others]

    def _verdicts(self, random: Random, claims: list[Claim], counts: Counter[str]) -> list[bool]:
        asked = [
            claim for claim in claims if claim.is_valid is None or random.random() < WHEELS_SHARE
        ]
        told = dict(zip(asked, self._judge.verdicts([claim.data for claim in asked]), strict=True))
        counts[f"{_NAME}: asked of the wheels"] += len(asked)
        for claim, verdict in told.items():
            if claim.is_valid is not None and claim.is_valid != verdict:
                self._violated(f"the wheels say {verdict} of {claim.data.hex()}")
        return [told[claim] if claim.is_valid is None else claim.is_valid for claim in claims]

    def _count(self, counts: Counter[str], kind: str, claim: Claim, *, is_valid: bool) -> None:
        verdict = "accepted" if is_valid else "refused"
        names = [f"input: {kind}", f"{verdict}: {kind}"]
        fields = fields_of(claim.data)
        fault = range_fault(fields)
        if not fault:
            sight = self._sights.see(fields[0], counts, is_valid=is_valid)
            names.append(f"{sight}, {verdict}")
        if not is_valid:
            is_point = bool(fault) or _is_on_curve(fields[0])
            refuser = f"range of {fault}" if fault else "equation" if is_point else "curve"
            names.append(f"refused by {refuser}")
        counts.update(f"{_NAME}: {name}" for name in names)
        counts["signatures that are valid or mutants of such"] += kind not in NOT_OF_VALID


def _chosen_kinds(random: Random, kinds: Mapping[str, Maker], size: int) -> list[str]:
    # What only the wheels can judge costs as much as fifty others.
    weights = [_DOUBLED_WEIGHT if maker is _doubled else 1.0 for maker in kinds.values()]
    return random.choices(list(kinds), weights, k=size)


def _batch_names(claims: list[Claim]) -> list[str]:
    verdicts = {claim.is_valid for claim in claims}
    names = {
        "empty": not claims,
        "one": len(claims) == 1,
        "in both threads of the core": len(claims) >= _BOTH_THREADS_MIN,
        "with good and bad": {True, False} <= verdicts,
    }
    return [name for name, holds in names.items() if holds]


_is_on_curve = lru_cache(maxsize=65_536)(is_on_curve)
