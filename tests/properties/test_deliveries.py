"""Followers of chains that went back and forth at random, against the chain's own bodies.

Laws
- Who follows a chain while it grows, who follows it when it is finished, and who is stopped
  anywhere and goes on from a cursor hear the very same things under the very same keys.
- What was applied and not reverted is the live chain. A cursor never goes back, names the row of
  the outbox of its commit, and holds back what its reader still has to be told.
- A block's diff and its reverse cancel out: for every block that there ever was, whatever of the
  states was taken away since.
"""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from sequencer.engine.deliveries import (
    Position,
    Step,
    StepKind,
    cursor_of,
    next_step,
    position_of,
)
from sequencer.engine.lookup import live_blocks
from sequencer.engine.reverse_diff import Reverser, reverse_diff
from sequencer.engine.rollback import resume
from sequencer.model.records import BlockRecord, History, Stage
from sequencer.ports import ChainView, StoreProblem, StoreRefused
from sequencer.starknet.state import StateDiff
from sequencer.storage.chain_store import ChainStore
from tests.properties.wanderer import Wanderer, wandered
from tests.unit.engine.following import ENTRIES, READER, diff_of, steps_from

NONCE, CLASS = -1, -2

Heard: TypeAlias = tuple[int, int, str, bytes, int]
"""Sequence, number, kind, block hash, reorg id."""

Values: TypeAlias = dict[tuple[int, int], int]
"""(address, slot), (address, NONCE) or (address, CLASS) -> what is there; nothing is not there."""


def heard(step: Step) -> Heard:
    block_hash = b"" if step.block is None else step.block.block_hash
    reorg_id = 0 if step.reorg is None else step.reorg.reorg_id
    return step.sequence, step.number, step.kind.value, block_hash, reorg_id


class Kept:
    """A follower with a cursor: what it heard since its last one it hears again after a restart."""

    def __init__(self, wanderer: Wanderer, *, parks: bool) -> None:
        self.random, self.wanderer, self.parks = wanderer.random, wanderer, parks
        self.position, self.told, self.durable = Position(), list[Heard](), 0
        self.restarts_within = self.read_in_between = self.held_back = 0
        self.follow(1)
        self.write(wanderer.view, parked=parks)

    @property
    def store(self) -> ChainStore:
        return self.wanderer.chain.store

    def follow(self, steps_max: int, view: ChainView | None = None) -> None:
        """Take some steps, on the chain as it is or as it was, and write cursors in between."""
        view = self.store.view if view is None else view
        for _ in range(steps_max):
            step = next_step(view, self.position)
            if step is None:
                return
            if step.kind is StepKind.REVERT and step.block and not self.parks:
                # Nothing of what it held back is gone when it comes to it.
                view.state_at(step.block)
            self.told.append(heard(step))
            self.position = step.after
            self.read_in_between += view.head != self.store.head
            if self.random.random() < 0.6:
                self.write(view, parked=self.parks and self.random.random() < 0.3)

    def write(self, view: ChainView, *, parked: bool) -> None:
        self.store.advance_cursor(READER, cursor_of(view, self.position, parked=parked))
        self.durable = len(self.told)

    def restart(self) -> None:
        cursor = self.store.view.cursor(READER)
        self.position = position_of(self.store.view, cursor)
        assert (
            cursor is None
            or cursor_of(self.store.view, self.position, parked=cursor.parked) == cursor
        )
        del self.told[self.durable :]
        step = next_step(self.store.view, self.position)
        self.restarts_within += step is not None and step.number > 0

    def check_what_it_holds(self) -> None:
        """Take away what may go, and see that nothing went that this one has to be told of."""
        resume(self.store)
        view = self.store.view
        cursor = view.cursor(READER)
        assert cursor is not None
        told = ENTRIES if cursor.parked else cursor.effect
        ahead = {each.epoch for each in self.store.view.dead.all if each.effect > told}
        for journal in view.journals():
            waits = journal.stage in (Stage.COMMITTED, Stage.SETTLED)
            assert waits <= (journal.reorg_id in ahead)
            # What was done with while it was parked is not taken up again.
            if not self.parks and journal.stage is not Stage.UNDONE:
                assert waits == (journal.reorg_id in ahead)
        collected = self.store.collect(view.head.epoch, ENTRIES)
        assert collected.reorg_id not in ahead
        self.held_back += bool(ahead)


@pytest.mark.parametrize("seed", range(6))
def test_all_followers_hear_the_same(seed: int) -> None:
    wanderer = Wanderer(seed)
    kept = Kept(wanderer, parks=seed % 2 > 0)
    numbers = {each.sequence: each.number for each in wanderer.view.effects(0, ENTRIES)}
    growing, position = list[Heard](), Position()
    for _ in range(70):
        before, close = wanderer.chain.store.snapshot()
        wanderer.act()
        kept.follow(wanderer.random.randrange(4), before)
        close()
        numbers |= {each.sequence: each.number for each in wanderer.view.effects(0, ENTRIES)}
        for step in steps_from(wanderer.view, position):
            growing.append(heard(step))
            position = step.after
        kept.follow(wanderer.random.choice((0, 0, 1, 2, 3, 9)))
        if wanderer.random.random() < 0.3:
            kept.restart()
        kept.check_what_it_holds()
        cursor = wanderer.view.cursor(READER)
        assert cursor is None or cursor.effect == numbers[cursor.sequence]
    kept.follow(ENTRIES)
    view = wanderer.view
    steps = list(steps_from(view, Position()))
    told = [heard(step) for step in steps]
    assert growing == told
    assert kept.told == told
    assert kept.restarts_within > 0 < kept.read_in_between
    assert kept.held_back > 0
    assert steps[-1].after.block == view.block(view.head.height)
    keys = [each[:2] for each in told]
    assert keys == sorted(set(keys))
    for number, step in enumerate(steps):
        if step.after.block is not None:
            cursor = cursor_of(view, step.after, parked=False)
            assert cursor.effect == numbers[cursor.sequence]
            again = steps_from(view, position_of(view, cursor))
            assert next(map(heard, again), None) == next(iter(told[number + 1 :]), None)


