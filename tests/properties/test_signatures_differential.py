"""Signature checks against crypto-cpp: the same verdict, never an exception, in every thread.

The oracle takes w, the inverse of s, in place of s. It has no opinion on s itself: starknet-py
inverts s modulo the curve order first, so that its wrapper accepts s + order, a second spelling of
the same signature. The verdict asked of `verify` is therefore False unless 1 <= s < order, and the
oracle's where s is in that range. Numbers that do not fit its 32 bytes make the oracle raise
OverflowError, which counts as False.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from crypto_cpp_py.cpp_bindings import cpp_verify  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER, sign, verify
from sequencer.starknet.messages import price_report_hash
from tests.properties.claims import Claim, opposite_points, replaced, valid_claim
from tests.strategies import Unchecked, signable_hashes

EDGES = (
    -1,
    0,
    1,
    CURVE_ORDER - 1,
    CURVE_ORDER,
    CURVE_ORDER + 1,
    FELT_PRIME - 1,
    FELT_PRIME,
    FELT_PRIME + 1,
    2**251 - 1,
    2**251,
    2**251 + 1,
    2**256 - 1,
    2**256,
)
WRONG_TYPES: tuple[Unchecked, ...] = (
    None,
    True,
    False,
    1.0,
    "1",
    "0x1",
    b"\1",
    [1],
    (1,),
    {},
    object(),
)

private_keys = st.integers(1, CURVE_ORDER - 1)


def oracle(public: int, message_hash: int, r: int, s: int) -> bool:
    if not 1 <= s < CURVE_ORDER:
        return False
    try:
        return bool(cpp_verify(message_hash, r, pow(s, -1, CURVE_ORDER), public))
    except OverflowError:
        return False


def is_on_curve(x: int) -> bool:
    beta = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
    square = (x**3 + x + beta) % FELT_PRIME
    return square == 0 or pow(square, FELT_PRIME // 2, FELT_PRIME) == 1


def degenerate_claims(random: Random) -> Iterator[Claim]:
    for _ in range(12):
        private_key = random.randrange(1, CURVE_ORDER)
        message_hash = random.randrange(1, 2**251)
        claim = valid_claim(private_key, message_hash)
        yield claim
        yield from opposite_points(private_key, message_hash, claim[3])
        yield from opposite_points(private_key, message_hash, random.randrange(1, CURVE_ORDER))
        yield replaced(claim, 0, random.randrange(FELT_PRIME))
        yield replaced(claim, 3, CURVE_ORDER - claim[3])
        yield replaced(claim, 3, claim[3] + CURVE_ORDER)
        yield replaced(claim, 2, claim[2] + CURVE_ORDER)
        yield replaced(claim, 2, claim[2] + FELT_PRIME)
        yield replaced(claim, 1, claim[1] + CURVE_ORDER)
        yield replaced(claim, 0, claim[0] + FELT_PRIME)
        yield (claim[0], claim[1], claim[3], claim[2])
        for index in range(4):
            yield from (replaced(claim, index, edge) for edge in EDGES)
            yield replaced(claim, index, claim[index] ^ 1 << random.randrange(256))


@settings(derandomize=True, max_examples=150)
@given(private_keys, signable_hashes)
def test_valid_signatures_pass_here_and_there(private_key: int, message_hash: int) -> None:
    claim = valid_claim(private_key, message_hash)
    assert verify(*claim) is True
    assert oracle(*claim) is True


@settings(derandomize=True, max_examples=300)
@given(private_keys, signable_hashes, st.integers(0, 3), st.integers(0, 255))
def test_one_flipped_bit_is_noticed(private_key: int, z: int, index: int, bit: int) -> None:
    claim = valid_claim(private_key, z)
    flipped = replaced(claim, index, claim[index] ^ 1 << bit)
    assert verify(*flipped) is False
    assert oracle(*flipped) is False


@settings(derandomize=True, max_examples=200)
@given(private_keys, signable_hashes, st.integers(1, CURVE_ORDER - 1))
def test_equal_and_opposite_points_get_the_same_verdict(private_key: int, z: int, s: int) -> None:
    for claim in opposite_points(private_key, z, s):
        assert verify(*claim) is oracle(*claim) is False


@settings(derandomize=True, max_examples=200)
@given(st.integers(0, FELT_PRIME - 1), signable_hashes)
def test_any_number_as_key_gets_the_same_verdict(key: int, message_hash: int) -> None:
    r, s = sign(1, message_hash)
    assert verify(key, message_hash, r, s) is oracle(key, message_hash, r, s)


@settings(derandomize=True, max_examples=300)
@given(*[st.one_of(st.sampled_from(EDGES), st.integers(0, 2**252))] * 4)
def test_any_numbers_get_the_same_verdict(key: int, z: int, r: int, s: int) -> None:
    assert verify(key, z, r, s) is oracle(key, z, r, s)


def test_every_edge_in_every_place_gets_the_same_verdict() -> None:
    claim = valid_claim(987654321, 123456789)
    for index in range(4):
        for edge in EDGES:
            edged = replaced(claim, index, edge)
            assert verify(*edged) is oracle(*edged), (index, hex(edge))


def test_edges_of_the_message_hash_pass_where_they_can_be_signed() -> None:
    for message_hash in (1, 2**251 - 1):
        assert verify(*valid_claim(5, message_hash))
    for message_hash in (0, 2**251, FELT_PRIME - 1, FELT_PRIME):
        assert not verify(*replaced(valid_claim(5, 1), 1, message_hash))


def test_keys_beside_the_curve_are_refused() -> None:
    beside = [x for x in range(2_000) if not is_on_curve(x)]
    assert 800 < len(beside) < 1_200
    claim = valid_claim(3, 4)
    assert not any(verify(*replaced(claim, 0, x)) for x in beside)
    assert not any(oracle(*replaced(claim, 0, x)) for x in beside)


def test_the_negated_s_is_another_signature_of_the_same_message() -> None:
    public, message_hash, r, s = valid_claim(77, 88)
    assert verify(public, message_hash, r, CURVE_ORDER - s)
    assert oracle(public, message_hash, r, CURVE_ORDER - s)


def test_s_beyond_the_order_is_no_second_spelling() -> None:
    # Below the prime as well, so that only the order can be the ground.
    claims = [valid_claim(private_key, 88) for private_key in range(1, 40)]
    second = [replaced(claim, 3, claim[3] + CURVE_ORDER) for claim in claims]
    assert all(verify(*claim) for claim in claims)
    assert not any(verify(*claim) for claim in second)


@pytest.mark.parametrize("value", WRONG_TYPES, ids=lambda value: type(value).__name__)
def test_wrong_types_are_false(value: Unchecked) -> None:
    claim = valid_claim(77, 88)
    assert not any(verify(*replaced(claim, index, value)) for index in range(4))
    assert verify(value, value, value, value) is False


def test_subclasses_of_int_are_false() -> None:
    class Number(int):
        __slots__ = ()

    claim = valid_claim(77, 88)
    for index in range(4):
        assert verify(*replaced(claim, index, Number(claim[index]))) is False


def test_degenerate_claims_in_many_threads_at_once() -> None:
    claims = list(degenerate_claims(Random(20_240_808)))
    expected = [oracle(*claim) for claim in claims]
    assert True in expected
    assert False in expected
    assert [verify(*claim) for claim in claims] == expected
    shuffled = list(range(len(claims))) * 4
    Random(1).shuffle(shuffled)
    with ThreadPoolExecutor(max_workers=8) as pool:
        verdicts = list(pool.map(lambda index: verify(*claims[index]), shuffled))
    assert verdicts == [expected[index] for index in shuffled]


STORK_PRICE = 23953641840000000
STORK_TIME = 1737451956
STORK_ASSET = "PENGUUSDMARK"
STORK: tuple[tuple[str, int, int, int, int], ...] = (
    (
        "Stkai",
        0x22A819A5C61259A1203A2EB6AADE2383EA6E666956142DD7D5A21EAB07A7E1C,
        0x1F191D23B8825DCC3DBA839B6A7155EA07AD0B42AF76394097786ACA0D9975C,
        0x23120D436AB1E115F883FD495206B80C9A9928F94DF89C2BB63EB1997CC13D5,
        0x21469CE0DA02BF1A5897077B238F536F78427F946DAFDE2B79884CF10131E74,
    ),
    (
        "Stork",
        0x2A223F7349BB121F30FF7897D97FEA75BF33AC3904686FBF42A7AA5B2A8C0ED,
        0xCC85AFE4CA87F9628370C432C447E569A01DC96D160015C8039959DB8521C4,
        0x6C4BEAB13946105513C157CA8498735AF2C3FF0F75EFE6E1D1747EFCFF8339F,
        0x94619200C9B03A647F6F29DF52D2291E866B43E57DC1A8200DEB5219C87B14,
    ),
    (
        "StCrw",
        0x68681C029342F0C1C72A7F3AB39B7C3F7626A09627EC19BC8A29058677CF3FD,
        0x41DBE627AEAB66504B837B3ABD88AE2F58BA6D98EE7BBD7F226C4684D9E6225,
        0x3AED46D0AFF9D904FAF5F76C2FB9F43C858E6F9E9C9BF99CA9FD4C1BAA907B2,
        0x58523BE606A55C57AEDD5E030A349A478A22132B84D6F77E1E348A4991F5C80,
    ),
)
"""Publisher, message hash, key, r and s of real price reports."""


@pytest.mark.parametrize(("publisher", "expected", "key", "r", "s"), STORK)
def test_published_price_reports_verify(
    publisher: str, expected: int, key: int, r: int, s: int
) -> None:
    message_hash = price_report_hash(publisher, STORK_ASSET, STORK_PRICE, STORK_TIME)
    assert message_hash == expected
    assert verify(key, message_hash, r, s)
    assert oracle(key, message_hash, r, s)


@pytest.mark.parametrize(("publisher", "expected", "key", "r", "s"), STORK)
def test_a_price_report_with_one_bit_changed_is_refused(
    publisher: str, expected: int, key: int, r: int, s: int
) -> None:
    claim = (key, expected, r, s)
    for index in range(4):
        for bit in range(252):
            assert not verify(*replaced(claim, index, claim[index] ^ 1 << bit)), (index, bit)
    changed = [
        *(
            price_report_hash(publisher, STORK_ASSET, STORK_PRICE ^ 1 << bit, STORK_TIME)
            for bit in range(120)
        ),
        *(
            price_report_hash(publisher, STORK_ASSET, STORK_PRICE, STORK_TIME ^ 1 << bit)
            for bit in range(32)
        ),
        *(
            price_report_hash(name, STORK_ASSET, STORK_PRICE, STORK_TIME)
            for name in flipped_names(publisher)
        ),
        *(
            price_report_hash(publisher, name, STORK_PRICE, STORK_TIME)
            for name in flipped_names(STORK_ASSET)
        ),
    ]
    assert expected not in changed
    assert len(set(changed)) == len(changed)
    assert not any(verify(key, message_hash, r, s) for message_hash in changed)


def flipped_names(name: str) -> list[str]:
    """Flip each of the seven bits of each character."""
    return [
        name[:at] + chr(ord(name[at]) ^ 1 << bit) + name[at + 1 :]
        for at in range(len(name))
        for bit in range(7)
    ]
