"""Readers of parameters: what they take in any form, and what they refuse."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.api.json_rpc import RpcError
from sequencer.api.starknet_rpc.values import (
    BlockId,
    EventFilter,
    read_address,
    read_addresses,
    read_block_id,
    read_event_keys,
    read_felts,
    read_flags,
    read_integer,
    read_list,
    read_object,
    read_text,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Event
from sequencer.starknet.felt import FELT_PRIME
from tests.strategies import Unchecked, felts, refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | felts.map(hex),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
READERS: list[Callable[[object], object]] = [
    read_address,
    read_addresses,
    read_block_id,
    read_event_keys,
    read_felts,
    read_flags("A", "B"),
    read_integer(0, 9),
    read_text(4),
    lambda value: read_object(value, ("a",), ("b",)),
]


@given(JSON)
def test_whatever_comes_is_read_or_refused(value: Unchecked) -> None:
    for read in READERS:
        with suppress(Refused, RpcError):
            read(value)


@given(felts, st.integers(0, 3), st.booleans())
def test_felts_come_in_any_form(felt: int, zeros: int, upper: bool) -> None:
    digits = "0" * min(zeros, 64 - len(f"{felt:x}")) + f"{felt:x}"
    text = "0X" + digits.upper() if upper else "0x" + digits
    assert read_felts([text, text]) == (felt, felt)
    if felt < 2**251:
        assert read_address(text) == felt
        assert read_addresses(text) == read_addresses([text]) == {felt}
    else:
        with refused(Reason.FELT_OUT_OF_RANGE):
            read_address(text)


def test_blocks_have_three_kinds_of_names() -> None:
    assert read_block_id("latest") == BlockId(tag="latest")
    assert read_block_id({"block_number": 0}) == BlockId(height=0)
    assert read_block_id({"block_hash": "0x00A"}) == BlockId(hash=10)
    assert read_block_id({"block_hash": "0xa", "block_number": None}) == BlockId(hash=10)


def test_flags_are_those_allowed() -> None:
    read = read_flags("A", "B")
    assert read([]) == frozenset()
    assert read(["B", "A", "B"]) == {"A", "B"}
    for wrong in (["C"], "A", None, [["A"]], [1]):
        with refused(Reason.PARAMETER_INVALID):
            read(wrong)


def test_objects_have_what_they_must_and_no_more() -> None:
    assert read_object({"a": 1, "b": None}, ("a",), ("b",)) == {"a": 1}
    wrong: Unchecked
    for wrong in ({}, {"b": 1}, {"a": None}, {"a": 1, "c": 2}, [], None):
        with refused(Reason.PARAMETER_INVALID):
            read_object(wrong, ("a",), ("b",))


def test_lists_and_texts_are_what_they_say() -> None:
    assert read_list(read_integer(1, 2))([1, 2, 1]) == (1, 2, 1)
    wrong: Unchecked
    for wrong in ([3], [True], "12", {}, None, [1.0]):
        with refused(Reason.PARAMETER_INVALID):
            read_list(read_integer(1, 2))(wrong)
    for text in (5, "12345", None):
        with refused(Reason.PARAMETER_INVALID):
            read_text(4)(text)


def test_events_match_by_address_and_by_position() -> None:
    event = Event(7, (1, 2), (9,))
    matching: list[tuple[set[int], list[set[int]]]] = [
        (set(), []),
        ({7, 8}, []),
        (set(), [{1}]),
        (set(), [{1, 5}, {2}]),
        (set(), [set(), {2}]),
        ({7}, [set(), set()]),
    ]
    other: list[tuple[set[int], list[set[int]]]] = [
        ({8}, []),
        (set(), [{2}]),
        (set(), [{1}, {1}]),
        (set(), [set(), set(), set()]),
        ({7}, [{1}, {2}, {3}]),
    ]
    assert all(EventFilter(*each).matches(event) for each in matching)
    assert not any(EventFilter(*each).matches(event) for each in other)
    assert not EventFilter(keys=[{1}]).matches(Event(7, (), ()))


def test_the_prime_is_no_felt() -> None:
    with refused(Reason.FELT_OUT_OF_RANGE):
        read_felts([hex(FELT_PRIME)])
    with pytest.raises(RpcError):
        read_event_keys([[]] * 17)
