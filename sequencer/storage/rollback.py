"""Rollback and undo as one batch each, of constant size whatever they undo.

Laws
- A rollback deletes nothing: it retires a range of sequences and moves the head. An undo lifts the
  range again, and is possible until the first new block.
- Both take a sequence and an epoch, so that no decision made before can be committed after, and
  the head, once written to the witness, is never mistaken for an older one.
- Both copy root and digest from records; neither computes a state.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from sequencer.model.commands import OrderPolicy
from sequencer.model.commits import RollbackOrder, UndoOrder
from sequencer.model.records import (
    BlockRecord,
    DeadInterval,
    EffectKind,
    Head,
    Incident,
    IncidentKind,
    Latch,
    RollbackJournal,
    Stage,
)
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.commit import Puts, put_effects, put_record, require_mark
from sequencer.storage.encoding import encode_record
from sequencer.storage.view import View

_FOLLOWING: Mapping[Stage, frozenset[Stage]] = {
    Stage.PREPARED: frozenset({Stage.ABORTED}),
    Stage.COMMITTED: frozenset({Stage.SETTLED}),
    Stage.SETTLED: frozenset({Stage.NOTIFIED}),
    Stage.NOTIFIED: frozenset({Stage.DONE}),
}
"""The steps that are taken one by one; COMMITTED and UNDONE come with their batches."""


def prepare_batch(view: View, order: RollbackOrder) -> tuple[Puts, Head]:
    """Build the batch that announces a rollback and latches the halt.

    Refusals: HEAD_MOVED, TARGET_UNKNOWN, TARGET_NOT_BELOW_HEAD, STATE_PRUNED, JOURNAL_ORDER.
    """
    head = view.head
    require_mark(head, order.planned)
    _require_target(view, order)
    _require_unprepared(view, order)
    latch = head.latch or Latch(0, order.policy)
    journal = RollbackJournal(
        order.plan_id, Stage.PREPARED, order.planned, order.target_height, order.target_hash
    )
    changed = msgspec.structs.replace(head, latch=latch)
    puts: Puts = []
    put_record(puts, keys.JOURNAL.key(order.plan_id), journal)
    put_record(puts, keys.HEAD.key(), changed)
    return puts, changed


def rollback_batch(view: View, order: RollbackOrder) -> tuple[Puts, Head, DeadInterval]:
    """Build the batch that goes back to a block.

    Refusals: those of preparing; JOURNAL_ORDER unless this very order is prepared.
    """
    head = view.head
    require_mark(head, order.planned)
    target = _require_target(view, order)
    journal = _require_prepared(view, order)
    epoch = head.epoch + 1
    interval = DeadInterval(
        epoch=epoch,
        first=target.sequence + 1,
        last=head.sequence,
        sequence=head.next_sequence,
        plan_id=order.plan_id,
        effect=head.next_effect,
        before=head,
    )
    moved = msgspec.structs.replace(
        _moved(head, target),
        latch=Latch(epoch, order.policy),
        guards_forced_on=True,
    )
    puts: Puts = []
    put_record(puts, keys.DEAD_INTERVAL.key(epoch), interval)
    committed = msgspec.structs.replace(journal, stage=Stage.COMMITTED, reorg_id=epoch)
    put_record(puts, keys.JOURNAL.key(order.plan_id), committed)
    kind = (EffectKind.ROLLBACK, IncidentKind.ROLLBACK)
    return puts, _finish(puts, head, moved, kind, order.plan_id, order), interval


def undo_batch(view: View, order: UndoOrder) -> tuple[Puts, Head, DeadInterval]:
    """Build the batch that takes the newest rollback back.

    Refusals: HEAD_MOVED, UNDO_IMPOSSIBLE.
    """
    head = view.head
    require_mark(head, order.planned)
    interval = _require_undoable(view, order.reorg_id)
    epoch = head.epoch + 1
    lifted = msgspec.structs.replace(interval, lifted_by=epoch)
    block = view.block_at(interval.before.height, interval.before.block_sequence)
    journal = view.journal(interval.plan_id)
    if block is None or journal is None:
        raise StoreFailed(StoreProblem.HEAD_INCONSISTENT, f"reorg {interval.epoch} is incomplete")
    moved = msgspec.structs.replace(
        _moved(head, block), latch=_latch_after_undo(interval.before, epoch)
    )
    puts: Puts = []
    put_record(puts, keys.DEAD_INTERVAL.key(interval.epoch), lifted)
    undone = msgspec.structs.replace(journal, stage=Stage.UNDONE)
    put_record(puts, keys.JOURNAL.key(interval.plan_id), undone)
    kind = (EffectKind.UNDO, IncidentKind.UNDO)
    return puts, _finish(puts, head, moved, kind, interval.plan_id, order), lifted


def stage_batch(view: View, plan_id: bytes, stage: Stage) -> Puts:
    """Build the batch that takes a rollback one stage on. Refusal: JOURNAL_ORDER."""
    journal = view.journal(plan_id)
    following = frozenset() if journal is None else _FOLLOWING.get(journal.stage, frozenset())
    if journal is None or stage not in following:
        now = "unknown" if journal is None else journal.stage.value
        raise StoreRefused(
            StoreProblem.JOURNAL_ORDER, f"plan {plan_id.hex()} is {now}, not {stage.value} next"
        )
    key = keys.JOURNAL.key(plan_id)
    return [(key, encode_record(key, msgspec.structs.replace(journal, stage=stage)))]


def incident_hash(incident: Incident) -> bytes:
    """Hash an incident, and through it all before it."""
    return hashlib.blake2s(msgspec.msgpack.encode(incident), person=b"incident").digest()


def _require_target(view: View, order: RollbackOrder) -> BlockRecord:
    """Return the block that a rollback goes back to, which stays.

    Refusals: TARGET_NOT_BELOW_HEAD, TARGET_UNKNOWN, STATE_PRUNED.
    """
    height = order.target_height
    if height >= view.head.height:
        detail = f"block {height} is not below block {view.head.height}"
        raise StoreRefused(StoreProblem.TARGET_NOT_BELOW_HEAD, detail)
    target = view.block(height)
    if target is None or target.block_hash != order.target_hash:
        raise StoreRefused(
            StoreProblem.TARGET_UNKNOWN, f"no live block {order.target_hash.hex()} at {height}"
        )
    retention = view.retention()
    floor = max(retention.rows, retention.nodes, key=lambda each: each.sequence)
    if target.sequence < floor.sequence:
        raise StoreRefused(
            StoreProblem.STATE_PRUNED,
            f"state of block {height} is pruned, the oldest is that of block {floor.height}",
        )
    return target


def _require_unprepared(view: View, order: RollbackOrder) -> None:
    # An aborted plan may come again: nothing was done, and its head may still be the head.
    for journal in view.journals():
        known = journal.plan_id == order.plan_id and journal.stage is not Stage.ABORTED
        if known or journal.stage is Stage.PREPARED:
            raise StoreRefused(
                StoreProblem.JOURNAL_ORDER,
                f"plan {journal.plan_id.hex()} is {journal.stage.value} already",
            )


def _require_prepared(view: View, order: RollbackOrder) -> RollbackJournal:
    journal = view.journal(order.plan_id)
    told = (Stage.PREPARED, order.planned, order.target_height, order.target_hash)
    if journal is None or told != (
        journal.stage,
        journal.planned,
        journal.target_height,
        journal.target_hash,
    ):
        raise StoreRefused(
            StoreProblem.JOURNAL_ORDER, f"plan {order.plan_id.hex()} is not prepared as it is given"
        )
    return journal


def _require_undoable(view: View, reorg_id: int) -> DeadInterval:
    newest = view.dead.newest()
    if newest is None or newest.epoch != reorg_id:
        last = "none" if newest is None else str(newest.epoch)
        raise StoreRefused(
            StoreProblem.UNDO_IMPOSSIBLE, f"reorg {reorg_id} is not the last one in force: {last}"
        )
    if view.head.block_sequence > newest.sequence:
        raise StoreRefused(StoreProblem.UNDO_IMPOSSIBLE, f"a block was made since reorg {reorg_id}")
    return newest


def _moved(head: Head, block: BlockRecord) -> Head:
    """Put the head on a block, one sequence and one epoch further."""
    return msgspec.structs.replace(
        head,
        height=block.height,
        sequence=head.next_sequence,
        block_sequence=block.sequence,
        block_hash=block.block_hash,
        state_root=block.state_root,
        digest=block.digest,
        epoch=head.epoch + 1,
    )


def _latch_after_undo(before: Head, epoch: int) -> Latch:
    """Keep all orders, unless an earlier rollback is in force again with its own policy."""
    if before.latch is not None and before.latch.reorg_id > 0:
        return before.latch
    return Latch(epoch, OrderPolicy.KEEP)


def _finish(
    puts: Puts,
    head: Head,
    moved: Head,
    kind: tuple[EffectKind, IncidentKind],
    plan_id: bytes,
    order: RollbackOrder | UndoOrder,
) -> Head:
    """Add outbox row, incident and head to a batch, and return the head."""
    incident = Incident(
        number=head.incidents + 1,
        previous=head.incident_hash,
        kind=kind[1],
        plan_id=plan_id,
        before=head.mark,
        height_before=head.height,
        after=moved.mark,
        height_after=moved.height,
        details=order.details,
    )
    finished = msgspec.structs.replace(
        moved,
        next_effect=head.next_effect + 1,
        incidents=incident.number,
        incident_hash=incident_hash(incident),
    )
    put_record(puts, keys.INCIDENT.key(incident.number), incident)
    put_effects(puts, finished, head.next_effect, [(kind[0], order.effect)])
    put_record(puts, keys.HEAD.key(), finished)
    return finished
