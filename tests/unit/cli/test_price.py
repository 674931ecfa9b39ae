"""A price that was lost in a long halt: what is listed, and how one is named."""

import json
from pathlib import Path

import pytest

from sequencer.model.commands import SetMode
from sequencer.model.exchange_limits import INDEX_AGE_MS_MAX, INDEX_LOST_MS_MAX
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from tests.unit.chain.network import MARKET, START_MS
from tests.unit.cli.test_plugin import refused, serving, shown
from tests.unit.engine.builders import applied, reports
from tests.unit.engine.desks import Operated, operated

pytestmark = pytest.mark.usefixtures("process")


async def reported(rig: Operated, price: int) -> None:
    """Have every publisher report, and a block made that takes it."""
    for each in reports(price, rig.clock.ms // 1_000 + 1 - START_MS // 1_000):
        rig.node.engine.admission.report(each)
    await rig.block()


async def stepped(rig: Operated, mode: Mode) -> None:
    await applied(rig.node.engine.writer.operate(SetMode(mode, "a test")))


async def halted(rig: Operated, for_ms: int) -> None:
    """Halt for a while: what an operator lowered takes no price by itself, as a gap does."""
    await stepped(rig, Mode.HALTED)
    rig.clock.ms += for_ms
    await stepped(rig, Mode.CANCEL_ONLY)


async def test_a_price_is_lost_in_a_long_halt_and_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path) as rig, serving(rig, data):
        await halted(rig, 0)
        seed = f"perpchain price seed {data} {MARKET}"
        await reported(rig, 60_010)
        assert f"{MARKET}  60,010.00, 0 s old\n" in await shown("price", "list", data)

        await halted(rig, INDEX_AGE_MS_MAX + 1)
        assert f"{MARKET}  60,010.00, 30 s old, STALE: " in await shown("price", "list", data)
        await halted(rig, INDEX_LOST_MS_MAX)
        await reported(rig, 61_000)
        page = await shown("price", "list", data)
        assert " s old, LOST: no three candidates in a row agree yet; look again in ten " in page
        for price in (61_020, 61_010):
            await reported(rig, price)
        assert f" LOST; to name: {seed} 61010.00\n" in await shown("price", "list", data)
        facts = json.loads(await shown("price", "list", data, "--json"))
        assert facts["mode"] == "CANCEL_ONLY"
        (market,) = facts["markets"]
        assert (market["lost"], market["seeds"]) == (True, [61_010 * ONE])
        assert facts["markets"][0]["index"] == 60_010 * ONE
        told = await shown(*f"{seed} 61,010".split()[1:])
        assert f"price   61,010.00\nheight  {rig.height}\n" in told
        await reported(rig, 61_030)
        assert f"{MARKET}  61,030.00, 0 s old\n" in await shown("price", "list", data)


async def test_while_the_chain_is_halted_prices_grow_old(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path) as rig, serving(rig, data):
        await reported(rig, 60_010)
        await stepped(rig, Mode.HALTED)
        rig.clock.ms += INDEX_LOST_MS_MAX + 1
        page = await shown("price", "list", data)
        assert page.startswith("mode          HALTED\n")
        assert f"60,010.00, {INDEX_LOST_MS_MAX // 1_000} s old, LOST: candidates to name " in page


async def test_what_is_no_candidate_is_refused_with_the_next_step(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path) as rig, serving(rig, data):
        seed = ("price", "seed", data, MARKET)
        await stepped(rig, Mode.CANCEL_ONLY)
        await stepped(rig, Mode.POST_ONLY)
        assert "MODE_FORBIDS: prices are seeded in CANCEL_ONLY alone" in await refused(*seed, "1")
        await stepped(rig, Mode.CANCEL_ONLY)
        assert f"PRICE_SEED_REFUSED: {MARKET} has a price" in await refused(*seed, "60000")
        await halted(rig, INDEX_LOST_MS_MAX + 1)
        words = await refused(*seed, "60000")
        assert "PRICE_SEED_REFUSED: 6000000000000 is no median of 3 agreeing" in words
        assert words.endswith(f"; next: perpchain price list {data}\n")
        assert "MARKET_UNKNOWN" in await refused("price", "seed", data, "DOGE-USD-PERP", "1")


async def test_beside_a_stopped_node_there_are_no_candidates(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path):
        pass
    for command in (("list", data), ("seed", data, MARKET, "1")):
        assert "NODE_NOT_RUNNING" in await refused("price", *command)