@pytest.mark.parametrize("seed", range(8, 11))
def test_what_is_applied_and_not_reverted_is_the_live_chain(seed: int) -> None:
    wanderer = wandered(seed, 80)
    view, chain = wanderer.view, list[BlockRecord]()
    made = list[bytes]()
    for step in steps_from(view, Position()):
        assert (
            step.after.height
            == len(chain) - 1 + {"APPLY": 1, "REVERT": -1, "DONE": 0}[step.kind.value]
        )
        match step.kind:
            case StepKind.APPLY:
                assert step.block is not None
                assert step.parent == (chain[-1] if chain else None)
                chain.append(step.block)
                made += [step.block.block_hash] if step.reorg is None else []
            case StepKind.REVERT:
                assert step.block == chain.pop()
                assert step.parent == chain[-1]
            case StepKind.DONE:
                assert step.reorg is not None
                head = int.from_bytes(chain[-1].block_hash, "big")
                assert (step.reorg.head_height, step.reorg.head_hash) == (len(chain) - 1, head)
                assert step.number == step.reorg.last_height - step.reorg.first_height + 1
    assert [each.block_hash for each in chain] == [
        block.hash.to_bytes(32, "big") for block in live_blocks(view, 0)
    ]
    # No two commits have one block: where somebody stands is exact by the hash.
    assert len(set(made)) == len(made)
    assert {"back", "undo"} <= set(wanderer.done)


def with_diff(values: Values, diff: StateDiff) -> Values:
    changed = dict(values)
    for address, slots in diff.storage.items():
        changed |= {(address, slot): value for slot, value in slots.items()}
    changed |= {(address, NONCE): value for address, value in diff.nonces.items()}
    changed |= {(address, CLASS): value for address, value in diff.classes.items()}
    return {place: value for place, value in changed.items() if value}


def check_reverses(view: ChainView, steps: list[Step]) -> int:
    """Follow all steps with plain values; returns for how many blocks the state below was gone."""
    after, values, gone = dict[bytes, Values](), Values(), 0
    reverser, few = Reverser(), Reverser(known_max=40)
    for step in steps:
        if step.block is None:
            continue
        block, diff = step.block, diff_of(view, step.block)
        before = after[step.parent.block_hash] if step.parent else {}
        taken_back = reverse_diff(view, block, diff)
        assert reverser.reverse_diff(view, block, diff) == taken_back
        assert few.reverse_diff(view, block, diff) == taken_back
        assert with_diff(with_diff(before, diff), taken_back) == before
        assert taken_back.declared == diff.declared
        assert places(taken_back) == places(diff)
        values = with_diff(values, diff if step.kind is StepKind.APPLY else taken_back)
        if step.kind is StepKind.APPLY:
            after.setdefault(block.block_hash, values)
        assert values == (before if step.kind is StepKind.REVERT else after[block.block_hash])
        gone += step.parent is not None and is_gone(view, step.parent)
    return gone


def places(diff: StateDiff) -> set[tuple[int, int]]:
    slots = {(address, slot) for address, slots in diff.storage.items() for slot in slots}
    return (
        slots | {(each, NONCE) for each in diff.nonces} | {(each, CLASS) for each in diff.classes}
    )


def is_gone(view: ChainView, block: BlockRecord) -> bool:
    try:
        view.state_at(block).node(bytes(32), 0, 0)
    except StoreRefused as refused:
        return refused.problem in (StoreProblem.STATE_COLLECTED, StoreProblem.STATE_PRUNED)
    return False


def collect_all(wanderer: Wanderer) -> None:
    resume(wanderer.chain.store)
    wanderer.block()
    while (done := wanderer.chain.store.collect(wanderer.chain.head.epoch, 50)).reorg_id:
        assert not done.waiting


def prune(history: History) -> Callable[[Wanderer], None]:
    def pruned(wanderer: Wanderer) -> None:
        store, height = wanderer.chain.store, wanderer.chain.head.height - 1
        for each in store.view.checkpoints():
            store.drop_checkpoint(each.sequence)
        while not store.prune(history, height, height, ENTRIES).done:
            pass

    return pruned


@pytest.mark.parametrize("seed", range(12, 15))
def test_diff_and_reverse_diff_cancel_out_whatever_is_gone(seed: int) -> None:
    wanderer, gone = wandered(seed, 50), [0]
    while wanderer.chain.head.height < 3:
        wanderer.block()
    for take_away in (collect_all, prune(History.NODES), prune(History.ROWS)):
        take_away(wanderer)
        steps = list(steps_from(wanderer.view, Position()))
        gone.append(check_reverses(wanderer.view, steps))
        assert {step.kind for step in steps} == set(StepKind)
    # Bodies had to tell more and more of it; with all rows gone, too, what nodes would have told.
    assert 0 < gone[1] < gone[2] <= gone[3]


@pytest.mark.parametrize("seed", range(16, 18))
def test_diff_and_reverse_diff_cancel_out_while_all_is_there(seed: int) -> None:
    wanderer = wandered(seed, 60)
    steps = list(steps_from(wanderer.view, Position()))
    assert check_reverses(wanderer.view, steps) == 0
    diffs = [diff_of(wanderer.view, step.block) for step in steps[1:] if step.block]
    assert any(diff.classes for diff in diffs)
    assert any(diff.declared for diff in diffs)
    assert any(diff.nonces for diff in diffs)
