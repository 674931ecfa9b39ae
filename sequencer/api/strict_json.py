"""The one decoder of JSON that strangers send.

Promises
- What is not exactly one JSON value is refused by code: duplicate keys, NaN, Infinity, fractions,
  numbers of too many digits, text that is not UTF-8 or cannot be written as such again, and more
  than so many levels.
- Nothing but `Refused` comes out, whatever goes in.

Laws
- Numbers are integers. Text that begins with 0x is a number, too: no reader of JSON rounds it.
"""

import json
from typing import Any, NoReturn

from sequencer.model.limits import JSON_DEPTH_MAX, JSON_INTEGER_DIGITS_MAX
from sequencer.model.refusals import Reason, Refused, shown


def decode_strict(data: bytes, depth_max: int = JSON_DEPTH_MAX, *, hexadecimal: bool = True) -> Any:
    """Read one value; without `hexadecimal` all text stays text. Refusal: JSON_MALFORMED."""
    _require_shallow(data, depth_max)
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_fraction,
        )
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None
    return _with_numbers(value, hexadecimal)


def _require_shallow(data: bytes, depth_max: int) -> None:
    # Ahead of the parser, which has no limit of its own. Brackets inside text are counted out.
    depth, in_text, escaped = 0, False, False
    for byte in data:
        if in_text:
            in_text = escaped or byte != _QUOTE
            escaped = byte == _BACKSLASH and not escaped
        elif byte == _QUOTE:
            in_text = True
        elif byte in _OPENING:
            depth += 1
            if depth > depth_max:
                raise _malformed(f"more than {depth_max} levels")
        elif byte in _CLOSING:
            depth -= 1


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


def _malformed(detail: str) -> Refused:
    return Refused(Reason.JSON_MALFORMED, detail)


_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_OPENING, _CLOSING = frozenset(b"[{"), frozenset(b"]}")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
