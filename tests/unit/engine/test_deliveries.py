"""What a follower is told in small histories, what it holds back, and where it may stand."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from sequencer.engine.deliveries import (
    Position,
    Step,
    StepKind,
    cursor_of,
    next_step,
    position_of,
)
from sequencer.engine.lookup import find_block, read_block
from sequencer.engine.reverse_diff import Reverser
from sequencer.engine.rollback import resume
from sequencer.engine.sealer import Extras
from sequencer.model.records import Cursor, History, IncidentKind, Stage
from sequencer.ports import ChainView, StoreFailed, StoreProblem, StoreRefused
from sequencer.starknet.transactions import transaction_hash
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.engine.following import ENTRIES, READER, steps_from
from tests.unit.engine.rolling import WHY, Chain, stages
from tests.unit.storage.builders import simulated

APPLY, REVERT, DONE = StepKind.APPLY, StepKind.REVERT, StepKind.DONE


def told(step: Step) -> tuple[int, int, StepKind, int, int]:
    """Return (sequence, number, kind, height, reorg id) with -1 for no block, 0 for no reorg."""
    height = -1 if step.block is None else step.block.height
    return step.sequence, step.number, step.kind, height, step.reorg.reorg_id if step.reorg else 0


def names(steps: Iterator[Step]) -> list[tuple[int, int, StepKind, bytes]]:
    """Return (sequence, number, kind, hash)."""
    return [
        (each.sequence, each.number, each.kind, each.block.block_hash if each.block else b"")
        for each in steps
    ]


def standing(chain: Chain, height: int) -> Position:
    """Return where somebody stands who knows all of the live chain up to a height."""
    block = find_block(chain.store.view, str(height))
    return Position(block.sequence, block)


def rolled() -> tuple[Chain, Position]:
    """Return a chain that went from 8 back to 5 and on, and who stands at the old 8 still."""
    chain = Chain()
    for each in chain.store.view.checkpoints():
        chain.store.drop_checkpoint(each.sequence)
    chain.blocks(4)
    position = standing(chain, 8)
    chain.back(5)
    chain.reopen()
    chain.blocks(2)
    return chain, position


def test_two_rollbacks_in_a_row_and_their_undos_are_told_block_by_block() -> None:
    chain = Chain()
    chain.blocks(2)
    start = standing(chain, 6)
    first = start.sequence + 1
    chain.back(5)
    chain.back(3)
    chain.undo(2)
    chain.undo(1)
    chain.reopen()
    steps = list(steps_from(chain.store.view, start))
    assert [told(each) for each in steps] == [
        (first, 0, REVERT, 6, 1),
        (first, 1, DONE, -1, 1),
        (first + 1, 0, REVERT, 5, 2),
        (first + 1, 1, REVERT, 4, 2),
        (first + 1, 2, DONE, -1, 2),
        (first + 2, 0, APPLY, 4, 3),
        (first + 2, 1, APPLY, 5, 3),
        (first + 2, 2, DONE, -1, 3),
        (first + 3, 0, APPLY, 6, 4),
        (first + 3, 1, DONE, -1, 4),
        (first + 4, 0, APPLY, 7, 0),
    ]
    assert steps[5].block == steps[3].block
    back, again = steps[4].reorg, steps[7].reorg
    assert back is not None
    assert again is not None
    assert (back.kind, again.kind) == (IncidentKind.ROLLBACK, IncidentKind.UNDO)
    assert (back.first_height, back.last_height, back.head_height) == (4, 5, 3)
    assert (again.first_height, again.last_height, again.head_height) == (4, 5, 5)
    assert back.reason == WHY
    assert steps[-1].after == standing(chain, 7)
    # Whatever becomes of these blocks later, this is what was done to them then.
    chain.back(2)
    chain.reopen()
    chain.blocks(5)
    later = names(steps_from(chain.store.view, start))
    assert later[: len(steps)] == names(iter(steps))


def test_a_whole_chain_is_told_from_before_its_first_block() -> None:
    chain, _ = rolled()
    steps = list(steps_from(chain.store.view, Position()))
    assert told(steps[0]) == (1, 0, APPLY, 0, 0)
    assert steps[0].parent is None
    assert [each.height for each in (steps[-1].after, Position())] == [8, -1]
    assert next_step(simulated(SimulatedDisk()).view, Position()) is None


def test_whoever_is_in_the_middle_of_a_rollback_holds_back_what_it_still_needs() -> None:
    chain, position = rolled()
    store, effect = chain.store, chain.store.view.dead.all[0].effect
    seen = []
    for step in [None, *steps_from(store.view, position)]:
        position = position if step is None else step.after
        store.advance_cursor(READER, cursor_of(store.view, position, parked=False))
        resume(store)
        collected = store.collect(1, ENTRIES)
        seen.append((position.height, stages(chain), bool(collected.reorg_id)))
        store.forget_effects(effect + 1, ENTRIES)
        is_over = step is not None and step.kind is not REVERT
        assert (store.view.effects(effect - 1, 1)[0].number > effect) is is_over
        assert prunable(store, 7) is (position.sequence >= find_block(store.view, "7").sequence)
    waits, done = [Stage.SETTLED], [Stage.DONE]
    assert seen[:5] == [
        (8, waits, False),
        (7, waits, False),
        (6, waits, False),
        (5, waits, False),
        (5, done, True),
    ]
    assert store.collect(1, ENTRIES).waiting == ()


def prunable(store: ChainStore, height: int) -> bool:
    try:
        store.prune(History.NODES, height, height, 0)
    except StoreRefused as refused:
        return refused.problem is not StoreProblem.PRUNE_REFUSED
    return True


def test_nobody_waits_for_one_that_is_parked_in_the_middle_of_a_rollback() -> None:
    chain, position = rolled()
    store = chain.store
    step = next_step(store.view, position)
    assert step is not None
    store.advance_cursor(READER, cursor_of(store.view, step.after, parked=True))
    resume(store)
    assert stages(chain) == [Stage.DONE]
    assert store.collect(1, ENTRIES).reorg_id == 1
    assert prunable(store, 7)
    again = list(steps_from(store.view, position_of(store.view, store.view.cursor(READER))))
    assert names(iter(again)) == names(steps_from(store.view, step.after))


def test_one_that_is_unparked_in_the_middle_of_a_rollback_is_waited_for_again() -> None:
    chain, position = rolled()
    store = chain.store
    steps = list(steps_from(store.view, position))
    store.advance_cursor(READER, cursor_of(store.view, steps[0].after, parked=True))
    resume(store)
    for step in steps[:3]:
        store.advance_cursor(READER, cursor_of(store.view, step.after, parked=False))
        assert store.collect(1, ENTRIES).waiting == (f"reorg 1: cursor of {READER}",)
    store.advance_cursor(READER, cursor_of(store.view, steps[3].after, parked=False))
    assert store.collect(1, ENTRIES).reorg_id == 1


def test_a_cursor_never_goes_back() -> None:
    chain, position = rolled()
    view = chain.store.view
    cursors = [cursor_of(view, each.after, parked=False) for each in steps_from(view, position)]
    for cursor in cursors:
        chain.store.advance_cursor(READER, cursor)
    # Within the rollback it stands at one row; what came after that one cannot be taken back.
    assert [each.effect - cursors[0].effect for each in cursors] == [0, 0, 0, 1, 2, 3, 4]
    for cursor in cursors[:-1]:
        with pytest.raises(StoreRefused) as caught:
            chain.store.advance_cursor(READER, cursor)
        assert caught.value.problem is StoreProblem.CURSOR_INVALID
    chain.store.forget_reader(READER)
    chain.store.advance_cursor(READER, cursors[0])


def test_where_nobody_can_stand_is_refused() -> None:
    chain, position = rolled()
    view = chain.store.view
    assert position_of(view, None) == Position()
    with pytest.raises(TypeError):
        cursor_of(view, Position(), parked=False)
    with pytest.raises(StoreFailed) as caught:
        position_of(view, Cursor(1, 1, b"\x07" * 32))
    assert caught.value.problem is StoreProblem.HEADERS_BROKEN
    for wrong in (
        Position(position.sequence - 1, position.block),
        Position(3, None),
    ):
        with pytest.raises(StoreFailed) as caught:
            next_step(view, wrong)
        assert caught.value.problem is StoreProblem.HEADERS_BROKEN


class Counted:
    """A view that counts how often the records of rollbacks are read."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self.reads = 0

    def incidents(self) -> Any:  # noqa: ANN401
        self.reads += 1
        return self._view.incidents()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._view, name)


