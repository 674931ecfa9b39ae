"""The decoder of what strangers send: one value, or a refusal, and nothing else."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.api.strict_json import TooLarge, decode_strict, depth_of
from sequencer.model.api_limits import JSON_VALUES_MAX
from sequencer.model.limits import JSON_DEPTH_MAX, JSON_INTEGER_DIGITS_MAX
from sequencer.model.refusals import Reason, Refused
from tests.strategies import refused

HOSTILE = {
    "nothing": b"",
    "blanks": b" \n\t",
    "two values": b"1 2",
    "two objects": b'{"a":1}{"b":2}',
    "garbage behind": b'{"a":1} x',
    "garbage in front": b'x{"a":1}',
    "comment": b'{"a":1} // why',
    "cut short": b'{"a":',
    "never closed": b'{"a":1',
    "never opened": b"1]",
    "comma too many": b"[1,]",
    "comma too many in an object": b'{"a":1,}',
    "one quote": b'"',
    "single quotes": b"{'a':1}",
    "name without quotes": b"{a:1}",
    "name that is a number": b"{1:1}",
    "a name twice": b'{"a":1,"b":2,"a":1}',
    "a name twice further down": b'{"x":[{"a":1,"a":2}]}',
    "a name twice in other letters": b'{"a":1,"\\u0061":2}',
    "not a number": b"NaN",
    "not a number inside": b'{"a":NaN}',
    "infinite": b"Infinity",
    "infinite the other way": b"[-Infinity]",
    "a fraction": b"1.0",
    "a fraction inside": b'{"a":0.1}',
    "an exponent": b"1e5",
    "a large exponent": b"1E+400",
    "a small exponent": b"1e-400",
    "a zero in front": b"01",
    "a plus": b"+1",
    "a minus alone": b"-",
    "an underscore": b"1_000",
    "hexadecimal without quotes": b"0x10",
    "no digits": b'"0x"',
    "not hexadecimal": b'"0xg"',
    "a sign in hexadecimal": b'"0x-5"',
    "an underscore in hexadecimal": b'"0x1_0"',
    "a blank in hexadecimal": b'"0x1 "',
    "0x twice": b'"0x0x1"',
    "digits of another script": '"0x\uff11\uff12"'.encode(),
    "digits of another script without quotes": "\uff11".encode(),
    "not UTF-8": b'"\xff"',
    "not UTF-8 in a name": b'{"\xc3\x28":1}',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "half of a surrogate pair": b'"\\ud800"',
    "the other half": b'["\\udfff"]',
    "half of a pair in a name": b'{"\\ud800":1}',
    "a byte order mark": b"\xef\xbb\xbf1",
    "UTF-16": "1".encode("utf-16"),
    "a zero byte": b"1\x00",
    "a control character": b'"\x01"',
    "a wrong escape": b'"\\x41"',
    "a word that is none": b"nul",
    "True": b"True",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_is_refused(data: bytes) -> None:
    with refused(Reason.JSON_MALFORMED):
        decode_strict(data)


PLAIN: list[tuple[bytes, Any]] = [
    (b"1", 1),
    (b" -5 ", -5),
    (b"true", True),
    (b"null", None),
    (b'"text"', "text"),
    (b'"0x1F"', 31),
    (b'"0x0"', 0),
    (b'"0X1F"', "0X1F"),
    (b'"x0x1"', "x0x1"),
    (b'{"a":{"a":"0xa"},"b":["0xb"]}', {"a": {"a": 10}, "b": [11]}),
    (b'{"0x1":1}', {"0x1": 1}),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    ('"\U0001f600"'.encode(), "\U0001f600"),
    (b"[]", []),
    (b"{}", {}),
    (b"-0", 0),
]


@pytest.mark.parametrize(("data", "value"), PLAIN)
def test_what_is_plain_is_read(data: bytes, value: object) -> None:
    found = decode_strict(data)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":['])
def test_levels_are_counted_before_anything_is_parsed(opening: str) -> None:
    per = opening.count("[") + opening.count("{")
    for levels in (JSON_DEPTH_MAX // per, JSON_DEPTH_MAX // per + 1, 100_000):
        data = (opening * levels + "1").encode()
        closed = (
            data
            + opening.replace('"a":', "")[::-1].translate(str.maketrans("[{", "]}")).encode()
            * levels
        )
        if levels * per <= JSON_DEPTH_MAX:
            decode_strict(closed)
            continue
        with pytest.raises(Refused, match=f"more than {JSON_DEPTH_MAX} levels"):
            decode_strict(closed)
        with pytest.raises(Refused, match=f"more than {JSON_DEPTH_MAX} levels"):
            decode_strict(data)


def test_brackets_in_text_are_no_levels() -> None:
    many = "[" * 50 + "{" * 50
    for text in (many, f'\\"{many}', f"\\\\{many}", f"{many}\\\\", many + '\\"' + many):
        data = f'["{text}"]'.encode()
        assert decode_strict(data) == json.loads(data)


def test_text_that_ends_in_an_escape_hides_no_levels() -> None:
    for text in ("\\\\", "a\\\\", '\\"\\\\'):
        data = f'["{text}", {"[" * 50}{"]" * 50}]'.encode()
        json.loads(data)
        with pytest.raises(Refused, match="levels"):
            decode_strict(data)


def test_levels_side_by_side_are_not_added_up() -> None:
    assert decode_strict(b"[" + b",".join([b"[[]]"] * 50) + b"]") == [[[]]] * 50
    assert decode_strict(b"[[1]]", 2) == [[1]]
    with refused(Reason.JSON_MALFORMED):
        decode_strict(b"[[1]]", 1)


def test_what_is_only_too_much_is_told_apart() -> None:
    for data in (b"[" * 50, b"[" * 50 + b"1" + b"]" * 50, b'{"a":' * 50):
        with pytest.raises(TooLarge):
            decode_strict(data)
    for data in (b"[[1", b"]", b"[}", b'["[[[[[[[[[[[['):
        with refused(Reason.JSON_MALFORMED):
            decode_strict(data)
        with pytest.raises(Refused, check=lambda error: not isinstance(error, TooLarge)):
            decode_strict(data)


@pytest.mark.parametrize(
    ("piece", "values"), [("1", 1), ('"x"', 1), ("[]", 2), ("{}", 2), ('{"a":1}', 2)]
)
def test_values_are_counted_before_anything_is_parsed(piece: str, values: int) -> None:
    most = (JSON_VALUES_MAX - 1) // values
    fits = "[" + ",".join([piece] * most) + "]"
    assert len(decode_strict(fits.encode())) == most
    for over in ("[" + ",".join([piece] * (most + 2)) + "]", '"' * (5 * JSON_VALUES_MAX)):
        with pytest.raises(TooLarge, match="values"):
            decode_strict(over.encode())


def test_text_alone_may_be_long() -> None:
    for text in ("x" * 10**6, "," * 10**6, "\\" * 10**6, '\\"[{,' * 10**5):
        assert decode_strict(f'"{text}"'.encode()) == json.loads(f'"{text}"')


def test_without_hexadecimal_text_stays_text() -> None:
    assert decode_strict(b'{"a":["0x10","0xg"]}', hexadecimal=False) == {"a": ["0x10", "0xg"]}
    assert decode_strict(b'"\\u0041"', hexadecimal=False) == "A"
    for data in (b'["\\ud800"]', b'{"\\uDFFF":1}'):
        with refused(Reason.JSON_MALFORMED):
            decode_strict(data, hexadecimal=False)


@pytest.mark.parametrize(
    ("value", "depth"),
    [(1, 0), ("[[", 0), ([], 1), ({}, 1), ([[], {"a": [1]}], 3), ({"a": {"b": {}}}, 3)],
)
def test_levels_of_a_value_are_counted(value: object, depth: int) -> None:
    assert depth_of(value) == depth


def test_numbers_have_so_many_digits() -> None:
    most = "9" * JSON_INTEGER_DIGITS_MAX
    assert decode_strict(most.encode()) == int(most)
    assert decode_strict(f'"0x{most}"'.encode()) == int(most, 16)
    for data in (f"9{most}", f"-{most}", f'"0x9{most}"', "9" * 100_000, f'"0x{"f" * 100_000}"'):
        with refused(Reason.JSON_MALFORMED):
            decode_strict(data.encode())


def test_a_refusal_shows_little_of_what_was_sent() -> None:
    for data in (f"1.{'5' * 10_000}", f'"0x{"g" * 10_000}"', f'"0x{"g" * 70}"'):
        with pytest.raises(Refused) as caught:
            decode_strict(data.encode())
        assert len(caught.value.detail) < 200


@settings(derandomize=True, max_examples=500)
@given(
    st.binary(max_size=60)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text('[]{}",:\\0x1eEau.-+ \n\ud800', max_size=40).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
def test_nothing_but_a_refusal_comes_out(data: bytes) -> None:
    try:
        value = decode_strict(data)
    except Refused as refusal:
        assert refusal.reason is Reason.JSON_MALFORMED  # noqa: PT017
        msgspec.json.encode(refusal.detail)
        return
    # What is read can be written as an answer.
    json.dumps(value).encode()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**70), 10**70)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9).filter(
        lambda text: not text.startswith("0x")
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(derandomize=True)
@given(values)
def test_what_a_library_writes_is_read_as_it_was(value: object) -> None:
    for ascii_only in (True, False):
        data = json.dumps(value, ensure_ascii=ascii_only).encode()
        try:
            assert decode_strict(data, 30) == value
        except Refused as refusal:
            raise AssertionError(data) from refusal


@settings(derandomize=True, max_examples=300)
@given(
    st.recursive(
        st.none() | st.text('[]{}",\\a', max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text('[]{}",\\a', max_size=4), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_levels_are_counted_as_they_are(value: object) -> None:
    data, depth = json.dumps(value).encode(), depth_of(value)
    assert decode_strict(data, depth, hexadecimal=False) == value
    if depth:
        with pytest.raises(TooLarge):
            decode_strict(data, depth - 1, hexadecimal=False)
