"""Calldata as Cairo reads it, results as it writes them, and slots where it puts them."""

from enum import IntEnum
from typing import Annotated

import msgspec
import pytest

from contracts.account import PUBLIC_KEY
from contracts.cairo_types import (
    U8,
    U64,
    U128,
    U256,
    Address,
    ClassHash,
    FeltSpan,
    Key,
    Text,
    kind_of,
)
from contracts.entry_points import emit, entry_point
from contracts.fee_token import BALANCES
from contracts.settlement_types import (
    CURRENT_HOLD,
    DEPOSITS,
    POSTS,
    BinaryNode,
    Deposit,
    EdgeNode,
    Hold,
    Post,
    ProofNode,
)
from contracts.storage import Map, Variable
from contracts.twin import Frame, Reverted
from sequencer.starknet.felt import ADDRESS_BOUND, FELT_PRIME, Felt
from sequencer.starknet.felt_hash import pedersen, starknet_keccak
from sequencer.starknet.names import selector
from tests.unit.contracts.machine import MemoryMachine

CONTRACT = 0xC0
HIGHEST = FELT_PRIME - 1


class Colour(IntEnum):
    RED = 0
    BLUE = 1


class Pair(msgspec.Struct, frozen=True):
    first: U64
    second: bool


def frame() -> Frame:
    return Frame(MemoryMachine({}), CONTRACT, caller=0)


def answer(function: object, *calldata: Felt) -> list[Felt] | str:
    """Run a function on calldata; returns the result, or the code of the refusal."""
    assert callable(function)
    try:
        return list(entry_point(function)(frame(), calldata))
    except Reverted as error:
        return error.code


def numbers(frame: Frame, small: U8, middle: U64, great: U128, wide: U256) -> U256:
    return small + middle + great + wide


def names(frame: Frame, felt: Felt, address: Address, class_hash: ClassHash) -> Felt:
    return felt


def truth(frame: Frame, value: bool) -> bool:
    return value


def many(frame: Frame, pairs: tuple[Pair, ...], last: Felt) -> tuple[U64, ...]:
    return tuple(pair.first for pair in pairs)


def cut(frame: Frame, felts: FeltSpan, last: Felt) -> FeltSpan:
    return felts


def nodes(frame: Frame, given: tuple[ProofNode, ...]) -> U64:
    return sum(isinstance(node, EdgeNode) for node in given)


def nothing(frame: Frame) -> None:
    return None


def maybe(frame: Frame, place: U64) -> Pair | None:
    return Pair(place, True) if place else None


def several(frame: Frame) -> tuple[Felt, U64, Colour]:
    return 5, 6, Colour.BLUE


FAILED = "Failed to deserialize param #{}"


@pytest.mark.parametrize(
    ("calldata", "expected"),
    [
        ((255, 2**64 - 1, 2**128 - 1, 0, 0), [255 + 2**64 - 1 - 1, 1]),
        ((1, 2, 3, 4, 5), [10, 5]),
        ((256, 2**64, 3, 4, 5), FAILED.format(1)),
        ((1, 2**64, 2**128, 4, 5), FAILED.format(2)),
        ((1, 2, 2**128, 2**128, 5), FAILED.format(3)),
        ((1, 2, 3, 2**128, 5), FAILED.format(4)),
        ((1, 2, 3, 4, 2**128), FAILED.format(4)),
        ((1, 2, 3, 4), FAILED.format(4)),
        ((), FAILED.format(1)),
        ((1, 2, 3, 4, 5, 6), "Input too long for arguments"),
        ((256, 2, 3, 4, 5, 6), FAILED.format(1)),
    ],
)
def test_numbers_are_in_their_ranges(calldata: tuple[Felt, ...], expected: object) -> None:
    assert answer(numbers, *calldata) == expected


@pytest.mark.parametrize(
    ("calldata", "expected"),
    [
        ((HIGHEST, 2**251 - 1, 2**251 - 1), [HIGHEST]),
        ((HIGHEST, 2**251, 0), FAILED.format(2)),
        ((HIGHEST, 0, 2**251), FAILED.format(3)),
    ],
)
def test_addresses_are_shorter_than_felts(calldata: tuple[Felt, ...], expected: object) -> None:
    assert answer(names, *calldata) == expected


def test_every_felt_but_zero_is_true() -> None:
    assert [answer(truth, felt) for felt in (0, 1, 2, HIGHEST)] == [[0], [1], [1], [1]]


@pytest.mark.parametrize(
    ("calldata", "expected"),
    [
        ((0, 9), [0]),
        ((2, 7, 0, 8, 1, 9), [2, 7, 8]),
        ((2, 7, 0, 8, 1), FAILED.format(2)),
        ((2, 7, 0, 8), FAILED.format(1)),
        ((1, 2**64, 0, 9), FAILED.format(1)),
        ((HIGHEST, 7, 0), FAILED.format(1)),
    ],
)
def test_lists_are_read_item_by_item(calldata: tuple[Felt, ...], expected: object) -> None:
    assert answer(many, *calldata) == expected


