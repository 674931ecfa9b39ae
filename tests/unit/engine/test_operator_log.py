"""The operator's log as commands use it: before and after, never in the way of a look."""

import asyncio
from pathlib import Path

import pytest

from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.requests import (
    CheckpointCreateRequest,
    Denied,
    ReorgListRequest,
    ResumeRequest,
    StatusRequest,
    answer,
)
from sequencer.model.admin_limits import OPERATOR_LOG_PARAMS_BYTES_MAX, OPERATOR_LOG_WAITING_MAX
from sequencer.model.refusals import Reason, Refused
from tests.unit.engine.builders import HeldWorker, turns, until
from tests.unit.engine.desks import desk_beside
from tests.unit.engine.logs import MemoryLogFile, memory_log
from tests.unit.engine.rolling import Chain


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_beside(Chain().store, tmp_path)


def told(file: MemoryLogFile) -> list[tuple[str, str, str, int]]:
    return [(each.event, each.method, each.outcome, each.intent) for each in file.entries]


async def test_a_change_is_there_before_and_after_and_a_look_once(desk: Desk) -> None:
    file = MemoryLogFile()
    log = memory_log(file)
    assert isinstance(await answer(desk, StatusRequest(), log), dict)
    assert isinstance(await answer(desk, CheckpointCreateRequest("noon"), log), dict)
    refused = await answer(desk, CheckpointCreateRequest(" "), log)
    assert isinstance(refused, Denied)
    assert told(file) == [
        ("LOOK", "admin_status", "ok", 0),
        ("INTENT", "admin_checkpointCreate", "", 0),
        ("OUTCOME", "admin_checkpointCreate", "ok", 2),
        ("INTENT", "admin_checkpointCreate", "", 0),
        ("OUTCOME", "admin_checkpointCreate", "PARAMETER_INVALID", 4),
    ]
    assert file.entries[1].params.startswith(b'{"label":"noon",')


class Watching(Desk):
    """Looks at the log while a command is carried out."""

    def __init__(self, file: MemoryLogFile) -> None:
        self._file = file
        self.seen: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def resume(self) -> Facts:
        self.seen = [each.event for each in self._file.entries]
        await self.free.wait()
        return {}

    async def reorgs(self) -> Facts:
        raise AttributeError("a bug")


async def test_nothing_is_done_before_its_intent_is_written() -> None:
    file, worker = MemoryLogFile(), HeldWorker()
    desk, log = Watching(file), memory_log(file, worker)
    worker.free.clear()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(answer(desk, ResumeRequest(), log))
        await turns()
        assert (desk.seen, worker.held) == ([], 1)
        worker.free.set()
    assert asked.result() == {}
    assert desk.seen == ["INTENT"]
    assert [each.event for each in file.entries] == ["INTENT", "OUTCOME"]


async def test_what_is_broken_off_or_a_bug_has_an_unknown_outcome() -> None:
    file = MemoryLogFile()
    desk, log = Watching(file), memory_log(file)
    desk.free.clear()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(answer(desk, ResumeRequest(), log))
        await until(lambda: bool(desk.seen))
        asked.cancel()
    assert [each.outcome for each in file.entries] == ["", "OUTCOME_UNKNOWN"]
    with pytest.raises(AttributeError):
        await answer(desk, ReorgListRequest(), log)
    await log.flush()
    assert told(file)[2:] == [("LOOK", "admin_reorgList", "OUTCOME_UNKNOWN", 0)]


async def test_what_cannot_be_written_is_refused_or_counted(desk: Desk) -> None:
    file = MemoryLogFile()
    log = memory_log(file)
    file.is_full = True
    refused = await answer(desk, ResumeRequest(), log)
    assert isinstance(refused, Denied)
    assert (refused.code, log.unwritten) == (Reason.OPERATOR_LOG_FAILED, 0)
    await answer(desk, StatusRequest(), log)
    await log.flush()
    assert log.unwritten == 1
    await log.end(1, "admin_mode", "ok")
    assert log.unwritten == 2
    with pytest.raises(Refused, match="no room"):
        await log.begin("admin_mode", b"{}")
    file.is_full = False
    assert await log.begin("admin_mode", b"{}") == 1


async def test_looks_wait_for_nobody_and_only_so_many_wait() -> None:
    file, worker = MemoryLogFile(), HeldWorker()
    log = memory_log(file, worker)
    worker.free.clear()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(log.run())
        log.look("admin_status", b"{}", "ok")
        await until(lambda: worker.held == 1)
        for _ in range(OPERATOR_LOG_WAITING_MAX + 3):
            log.look("admin_status", b"{}", "ok")
        assert (log.unwritten, log.number) == (3, 0)
        worker.free.set()
        await until(lambda: log.number == OPERATOR_LOG_WAITING_MAX + 1)
        running.cancel()


async def test_of_long_parameters_the_hash_is_kept() -> None:
    file = MemoryLogFile()
    log = memory_log(file)
    short = b'"' + b"x" * (OPERATOR_LOG_PARAMS_BYTES_MAX - 2) + b'"'
    await log.begin("a", short)
    await log.begin("a", short + b" ")
    assert file.entries[0].params == short
    assert len(file.entries[1].params) < 120
