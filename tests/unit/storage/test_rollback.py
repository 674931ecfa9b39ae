"""Rollback and undo: what they hide, what they keep, what they refuse."""

import hashlib
from itertools import pairwise

import msgspec
import pytest

from sequencer.model.commands import OrderPolicy
from sequencer.model.commits import UndoOrder
from sequencer.model.records import EffectKind, Head, IncidentKind, Latch, Mark, Stage
from sequencer.ports import StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.rollback import incident_hash
from sequencer.storage.simulated import SimulatedDisk
from tests.strategies import Unchecked
from tests.unit.storage.builders import (
    block,
    grown,
    hash_of,
    refused,
    roll_back,
    rollback,
    row_table,
    simulated,
    trie_changes,
    undo,
    walked,
)


@pytest.fixture
def store(disk: SimulatedDisk) -> ChainStore:
    store = simulated(disk)
    grown(store, 6)
    return store


def facts(head: Head) -> tuple[object, ...]:
    """What a rollback takes from its target, and an undo gives back."""
    return head.height, head.block_sequence, head.block_hash, head.state_root, head.digest


def test_a_rollback_goes_back_to_a_block_that_stays(store: ChainStore) -> None:
    before = store.head
    target = store.view.block(2)
    assert target is not None
    rows = row_table(store.view.state_at(target))
    after = roll_back(store, 2)
    assert facts(after) == (2, 3, target.block_hash, target.state_root, target.digest)
    assert (after.sequence, after.epoch) == (before.sequence + 1, before.epoch + 1)
    assert after.latch == Latch(1, OrderPolicy.CANCEL_ALL)
    assert after.guards_forced_on
    assert row_table(store.view.state()) == rows
    assert list(store.checked_rows())
    assert store.view.block(3) is None


def test_a_rollback_is_one_batch_of_constant_size(disk: SimulatedDisk, store: ChainStore) -> None:
    sizes = []
    for blocks in (1, 200):
        grown_to = store.head.height
        store.commit_block(block(store))
        grown(store, blocks)
        order = rollback(store, grown_to)
        store.prepare(order)
        writes, used = disk.writes, disk.used_bytes
        store.roll_back(order)
        assert disk.writes == writes + 2
        sizes.append(disk.used_bytes - used)
    assert max(sizes) - min(sizes) < 40


def test_a_rollback_survives_opening_again(disk: SimulatedDisk, store: ChainStore) -> None:
    after = roll_back(store, 1)
    store = simulated(disk)
    assert store.head == after
    assert store.view.state().row(1, b"shared") == b"at 1"
    assert [journal.stage for journal in store.open_journals()] == [Stage.COMMITTED]


def test_orphans_stay_readable_by_hash_with_their_state(store: ChainStore) -> None:
    orphans = [store.view.block(height) for height in (3, 4, 5)]
    roll_back(store, 2)
    store.commit_block(block(store, [(1, b"shared", b"again")]))
    for orphan in orphans:
        assert orphan is not None
        assert store.view.block_by_hash(orphan.block_hash) == orphan
        assert store.view.orphaned_by(orphan) == 1
        assert store.view.body(orphan) == b"body %d" % orphan.sequence
        state = store.view.state_at(orphan)
        assert state.row(1, b"shared") == b"at %d" % orphan.height
    live = store.view.block(3)
    assert live is not None
    assert store.view.orphaned_by(live) == 0
    assert store.view.state_at(live).row(1, b"shared") == b"again"


def test_a_nested_orphan_sees_its_own_branch(store: ChainStore) -> None:
    roll_back(store, 3)
    store.commit_block(block(store, [(1, b"shared", b"second branch")]))
    second = store.view.block(4)
    grown(store, 1)
    roll_back(store, 1)
    grown(store, 1)
    assert second is not None
    state = store.view.state_at(second)
    assert state.row(1, b"shared") == b"second branch"
    assert (2, b"own 4") not in row_table(state)
    assert (2, b"own 3") in row_table(state)
    assert store.view.orphaned_by(second) == 2
    assert row_table(store.view.state()) == {
        (1, b"shared"): b"at 2",
        (2, b"own 0"): b"row",
        (2, b"own 1"): b"row",
        (2, b"own 2"): b"row",
    }


