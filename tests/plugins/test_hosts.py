"""Several plugins: opinions, lag, restarts, and a store that fails."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from sequencer.model.plugins import HOST_BUCKET, PluginOpinion, PluginState
from sequencer.model.records import EffectKind
from sequencer.plugins.host import hosts as hosts_module
from sequencer.plugins.host.host import HostLimits
from sequencer.ports import StoreError
from sequencer.storage.simulated import Fault
from tests.plugins.host_world import (
    ORDERS,
    PATIENT,
    children,
    hosted,
    opinions,
    order,
    probe,
    rolled_chain,
    straight,
    until,
)
from tests.strategies import Unchecked
from tests.unit.engine.builders import turns
from tests.unit.engine.rolling import Chain


@pytest.mark.parametrize(
    ("options", "words", "veto"),
    [
        ({}, "", False),
        ({"say": "veto"}, "not below 6", True),
        ({"say": "warning"}, "two lines", False),
        ({"say": "nonsense"}, "no answer: it returned a value of type str", False),
        ({"say": "odd"}, "no answer: it returned a value of type Opinion", False),
        ({"say": "write"}, "no answer: it raised RuntimeError: only a call that tells", False),
        ({"in": "may_reorg", "do": "raise"}, "no answer: it raised ValueError: a second", False),
        ({"in": "may_reorg", "do": "kill"}, "no answer", False),
        ({"in": "may_reorg", "do": "hang"}, "no answer within 1 s", False),
        ({"in": "new_block", "at": "14.0", "do": "hang"}, "no answer within 1 s", False),
        ({"in": "init", "do": "hang"}, "no answer within 1 s", False),
        ({"in": "init", "do": "raise"}, "not asked: it is parked", False),
    ],
)
async def test_what_plugins_say_to_a_plan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Unchecked],
    words: str,
    veto: bool,
) -> None:
    monkeypatch.setattr(hosts_module, "PLUGIN_OPINION_SECONDS_MAX", 1)
    limits = HostLimits(call_seconds_max=4)
    chain = rolled_chain()
    configs = (probe(**options), probe("other", say="warning"))
    async with hosted(chain, tmp_path, *configs, limits=limits) as rig:
        await rig.told_all("other")
        is_begun = options.get("in") != "init"
        await until(lambda: not is_begun or "14.0 new_block 7" in rig.calls())
        if options.get("do") == "raise" and options["in"] == "init":
            await rig.parked()
        for _ in range(2):
            told = await opinions(rig, chain.plan(5))
            assert told["probe"].words.startswith(words)
            assert told["probe"].veto == veto
            assert told["other"] == PluginOpinion("other", "two lines")
        if options.get("do") == "hang" and options["in"] != "init":
            assert (await rig.parked()).startswith(f"PLUGIN_HANGS: {options['in']}")
        rig.act()
        await rig.told_all("other")
        assert b"between" not in rig.bucket()


async def test_many_plans_at_once_are_answered(tmp_path: Path) -> None:
    chain = rolled_chain()
    async with hosted(chain, tmp_path, probe(say="veto"), probe("other")) as rig:
        await rig.told_all()
        plans = [chain.plan(height) for height in (4, 5, 6)] * 10
        told = await asyncio.gather(*(opinions(rig, plan) for plan in plans))
        assert [each["probe"].words for each in told] == [
            f"not below {plan.target_height + 1}" for plan in plans
        ]


async def test_a_plugin_that_is_left_out_is_parked_and_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    chain = rolled_chain()
    async with hosted(chain, tmp_path, probe(), probe("other")) as rig:
        await rig.told_all()
        await rig.told_all("other")
    async with hosted(chain, tmp_path, probe("other")) as rig:
        await until(lambda: bool(rig.said))
        assert rig.said == [
            "plugin probe is parked, PLUGIN_ABSENT: the node was started without it"
        ]
        cursor = rig.cursor()
        assert cursor is not None
        assert cursor.parked
        for _ in range(3):
            rig.act()
        await rig.told_all("other")
    async with hosted(chain, tmp_path, probe(), probe("other")) as rig:
        await rig.told_all()
        assert rig.standing().state is PluginState.RUNNING
        assert rig.calls() == straight(chain.store.view)
        assert dict(chain.store.view.bucket(HOST_BUCKET)) == {}
        assert not [line for line in rig.said if "stays parked" in line]
        await rig.hosts.park("probe", "kept")
    # An operator's word is not taken back by leaving the plugin out.
    async with hosted(chain, tmp_path, probe("other")) as rig:
        await rig.told_all("other")
    async with hosted(chain, tmp_path, probe()) as rig:
        await until(lambda: "plugin probe stays parked, PLUGIN_PARKED: kept" in rig.said)
        assert rig.standing().reason == "PLUGIN_PARKED: kept"


async def test_a_dry_run_keeps_nothing_and_holds_nothing_back(tmp_path: Path) -> None:
    chain = rolled_chain()
    async with hosted(chain, tmp_path, probe()) as rig:
        await rig.told_all()
        before = rig.bucket()
    writes = chain.disk.writes
    for _ in range(2):
        async with hosted(chain, tmp_path, probe("new", is_dry=True), probe(is_dry=True)) as rig:
            for name in ("new", "probe"):
                await rig.told_all(name)
                assert rig.standing(name).reason == "a dry run: nothing is kept"
            assert rig.bucket("new") == {}
            assert rig.cursor("new") is None
            cursor = rig.cursor()
            assert cursor is not None
            assert cursor.parked
            assert rig.bucket() == before
            assert chain.disk.writes == writes + 1
            # Also what is ordered is not kept.
            await order(rig, "park", "new")
            assert rig.standing("new").state is PluginState.PARKED
            await order(rig, "rebuild", "new")
            await rig.told_all("new")
    assert rig.calls("new") == straight(chain.store.view) * 4
    async with hosted(chain, tmp_path, probe()) as rig:
        rig.act()
        await rig.told_all()
        assert rig.bucket()[b"count"] == b"%d" % len(straight(chain.store.view))


async def test_a_dry_run_that_always_dies_is_parked(tmp_path: Path) -> None:
    config = probe(is_dry=True, in_="new_block", at="14.0", do="kill")
    async with hosted(rolled_chain(), tmp_path, config) as rig:
        assert (await rig.parked()).startswith("PLUGIN_DIED: new_block of block 7")
        assert len([line for line in rig.noted() if "init" in line]) == 2


async def test_a_plugin_that_lags_is_parked_and_a_new_one_is_not(tmp_path: Path) -> None:
    chain = Chain()
    chain.blocks(8)
    limits = HostLimits(call_seconds_max=5, lag_max=5)
    async with hosted(chain, tmp_path, probe(in_="new_block", do="slow"), limits=limits) as rig:
        # It is far behind from the beginning, and allowed to be.
        await rig.told_all()
        assert rig.standing().state is PluginState.RUNNING
        for _ in range(20):
            rig.act()
        reason = await rig.parked()
        assert reason.startswith("PLUGIN_LAGS: ")
        assert reason.endswith(" commits behind, 5 allowed")
        cursor = rig.cursor()
        assert cursor is not None
        assert cursor.parked
        assert rig.standing().lag > 0
    async with hosted(chain, tmp_path, probe(), limits=limits) as rig:
        await rig.hosts.unpark("probe")
        await rig.told_all()
        assert rig.standing().state is PluginState.RUNNING
        assert rig.bucket()[b"count"] == b"%d" % len(straight(chain.store.view))


async def test_while_a_plugin_catches_up_or_is_parked_nothing_is_held_back(tmp_path: Path) -> None:
    chain = rolled_chain()
    config = probe(in_="new_block", at="14.0", do="raise")
    async with hosted(chain, tmp_path, config) as rig:
        await rig.parked()
        chain.store.forget_effects(chain.store.head.next_effect, 1_000)
        assert chain.store.view.effects(0, 10) == []
        assert all(not journal.is_open for journal in chain.store.view.journals())
    async with hosted(chain, tmp_path, probe()) as rig:
        await rig.hosts.unpark("probe")
        await rig.told_all()
        rig.act()
        chain.store.forget_effects(chain.store.head.next_effect, 1_000)
        # Whoever runs is waited for.
        assert [each.kind for each in chain.store.view.effects(0, 10)] == [EffectKind.BLOCK]
        await rig.told_all()
        assert rig.calls()[-1:] == straight(chain.store.view)[-1:]


async def test_a_store_that_fails_ends_the_telling_and_answers_orders(tmp_path: Path) -> None:
    chain = rolled_chain()
    async with hosted(chain, tmp_path, probe(), probe("other")) as rig:
        await rig.told_all()
        await rig.told_all("other")
        rig.act()
        chain.disk.fault = Fault(chain.disk.writes + 1, for_ever=True)
        assert (await rig.parked()).startswith("WRITE_FAILED")
        assert (await rig.parked("other")).startswith("WRITE_FAILED")
        assert sum("is told nothing more" in line for line in rig.said) == 2
        assert (await opinions(rig, chain.plan(5)))["probe"].words == "not asked: it is parked"
        for word in ORDERS:
            async with asyncio.timeout(10):
                with pytest.raises(StoreError):
                    await order(rig, word)


async def test_a_store_that_nobody_vouches_for_tells_nothing_until_somebody_does(
    tmp_path: Path,
) -> None:
    chain = rolled_chain()
    async with hosted(chain, tmp_path, probe("gone")) as rig:
        await rig.told_all("gone")
    disk = chain.disk
    disk.witness_bytes = bytes(len(disk.witness_bytes))
    async with hosted(Chain(disk), tmp_path, probe()) as rig:
        assert not rig.chain.store.acknowledged
        rig.hosts.wake()
        await turns()
        assert children() == []
        assert rig.said == []
        rig.chain.store.acknowledge()
        rig.hosts.wake()
        await rig.told_all()
        assert [line for line in rig.said if "gone" in line]


async def test_a_plugin_keeps_nobody_from_going_on(tmp_path: Path) -> None:
    configs = (
        probe("spins", in_="new_block", at="2.0", do="spin"),
        probe("hangs", in_="new_block", at="2.0", do="hang"),
        probe("other"),
    )
    async with hosted(rolled_chain(), tmp_path, *configs, limits=PATIENT) as rig:
        await until(lambda: all("2.0 new_block 1" in rig.calls(each.name) for each in configs))
        for _ in range(5):
            rig.act()
            await rig.told_all("other")
        assert rig.standing("spins").lag == rig.standing("hangs").lag == rig.chain.head.sequence
        # Whoever kills a process frees its plugin from its call, not from the next one.
        before = children()
        assert len(before) == 3
        for process_id in before:
            os.kill(process_id, signal.SIGKILL)
        await until(lambda: len(set(children()) - set(before)) == 2)
        rig.act()
        await rig.told_all("other")
        assert rig.calls("other") == straight(rig.chain.store.view)
