"""Drawings: values where they belong, scales with round numbers, marks that never overlap."""

import random
import re
from itertools import pairwise

import msgspec
import pytest

from devnet.report.branches import branch_chart, in_order
from devnet.report.charts import liquidation_chart, price_chart
from devnet.report.drawing import Frame, decimals_of, grid, padded, polyline, text, ticks
from devnet.report.facts import ChainFact, Milestone
from devnet.report.small import contract_chart, spark_line, step_chart
from devnet.report.words import clock, counted, milliseconds, money, plain, short, size
from sequencer.model.units import ONE
from tests.unit.devnet.report_facts import ETH, block, incident_chain

FRAME = Frame(100, 10, 200, 100, 0, 10, 0, 50)


def test_a_frame_places_values_and_keeps_them_inside() -> None:
    assert [FRAME.x(0), FRAME.x(5), FRAME.x(10)] == [100, 200, 300]
    assert [FRAME.y(0), FRAME.y(25), FRAME.y(50)] == [110, 60, 10]
    assert (FRAME.x(-5), FRAME.x(99), FRAME.y(-1), FRAME.y(999)) == (100, 300, 110, 10)


def test_a_frame_without_extent_places_in_the_middle() -> None:
    flat = Frame(0, 0, 100, 100, 3, 3, 7, 7)
    assert (flat.x(3), flat.y(7)) == (50, 50)


def test_a_gap_breaks_a_line_and_a_lone_point_is_a_dot() -> None:
    drawn = polyline(FRAME, [(0, 0), (1, 5), (2, None), (3, 10), (4, None), (5, 1), (6, 2)], "live")
    assert drawn.count("<path") == 2
    assert drawn.count("<circle") == 1
    assert polyline(FRAME, [], "live") == ""
    assert polyline(FRAME, [(1, None)], "live") == ""


@pytest.mark.parametrize("seed", range(20))
def test_ticks_are_round_rising_inside_and_few(seed: int) -> None:
    choose = random.Random(seed)
    low = choose.uniform(-1e6, 1e6)
    high = low + choose.uniform(1e-3, 1e6)
    found = ticks(low, high, 6)
    assert 2 <= len(found) <= 7
    assert low - 1e-6 <= found[0] < found[-1] <= high + 1e-6
    steps = {round(later - earlier, 6) for earlier, later in pairwise(found)}
    assert len(steps) == 1
    shown = [f"{value:.{decimals_of(found)}f}" for value in found]
    assert len(set(shown)) == len(found)


def test_ticks_of_nothing() -> None:
    assert ticks(5, 5, 4) == [5]
    assert ticks(5, 1, 4) == [5]
    assert padded(0, 0, 0.25) == (-1, 1)
    assert padded(8, 8, 0.25) == (6, 10)
    assert "block" in grid(Frame(0, 0, 10, 10, 0, 0, 0, 0), "USD", "block")


def test_words_in_a_drawing_are_escaped() -> None:
    assert text(1, 2, "<b>&\"'", '"x') == (
        '<text class="&quot;x" x="1" y="2" text-anchor="start">&lt;b&gt;&amp;&quot;&#x27;</text>'
    )


def test_a_price_beyond_the_scale_lies_at_its_edge_and_is_named() -> None:
    drawn = price_chart(incident_chain(), ETH)
    assert "↓ mark 0.00, from block 11" in drawn
    assert "↑" not in drawn


@pytest.mark.parametrize(("first", "last"), [(2, 98), (2, 20), (80, 98), (0, 99), (40, 60)])
def test_what_is_said_of_an_edge_is_never_cut_off(first: int, last: int) -> None:
    live = [block(height) for height in range(100)]
    undone = [block(height, 1, 0) for height in range(first, last + 1)]
    drawn = price_chart(ChainFact(markets=[ETH], blocks=[*live, *undone]), ETH)
    ((x, anchor, words),) = re.findall(
        r'<text class="beyond" x="([^"]+)" y="[^"]+" text-anchor="(\w+)">([^<]+)<', drawn
    )
    width = 7 * len(words)
    start = float(x) - (width if anchor == "end" else 0)
    assert start >= 92
    assert start + width <= 944