def test_tries_follow_a_rollback(store: ChainStore) -> None:
    for leaves in ({1: 1, 2: 2}, {1: 0}, {3: 3}):
        nodes, _ = trie_changes(store.view.state(), leaves)
        store.commit_block(block(store, nodes=nodes))
    roll_back(store, 6)
    assert walked(store.view.state()) == {1: 1, 2: 2}
    nodes, _ = trie_changes(store.view.state(), {200: 200})
    store.commit_block(block(store, nodes=nodes))
    assert walked(store.view.state()) == {1: 1, 2: 2, 200: 200}


def test_marks_say_which_reorg_undid_them_and_flip_back(store: ChainStore) -> None:
    message, order = hash_of("transaction"), hash_of("order")
    store.commit_block(block(store, transactions=(message,), seen=((order, 0),)))
    mark = store.view.seen(order)
    assert mark is not None
    roll_back(store, 5)
    assert store.view.transaction(message) is None
    assert store.view.seen(order) == mark
    assert store.view.dead.orphaned_by(mark.sequence) == 1
    undo(store, 1)
    assert store.view.transaction(message) is not None
    assert store.view.dead.orphaned_by(mark.sequence) == 0


def test_a_transaction_of_two_branches_is_found_in_the_live_one(store: ChainStore) -> None:
    message = hash_of("deposit")
    store.commit_block(block(store, transactions=(hash_of(1), message)))
    roll_back(store, 5)
    store.commit_block(block(store, transactions=(message,)))
    place = store.view.transaction(message)
    assert place is not None
    assert (place.height, place.index) == (6, 0)
    was = store.view.orphaned_transaction(message)
    assert was is not None
    assert (was.height, was.index) == (6, 1)
    roll_back(store, 5)
    assert store.view.transaction(message) is None
    assert store.view.orphaned_transaction(message) == place


def test_an_undo_restores_everything(disk: SimulatedDisk, store: ChainStore) -> None:
    before, rows = store.head, row_table(store.view.state())
    roll_back(store, 2)
    after = undo(store, 1)
    assert facts(after) == facts(before)
    assert (after.epoch, after.sequence) == (2, before.sequence + 2)
    assert after.guards_forced_on
    assert after.latch == Latch(2, OrderPolicy.KEEP)
    assert row_table(store.view.state()) == rows
    assert simulated(disk).head == after
    assert not grown(store, 1)[0].guards_forced_on
    assert store.view.state().row(1, b"shared") == b"at 6"


