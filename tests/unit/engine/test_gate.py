"""Whether commands are taken: halts, their note, the stop."""

import pytest

from sequencer.engine.gate import Gate
from sequencer.model.commands import SetMode
from sequencer.model.halts import ExitCode, Halt, HaltCause
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from tests.strategies import refused
from tests.unit.engine.builders import MemoryNote, Rig, causes

FINAL = {
    HaltCause.START_CHECK: ExitCode.START_CHECK,
    HaltCause.LAW_BROKEN: ExitCode.LAW_BROKEN,
    HaltCause.WRITE_FAILED: ExitCode.WRITE_FAILED,
    HaltCause.READ_FAILED: ExitCode.READ_FAILED,
    HaltCause.WRITER_REPLACED: ExitCode.WRITER_REPLACED,
    HaltCause.TICK_REFUSED: ExitCode.TICK_REFUSED,
    HaltCause.DISK_LOW: ExitCode.DISK_LOW,
    HaltCause.SETTLEMENT_DIFFERS: ExitCode.SETTLEMENT_DIFFERS,
}
SILENT = (
    HaltCause.WRITER_REPLACED,
    HaltCause.SETTLEMENT_UNREACHABLE,
    HaltCause.DEPOSIT_UNMADE,
)
"""Halts that leave no note: the folder is another writer's, or every start finds them again."""


@pytest.mark.parametrize("cause", list(HaltCause))
async def test_a_halt_is_final_with_a_code_of_its_own_or_can_be_ended(cause: HaltCause) -> None:
    note, rig = MemoryNote(), Rig()
    gate, halt = Gate(note), Halt(cause, "seen")
    gate.halt(halt)
    assert halt.exit_code == FINAL.get(cause, ExitCode.STOPPED)
    assert (gate.final() == halt) == gate.halted.is_set() == (cause in FINAL)
    with refused(Reason.HALTED):
        gate.require_open(rig.state)
    gate.end(gate.halts)
    assert gate.is_halted(rig.state) == (cause in FINAL)
    silent = cause in SILENT
    assert note.written == ([] if silent else [f"{cause.value}: seen"])


async def test_whoever_listens_hears_of_a_halt_at_once() -> None:
    gate, heard = Gate(MemoryNote()), list[Halt]()
    gate.listen(heard.append)
    gate.halt(Halt(HaltCause.LAW_BROKEN, "seen"))
    assert heard == gate.halts


async def test_what_a_start_finds_is_noted_once() -> None:
    note, halt = MemoryNote(), Halt(HaltCause.START_CHECK, "seen")
    assert Gate(note, [halt]).final() == halt
    assert note.written == ["START_CHECK: seen"]
    again = MemoryNote("LAW_BROKEN: yesterday")
    Gate(again, [halt])
    assert again.written == []


async def test_exit_codes_are_told_apart_and_stay_what_they_are() -> None:
    assert len(set(FINAL.values())) == len(FINAL)
    assert [int(code) for code in ExitCode] == [0, 1, 2, *range(10, 21)]


async def test_a_note_from_before_is_a_halt_that_can_be_ended() -> None:
    note = MemoryNote("LAW_BROKEN: yesterday")
    gate = Gate(note, [Halt(HaltCause.LATCH, "reorg 3")])
    assert causes(gate.halts) == ["LATCH", "NOTE"]
    assert gate.words(Rig().state) == "LATCH: reorg 3; NOTE: LAW_BROKEN: yesterday"
    gate.end(gate.halts)
    assert note.text
    gate.clear_note()
    assert not note.text
    assert not gate.halts


async def test_a_final_halt_from_the_start_is_known_at_once() -> None:
    gate = Gate(MemoryNote(), [Halt(HaltCause.START_CHECK, "x")])
    assert gate.halted.is_set()


async def test_the_mode_halts_too_and_says_so() -> None:
    rig = Rig()
    rig.producer.operate(SetMode(Mode.HALTED))
    assert rig.gate.is_halted(rig.state)
    assert rig.gate.is_halted(rig.state, rig.gate.halts)
    assert rig.gate.words(rig.state) == "the mode is HALTED"


async def test_an_open_block_ends_no_final_halt() -> None:
    rig = Rig(note="of yesterday")
    assert rig.gate.is_halted(rig.state)
    assert not rig.gate.is_halted(rig.state, rig.gate.halts)
    rig.gate.halt(Halt(HaltCause.WRITE_FAILED, "x"))
    assert rig.gate.is_halted(rig.state, rig.gate.halts)


@pytest.mark.parametrize("words", ["of yesterday", "seen"])
async def test_a_halt_that_came_since_is_not_ended_even_where_it_says_the_same(words: str) -> None:
    rig = Rig()
    rig.gate.halt(Halt(HaltCause.BLOCK_DIFFERS, "seen"))
    ended = tuple(rig.gate.halts)
    newer = Halt(HaltCause.BLOCK_DIFFERS, words)
    rig.gate.halt(newer)
    assert rig.gate.is_halted(rig.state, ended)
    rig.gate.end(ended)
    assert rig.gate.halts == [newer]
    rig.gate.clear_note()
    assert rig.note.text == f"BLOCK_DIFFERS: {words}"


@pytest.mark.parametrize("cause", list(HaltCause))
async def test_the_note_goes_unless_a_halt_since_left_its_own_or_the_folder_is_lost(
    cause: HaltCause,
) -> None:
    note = MemoryNote("of yesterday")
    gate = Gate(note)
    ended = tuple(gate.halts)
    gate.halt(Halt(cause, "since"))
    gate.end(ended)
    gate.clear_note()
    kept = {
        HaltCause.SETTLEMENT_UNREACHABLE: "",
        HaltCause.DEPOSIT_UNMADE: "",
        HaltCause.WRITER_REPLACED: "of yesterday",
    }
    assert note.text == kept.get(cause, f"{cause.value}: since")


async def test_the_first_final_halt_counts() -> None:
    gate = Gate(MemoryNote())
    gate.halt(Halt(HaltCause.WRITE_FAILED, "first"))
    gate.halt(Halt(HaltCause.LAW_BROKEN, "second"))
    final = gate.final()
    assert final is not None
    assert final.detail == "first"
