"""The native core's signature checks against the wheels: the same verdict for 10,000 claims."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from sequencer.starknet import felt_hash
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER, public_key, verify, verify_many
from sequencer.starknet.native import NATIVE
from tests.properties.claims import Claim, opposite_points, replaced, valid_claim
from tests.strategies import Unchecked

EDGES = (
    *(0, 1, 2, CURVE_ORDER - 1, CURVE_ORDER, CURVE_ORDER + 1),
    *(2**251 - 1, 2**251, 2**251 + 1, FELT_PRIME - 1),
)
BEYOND = (-1, FELT_PRIME, FELT_PRIME + 1, 2**256 - 1, 2**256, None, True, 1.0, "1", b"\1")
CLAIMS = 10_000
SIGNERS = 40
MORE_THAN_TABLES = 2_100

if NATIVE is None:
    pytest.skip("the native core is not installed", allow_module_level=True)

CORE = NATIVE


def wheel_verdicts(claims: list[Claim]) -> list[bool]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(felt_hash, "NATIVE", None)
        return verify_many(claims)


def signed_by(private_key: int, random: Random) -> Claim:
    return valid_claim(private_key, random.randrange(1, 2**251))


def doubled_points(random: Random) -> Iterator[Claim]:
    """Make a nonce that is twice what each of the two points is: their sum has r as its x.

    Hash and key follow from the nonce, so nobody can do so for a message of their choice.
    """
    while True:
        nonce, s = random.randrange(1, CURVE_ORDER), random.randrange(1, 2**251)
        r = public_key(nonce)
        message_hash = nonce * s * pow(2, -1, CURVE_ORDER) % CURVE_ORDER
        if r < 2**251 and message_hash < 2**251 and pow(s, -1, CURVE_ORDER) < 2**251:
            break
    quotient = message_hash * pow(r, -1, CURVE_ORDER) % CURVE_ORDER
    for private_key in (quotient, CURVE_ORDER - quotient):
        yield (public_key(private_key), message_hash, r, s)


def degenerate_claims(random: Random) -> Iterator[Claim]:
    for _ in range(10):
        private_key, s = (random.randrange(1, CURVE_ORDER) for _ in range(2))
        claim = signed_by(private_key, random)
        yield from opposite_points(private_key, claim[1], s)
        yield from doubled_points(random)
        yield claim
        yield replaced(claim, 0, random.randrange(FELT_PRIME))
        yield replaced(claim, 3, CURVE_ORDER - claim[3])
        yield (claim[0], claim[1], claim[3], claim[2])
        for index in range(4):
            yield from (replaced(claim, index, edge) for edge in EDGES)
            yield replaced(claim, index, claim[index] ^ 1 << random.randrange(251))


def random_claims(random: Random) -> Iterator[Claim]:
    """Make claims that are in range for the most part of those, which is what takes time."""
    keys = [random.randrange(1, CURVE_ORDER) for _ in range(SIGNERS)]
    while True:
        claim = signed_by(random.choice(keys), random)
        yield claim
        yield replaced(claim, random.randrange(4), random.randrange(2**251))
        for _ in range(10):
            index, edge = random.randrange(4), random.choice(EDGES)
            yield replaced(replaced(claim, index, edge), random.randrange(4), random.choice(EDGES))


def test_verdicts_are_those_of_the_wheels() -> None:
    claims = [claim for claim, _ in zip(random_claims(Random(1)), range(CLAIMS), strict=False)]
    expected = wheel_verdicts(claims)
    assert expected.count(True) > CLAIMS // 15
    assert verify_many(claims) == expected
    # By now each signer has a table.
    assert verify_many(claims) == expected
    assert [verify(*claim) for claim in claims] == expected


def test_degenerate_claims_get_the_same_verdict_at_each_sight_of_a_key() -> None:
    claims = list(degenerate_claims(Random(2)))
    expected = wheel_verdicts(claims)
    assert {True, False} == {*wheel_verdicts(list(doubled_points(Random(3))) * 2), *expected}
    for _sight in range(4):
        assert [verify(*claim) for claim in claims] == expected


def test_degenerate_claims_in_batches_spoil_nothing_beside_them() -> None:
    random = Random(4)
    claims = list(degenerate_claims(random))
    expected = wheel_verdicts(claims)
    good = signed_by(1234567, random)
    for start in range(0, len(claims), 7):
        batch = [good, *claims[start : start + 7], good]
        assert verify_many(batch) == [True, *expected[start : start + 7], True]
    # One batch for both threads of the core: each gets them all.
    assert verify_many([*claims, good, good, *claims]) == [*expected, True, True, *expected]


def test_degenerate_claims_in_many_threads_at_once() -> None:
    random = Random(5)
    claims = list(degenerate_claims(random))
    expected = wheel_verdicts(claims)
    orders = [random.sample(range(len(claims)), len(claims)) for _ in range(8)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        verdicts = pool.map(lambda order: verify_many([claims[at] for at in order]), orders)
        for order, found in zip(orders, verdicts, strict=True):
            assert found == [expected[at] for at in order]


def test_points_that_double_are_judged_by_the_lesser_root_as_the_wheels_do() -> None:
    random = Random(6)
    claims = [claim for _ in range(30) for claim in doubled_points(random)]
    expected = wheel_verdicts(claims)
    assert 10 < expected.count(True) < 50
    assert verify_many(claims) == expected
    assert verify_many(claims) == expected


@pytest.mark.parametrize("value", BEYOND, ids=repr)
def test_what_is_no_felt_is_false_and_spoils_nothing(value: Unchecked) -> None:
    good = signed_by(77, Random(7))
    for index in range(4):
        assert verify_many([good, replaced(good, index, value), good]) == [True, False, True]


def test_more_signers_than_tables_are_all_recognised() -> None:
    random = Random(8)
    claims = [signed_by(private_key, random) for private_key in range(1, MORE_THAN_TABLES)]
    changed = [replaced(claim, 1, claim[1] ^ 1) for claim in claims]
    for _sight in range(3):
        assert all(verify_many(claims))
        assert not any(verify_many(changed))


@pytest.mark.parametrize("size", [1, 32, 127, 129, 128 + 96])
def test_lengths_that_are_no_signatures_are_malformed(size: int) -> None:
    with pytest.raises(ValueError, match="128 bytes"):
        CORE.verify_many(bytes(size))


def test_bytes_of_every_kind_get_a_verdict() -> None:
    random = Random(9)
    for count in (0, 1, 7, 8, 9, 500):
        assert CORE.verify_many(random.randbytes(128 * count)) == bytes(count)
        assert CORE.verify_many(b"\xff" * 128 * count) == bytes(count)
        assert CORE.verify_many(bytes(128 * count)) == bytes(count)
