"""Sierra programs as felts: packed as a compiler does, repaired in branch targets alone."""

import pytest

from contracts.sierra import (
    FALL_THROUGH_32,
    FALL_THROUGH_64,
    SierraMalformed,
    branch_targets,
    pack,
    repair,
    unpack,
)

VERSIONS = [1, 6, 0, 2, 8, 2]


def program(*, target: int, args: tuple[int, ...] = ()) -> list[int]:
    """A type and a libfunc with arguments, one call with two branches, a return, a function."""
    types = [2, 0xFE17, 0, 0xC0457, 2 | 7 << 128, 1, 0, 2, FALL_THROUGH_32]
    libfuncs = [1, 0xADD, 1, 2, FALL_THROUGH_32]
    statements = [2, 0, 0, len(args), *args, 2, target, 1, FALL_THROUGH_32, 1, 0, 1, 1, 0]
    functions = [1, 1, 0, 2, 0, 0, 5, 0]
    return types + libfuncs + statements + functions


def test_only_branch_targets_are_repaired() -> None:
    broken = program(target=FALL_THROUGH_32)
    whole = program(target=FALL_THROUGH_64)
    assert repair(VERSIONS + pack(broken)) == VERSIONS + pack(whole)
    assert whole.count(FALL_THROUGH_32) == 3


def test_a_program_in_order_stays_as_it_is() -> None:
    whole = VERSIONS + pack(program(target=FALL_THROUGH_64))
    assert repair(whole) == whole


def test_the_targets_are_found() -> None:
    values = program(target=77, args=(5, 6))
    places = branch_targets(values)
    assert [values[place] for place in places] == [77, 1]


@pytest.mark.parametrize("distinct", [1, 2, 255, 256, 257, 512, 513, 2000])
@pytest.mark.parametrize("more", [0, 1, 30, 31, 32])
def test_packing_is_undone(distinct: int, more: int) -> None:
    values = [value * value for value in range(distinct)] + [0] * more
    packed = pack(values)
    assert unpack(VERSIONS + packed) == values
    assert (packed[0] + packed[1]).bit_count() == 1
    assert max(packed) < 2**251


def test_malformed_packings_are_refused() -> None:
    packed = VERSIONS + pack(program(target=1))
    book = packed[6]
    wrong_padding = [*packed[:7], packed[7] + 1, *packed[8:]]
    wrong_digit = [*packed[:-1], packed[-1] | 255]
    too_many_digits = [*packed[:-1], 2**250]
    for felts in (
        VERSIONS,
        packed[:-1],
        [*packed, 0],
        packed[: 8 + book],
        wrong_padding,
        wrong_digit,
        too_many_digits,
    ):
        with pytest.raises(SierraMalformed):
            unpack(felts)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1],
        program(target=1)[:-1],
        [*program(target=1), 0],
        [1, 0xFE17, 1, 6, 0, 0, 0, 0],  # a generic argument of kind 6
        [0, 0, 1, 2, 0, 0],  # a statement of kind 2
    ],
)
def test_malformed_programs_are_refused(values: list[int]) -> None:
    with pytest.raises(SierraMalformed):
        branch_targets(values)
