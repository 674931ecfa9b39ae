"""The one decoder of JSON that strangers send.

Promises
- What is not exactly one JSON value is refused by code: duplicate keys, NaN, Infinity, fractions,
  numbers of too many digits, text that is not UTF-8 or cannot be written as such again, and more
  than so many levels or values.
- Nothing but `Refused` comes out, whatever goes in; what is only too much is `TooLarge`.
- Levels and values are counted ahead of the parser, at the speed at which bytes are copied.

Laws
- Numbers are integers. Text that begins with 0x is a number, too: no reader of JSON rounds it.
"""

import json
from typing import Any, NoReturn

from sequencer.model.api_limits import JSON_VALUES_MAX
from sequencer.model.limits import JSON_DEPTH_MAX, JSON_INTEGER_DIGITS_MAX
from sequencer.model.refusals import Reason, Refused, shown


class TooLarge(Refused):
    """What may be JSON, but has too many levels or values."""


def decode_strict(data: bytes, depth_max: int = JSON_DEPTH_MAX, *, hexadecimal: bool = True) -> Any:
    """Read one value; without `hexadecimal` all text stays text. Refusal: JSON_MALFORMED."""
    _require_bounded(data, depth_max)
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None
    # Half of a surrogate pair can only come in as an escape.
    return _with_numbers(value, hexadecimal) if hexadecimal or b"\\u" in data else value


def depth_of(value: Any) -> int:
    """Count the levels of objects and lists in a value; a number or a text has none."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def _require_bounded(data: bytes, depth_max: int) -> None:
    # Ahead of the parser, which has no limit of its own. Every step is one pass in C: over four
    # megabytes a loop over bytes would hold everybody else up.
    marks = _outside_text(data)
    brackets = marks.translate(_AS_SQUARE, b",")
    too_deep = b"[" * (depth_max + 1) in brackets
    if not too_deep and brackets.count(b"[") + marks.count(b",") >= JSON_VALUES_MAX:
        raise _too_many_values()
    for _ in range(0 if too_deep else depth_max):
        # Each pass takes exactly the innermost level of whatever is closed.
        brackets = brackets.replace(b"[]", b"")
    if too_deep or b"[]" in brackets or brackets.count(b"[") > depth_max:
        raise TooLarge(Reason.JSON_MALFORMED, f"more than {depth_max} levels")


def _outside_text(data: bytes) -> bytes:
    # Brackets and commas, those inside text left out. Escapes go first, paired from the left as a
    # reader pairs them: what is left of a backslash then hides no quote. A backslash outside text
    # ends the parser where it stands, so what is miscounted behind it is never read.
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(None, _NO_MARKS)
    if marks.count(b'"') > _QUOTES_PER_VALUE * JSON_VALUES_MAX:
        raise _too_many_values()
    return b"".join(marks.split(b'"')[::2])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("a name stands twice in one object")
    return found


def _integer(text: str) -> int:
    if len(text) > JSON_INTEGER_DIGITS_MAX:
        raise _malformed(f"a number of {len(text)} digits")
    return int(text)


def _fraction(text: str) -> NoReturn:
    raise _malformed(f"{text:.40} is no integer")


def _with_numbers(value: Any, hexadecimal: bool) -> Any:
    match value:
        case str():
            is_number = hexadecimal and value.startswith("0x")
            return _hexadecimal(value) if is_number else _encodable(value)
        case list():
            return [_with_numbers(item, hexadecimal) for item in value]
        case dict():
            return {
                _encodable(name): _with_numbers(item, hexadecimal) for name, item in value.items()
            }
    return value


def _encodable(text: str) -> str:
    # Half of a surrogate pair, written as an escape: no answer could quote it.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _malformed(f"no text: {shown(text)}") from None
    return text


def _hexadecimal(text: str) -> int:
    # int() by itself would take underscores, digits of any script and another 0x.
    digits = text[2:]
    if not 0 < len(digits) <= JSON_INTEGER_DIGITS_MAX or not _HEX_DIGITS.issuperset(digits):
        raise _malformed(f"no number: {shown(text)}")
    return int(digits, 16)


def _too_many_values() -> TooLarge:
    return TooLarge(Reason.JSON_MALFORMED, f"more than {JSON_VALUES_MAX} values")


def _malformed(detail: str) -> Refused:
    return Refused(Reason.JSON_MALFORMED, detail)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_fraction,
)
_NO_MARKS = bytes(byte for byte in range(256) if byte not in b'"[]{},')
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
# A value is one text at most, and may have a name.
_QUOTES_PER_VALUE = 4
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