def test_the_records_of_rollbacks_are_read_once_for_each_however_deep() -> None:
    chain = Chain()
    chain.blocks(20)
    chain.back(0)
    chain.undo(1)
    counted: Any = Counted(chain.store.view)
    assert len(list(steps_from(counted, Position()))) == 25 + 2 * (24 + 1)
    assert counted.reads == 2


def test_a_block_that_was_made_twice_is_told_like_any_other() -> None:
    """No node makes one twice: the first block after a rollback names it."""
    chain, made = Chain(), []
    chain.blocks(3)
    for height in (5, 6, 7):
        made.append(read_block(chain.store.view, find_block(chain.store.view, str(height))))
    chain.back(4)
    producer = chain.rig.producer
    for block in made:
        for transaction in block.transactions:
            producer.apply(transaction, transaction_hash(transaction, producer.chain_id))
        reopens = chain.head.latch is not None
        sealed = chain.rig.sealer.seal(producer.close(), Extras((), (), reopens))
        assert sealed.block.hash == block.hash
    chain.back(5)
    view = chain.store.view
    steps = list(steps_from(view, Position()))
    assert [each.kind for each in steps].count(REVERT) == 5
    for number, step in enumerate(steps):
        position = position_of(view, cursor_of(view, step.after, parked=False))
        assert names(steps_from(view, position)) == names(iter(steps[number + 1 :]))
        if step.block is None:
            continue
        # Whichever record is found, it is the same block, on top of the same ones.
        found = view.block_by_hash(step.block.block_hash)
        assert found is not None
        assert msgspec.structs.replace(found, sequence=0, parent_sequence=0, epoch=0) == (
            msgspec.structs.replace(step.block, sequence=0, parent_sequence=0, epoch=0)
        )
        diff = read_block(view, found).diff
        reverses = [Reverser().reverse_diff(view, each, diff) for each in (found, step.block)]
        assert reverses[0] == reverses[1]
