"""What a message's values become: the types of SNIP-12 that are one felt, and text.

Laws
- A value is read as starknet-py and starknet.js read it; every refusal is TYPED_DATA_MALFORMED.
"""

import re
from collections.abc import Callable, Mapping, Set
from typing import Final

from sequencer.model.limits import FELT_HEX_DIGITS_MAX, SHORT_STRING_CHARACTERS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import FELT_PRIME, Felt, encode_short_string
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.names import selector

_DECIMAL_DIGITS_MAX: Final = len(str(FELT_PRIME))

_HEX: Final = re.compile(rf"0x[0-9a-fA-F]{{1,{FELT_HEX_DIGITS_MAX}}}")
_DECIMAL: Final = re.compile(r"-?[0-9]+")
_FALSE: Final[Set[object]] = frozenset({False, "false", "0", "0x0"})
_TRUE: Final[Set[object]] = frozenset({True, "true", "1", "0x1"})


def malformed(detail: str) -> Refused:
    """Make the refusal of a message."""
    return Refused(Reason.TYPED_DATA_MALFORMED, detail)


def describe(value: object) -> str:
    """Say what somebody's value is, in at most 42 characters."""
    # Never repr of a foreign value: it fails on integers of thousands of digits and deep nesting.
    if type(value) is str:
        return repr(value[:40])
    return hex(value)[:40] if type(value) is int else f"a {type(value).__name__}"


def _number_or_text(value: object) -> int | str:
    if type(value) is int:
        return value
    if type(value) is not str:
        raise malformed(f"neither a number nor text but {describe(value)}")
    if value[:2] in ("0x", "0X"):
        if _HEX.fullmatch(value) is None:
            raise malformed(f"no hexadecimal number: {describe(value)}")
        return int(value, 16)
    if _DECIMAL.fullmatch(value) is None:
        return value
    if len(value) > _DECIMAL_DIGITS_MAX:
        raise malformed(f"too many digits: {describe(value)}")
    return int(value)


def _in_range(value: int | str, low: int, bound: int) -> int:
    if isinstance(value, int) and low <= value < bound:
        return value
    raise malformed(f"no number in the range of its type: {describe(value)}")


def encode_felt(value: object) -> Felt:
    """Read a value of type felt: a number, 0x text, decimal text, or a short string.

    Refusal: TYPED_DATA_MALFORMED.
    """
    read = _number_or_text(value)
    if isinstance(read, int):
        return _in_range(read, 0, FELT_PRIME)
    if len(read) > SHORT_STRING_CHARACTERS_MAX or not read.isascii():
        raise malformed(f"no short string: {describe(read)}")
    return encode_short_string(read)


def _encode_u128(value: object) -> Felt:
    return _in_range(_number_or_text(value), 0, 2**128)


def _encode_i128(value: object) -> Felt:
    read = _number_or_text(value)
    # Clients also send a negative number as the felt that it becomes.
    if isinstance(read, int) and FELT_PRIME - 2**127 <= read < FELT_PRIME:
        return read
    return _in_range(read, -(2**127), 2**127) % FELT_PRIME


def _encode_bool(value: object) -> Felt:
    if type(value) not in (bool, int, str) or value not in _FALSE | _TRUE:
        raise malformed(f"neither true nor false but {describe(value)}")
    return int(value in _TRUE)


def _encode_selector(value: object) -> Felt:
    if type(value) is not str or not value.isascii():
        raise malformed(f"no function name: {describe(value)}")
    return encode_felt(value) if value[:2] in ("0x", "0X") else selector(value)


def _encode_byte_array(value: object) -> Felt:
    if type(value) is not str or not value.isascii():
        raise malformed(f"no ASCII text: {describe(value)}")
    full = len(value) // SHORT_STRING_CHARACTERS_MAX * SHORT_STRING_CHARACTERS_MAX
    starts = range(0, full, SHORT_STRING_CHARACTERS_MAX)
    words = [
        encode_short_string(value[start : start + SHORT_STRING_CHARACTERS_MAX]) for start in starts
    ]
    rest = value[full:]
    return poseidon_array([len(words), *words, encode_short_string(rest), len(rest)])


_ENCODERS_0: Final[Mapping[str, Callable[[object], Felt]]] = {
    "felt": encode_felt,
    "bool": _encode_bool,
    "string": encode_felt,
    "selector": _encode_selector,
}
_ENCODERS_1: Final[Mapping[str, Callable[[object], Felt]]] = {
    **_ENCODERS_0,
    "string": _encode_byte_array,
    "timestamp": _encode_u128,
    "u128": _encode_u128,
    "i128": _encode_i128,
    "ContractAddress": encode_felt,
    "ClassHash": encode_felt,
    "shortstring": encode_felt,
}
ENCODERS: Final = (_ENCODERS_0, _ENCODERS_1)
"""How a value of each such type is read, by revision."""