@pytest.mark.parametrize(
    ("calldata", "expected"),
    [
        ((2, 7, 8, 9), [2, 7, 8]),
        ((2, 7, 8), FAILED.format(2)),
        ((3, 7, 8), "Index out of bounds"),
        ((4, 7, 8), "Index out of bounds"),
        ((2**32, 7, 8), FAILED.format(1)),
    ],
)
def test_spans_of_felts_are_cut_out(calldata: tuple[Felt, ...], expected: object) -> None:
    assert answer(cut, *calldata) == expected


@pytest.mark.parametrize(
    ("calldata", "expected"),
    [
        ((2, 0, 5, 6, 1, 7, 255, 8), [1]),
        ((1, 1, 7, 256, 8), FAILED.format(1)),
        ((1, 2, 5, 6), FAILED.format(1)),
        ((1, 0, 5), FAILED.format(1)),
    ],
)
def test_nodes_are_a_variant_and_its_felts(calldata: tuple[Felt, ...], expected: object) -> None:
    assert answer(nodes, *calldata) == expected


def test_results_are_written_as_cairo_does() -> None:
    assert answer(nothing) == []
    assert answer(nothing, 0) == "Input too long for arguments"
    assert (answer(maybe, 0), answer(maybe, 9)) == ([1], [0, 9, 1])
    assert answer(several) == [5, 6, 1]


@pytest.mark.parametrize(
    ("text", "felts"),
    [
        ("", [0, 0, 0]),
        ("USDC", [0, 0x55534443, 4]),
        ("a" * 31, [1, int("61" * 31, 16), 0, 0]),
        ("a" * 31 + "b", [1, int("61" * 31, 16), 0x62, 1]),
    ],
)
def test_text_is_words_of_31_bytes(text: str, felts: list[Felt]) -> None:
    written: list[Felt] = []
    kind_of(Text).write(text, written)
    assert written == felts


def test_what_has_no_cairo_type_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="no Cairo type"):
        kind_of(float)
    with pytest.raises(TypeError, match="never stored"):
        Variable[tuple[Felt, ...]]("spans", FeltSpan)


def test_events_have_their_keys_in_front() -> None:
    class Seen(msgspec.Struct, frozen=True):
        data: Felt
        key: Annotated[U256, Key()]

    at = frame()
    emit(at, Seen(data=3, key=2**128 + 5))
    assert isinstance(at.machine, MemoryMachine)
    assert at.machine.events == [(CONTRACT, (selector("Seen"), 5, 1), (3,))]


def test_slots_are_where_a_real_chain_has_them() -> None:
    """Compare with what starknet-devnet answers for its own contracts."""
    account = 0x260A8311B4F1092DB620B923E8D7D20E76DEDCC615FB4B6FDF28315B81DE201
    assert PUBLIC_KEY.slot == 0x1379AC0624B939CEB9DEDE92211D7DB5EE174FE28BE72245B0A1A2ABD81C98F
    balances = starknet_keccak(b"ERC20_balances")
    assert BALANCES.slot(account) == pedersen(balances, account) % ADDRESS_BOUND
    nested = Map[int]("allowances", U256)
    twice = pedersen(pedersen(starknet_keccak(b"allowances"), 1), 2) % ADDRESS_BOUND
    assert nested.slot(1, 2) == twice


def test_structs_fill_the_slots_after_their_address() -> None:
    at = frame()
    POSTS.write(at, (3,), Post(1, 2, 3, 4))
    DEPOSITS.write(at, (3,), Deposit(5, 6, 7, 8))
    CURRENT_HOLD.write(at, Hold(9, 10, by_owner=True))
    for slot, felts in (
        (POSTS.slot(3), [1, 2, 3, 4]),
        (DEPOSITS.slot(3), [5, 6, 7, 8]),
        (CURRENT_HOLD.slot, [9, 10, 1]),
    ):
        assert [at.read(slot + offset) for offset in range(len(felts) + 1)] == [*felts, 0]
    assert POSTS.read(at, 3) == Post(1, 2, 3, 4)
    assert POSTS.read(at, 4) == Post(0, 0, 0, 0)


def test_wide_numbers_and_booleans_are_stored_as_felts() -> None:
    at = frame()
    wide, flag = Variable[int]("wide", U256), Variable[bool]("flag", bool)
    wide.write(at, 2**128 * 7 + 9)
    assert (at.read(wide.slot), at.read(wide.slot + 1)) == (9, 7)
    assert wide.read(at) == 2**128 * 7 + 9
    assert flag.read(at) is False
    flag.write(at, True)
    assert (at.read(flag.slot), flag.read(at)) == (1, True)


def test_a_node_is_told_by_its_variant() -> None:
    kind = kind_of(tuple[ProofNode, ...])
    written: list[Felt] = []
    kind.write((BinaryNode(1, 2), EdgeNode(path=3, length=4, child=5)), written)
    assert written == [2, 0, 1, 2, 1, 3, 4, 5]
