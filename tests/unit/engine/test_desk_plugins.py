"""The operator's side of plugins: their say before a rollback, and what is done about one."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from sequencer.chain.text import to_text
from sequencer.engine.deliveries import Position, cursor_of
from sequencer.engine.desk_facts import Facts
from sequencer.engine.requests import (
    ApplyRequest,
    Denied,
    PlanRequest,
    PluginListRequest,
    PluginParkRequest,
    PluginRebuildRequest,
    PluginUnparkRequest,
    answer,
)
from sequencer.engine.rollback import Details, Override, read_details
from sequencer.model.commands import OrderPolicy
from sequencer.model.limits import REASON_CHARACTERS_MAX
from sequencer.model.plugins import HOST_BUCKET, READER_PREFIX, PluginOpinion, PluginStanding
from sequencer.model.records import Cursor
from sequencer.model.refusals import Reason
from sequencer.ports import ChainView
from tests.unit.engine.builders import until
from tests.unit.engine.desks import (
    ORDER,
    Operated,
    denied,
    desk_beside,
    operated,
)
from tests.unit.engine.logs import MemoryLogFile, memory_log
from tests.unit.engine.rolling import Chain
from tests.unit.engine.toy_plugins import FINE, MUTE, OTHER_VETO, VETO, WARNING, told

WHY = "the bank was called"


def everything(rig: Operated) -> tuple[object, ...]:
    """What a rollback changes, and an order to go back that is refused must not."""
    store, engine = rig.node.store, rig.node.engine
    system = engine.writer.state.system
    return (
        store.head,
        store.view.journals(),
        store.view.incidents(),
        rig.node.views.view.head,
        engine,
        engine.gate.halts,
        (system.mode, system.cause, system.guards_off),
        len(engine.writer.queue),
        engine.writer.decided,
    )


def overridden(view: ChainView) -> Override | None:
    return read_details(view.incidents()[-1]).override


async def test_a_veto_is_there_before_anything_is_touched(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        with told(rig, FINE, VETO, WARNING, OTHER_VETO) as plugins:
            plan = await rig.plan(1)
            before = everything(rig)
            with denied(Reason.REORG_VETOED, f"plan {plan.plan_id.hex()}$"):
                await rig.desk.apply(plan.plan_id.hex(), ORDER)
            with denied(Reason.REORG_VETOED, "^REORG_VETOED: bridge says: block 2 was paid out;"):
                await rig.desk.apply(plan.plan_id.hex()[:8], ORDER)
            with denied(Reason.REORG_VETOED, "tax says: the year is closed; nothing was done"):
                await rig.desk.apply(plan.plan_id.hex(), ORDER)
            assert everything(rig) == before
            assert plugins.asked == [plan.plan_id] * 3
            height = await rig.block()
        assert height == before[0].height + 1  # type: ignore[attr-defined]


async def test_an_override_goes_over_every_veto_and_is_kept(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        with told(rig, VETO, OTHER_VETO, WARNING, FINE) as plugins:
            plan = await rig.plan(1)
            facts = await rig.desk.apply(plan.plan_id.hex(), ORDER, WHY)
            assert overridden(rig.node.store.view) == Override(WHY, [VETO, OTHER_VETO])
            # Nobody is asked about the way back.
            await rig.desk.undo(1, ORDER)
            assert plugins.asked == [plan.plan_id]
        assert (facts["height"], facts["epoch"]) == (1, 1)
        words = f"{WHY}; over the veto of bridge ({VETO.words}), tax ({OTHER_VETO.words})"
        assert facts["override"] == words
        said = [f"{each.name}: {each.words}" for each in (VETO, OTHER_VETO, WARNING)]
        assert facts["plugins"] == said
        lines = (await rig.desk.reorgs())["reorgs"]
        assert isinstance(lines, list)
        assert lines[0].endswith(f"by olga: a drill; override: {words}")
        assert lines[1].endswith("by olga: a drill")
        assert overridden(rig.node.store.view) is None


async def test_only_a_veto_stops_anybody(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        with told(rig, WARNING, FINE, MUTE):
            facts = await rig.back(2)
            assert facts["plugins"] == [f"{each.name}: {each.words}" for each in (WARNING, MUTE)]
        with told(rig, FINE):
            facts = await rig.back(1)
        assert (facts["height"], facts["epoch"]) == (1, 2)
        assert not {"plugins", "override"} & facts.keys()
        assert overridden(rig.node.store.view) is None


async def test_an_override_of_nothing_is_kept_as_well(tmp_path: Path) -> None:
    """Whoever said it had a reason; what the plugin said a moment before may be gone by then."""
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        with told(rig, FINE):
            plan = await rig.plan(1)
            facts = await rig.desk.apply(plan.plan_id.hex(), ORDER, WHY)
        assert facts["override"] == f"{WHY}; over the veto of nobody"
        assert overridden(rig.node.store.view) == Override(WHY, [])


@pytest.mark.parametrize("words", [" ", "x" * (REASON_CHARACTERS_MAX + 1), "a\x1b[2Jb", "a\nb"])
async def test_an_override_needs_words_like_a_reason(tmp_path: Path, words: str) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        with told(rig, VETO) as plugins:
            plan = await rig.plan(1)
            before = everything(rig)
            with denied(Reason.REASON_MISSING):
                await rig.desk.apply(plan.plan_id.hex(), ORDER, words)
            assert (everything(rig), plugins.asked) == (before, [])


async def test_nobody_else_waits_for_a_plugin_that_thinks(tmp_path: Path) -> None:
    """Neither a halt nor another decision: it is not the desk's turn yet."""
    async with operated(tmp_path) as rig, asyncio.timeout(20):
        await rig.blocks(3)
        with told(rig, FINE) as plugins:
            plan = await rig.plan(1)
            plugins.free.clear()
            async with asyncio.TaskGroup() as group:
                applying = group.create_task(_refused(rig, plan.plan_id.hex(), Reason.PLAN_STALE))
                await until(lambda: bool(plugins.asked))
                halted = await rig.halt()
                assert halted["height"] == rig.height
                assert (await rig.desk.resume())["open"] == []
                with denied(Reason.UNDO_IMPOSSIBLE):
                    await rig.desk.undo(1, ORDER)
                assert (await rig.desk.status())["mode"] == "HALTED"
                assert not applying.done()
                plugins.free.set()
            assert rig.node.store.head.latch is not None
            assert (await rig.back(1))["height"] == 1


