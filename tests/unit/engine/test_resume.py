"""What an interrupted rollback leaves open, and how it is taken as far as it can go."""

import pytest

from sequencer.engine.rollback import resume, undo
from sequencer.model.commands import OrderPolicy
from sequencer.model.records import Cursor, Latch, RollbackJournal, Stage
from sequencer.ports import StoreRefused
from tests.unit.engine.rolling import ORDER, Chain, place, stages
from tests.unit.storage.builders import rollback


def read_up_to(chain: Chain, reader: str, effect: int, *, parked: bool = False) -> None:
    chain.store.advance_cursor(reader, Cursor(effect, 1, bytes(32), parked))


def test_a_prepared_one_is_aborted_and_stays_halted(chain: Chain) -> None:
    before = chain.head
    chain.store.prepare(rollback(chain.store, 5))
    assert resume(chain.store) == []
    assert stages(chain) == [Stage.ABORTED]
    assert place(chain.head) == place(before)
    assert chain.head.latch == Latch(0, OrderPolicy.CANCEL_ALL)
    assert resume(chain.store) == []


def test_a_committed_one_without_readers_is_done(chain: Chain) -> None:
    chain.back(5)
    assert [journal.stage for journal in chain.store.open_journals()] == [Stage.COMMITTED]
    assert resume(chain.store) == []
    assert stages(chain) == [Stage.DONE]


def test_it_waits_for_each_reader_who_is_not_parked(chain: Chain) -> None:
    for reader, parked in (("lines", False), ("slow", False), ("gone", True)):
        read_up_to(chain, reader, 1, parked=parked)
    chain.back(5)
    effect = chain.store.view.effect_of(1)
    for reader in ("lines", "slow"):
        (still,) = resume(chain.store)
        assert (still.stage, still.reorg_id) == (Stage.SETTLED, 1)
        read_up_to(chain, reader, effect - 1)
        assert resume(chain.store) == [still]
        read_up_to(chain, reader, effect)
    assert resume(chain.store) == []
    assert stages(chain) == [Stage.DONE]


@pytest.mark.parametrize("taken", range(4))
def test_whatever_was_the_last_step_it_goes_on_behind_it(chain: Chain, taken: int) -> None:
    chain.back(5)
    (journal,) = chain.store.open_journals()
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE)[:taken]:
        chain.store.advance(journal.plan_id, stage)
    chain.load()
    assert resume(chain.store) == []
    assert stages(chain) == [Stage.DONE]


def test_several_are_taken_on_together(chain: Chain) -> None:
    chain.back(6)
    chain.back(5)
    chain.store.prepare(rollback(chain.store, 3))
    assert resume(chain.store) == []
    assert sorted(stages(chain)) == [Stage.ABORTED, Stage.DONE, Stage.DONE]


def test_an_undone_one_has_nothing_left_to_do(chain: Chain) -> None:
    read_up_to(chain, "slow", 1)
    chain.back(5)
    chain.undo(1)
    assert resume(chain.store) == []
    assert stages(chain) == [Stage.UNDONE]


def test_a_store_that_nobody_vouches_for_is_not_touched(chain: Chain) -> None:
    chain.back(5)
    chain.disk.witness_bytes = bytes(len(chain.disk.witness_bytes))
    chain.load()
    writes = chain.disk.writes
    still: list[RollbackJournal] = resume(chain.store)
    assert [journal.stage for journal in still] == [Stage.COMMITTED]
    assert chain.disk.writes == writes
    with pytest.raises(StoreRefused, match="WITNESS_UNACKNOWLEDGED"):
        undo(chain.store, 1, ORDER)
    assert chain.disk.writes == writes
    chain.store.acknowledge()
    assert resume(chain.store) == []
