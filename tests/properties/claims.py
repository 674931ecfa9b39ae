"""Claims that a key signed a hash: honest ones, and some that few verifiers expect."""

from collections.abc import Iterator
from typing import TypeAlias

from sequencer.starknet.felt_hash import CURVE_ORDER, public_key, sign
from tests.strategies import Unchecked

Claim: TypeAlias = tuple[int, int, int, int]
"""Public key, message hash, r, s."""


def valid_claim(private_key: int, message_hash: int) -> Claim:
    return (public_key(private_key), message_hash, *sign(private_key, message_hash))


def replaced(claim: Unchecked, index: int, value: Unchecked) -> Unchecked:
    return (*claim[:index], value, *claim[index + 1 :])


def opposite_points(private_key: int, message_hash: int, s: int) -> Iterator[Claim]:
    """Make r = +-z/d: the two points that a verifier adds are equal or opposite."""
    quotient = message_hash * pow(private_key, -1, CURVE_ORDER) % CURVE_ORDER
    for r in (quotient, CURVE_ORDER - quotient):
        yield (public_key(private_key), message_hash, r, s)
