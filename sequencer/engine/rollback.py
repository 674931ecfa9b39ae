"""Going back and taking it back: what the operator decides, carried out in the store.

Promises
- Nothing is undone that the plan did not show: where the head has moved since, or another deposit
  that stays credited is lost, nothing happens but the halt, and the new plan is named.
- One batch goes back, one batch takes it back; a crash in between leaves the one or the other.
- Every rollback and undo leaves a record with who, why, when, from where, to where and under which
  plan; each record holds the hash of the one before, and none is ever rewound.

Laws
- Wall time stands in the records alone; nothing of it enters a block.
- The chain is halted afterwards. Its way back is the recorded `Reopen`, ahead of the first tick.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from sequencer.chain.text import text_reader, to_text
from sequencer.engine.deposit_facts import DepositFacts, stored_deposits
from sequencer.engine.plan import Plan, renewed
from sequencer.engine.settling import SETTLER
from sequencer.model.commands import OrderPolicy, Reopen, SecurityCommand
from sequencer.model.commits import RollbackOrder, UndoOrder
from sequencer.model.limits import NAME_CHARACTERS_MAX, REASON_CHARACTERS_MAX
from sequencer.model.plugins import PluginOpinion
from sequencer.model.records import Head, Incident, IncidentKind, Latch, RollbackJournal, Stage
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.ports import ChainView, Store, StoreProblem, StoreRefused
from sequencer.starknet.felt import Felt, as_bytes

_STEPS = (Stage.COMMITTED, Stage.SETTLED, Stage.NOTIFIED, Stage.DONE)


class Override(msgspec.Struct, frozen=True):
    """Why an operator went back against plugins; `vetoes` is empty where none had said no."""

    reason: str
    vetoes: Sequence[PluginOpinion] = ()


class Order(msgspec.Struct, frozen=True):
    """Who orders a rollback or an undo, why, and when (milliseconds of the wall clock)."""

    who: str
    reason: str
    at_ms: int
    override: Override | None = None


class Details(msgspec.Struct, frozen=True):
    """What an incident's record says beside the marks: the operator's words, roots, decisions."""

    who: str
    reason: str
    at_ms: int
    root_before: Felt
    root_after: Felt
    policy: OrderPolicy = OrderPolicy.KEEP
    security: Sequence[SecurityCommand] = ()
    override: Override | None = None


class Notice(msgspec.Struct, frozen=True):
    """What readers of the outbox are told: the blocks first .. last are undone, or are back."""

    first_height: int
    last_height: int
    target_hash: Felt
    head_hash: Felt
    reason: str


_details_of, _notice_of = text_reader(Details), text_reader(Notice)


class PlanStale(Refused):
    """A plan holds no more, and `words` say why; `plan` is the new one, for whoever keeps it."""

    def __init__(self, words: str, plan: Plan) -> None:
        super().__init__(Reason.PLAN_STALE, f"{words}; the new plan is {plan.plan_id.hex()}")
        self.plan = plan


def apply_plan(store: Store, plan: Plan, order: Order) -> Head:
    """Halt the chain, and go back as planned, where no settlement chain has to be asked first.

    Returns the head. Refusals and failures: those of `prepare_rollback` and of the store.
    """
    return store.roll_back(prepare_rollback(store, plan, order))


def prepare_rollback(
    store: Store,
    plan: Plan,
    order: Order,
    renew: Callable[[ChainView, Plan], Plan] = renewed,
) -> RollbackOrder:
    """Halt the chain, and announce the rollback; `Store.roll_back` of what is returned does it.

    `renew` makes the plan again as things are now. Refusals: REASON_MISSING, PLAN_APPLIED;
    PLAN_STALE naming the new plan, and the chain is then halted. Failures and other refusals:
    those of the store.
    """
    require_reason(order)
    require_unapplied(store.view, plan)
    head = store.head
    stale = staleness(store.view, plan)
    if stale:
        store.latch(head.latch or Latch(0, plan.policy))
        raise PlanStale(stale, renew(store.view, plan))
    notice = Notice(
        first_height=plan.target_height + 1,
        last_height=plan.head_height,
        target_hash=plan.target_hash,
        head_hash=int.from_bytes(head.block_hash, "big"),
        reason=order.reason,
    )
    details = Details(
        who=order.who,
        reason=order.reason,
        at_ms=order.at_ms,
        root_before=int.from_bytes(head.state_root, "big"),
        root_after=plan.target_root,
        policy=plan.policy,
        security=plan.security,
        override=order.override,
    )
    ordered = RollbackOrder(
        plan_id=plan.plan_id,
        planned=plan.planned,
        target_height=plan.target_height,
        target_hash=as_bytes(plan.target_hash),
        policy=plan.policy,
        effect=_encoded(notice),
        details=_encoded(details),
    )
    store.prepare(ordered)
    return ordered


def staleness(view: ChainView, plan: Plan) -> str:
    """Say why a plan holds no more, "" if it does. Failures and refusals: those of a read."""
    head = view.head
    if head.mark != plan.planned:
        return f"the head is block {head.height} by now"
    # Of deposits that are undone the plan says whether they will be credited again. That is for the
    # settlement chain to say, at any moment, and going back costs nobody more if it says no.
    if _lost_at(view, plan.target_height) != tuple(plan.impact.lost):
        return "other deposits than it says stay credited and are lost by now"
    return ""


def undo(store: Store, reorg_id: int, order: Order) -> Head:
    """Take the newest rollback back, while no block has followed it. Returns the head.

    Refusals: REASON_MISSING, UNDO_IMPOSSIBLE.
    """
    require_reason(order)
    view, head = store.view, store.head
    undone = next((each for each in _rollbacks(view) if each.after.epoch == reorg_id), None)
    if undone is None:
        raise Refused(Reason.UNDO_IMPOSSIBLE, f"there is no reorg {reorg_id}")
    restored = view.block_by_hash(undone.before.block_hash)
    if restored is None:
        raise Refused(Reason.UNDO_IMPOSSIBLE, f"reorg {reorg_id} undid no block")
    notice = Notice(
        first_height=undone.height_after + 1,
        last_height=undone.height_before,
        target_hash=int.from_bytes(head.block_hash, "big"),
        head_hash=int.from_bytes(restored.block_hash, "big"),
        reason=order.reason,
    )
    details = Details(
        who=order.who,
        reason=order.reason,
        at_ms=order.at_ms,
        root_before=int.from_bytes(head.state_root, "big"),
        root_after=int.from_bytes(restored.state_root, "big"),
    )
    try:
        return store.undo(UndoOrder(head.mark, reorg_id, _encoded(notice), _encoded(details)))
    except StoreRefused as refused:
        if refused.problem is not StoreProblem.UNDO_IMPOSSIBLE:
            raise
        raise Refused(Reason.UNDO_IMPOSSIBLE, refused.detail) from None


def resume(store: Store) -> list[RollbackJournal]:
    """Take every interrupted rollback as far as it can go, and return those still open.

    A prepared one is aborted: nothing was undone. A committed one is settled when the settler, if
    there is one, is past its row of the outbox; readers have been told when each is past it. A
    store that nobody has acknowledged is not touched.
    """
    for journal in store.open_journals() if store.acknowledged else ():
        if journal.stage is Stage.PREPARED:
            store.advance(journal.plan_id, Stage.ABORTED)
            continue
        for stage in _STEPS[_STEPS.index(journal.stage) + 1 :]:
            if not _is_told(store.view, journal, SETTLER if stage is Stage.SETTLED else ""):
                break
            store.advance(journal.plan_id, stage)
    return store.open_journals()


def reopening(view: ChainView) -> Reopen | None:
    """Return the command with which a chain that was rolled back goes on, None for no rollback."""
    latch = view.head.latch
    if latch is None or latch.reorg_id == 0:
        return None
    return Reopen(latch.reorg_id, latch.policy, tuple(_waiting_security(view)))


def read_details(incident: Incident) -> Details:
    """Read what an incident's record says."""
    return _details_of(incident.details)