async def _refused(rig: Operated, plan_id: str, reason: Reason) -> None:
    with denied(reason):
        await rig.desk.apply(plan_id, ORDER)


async def test_a_plan_comes_with_opinions_that_are_not_in_it(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        alone = await _done(rig, PlanRequest("1"))
        with told(rig, VETO, WARNING, FINE) as plugins:
            facts = await _done(rig, PlanRequest("1"))
            assert plugins.asked == [bytes.fromhex(str(facts["plan_id"]))]
        assert (facts["plan_id"], facts["plan"]) == (alone["plan_id"], alone["plan"])
        assert alone["opinions"] == ()
        given = msgspec.convert(facts["opinions"], list[PluginOpinion])
        assert given == [VETO, WARNING, FINE]


async def _done(rig: Operated, request: PlanRequest | ApplyRequest) -> Facts:
    facts = await answer(rig.desk, request, memory_log())
    assert isinstance(facts, dict)
    return facts


async def test_a_refusal_and_an_override_are_in_the_operators_log(tmp_path: Path) -> None:
    file = MemoryLogFile()
    log = memory_log(file)
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        with told(rig, VETO):
            plan_id = str((await _done(rig, PlanRequest("1")))["plan_id"])
            vetoed = await answer(rig.desk, ApplyRequest(plan_id, "x"), log)
            assert isinstance(vetoed, Denied)
            assert (vetoed.code, vetoed.exit_code) == ("REORG_VETOED", 2)
            assert isinstance(
                await answer(rig.desk, ApplyRequest(plan_id, "x", override=WHY), log), dict
            )
    entries = [(each.event, each.outcome) for each in file.entries]
    assert entries == [
        ("INTENT", ""),
        ("OUTCOME", "REORG_VETOED"),
        ("INTENT", ""),
        ("OUTCOME", "ok"),
    ]
    assert msgspec.json.decode(file.entries[2].params)["override"] == WHY


async def test_an_operator_parks_unparks_and_rebuilds(tmp_path: Path) -> None:
    file = MemoryLogFile()
    log = memory_log(file)
    async with operated(tmp_path) as rig:
        with told(rig, WARNING, FINE) as plugins:
            desk = rig.desk
            parked = await answer(desk, PluginParkRequest("feed", "its host is away"), log)
            assert isinstance(parked, dict)
            assert (parked["name"], parked["state"]) == ("feed", "PARKED")
            assert parked["reason"] == "PLUGIN_PARKED: its host is away"
            status = await desk.status()
            assert [each["state"] for each in _plugins(status)] == ["PARKED", "RUNNING"]
            unparked = await answer(desk, PluginUnparkRequest("feed"), log)
            assert isinstance(unparked, dict)
            assert (unparked["state"], unparked["reason"]) == ("CATCHING_UP", "")
            rebuilt = await answer(desk, PluginRebuildRequest("books"), log)
            assert isinstance(rebuilt, dict)
            assert (rebuilt["name"], rebuilt["height"], rebuilt["lag"]) == ("books", -1, 9)
            listed = await answer(desk, PluginListRequest(), log)
            assert isinstance(listed, dict)
            assert (listed["node"], _plugins(listed)) == ("running", _plugins(await desk.status()))
            await log.flush()
            assert plugins.calls == [
                ("park", "feed", "its host is away"),
                ("unpark", "feed"),
                ("rebuild", "books"),
            ]
    assert [(each.event, each.method) for each in file.entries] == [
        ("INTENT", "admin_pluginPark"),
        ("OUTCOME", "admin_pluginPark"),
        ("INTENT", "admin_pluginUnpark"),
        ("OUTCOME", "admin_pluginUnpark"),
        ("INTENT", "admin_pluginRebuild"),
        ("OUTCOME", "admin_pluginRebuild"),
        ("LOOK", "admin_pluginList"),
    ]


def _plugins(facts: Facts) -> list[Facts]:
    return msgspec.convert(facts["plugins"], list[Facts])


async def test_what_is_asked_of_no_plugin_is_refused_by_name(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        with denied(Reason.NODE_NOT_RUNNING):
            await rig.desk.park("feed", "")
        assert (await rig.desk.status())["plugins"] == []
        with told(rig, FINE, WARNING) as plugins:
            for asked in (
                rig.desk.unpark("fed"),
                rig.desk.rebuild(""),
                rig.desk.park("x" * 99, ""),
            ):
                with denied(Reason.PLUGIN_UNKNOWN):
                    await asked
            for words in (" ", "x" * (REASON_CHARACTERS_MAX + 1), "a\x1bb"):
                with denied(Reason.REASON_MISSING):
                    await rig.desk.park("feed", words)
            assert plugins.calls == []


def keep(chain: Chain, name: str, height: int, *, parked: bool = False, reason: str = "") -> Cursor:
    """Leave what the host leaves of a plugin that has come to a block."""
    block = chain.store.view.block(height)
    assert block is not None
    cursor = cursor_of(chain.store.view, Position(block.sequence, block), parked=parked)
    why = [(HOST_BUCKET, name.encode(), reason.encode())] if reason else []
    chain.store.advance_cursor(READER_PREFIX + name, cursor, why)
    return cursor


async def test_beside_a_stopped_node_the_store_says_how_they_stand(
    chain: Chain, tmp_path: Path
) -> None:
    desk, height = desk_beside(chain.store, tmp_path), chain.head.height
    assert (await desk.status())["plugins"] == []
    feed = keep(chain, "feed", height)
    slow = keep(chain, "slow", 2, parked=True)
    bad = keep(chain, "bad", 4, parked=True, reason="PLUGIN_RAISED: KeyError: 'é'")
    chain.store.forget_reader(READER_PREFIX + "never", [(HOST_BUCKET, b"never", b"no such class")])
    head = chain.head.sequence
    expected = [
        ("bad", "PARKED", 4, bad.sequence, head - bad.sequence, "PLUGIN_RAISED: KeyError: 'é'"),
        ("feed", "RUNNING", height, feed.sequence, 0, ""),
        ("never", "PARKED", -1, 0, head, "no such class"),
        ("slow", "CATCHING_UP", 2, slow.sequence, head - slow.sequence, ""),
    ]
    listed = desk.plugins()
    assert listed["node"] == "stopped"
    found = msgspec.convert(listed["plugins"], list[PluginStanding])
    assert [msgspec.structs.astuple(each) for each in found] == expected
    assert (await desk.status())["plugins"] == listed["plugins"]
    for asked in (desk.park("feed", ""), desk.unpark("feed"), desk.rebuild("feed")):
        with denied(Reason.NODE_NOT_RUNNING):
            await asked


async def test_a_stopped_node_goes_back_without_asking_and_says_so(
    chain: Chain, tmp_path: Path
) -> None:
    desk = desk_beside(chain.store, tmp_path)
    plan = await desk.plan("6", OrderPolicy.KEEP, ())
    assert await desk.opinions(plan) == ()
    assert "plugins" not in await desk.apply(plan.plan_id.hex(), ORDER)
    keep(chain, "feed", chain.head.height)
    plan = await desk.plan("5", OrderPolicy.KEEP, ())
    assert await desk.opinions(plan) is None
    planned = await answer(desk, PlanRequest("5"), memory_log())
    assert isinstance(planned, dict)
    assert (planned["plan_id"], planned["opinions"]) == (plan.plan_id.hex(), None)
    told = await desk.apply(plan.plan_id.hex(), ORDER, WHY)
    assert (
        told["plugins"] == "not asked: the node does not run; they are told of this when it starts"
    )
    assert told["height"] == 5
    assert overridden(chain.store.view) == Override(WHY, [])


def test_a_record_from_before_there_were_plugins_is_read(chain: Chain) -> None:
    chain.back(5)
    (record,) = chain.store.view.incidents()
    fields = msgspec.json.decode(record.details)
    assert fields.pop("override") is None
    old = msgspec.structs.replace(record, details=msgspec.json.encode(fields))
    assert read_details(old) == read_details(record)


def test_what_was_overridden_is_read_as_it_was_written(chain: Chain) -> None:
    chain.back(5)
    (record,) = chain.store.view.incidents()
    hard = PluginOpinion("x", '=0x12 \u00e9 {"a": 1}', veto=True)
    details = msgspec.structs.replace(read_details(record), override=Override("0x1", [hard, VETO]))
    content = msgspec.json.encode(to_text(details))
    read = read_details(msgspec.structs.replace(record, details=content))
    assert isinstance(read, Details)
    assert read == details
