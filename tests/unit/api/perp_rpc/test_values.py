"""Decimals, cursors and orders: what is written is read back, and nothing else is taken."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.api.perp_rpc.values import (
    Cursor,
    read_amount,
    read_cursor,
    read_order,
    read_signature,
    write_cursor,
)
from sequencer.api.perp_rpc.wire import decimal, signed_fields
from sequencer.engine.events_back import Before
from sequencer.model.exchange_limits import TIME_MS_MAX
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Refused
from sequencer.starknet.felt import ADDRESS_BOUND, FELT_PRIME

UNITS = st.integers(0, 2**128 - 1)
FELTS = st.integers(0, FELT_PRIME - 1)
TIMES = st.integers(0, TIME_MS_MAX)
ORDERS = st.builds(
    Order,
    account=st.integers(0, ADDRESS_BOUND - 1),
    market=st.text("ABC-", min_size=1, max_size=24),
    side=st.sampled_from(Side),
    type=st.sampled_from(OrderType),
    size=UNITS,
    price=UNITS,
    trigger_price=UNITS,
    instruction=st.sampled_from(Instruction),
    self_trade=st.sampled_from(SelfTrade),
    reduce_only=st.booleans(),
    client_id=FELTS,
    pair_id=FELTS,
    replaces=FELTS,
    signed_at_ms=TIMES,
    receive_window_ms=TIMES,
    expires_at_ms=TIMES,
)


@given(UNITS)
def test_an_amount_is_read_as_it_was_written(units: int) -> None:
    assert read_amount(decimal(units)) == units


@given(st.integers(-(10**40), 10**40), st.sampled_from([8, 9, 18]))
def test_a_decimal_is_exact_and_short(units: int, decimals: int) -> None:
    text = decimal(units, decimals)
    assert Fraction(text) * 10**decimals == units
    assert re.fullmatch(r"(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d*[1-9])", text)


@given(ORDERS)
def test_an_order_is_read_as_it_was_written(order: Order) -> None:
    assert read_order(signed_fields(order)) == order


@given(*[st.integers(0, 10**18 - 1)] * 2, *[st.integers(0, 10**9 - 1)] * 2, FELTS)
def test_a_cursor_is_read_as_it_was_written(
    epoch: int, height: int, transaction: int, event: int, block_hash: int
) -> None:
    cursor = Cursor(epoch, Before(height, transaction, event), block_hash)
    assert read_cursor(write_cursor(cursor)) == cursor


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING)
def test_anything_else_is_refused(value: object) -> None:
    for read in (read_amount, read_cursor, read_order, read_signature):
        try:
            read(value)
        except Refused:
            continue
        assert read is read_amount
        assert isinstance(value, str)


@pytest.mark.parametrize("text", [".5", "1e5", "-1", "+1", " 1", "1_0", "٣", "0x1", "1.2.3"])
def test_amounts_are_plain(text: str) -> None:
    with pytest.raises(Refused):
        read_amount(text)