def test_rollbacks_without_a_block_between_are_undone_newest_first(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    first = store.head
    roll_back(store, 4)
    second = store.head
    roll_back(store, 1)
    with refused(StoreProblem.UNDO_IMPOSSIBLE, disk):
        undo(store, 1)
    assert facts(undo(store, 2)) == facts(second)
    assert store.head.latch == Latch(1, OrderPolicy.CANCEL_ALL)
    assert facts(undo(store, 1)) == facts(first)
    with refused(StoreProblem.UNDO_IMPOSSIBLE, disk):
        undo(store, 1)
    assert store.view.state().row(1, b"shared") == b"at 5"


def test_an_undo_ends_with_the_first_new_block(disk: SimulatedDisk, store: ChainStore) -> None:
    roll_back(store, 4)
    grown(store, 2)
    with refused(StoreProblem.UNDO_IMPOSSIBLE, disk):
        undo(store, 1)
    roll_back(store, 1)
    undo(store, 2)
    with refused(StoreProblem.UNDO_IMPOSSIBLE, disk):
        undo(store, 1)
    with refused(StoreProblem.HEAD_MOVED, disk):
        store.undo(UndoOrder(Mark(0, 0, bytes(32)), 1, b"", b""))


def test_an_undo_where_nothing_was_rolled_back(disk: SimulatedDisk, store: ChainStore) -> None:
    with refused(StoreProblem.UNDO_IMPOSSIBLE, disk):
        undo(store, 1)


WRONG_TARGETS: dict[str, tuple[dict[str, Unchecked], StoreProblem]] = {
    "the head itself": ({"target_height": 5}, StoreProblem.TARGET_NOT_BELOW_HEAD),
    "above the head": ({"target_height": 9}, StoreProblem.TARGET_NOT_BELOW_HEAD),
    "below genesis": ({"target_height": -1}, StoreProblem.TARGET_UNKNOWN),
    "another block": ({"target_hash": hash_of("x")}, StoreProblem.TARGET_UNKNOWN),
    "another epoch": ({"planned": Mark(1, 6, bytes(32))}, StoreProblem.HEAD_MOVED),
}


@pytest.mark.parametrize(("parts", "problem"), WRONG_TARGETS.values(), ids=WRONG_TARGETS)
def test_a_wrong_target_is_refused_twice(
    disk: SimulatedDisk, store: ChainStore, parts: dict[str, Unchecked], problem: StoreProblem
) -> None:
    order = rollback(store, 2)
    wrong = msgspec.structs.replace(order, **parts)
    with refused(problem, disk):
        store.prepare(wrong)
    store.prepare(order)
    with refused(problem, disk):
        store.roll_back(wrong)


def test_an_orphan_is_no_target(disk: SimulatedDisk, store: ChainStore) -> None:
    orphan = store.view.block(3)
    assert orphan is not None
    roll_back(store, 2)
    grown(store, 3)
    with refused(StoreProblem.TARGET_UNKNOWN, disk):
        store.prepare(rollback(store, 3, target_hash=orphan.block_hash))


def test_a_rollback_to_genesis(store: ChainStore) -> None:
    roll_back(store, 0)
    assert row_table(store.view.state()) == {(1, b"shared"): b"at 0", (2, b"own 0"): b"row"}
    grown(store, 3)
    assert store.head.height == 3


def test_only_what_is_prepared_is_carried_out(disk: SimulatedDisk, store: ChainStore) -> None:
    order = rollback(store, 2)
    with refused(StoreProblem.JOURNAL_ORDER, disk):
        store.roll_back(order)
    head = store.prepare(order)
    assert head.latch == Latch(0, OrderPolicy.CANCEL_ALL)
    with refused(StoreProblem.JOURNAL_ORDER, disk):
        store.prepare(rollback(store, 3))
    other = store.view.block(3)
    assert other is not None
    with refused(StoreProblem.JOURNAL_ORDER, disk):
        store.roll_back(
            msgspec.structs.replace(order, target_height=3, target_hash=other.block_hash)
        )
    assert store.roll_back(order).height == 2


def test_an_aborted_plan_may_come_again_and_stays_halted(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    order = rollback(store, 2)
    store.prepare(order)
    store.advance(order.plan_id, Stage.ABORTED)
    assert store.open_journals() == []
    assert store.head.latch is not None
    with refused(StoreProblem.JOURNAL_ORDER, disk):
        store.roll_back(order)
    store.prepare(order)
    store.roll_back(order)
    with refused(StoreProblem.JOURNAL_ORDER, disk):
        store.prepare(msgspec.structs.replace(rollback(store, 1), plan_id=order.plan_id))


STAGES = (Stage.COMMITTED, Stage.SETTLED, Stage.NOTIFIED, Stage.DONE)


def test_the_journal_goes_on_step_by_step(disk: SimulatedDisk, store: ChainStore) -> None:
    order = rollback(store, 2)
    with refused(StoreProblem.JOURNAL_ORDER, disk):
        store.advance(order.plan_id, Stage.ABORTED)
    store.prepare(order)
    store.roll_back(order)
    for now, following in pairwise(STAGES):
        journal = store.view.journal(order.plan_id)
        assert journal is not None
        assert (journal.stage, journal.reorg_id) == (now, 1)
        for wrong in set(Stage) - {following}:
            with refused(StoreProblem.JOURNAL_ORDER, disk):
                store.advance(order.plan_id, wrong)
        store.advance(order.plan_id, following)
    assert store.open_journals() == []
    undo(store, 1)
    journal = store.view.journal(order.plan_id)
    assert journal is not None
    assert journal.stage is Stage.UNDONE


def test_an_undo_deletes_no_outbox_row(store: ChainStore) -> None:
    roll_back(store, 3)
    undo(store, 1)
    kinds = [(effect.number, effect.kind, effect.epoch) for effect in store.view.effects(6, 9)]
    assert kinds == [(7, EffectKind.ROLLBACK, 1), (8, EffectKind.UNDO, 2)]
    interval = store.view.dead.all[0]
    assert (interval.effect, interval.lifted_by) == (7, 2)


def test_incidents_are_a_chain_of_hashes(disk: SimulatedDisk, store: ChainStore) -> None:
    roll_back(store, 3)
    undo(store, 1)
    one, two = store.view.incidents()
    assert (one.kind, one.height_before, one.height_after) == (IncidentKind.ROLLBACK, 5, 3)
    assert (two.kind, two.details, two.plan_id) == (IncidentKind.UNDO, b"oops", one.plan_id)
    assert one.previous == bytes(32)
    assert two.previous == incident_hash(one)
    assert store.head.incident_hash == incident_hash(two)
    assert len(incident_hash(one)) == hashlib.blake2s().digest_size
    assert simulated(disk).head.incidents == 2
