"""What the operator orders is carried out at any moment, and answered whatever happens."""

import asyncio
import time
from pathlib import Path

import pytest

from sequencer.model.plugins import PluginState
from sequencer.model.refusals import Reason, Refused
from tests.plugins.host_world import (
    ORDERS,
    PATIENT,
    hosted,
    opinions,
    order,
    probe,
    rolled_chain,
    straight,
    until,
)
from tests.strategies import refused
from tests.unit.engine.builders import HeldWorker, turns


async def test_a_parked_plugin_goes_on_where_it_was_parked(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe(), probe("other")) as rig:
        await rig.told_all()
        await order(rig, "park")
        await order(rig, "park")
        rig.act()
        await rig.told_all("other")
        assert rig.standing().reason == "PLUGIN_PARKED: a drill"
        assert rig.standing().lag == 1
        await order(rig, "unpark")
        await order(rig, "unpark")
        await rig.told_all()
        assert rig.calls() == straight(rig.chain.store.view)
        assert rig.standing().state is PluginState.RUNNING


async def test_a_rebuild_tells_everything_again_with_the_same_keys(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe(), probe("other")) as rig:
        await rig.told_all()
        told, before = straight(rig.chain.store.view), rig.bucket()
        await order(rig, "rebuild")
        assert rig.bucket() == {}
        assert rig.cursor() is None
        await rig.told_all()
        assert rig.calls() == [*told, *told]
        assert [line for line in rig.noted() if "init" in line] == ["None init -1"] * 2
        assert rig.bucket() == before
        # What was parked is rebuilt, too.
        await order(rig, "park")
        await order(rig, "rebuild")
        await rig.told_all()
        assert rig.bucket() == before
        assert rig.calls("other") == told


@pytest.mark.parametrize("harm", ["slow", "hang", "hold"])
async def test_orders_are_carried_out_in_the_middle_of_a_call(tmp_path: Path, harm: str) -> None:
    chain = rolled_chain()
    async with hosted(
        chain, tmp_path, probe(in_="new_block", at="6.0", do=harm), limits=PATIENT
    ) as rig:
        for word in (*ORDERS, *ORDERS, "park"):
            await until(lambda: "6.0 new_block 5" in rig.calls() or bool(rig.standing().reason))
            async with asyncio.timeout(10):
                await order(rig, word)
            assert (rig.standing().state is PluginState.PARKED) == (word == "park")
    async with hosted(chain, tmp_path, probe()) as rig:
        assert rig.standing().reason == "PLUGIN_PARKED: a drill"
        await order(rig, "unpark")
        await rig.told_all()
        assert rig.bucket()[b"count"] == b"%d" % len(straight(chain.store.view))


async def test_orders_at_any_moment_leave_what_a_straight_run_leaves(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe(), probe("other")) as rig:
        for number in range(12):
            noted = len(rig.noted())

            def is_time(lines: int = noted + number) -> bool:
                standing = rig.standing()
                is_told = standing.state is PluginState.PARKED or not standing.lag
                return is_told or len(rig.noted()) >= lines

            await until(is_time)
            async with asyncio.timeout(10):
                await asyncio.gather(*(order(rig, ORDERS[(number + at) % 3]) for at in range(3)))
        await order(rig, "unpark")
        await rig.told_all()
        await rig.told_all("other")
        assert rig.bucket() == rig.bucket("other")


async def test_a_batch_that_is_being_written_counts_for_the_order_that_comes_meanwhile(
    tmp_path: Path,
) -> None:
    async with hosted(rolled_chain(), tmp_path, probe()) as rig:
        rig.worker = worker = HeldWorker()
        worker.free.clear()
        await until(lambda: worker.held == 1)
        async with asyncio.TaskGroup() as group:
            ordered = group.create_task(order(rig, "rebuild"))
            await turns()
            assert not ordered.done()
            worker.free.set()
        assert rig.bucket() == {}
        await rig.told_all()
        assert rig.bucket()[b"count"] == b"%d" % len(straight(rig.chain.store.view))


async def test_blocks_that_come_while_a_plugin_begins_or_is_rebuilt_are_told(
    tmp_path: Path,
) -> None:
    async with hosted(rolled_chain(), tmp_path, probe()) as rig:
        rig.reader = reader = HeldWorker()
        for _ in range(2):
            reader.free.clear()
            await until(lambda: reader.held == 1)
            rig.act()
            reader.free.set()
            await rig.told_all()
            assert rig.bucket()[b"count"] == b"%d" % len(straight(rig.chain.store.view))
            reader.free.clear()
            async with asyncio.TaskGroup() as group:
                group.create_task(order(rig, "rebuild"))
                await until(lambda: reader.held == 1)
                rig.act()
                reader.free.set()
        assert not rig.said


async def test_whoever_gives_an_order_and_goes_hurts_nobody(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe()) as rig:
        for word in ORDERS:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await order(rig, word)
        await order(rig, "park")
        assert rig.standing().state is PluginState.PARKED


async def test_orders_are_answered_when_the_node_ends(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe(in_="shutdown", do="hang")) as rig:
        await rig.told_all()
        # The first one waits for the end of the process, the others behind it.
        tasks = [asyncio.ensure_future(order(rig, word)) for word in ORDERS]
        asked = asyncio.ensure_future(opinions(rig, rig.chain.plan(5)))
        await turns()
    said = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each.reason for each in said if isinstance(each, Refused)] == [Reason.SHUTTING_DOWN] * 3
    assert (await asked)["probe"].words in ("no answer", "")
    with refused(Reason.SHUTTING_DOWN):
        await order(rig, "park")
    assert (await opinions(rig, rig.chain.plan(5)))["probe"].words == "not asked: the node ends"


async def test_a_plugin_that_is_not_there_is_refused(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe()) as rig:
        for word in ORDERS:
            with refused(Reason.PLUGIN_UNKNOWN):
                await order(rig, word, ".")


async def test_orders_are_taken_while_the_process_starts(tmp_path: Path) -> None:
    async with hosted(rolled_chain(), tmp_path, probe()) as rig:
        for word in ORDERS:
            await order(rig, word)
        await rig.told_all()
        assert rig.bucket()[b"count"] == b"%d" % len(straight(rig.chain.store.view))


async def test_a_stop_in_the_middle_of_a_call_repeats_that_call(tmp_path: Path) -> None:
    chain = rolled_chain()
    config = probe(in_="revert_block", at="9.1", do="hang", once="")
    async with hosted(chain, tmp_path, config, limits=PATIENT) as rig:
        await until(lambda: "9.1 revert_block 6" in rig.calls())
        began = time.monotonic()
    assert time.monotonic() - began < 8
    async with hosted(chain, tmp_path, config) as rig:
        await rig.told_all()
        assert rig.standing().state is PluginState.RUNNING
        assert rig.bucket()[b"count"] == b"%d" % len(straight(chain.store.view))
