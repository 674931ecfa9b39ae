"""Chains that were imported or copied, and what they meet: their contract, the original, a halt."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from sequencer.config import SETTLEMENT_FILE, NodeConfig
from sequencer.engine import desk_backup
from sequencer.engine.exporting import export_lines
from sequencer.engine.importing import import_chain
from sequencer.engine.lookup import live_blocks
from sequencer.engine.recovery import recover
from sequencer.engine.settler import SettlePace
from sequencer.engine.throttle import Throttle
from sequencer.engine.worker import ThreadWorker
from sequencer.model.commits import RollbackOrder
from sequencer.model.halts import ExitCode, HaltCause
from sequencer.model.records import Copied, Cursor, Head, Stage
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.model.secret import Secret
from sequencer.node import Given
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.settlement.contract_rules import UpdateState
from sequencer.settlement.simulated import SimulatedSettlement
from sequencer.storage.copying import StoreCopies
from sequencer.storage.folder import make_folder, open_folder
from sequencer.storage.halt_note import HALT_FILE
from tests.unit.chain.network import PRIVATE, START_MS
from tests.unit.engine.builders import PACE, ManualClock, causes, until
from tests.unit.engine.desks import (
    OPERATOR,
    ORDER,
    Operated,
    denied,
    operated,
    run_on,
)


@asynccontextmanager
async def going_on(
    data_dir: Path, contract: SimulatedSettlement | None, ms: int = START_MS + 90_000
) -> AsyncIterator[Operated]:
    """Run a node on a folder that was made elsewhere."""
    clock = ManualClock(ms)
    config = NodeConfig(data_dir, Secret(PRIVATE["op"]), api_port=0)
    shared = None if contract is None else SimulatedSettlement(contract.chain, OPERATOR)
    pace = SettlePace(blocks=1, seconds=1)
    given = Given(clock=clock, pace=PACE, settlement=shared, settle_pace=pace)
    async with run_on(config, given, clock) as rig:
        yield rig


def imported(origin: Path, target: Path) -> None:
    with closing(open_folder(origin)) as store, closing(make_folder(target)) as made:
        import_chain(made, export_lines(store.view))


async def copied(rig: Operated, target: Path) -> None:
    await rig.desk.backups.make(str(target))


def posted(contract: SimulatedSettlement) -> list[int]:
    """The heights of every post that the contract ever took."""
    calls = (done.call for done in contract.chain.ledger.log)
    return [call.new.height for call in calls if isinstance(call, UpdateState)]


def halted_by(rig: Operated) -> set[str]:
    return {*causes(rig.node.engine.gate.halts)}


async def test_an_imported_chain_posts_on_once_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await rig.blocks(4)
        await rig.idle()
        contract = rig.contract
    before = posted(contract)
    height = before[-1]
    imported(tmp_path / "data", tmp_path / "new")
    async with going_on(tmp_path / "new", contract) as rig:
        assert halted_by(rig) == {HaltCause.WITNESS_UNACKNOWLEDGED}
        assert rig.height == height
        settler = rig.node.settler
        assert settler is not None
        looks, is_due = list[bool](), settler._is_due

        def looked() -> bool:
            looks.append(is_due())
            return looks[-1]

        monkeypatch.setattr(settler, "_is_due", looked)
        await until(lambda: len(looks) > 5)
        assert not any(looks)
        assert posted(contract) == before
        await rig.desk.mode(Mode.CANCEL_ONLY, "nobody else goes on", 0, 0)
        await rig.blocks(3)
        await rig.idle()
    heights = posted(contract)
    assert heights[: len(before)] == before
    assert heights == sorted(set(heights))
    assert heights[-1] == height + 4


@pytest.mark.parametrize("way", ["import", "backup"])
async def test_a_contract_that_went_on_halts_an_older_chain(tmp_path: Path, way: str) -> None:
    async with operated(tmp_path, settled=True) as rig:
        await rig.blocks(3)
        await rig.idle()
        contract = rig.contract
        if way == "backup":
            await copied(rig, tmp_path / "new")
    if way == "import":
        imported(tmp_path / "data", tmp_path / "new")
    async with going_on(tmp_path / "data", contract) as rig:
        await rig.blocks(3)
        await rig.idle()
    before = posted(contract)
    async with going_on(tmp_path / "new", contract) as rig:
        await until(lambda: HaltCause.SETTLEMENT_DIFFERS in halted_by(rig))
        with denied(Reason.HALTED, "SETTLEMENT_DIFFERS: no block of this chain, whose head is"):
            await rig.desk.mode(Mode.CANCEL_ONLY, "nobody else goes on", 0, 0)
        gate = rig.node.engine.gate
    final = gate.final()
    assert final is not None
    assert final.exit_code is ExitCode.SETTLEMENT_DIFFERS
    assert posted(contract) == before


async def test_of_a_chain_and_its_copy_one_posts_and_the_other_halts(tmp_path: Path) -> None:
    """Nothing over there is beyond the copy yet: the contract takes the first, and one alone."""
    async with operated(tmp_path, settled=True) as rig:
        await rig.blocks(3)
        await rig.idle()
        contract = rig.contract
        await copied(rig, tmp_path / "new")
        async with going_on(tmp_path / "new", contract) as other:
            await other.desk.mode(Mode.CANCEL_ONLY, "a mistake", 0, 0)
            await other.blocks(2)
            await other.idle()
            await rig.block()
            await until(lambda: HaltCause.SETTLEMENT_DIFFERS in halted_by(rig))
            assert HaltCause.SETTLEMENT_DIFFERS not in halted_by(other)
    heights = posted(contract)
    assert heights == sorted(set(heights))


async def test_a_copy_goes_on_where_the_chain_was_copied(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(4)
        making = asyncio.create_task(rig.desk.backups.make(str(tmp_path / "new")))
        await rig.blocks(3)
        facts = await making
        blocks = list(live_blocks(rig.node.views.view, 1))
    height = facts["height"]
    assert isinstance(height, int)
    assert 4 <= height <= 7
    assert not (tmp_path / "new.witness").exists()
    async with going_on(tmp_path / "new", None) as rig:
        assert halted_by(rig) == {HaltCause.WITNESS_UNACKNOWLEDGED}
        assert list(live_blocks(rig.node.views.view, 1)) == blocks[:height]
        await rig.desk.mode(Mode.CANCEL_ONLY, "restored", 0, 0)
        await rig.blocks(2)
        assert rig.height == height + 3
    with closing(open_folder(tmp_path / "new")) as store:
        assert store.acknowledged
        assert not recover(store, full=True).halts


async def test_a_copy_lets_go_of_readers_that_stayed_with_the_chain(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        told = Cursor(1, 1, rig.node.store.head.block_hash)
        await rig.node.worker.run(lambda: rig.node.store.advance_cursor("pipe", told))
        await copied(rig, tmp_path / "new")
    async with going_on(tmp_path / "new", None) as rig:
        await rig.desk.mode(Mode.CANCEL_ONLY, "restored", 0, 0)
        await rig.halt()
        plan = await rig.plan(2)
        await rig.desk.apply(plan.plan_id.hex(), ORDER)
        view = rig.node.views.view
        journal, reader = view.journal(plan.plan_id), view.cursor("pipe")
    assert journal is not None
    assert journal.stage is Stage.DONE
    assert reader is not None
    assert reader.parked


async def test_a_copy_during_a_rollback_comes_up_as_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of each stage, as a kill there would have left it."""
    async with operated(tmp_path) as rig:
        await rig.blocks(5)
        await rig.halt()
        plan = await rig.plan(2)
        store = rig.node.store
        taken: list[Copied] = []
        roll_back = store.roll_back

        def copying(order: RollbackOrder) -> Head:
            taken.append(_copy(rig, tmp_path / "prepared"))
            return roll_back(order)

        monkeypatch.setattr(store, "roll_back", copying)
        await rig.desk.apply(plan.plan_id.hex(), ORDER)
        await copied(rig, tmp_path / "latched")
        head = store.head
    with closing(open_folder(tmp_path / "prepared")) as made:
        assert made.head == taken[0].head
        assert made.head.height == head.height + 4
        assert [each.stage for each in made.open_journals()] == [Stage.PREPARED]
        assert {*causes(recover(made).halts)} == {
            HaltCause.LATCH,
            HaltCause.WITNESS_UNACKNOWLEDGED,
        }
    async with going_on(tmp_path / "latched", None) as rig:
        assert halted_by(rig) == {HaltCause.LATCH, HaltCause.WITNESS_UNACKNOWLEDGED}
        assert rig.node.store.head.block_hash == head.block_hash
        await rig.desk.mode(Mode.CANCEL_ONLY, "reviewed", 0, 0)
        assert rig.height == head.height + 1