def read_notice(payload: bytes) -> Notice:
    """Read what readers of the outbox are told of a rollback or an undo."""
    return _notice_of(payload)


def require_unapplied(view: ChainView, plan: Plan) -> None:
    """Refuse with PLAN_APPLIED what was carried out already."""
    journal = view.journal(plan.plan_id)
    if journal is not None and journal.reorg_id:
        words = f"the plan was carried out as reorg {journal.reorg_id}; {journal.stage.value}"
        raise Refused(Reason.PLAN_APPLIED, words)


def require_reason(order: Order) -> None:
    """Refuse with REASON_MISSING an order without words, or with too many.

    What no terminal takes is refused, too; PARAMETER_INVALID for the name of who orders it.
    """
    if not order.reason.strip():
        raise Refused(Reason.REASON_MISSING, "say why: it stands in the record for ever")
    if len(order.reason) > REASON_CHARACTERS_MAX:
        words = f"a reason has up to {REASON_CHARACTERS_MAX} characters"
        raise Refused(Reason.REASON_MISSING, words)
    if len(order.who) > NAME_CHARACTERS_MAX:
        words = f"the name of who decides has up to {NAME_CHARACTERS_MAX} characters"
        raise Refused(Reason.PARAMETER_INVALID, words)
    require_plain(order.reason, Reason.REASON_MISSING)
    require_plain(order.who, Reason.PARAMETER_INVALID)


def require_plain(words: str, reason: Reason) -> None:
    """Refuse words with control characters: terminals show them as long as there is the chain."""
    if not words.isprintable():
        raise Refused(reason, f"one line of plain text is needed: {shown(words)}")


def _encoded(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(to_text(value))


def unfollowed(view: ChainView) -> Iterator[Incident]:
    """Yield the rollbacks in force that no block has followed, newest first.

    The first is the one that can be undone.
    """
    incidents, mark = view.incidents(), view.head.mark
    while found := next((each for each in incidents if each.after == mark), None):
        if found.kind is IncidentKind.UNDO:
            found = next(each for each in _rollbacks(view) if each.plan_id == found.plan_id)
        else:
            yield found
        mark = found.before


def _waiting_security(view: ChainView) -> Iterator[SecurityCommand]:
    """Yield what every rollback in force has to do again that no block has followed.

    The newest comes first: what an earlier one does again was said later, and counts.
    """
    for incident in unfollowed(view):
        if incident.details:
            yield from read_details(incident).security


def _lost_at(view: ChainView, height: int) -> tuple[int, ...]:
    """Return the nonces that are credited after a live block, and lost by now, rising."""
    facts, block = DepositFacts(lambda: view), view.block(height)
    return () if block is None else tuple(facts.unmade(stored_deposits(view.state_at(block))))


def _rollbacks(view: ChainView) -> list[Incident]:
    return [each for each in view.incidents() if each.kind is IncidentKind.ROLLBACK]


def _is_told(view: ChainView, journal: RollbackJournal, only: str) -> bool:
    """Say whether every reader of the outbox, or only one, is past a rollback's row."""
    effect = view.effect_of(journal.reorg_id)
    readers = {name: each for name, each in view.cursors().items() if only in ("", name)}
    return all(cursor.parked or cursor.effect >= effect for cursor in readers.values())
