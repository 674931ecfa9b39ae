"""The recorded spot, forward and backward, as prices of a chain."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devnet.publishers import Publishers, SpotLoop
from sequencer.feeds.recorded import Quote, RecordedMarket, Recording, Spot
from sequencer.model.markets import OracleParameters
from sequencer.model.rows import Mode, ModeCause
from sequencer.model.units import ONE
from tests.unit.devnet.local_node import World, cast, play, recording

BASES = {"BTC": "BTC-USD-PERP", "ETH": "ETH-USD-PERP"}


def small(*prices: int) -> SpotLoop:
    """Make a loop of one asset with a price each 10 ms, from 1,000 ms on."""
    rows = [Spot(1_000 + 10 * n, "BTC", price, price) for n, price in enumerate(prices)]
    market = RecordedMarket("BTC", 1, 1, prices[0], 1, 1)
    return SpotLoop(Recording([*rows, Quote(1_000, "BTC", 1, 1, 2, 1)], [market]))


def test_it_plays_forward_and_backward() -> None:
    loop = small(5, 7, 9)
    seen = [loop.prices(ms)["BTC"] for ms in range(0, 65, 5)]
    assert seen == [5, 5, 7, 7, 9, 7, 7, 5, 5, 5, 7, 7, 9]


@pytest.mark.parametrize(
    ("prices", "ms"), [({}, 0), ({"BTC": 0}, 0), ({"BTC": 8}, 10), ({"BTC": 99}, 20)]
)
def test_it_finds_the_moment_nearest_to_prices(prices: dict[str, int], ms: int) -> None:
    assert small(5, 7, 9).nearest_ms(prices) == ms


def test_one_price_is_a_loop_too() -> None:
    loop = small(5)
    assert {loop.prices(ms)["BTC"] for ms in range(5)} == {5}


@given(st.integers(0, 10**10))
def test_no_step_or_range_of_the_record_meets_a_guard(elapsed_ms: int) -> None:
    loop, oracle = SpotLoop(recording()), OracleParameters("")
    now, soon, later = (loop.prices(elapsed_ms + ms) for ms in (0, 1_000, 60_000))
    for base in loop.bases:
        assert abs(soon[base] - now[base]) * ONE * 10 < oracle.step_max * now[base]
        assert abs(later[base] - now[base]) * ONE * 10 < oracle.range_max * now[base]


def test_a_chain_takes_every_price(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        loop = SpotLoop(recording())
        for second in range(1, 8):
            await world.block()
            prices = loop.prices(second * 1_000)
            for base, market in BASES.items():
                assert world.state.prices[market].index == prices[base]
                assert world.state.prices[market].accepted_in_row == second
        assert world.publishers.report() == 0
        world.clock.ms += 999
        assert world.publishers.report() == 0
        world.clock.ms += 1
        assert world.publishers.report() == 6

    play(tmp_path / "chain", act)


@pytest.mark.parametrize("gap_ms", [31_000, 3_600_000])
def test_a_chain_that_is_found_again_opens_by_itself(tmp_path: Path, gap_ms: int) -> None:
    async def first(world: World) -> None:
        await world.open()

    async def second(world: World) -> None:
        world.clock.ms += gap_ms
        world.publishers.begin(world.state)
        await world.block()
        assert world.state.system.mode is Mode.CANCEL_ONLY
        assert world.state.system.cause is ModeCause.GAP
        for _ in range(8):
            await world.block()
        modes = [world.state.system.mode]
        assert modes == [Mode.OPEN]

    play(tmp_path / "chain", first)
    play(tmp_path / "chain", second)


def test_what_is_refused_is_passed_over(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        behind = Publishers(SpotLoop(recording()), cast().roles, world.admission, world.clock)
        world.clock.ms += 1_000
        assert world.publishers.report() == 6
        assert behind.report() == 0
        world.clock.ms += 1_000
        assert behind.report() == 6

    play(tmp_path / "chain", act)
