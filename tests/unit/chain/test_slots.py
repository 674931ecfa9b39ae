"""Rows as slots: injective both ways, never all zero, always below 2^251."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.chain.slots import LAYOUTS, has_slots, row_leaf, row_of, row_place, slots_of
from sequencer.exchange.state import Table
from sequencer.model.laws import Law, LawBroken
from sequencer.model.rows import Account, DepositRow, Position, Subkey, Withdrawal
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.names import storage_address

ADDRESS = st.integers(1, 2**251 - 257)
MARKET = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ-", min_size=1, max_size=24)
CASES: dict[Table, tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    Table.ACCOUNT: (
        ADDRESS,
        st.builds(
            Account,
            cash=st.integers(-(2**126), 2**126),
            owner=st.one_of(st.just(0), ADDRESS),
            market=st.one_of(st.just(""), MARKET),
        ),
    ),
    Table.POSITION: (
        st.tuples(ADDRESS, MARKET),
        st.builds(
            Position,
            size=st.integers(-(2**94), 2**94),
            cost=st.integers(-(2**126), 2**126),
            index=st.integers(-(2**200), 2**200),
        ),
    ),
    Table.SUBKEY: (
        st.tuples(ADDRESS, ADDRESS),
        st.builds(Subkey, added_at_ms=st.integers(0, 2**60)),
    ),
    Table.DEPOSIT: (
        st.integers(0, 2**64),
        st.builds(
            DepositRow,
            account=ADDRESS,
            amount=st.integers(0, 2**110),
            message_hash=st.integers(0, 2**256 - 1),
        ),
    ),
    Table.WITHDRAWAL: (
        ADDRESS,
        st.builds(
            Withdrawal,
            account=ADDRESS,
            recipient=ADDRESS,
            requested=st.integers(0, 2**110),
            payout=st.integers(0, 2**110),
        ),
    ),
}


def test_every_layout_has_a_case() -> None:
    assert set(CASES) == set(LAYOUTS)
    assert not has_slots(Table.ORDER)


@pytest.mark.parametrize("table", LAYOUTS)
def test_a_row_comes_back_from_its_slots(table: Table) -> None:
    keys, rows = CASES[table]

    @settings(derandomize=True, deadline=None, max_examples=60)
    @given(keys, rows, rows)
    def check(key: Any, row: Any, other: Any) -> None:  # noqa: ANN401
        slots = slots_of(table, key, row)
        assert row_of(table, key, slots) == row
        assert all(0 < value < 2**251 for value in slots.values())
        assert (slots_of(table, key, other) == slots) == (other == row)
        assert row_of(table, key, {}) is None

    check()


def test_what_does_not_fit_breaks_a_law() -> None:
    wrong = [
        (Table.POSITION, (1, "A"), Position(2**96, 0, 0)),
        (Table.ACCOUNT, 1, Account(2**127)),
        (Table.SUBKEY, (1, 2), Subkey(-1)),
        (Table.DEPOSIT, 1, DepositRow(1, 1, 2**256)),
    ]
    for table, key, row in wrong:
        with pytest.raises(LawBroken) as caught:
            slots_of(table, key, row)
        assert caught.value.law is Law.SLOT_RANGE


def test_an_unknown_version_in_a_slot_is_named() -> None:
    slots = slots_of(Table.ACCOUNT, 5, Account(7))
    base = storage_address("accounts", 5)
    with pytest.raises(LawBroken, match="version 2"):
        row_of(Table.ACCOUNT, 5, {**slots, base: slots[base] + 1})


def test_the_marks_that_contracts_prove() -> None:
    deposit = slots_of(Table.DEPOSIT, 9, DepositRow(1, 2, 3))
    assert deposit[storage_address("inbox", 9)] == 1
    withdrawal = slots_of(Table.WITHDRAWAL, 77, Withdrawal(1, 5, 50_000, 40_000))
    assert withdrawal[storage_address("withdrawals", 77)] == poseidon_array((77, 5, 400))


def test_places_and_leaves_tell_rows_apart() -> None:
    assert row_leaf(None) == 0
    assert row_leaf(Subkey(1)) != row_leaf(Subkey(2))
    places = {row_place(table, key) for table in (Table.ORDER, Table.USED_ORDER) for key in (1, 2)}
    assert len(places) == 4
    assert all(0 <= place < 2**248 for place in places)