def _copy(rig: Operated, target: Path) -> Copied:
    copies = StoreCopies(rig.node.store, target.parent / "data", ())
    return copies.make(str(target), lambda: None)


async def test_why_it_is_halted_goes_along_and_no_secret_does(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(2)
        data = tmp_path / "data"
        (data / SETTLEMENT_FILE).write_text("{}")
        for name in ("settlement.key", "admin.token", "admin.json", "operator.log", "operator.key"):
            (data / name).write_text("secret")
        (data / HALT_FILE).write_text("LAW_BROKEN: seen")
        await copied(rig, tmp_path / "new")
    assert left(tmp_path / "new") == sorted(["database", "writer", SETTLEMENT_FILE, HALT_FILE])
    async with going_on(tmp_path / "new", None) as rig:
        assert halted_by(rig) == {HaltCause.NOTE, HaltCause.WITNESS_UNACKNOWLEDGED}


class Held:
    """Copies that begin and wait, and give up when they are told to at the next key."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()

    def make(self, target: str, pause: Callable[[], None]) -> Copied:
        self.began.set()
        self.go_on.wait(30)
        pause()
        raise StoreFailed(StoreProblem.WRITE_FAILED, target)


async def test_one_copy_at_a_time_and_none_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with operated(tmp_path) as rig:
        held, worker = Held(), ThreadWorker("held")
        reach = replace(rig.desk.backups._reach, copies=held, copier=worker)
        monkeypatch.setattr(rig.desk.backups, "_reach", reach)
        gone = asyncio.Event()
        making = asyncio.create_task(rig.desk.backups.make("first", gone))
        await until(held.began.is_set)
        with denied(Reason.BUSY, "another backup"):
            await rig.desk.backups.make("second")
        # Whatever it waits for, blocks and plans do not.
        await rig.blocks(3)
        await rig.halt()
        assert (await rig.plan(1)).target_height == 1
        gone.set()
        held.go_on.set()
        with denied(Reason.SHUTTING_DOWN):
            await making
        with pytest.raises(StoreFailed):
            await rig.desk.backups.make("third")
        worker.close()


class Slow(Throttle):
    """Rests at each key, and says that it has begun."""

    began = threading.Event()

    def pause(self) -> None:
        self.began.set()
        self._told.wait(0.005)
        super().pause()


async def test_a_node_that_stops_ends_its_copy_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_backup, "Throttle", Slow)
    async with operated(tmp_path) as rig:
        await rig.blocks(2)
        making = asyncio.create_task(rig.desk.backups.make(str(tmp_path / "new")))
        await until(Slow.began.is_set)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert left(tmp_path) == ["data", "data.witness"]
        await rig.block()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
