"""Canonical bytes: every row comes back, and nothing but canonical bytes is read."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.chain.codec import decode_key, decode_row, encode_key, encode_row
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, Extreme, Guard, Price, Row, System
from tests.strategies import refused
from tests.unit.chain.stored_values import INTEGERS, read_or_none, rows_of

ROW_TYPES = get_args(Row)


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


def test_an_unknown_version_is_named() -> None:
    data = encode_row(Account(5))
    for wrong in (b"\x00", b"\x02", b"\xff"):
        with pytest.raises(Refused, match="version") as caught:
            decode_row(wrong + data[1:], Account)
        assert caught.value.reason is Reason.ROW_VERSION_UNKNOWN
    with refused(Reason.ROW_MALFORMED):
        decode_row(b"", Account)


def test_every_prefix_and_every_addition_is_refused() -> None:
    row = Price(index=7, lows=(Extreme(1, 2),), basis=-3)
    data = encode_row(row)
    for length in range(1, len(data)):
        with refused(Reason.ROW_MALFORMED):
            decode_row(data[:length], Price)
    with refused(Reason.ROW_MALFORMED):
        decode_row(data + b"\x00", Price)


def test_known_bytes() -> None:
    assert encode_row(Account(-1, 300, "A")).hex() == "0101ff02012c010141"
    assert encode_key((1, "A")).hex() == "0001010101" + "0141"
    assert decode_row(encode_row(System(1, 2, 3, guards_off=(Guard.HEALTH,))), System).guards_off
