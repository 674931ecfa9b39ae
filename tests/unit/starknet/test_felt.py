"""The liberal parser, the canonical printer and short strings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import (
    FELT_PRIME,
    decode_short_string,
    encode_short_string,
    format_felt,
    is_felt,
    parse_felt,
    require_felt,
)
from tests.strategies import (
    EXTREME_FELTS,
    NOT_FELTS,
    Unchecked,
    felts,
    reason_of,
    refused,
    short_strings,
)

MALFORMED: tuple[Unchecked, ...] = (
    None,
    0,
    16,
    True,
    1.5,
    b"0x10",
    bytearray(b"0x10"),
    ["0x10"],
    "",
    "0",
    "10",
    "0x",
    "0X",
    "x10",
    "0x" + "0" * 65,
    "0x" + "0" * 64 + "1",
    "0x" + "f" * 65,
    "0xg",
    "0x1g",
    "0x 1",
    " 0x1",
    "0x1 ",
    "0x1\n",
    "\n0x1",
    "0x1\0",
    "\t0x1",
    "0x1_0",
    "0x_1",
    "-0x1",
    "+0x1",
    "0x-1",
    "0x+1",
    "0b1",
    "0o7",
    "0x0x1",
    "0x1.0",
    "1e5",
    "0x\u0661",  # an Arabic-Indic digit one
    "\uff10x1",  # a full-width zero
    "0x\uff11",
    "0\u00d71",  # a multiplication sign
)


@pytest.mark.parametrize("text", MALFORMED, ids=repr)
def test_other_shapes_are_malformed(text: Unchecked) -> None:
    with refused(Reason.FELT_MALFORMED):
        parse_felt(text)


class Text(str):
    """A string that is not exactly a string."""

    __slots__ = ()


def test_a_subclass_of_text_is_malformed() -> None:
    with refused(Reason.FELT_MALFORMED):
        parse_felt(Text("0x1"))


@pytest.mark.parametrize("value", [FELT_PRIME, FELT_PRIME + 1, 2**252, 2**255, 2**256 - 1])
def test_from_the_prime_on_it_is_out_of_range(value: int) -> None:
    with refused(Reason.FELT_OUT_OF_RANGE):
        parse_felt(hex(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x0", 0),
        ("0X0", 0),
        ("0x" + "0" * 64, 0),
        ("0x10", 16),
        ("0X00Ff", 255),
        ("0xabcdef", 0xABCDEF),
        ("0xABCDEF", 0xABCDEF),
        ("0x" + "1".zfill(64), 1),
        (hex(FELT_PRIME - 1), FELT_PRIME - 1),
        (hex(FELT_PRIME - 1).upper(), FELT_PRIME - 1),
    ],
)
def test_what_clients_send_is_read(text: str, value: int) -> None:
    assert parse_felt(text) == value


@settings(derandomize=True, deadline=None)
@given(felts, st.integers(0, 64), st.booleans())
def test_every_spelling_comes_back_canonical(value: int, digits: int, upper: bool) -> None:
    text = f"{value:x}".rjust(digits, "0")
    spelled = "0X" + text.upper() if upper else "0x" + text
    assert parse_felt(spelled) == value
    assert format_felt(parse_felt(spelled)) == f"0x{value:x}"


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=70))
def test_no_text_gets_another_exception(text: str) -> None:
    for candidate in (text, "0x" + text):
        if reason_of(lambda text=candidate: parse_felt(text)) is None:  # type: ignore[misc]
            assert parse_felt(candidate) == int(candidate, 16)


@pytest.mark.parametrize("value", EXTREME_FELTS)
def test_felts_are_felts(value: int) -> None:
    assert is_felt(value)
    assert require_felt(value) == value
    assert format_felt(value) == hex(value)


@pytest.mark.parametrize("value", NOT_FELTS, ids=repr)
def test_everything_else_is_none(value: Unchecked) -> None:
    assert not is_felt(value)
    with refused(Reason.FELT_OUT_OF_RANGE):
        require_felt(value)
    with refused(Reason.FELT_OUT_OF_RANGE):
        format_felt(value)
    with refused(Reason.FELT_OUT_OF_RANGE):
        decode_short_string(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("A", 0x41),
        ("SN_MAIN", 0x534E5F4D41494E),
        ("SN_SEPOLIA", 0x534E5F5345504F4C4941),
        ("a" * 31, int("61" * 31, 16)),
    ],
)
def test_short_strings_are_big_endian_ascii(text: str, value: int) -> None:
    assert encode_short_string(text) == value
    assert decode_short_string(value) == text


@settings(derandomize=True, deadline=None)
@given(short_strings)
def test_short_strings_come_back(text: str) -> None:
    assert decode_short_string(encode_short_string(text)) == text


@pytest.mark.parametrize("text", ["a" * 32, "\u00e9", "\u0661", "a" * 30 + "\u00fc", "\ud800"])
def test_other_text_is_no_short_string(text: str) -> None:
    with refused(Reason.SHORT_STRING_MALFORMED):
        encode_short_string(text)


@pytest.mark.parametrize("value", [0x80, 0x41FF, 2**248, int("41" * 31, 16) << 3, FELT_PRIME - 1])
def test_other_bytes_are_no_short_string(value: int) -> None:
    with refused(Reason.SHORT_STRING_MALFORMED):
        decode_short_string(value)
