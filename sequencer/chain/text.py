"""Structs as plain objects of text: numbers in hexadecimal, so that no JSON reader rounds them.

Promises
- Two values are equal exactly where their texts are: lists and tuples do not differ.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")


def to_text(value: Any) -> Any:
    """Turn structs and numbers into objects and hexadecimal text; other text keeps a mark."""
    match value:
        case bool() | None:
            return value
        case int():
            return hex(value)
        case str():
            return "=" + value
        case msgspec.Struct():
            names = value.__struct_fields__
            fields = {name: to_text(getattr(value, name)) for name in names}
            tag = value.__struct_config__.tag
            return fields if tag is None else {"type": f"={tag}", **fields}
        case dict():
            return {hex(key): to_text(item) for key, item in value.items()}
        case list() | tuple():
            return [to_text(item) for item in value]
    raise TypeError(f"nothing that a block holds: {type(value).__name__}")


def _from_text(value: Any) -> Any:
    match value:
        case str():
            return value[1:] if value.startswith("=") else int(value, 16)
        case dict():
            return {_key(key): _from_text(item) for key, item in value.items()}
        case list():
            return [_from_text(item) for item in value]
    return value


def text_reader(kind: type[_T]) -> Callable[[bytes], _T]:
    """Return what reads a struct out of the JSON of its text.

    To be made once, at import. What is returned raises MsgspecError, UnicodeDecodeError, ValueError
    or RecursionError for what is no such thing.
    """
    # Not for itself: where two threads are the first to need a type, msgspec 0.22 kills the process
    # (measured), and this works out all that is needed of it.
    msgspec.json.Decoder(kind)

    def read(content: bytes) -> _T:
        return msgspec.convert(_from_text(msgspec.json.decode(content)), kind)

    return read


def _key(key: str) -> Any:
    return int(key, 16) if key.startswith("0x") else key
