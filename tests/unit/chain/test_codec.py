"""Canonical bytes: every row comes back, and nothing but canonical bytes is read."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.chain.codec import decode_key, decode_row, encode_key, encode_row
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, Extreme, Guard, Price, Row, System

ROW_TYPES = get_args(Row)
INTEGERS = st.one_of(st.integers(-(2**255), 2**255), st.sampled_from((0, 1, -1, 127, 128, -128)))


def rows_of(row_type: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return st.builds(row_type, **{name: values_of(kind) for name, kind in fields_of(row_type)})


def fields_of(row_type: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    return [(field.name, field.type) for field in msgspec.structs.fields(row_type)]


def values_of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401
    if kind is int:
        return INTEGERS
    if kind is str:
        return st.text(max_size=40)
    if kind is bool:
        return st.booleans()
    if get_args(kind):
        return st.lists(values_of(get_args(kind)[0]), max_size=3).map(tuple)
    if issubclass(kind, msgspec.Struct):
        return rows_of(kind)
    return st.sampled_from(list(kind))


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda kind: kind.__name__)
def test_every_row_comes_back(row_type: type[msgspec.Struct]) -> None:
    @settings(derandomize=True, deadline=None, max_examples=40)
    @given(rows_of(row_type))
    def check(row: msgspec.Struct) -> None:
        data = encode_row(row)
        assert decode_row(data, row_type) == row
        assert encode_row(decode_row(data, row_type)) == data

    check()


@settings(derandomize=True, deadline=None)
@given(st.one_of(INTEGERS, st.text(max_size=9), st.tuples(INTEGERS, st.text(max_size=9))))
def test_keys_come_back(key: int | str | tuple[int, str]) -> None:
    assert decode_key(encode_key(key)) == key


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    for row_type in (Account, System, Price):
        row = read_or_none(lambda kind=row_type: decode_row(b"\x01" + data, kind))  # type: ignore[misc]
        assert row is None or encode_row(row) == b"\x01" + data
    key = read_or_none(lambda: decode_key(data))
    assert key is None or encode_key(key) == data


def read_or_none(read: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return what is read, or None where it is refused as malformed and as nothing else."""
    try:
        return read()
    except Refused as refused:
        if refused.reason is not Reason.ROW_MALFORMED:
            raise
        return None


def test_an_unknown_version_is_named() -> None:
    data = encode_row(Account(5))
    for wrong in (b"\x00", b"\x02", b"\xff"):
        with pytest.raises(Refused, match="version") as caught:
            decode_row(wrong + data[1:], Account)
        assert caught.value.reason is Reason.ROW_VERSION_UNKNOWN
    with pytest.raises(Refused):
        decode_row(b"", Account)


def test_every_prefix_and_every_addition_is_refused() -> None:
    row = Price(index=7, lows=(Extreme(1, 2),), basis=-3)
    data = encode_row(row)
    for length in range(1, len(data)):
        with pytest.raises(Refused):
            decode_row(data[:length], Price)
    with pytest.raises(Refused):
        decode_row(data + b"\x00", Price)


def test_known_bytes() -> None:
    assert encode_row(Account(-1, 300, "A")).hex() == "0101ff02012c010141"
    assert encode_key((1, "A")).hex() == "0001010101" + "0141"
    assert decode_row(encode_row(System(1, 2, 3, guards_off=(Guard.HEALTH,))), System).guards_off
