"""Field elements: one liberal parser, one canonical printer.

Promises
- `parse_felt` accepts what wallets and libraries send: either case, leading zeros.
- `format_felt` prints the one form that clients accept: lower case, no leading zero.
- Decimal text is refused: `"10"` meaning ten and `0x10` meaning sixteen have cost others money.
"""

import re
from collections.abc import Iterable
from typing import TypeAlias, TypeGuard

from sequencer.model.limits import FELT_HEX_DIGITS_MAX, SHORT_STRING_CHARACTERS_MAX
from sequencer.model.refusals import Reason, Refused, shown

Felt: TypeAlias = int
"""An integer in 0 .. FELT_PRIME - 1."""

FELT_PRIME = 2**251 + 17 * 2**192 + 1
"""Modulus of the STARK field."""

FELT_BYTES = 32
"""Bytes of a felt, big-endian, wherever one is written as bytes."""

ADDRESS_BOUND = 2**251 - 256
"""Contract addresses and storage addresses are reduced modulo this."""

FELT_BYTES = 32
"""Bytes of a felt wherever one is kept as bytes."""

_FELT_TEXT = re.compile(f"0[xX][0-9a-fA-F]{{1,{FELT_HEX_DIGITS_MAX}}}", re.ASCII)


def is_felt(value: object) -> TypeGuard[int]:
    """Say whether a value is an integer (never a boolean) inside the field."""
    return type(value) is int and 0 <= value < FELT_PRIME


def parse_felt(text: object) -> Felt:
    """Read `0x...` text as a felt.

    Refusals: FELT_MALFORMED for anything but such text, FELT_OUT_OF_RANGE from the prime on.
    """
    if type(text) is not str or _FELT_TEXT.fullmatch(text) is None:
        raise Refused(Reason.FELT_MALFORMED, f"not a 0x-prefixed felt: {shown(text)}")
    value = int(text, 16)
    if value >= FELT_PRIME:
        raise Refused(Reason.FELT_OUT_OF_RANGE, f"not below the field prime: {text}")
    return value


def as_bytes(value: Felt) -> bytes:
    """Write a felt, most often a hash, as it is kept: big-endian, at its full length."""
    return value.to_bytes(FELT_BYTES, "big")


def format_hash(data: bytes) -> str:
    """Print a hash that is kept as bytes, as `format_felt` does."""
    return format_felt(int.from_bytes(data, "big"))


def format_felt(value: Felt) -> str:
    """Print a felt canonically. Refusal: FELT_OUT_OF_RANGE."""
    return hex(require_felt(value))


def require_felt(value: int) -> Felt:
    """Hand a felt back unchanged. Refusal: FELT_OUT_OF_RANGE for anything that is not one."""
    if not is_felt(value):
        raise Refused(Reason.FELT_OUT_OF_RANGE, f"not a felt: {shown(value)}")
    return value


def pack_felts(felts: Iterable[Felt]) -> bytes:
    """Write felts behind each other. The caller answers for each being one."""
    return b"".join([felt.to_bytes(FELT_BYTES, "big") for felt in felts])


def encode_short_string(text: str) -> Felt:
    """Encode at most 31 ASCII characters as one felt, first character most significant.

    Refusal: SHORT_STRING_MALFORMED.
    """
    if len(text) > SHORT_STRING_CHARACTERS_MAX or not text.isascii():
        raise Refused(Reason.SHORT_STRING_MALFORMED, f"not a short string: {shown(text)}")
    return int.from_bytes(text.encode("ascii"), "big")


def decode_short_string(value: Felt) -> str:
    """Decode a short string. Refusal: SHORT_STRING_MALFORMED where the bytes are not such text."""
    require_felt(value)
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    if len(raw) > SHORT_STRING_CHARACTERS_MAX or not raw.isascii():
        raise Refused(Reason.SHORT_STRING_MALFORMED, f"not a short string: {hex(value)}")
    return raw.decode("ascii")