def test_an_undone_price_within_the_scale_has_no_words() -> None:
    blocks = [block(0), block(1, price=2_800 * ONE), block(1, 1, 2_750 * ONE)]
    drawn = price_chart(ChainFact(markets=[ETH], blocks=blocks), ETH)
    assert "beyond" not in drawn
    assert "orphan" in drawn


def test_a_price_that_is_not_there_yet_is_no_price_of_zero() -> None:
    blocks = [block(0, price=0), block(1, price=0), block(2), block(3)]
    drawn = price_chart(ChainFact(markets=[ETH], blocks=blocks), ETH)
    (line,) = re.findall(r'class="live" d="([^"]+)"', drawn)
    assert line.count("L") == 1


def test_liquidations_are_bars_live_and_undone() -> None:
    blocks = [block(0), block(1, liquidations=3), block(1, 1, liquidations=9)]
    drawn = liquidation_chart(ChainFact(markets=[ETH], blocks=blocks))
    assert drawn.count('class="bar-live"') == drawn.count('class="bar-orphan"') == 1
    assert "block 1: 9 liquidated" in drawn


def places(drawn: str) -> list[tuple[float, float]]:
    """Read where badges are."""
    found = re.findall(r'<circle class="badge [^"]*" cx="([^"]+)" cy="([^"]+)"', drawn)
    return [(float(x), float(y)) for x, y in found]


@pytest.mark.parametrize("seed", range(10))
def test_marks_never_lie_on_one_another(seed: int) -> None:
    choose = random.Random(seed)
    live = [block(height) for height in range(151)]
    undone = [block(height, 1) for height in range(101, 131)]
    marks = [
        Milestone(choose.randrange(151), 0, 0, 0, choose.choice(["mode", "halt"]), str(number))
        for number in range(25)
    ]
    marks += [Milestone(choose.randrange(101, 131), 1, 0, 0, "incident", "x") for _ in range(5)]
    chain = ChainFact(markets=[ETH], blocks=[*live, *undone], milestones=marks)
    found = places(branch_chart(chain))
    assert len(found) == 30
    for place, (x, y) in enumerate(found):
        assert y > 0
        for other_x, other_y in found[:place]:
            assert max(abs(x - other_x), abs(y - other_y)) >= 18


def test_marks_are_told_in_the_order_in_which_they_happened() -> None:
    chain = incident_chain()
    again = Milestone(16, 0, 2, 17, "undo", "from block 10 to block 16")
    marks = [
        msgspec.structs.replace(each, epoch=2) if each.kind == "mode" else each
        for each in chain.milestones
    ]
    shuffled = msgspec.structs.replace(chain, milestones=[*marks, again][::-1])
    told = [mark.kind for mark in in_order(shuffled)]
    assert told == ["checkpoint", "incident", "halt", "reorg", "undo", "mode"]


def test_two_branches_lie_below_one_another() -> None:
    chain = incident_chain()
    blocks = [*chain.blocks, *(block(height, 3) for height in range(5, 19))]
    drawn = branch_chart(msgspec.structs.replace(chain, blocks=blocks))
    tops = set(re.findall(r'class="band-orphan [^"]*" x="[^"]+" y="([^"]+)"', drawn))
    assert len(tops) == 2


def test_small_drawings_of_nothing() -> None:
    account = incident_chain().accounts
    assert account is not None
    empty = msgspec.structs.replace(account.accounts[0], undone=(), live=())
    assert "<path" not in spark_line(empty)
    assert contract_chart([]) == ""
    assert "<rect" not in step_chart([])


def test_numbers_as_people_read_them() -> None:
    assert [money(units) for units in (0, -1, 123_456_789_012, 5 * ONE)] == [
        *("0.00", "-0.01", "1,234.56", "5.00")
    ]
    assert [size(units) for units in (0, 3_902_400_000, -ONE // 2)] == ["0", "39.024", "-0.5"]
    assert [milliseconds(us) for us in (0, 7_143, 99_999, 229_100, 8_627_000)] == [
        *("0.0", "7.1", "99.9", "229", "8,627")
    ]
    assert (short(0x123), short(0x123456789ABC)) == ("0x123", "0x12345678…")
    assert clock(1_723_161_273) == "23:54:33"
    assert [counted(1, "block"), counted(2_000, "block")] == ["1 block", "2,000 blocks"]
    assert [plain(each) for each in (None, True, {"to": 1}, 7.1)] == ["-", "true", "to: 1", "7.1"]
