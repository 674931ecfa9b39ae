"""Going back on a chain that posts to a settlement chain: hold, undo, take back, in this order.

Promises
- Nothing is undone that the settlement chain could make final in the meantime: finality is held
  first. Where it cannot be held, the attempt is aborted and the chain stays halted.
- While finality is being held nothing is sent there by this node.

Laws
- A running node's contract is taken back by its settler; a command on a stopped node does it
  itself, and where it cannot, the node does it at its start.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns

from sequencer.engine.plan import Plan, renewed, write_plan
from sequencer.engine.reach import Reach
from sequencer.engine.rollback import (
    Order,
    PlanStale,
    prepare_rollback,
    staleness,
    unfollowed,
)
from sequencer.engine.settling import (
    SETTLER,
    Settled,
    SettlementDiffers,
    hold_finality,
    read_settled,
    reason_felt,
    revert_to,
)
from sequencer.model.commits import RollbackOrder
from sequencer.model.records import Cursor, Head, Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError
from sequencer.ports import ChainView, Store, StoreFailed

_NS_PER_MICROSECOND = 1_000


async def roll_back(reach: Reach, plan: Plan, order: Order) -> tuple[Head, int]:
    """Halt and prepare, hold finality, go back.

    Returns the head, and how long the one batch that goes back took, in microseconds.
    Refusals: those of `prepare_rollback`, with the new plan kept if it can be; those of
    `hold_finality`, and then the attempt is aborted.
    """
    store, run = reach.store, reach.worker.run
    is_stale = bool(await run(partial(staleness, store.view, plan)))
    settled = await settled_at(reach, plan.target_height) if is_stale else None
    renew = partial(renewed, settled=settled)
    try:
        ordered = await run(partial(prepare_rollback, store, plan, order, renew))
    except PlanStale as stale:
        await _keep_renewed(reach, stale)
        raise
    async with _held_still(reach) as sent_height:
        try:
            await _hold(reach, plan, sent_height)
        except Refused:
            # The settler ends a hold of this plan only once it sees that.
            await reach.change(partial(store.advance, plan.plan_id, Stage.ABORTED))
            raise
        done = await run(partial(_timed, store, ordered))
        # Before the settler may go on: it must not post what has just been undone.
        reach.advance()
        return done


def require_settlement(reach: Reach, view: ChainView) -> None:
    """Refuse with SETTLEMENT_ABSENT where this chain is posted, and nobody says where.

    Without it what is final there could be undone here.
    """
    if reach.settlement is None and view.cursor(SETTLER) is not None:
        words = "this chain is posted to a settlement chain, and no file says to which"
        raise Refused(Reason.SETTLEMENT_ABSENT, words)


def require_undoable(view: ChainView, reorg_id: int) -> None:
    """Refuse with UNDO_IMPOSSIBLE all but the newest rollback that no block has followed."""
    newest = next(unfollowed(view), None)
    if newest is None:
        raise Refused(Reason.UNDO_IMPOSSIBLE, "no rollback is in force, or a block followed it")
    if newest.after.epoch != reorg_id:
        words = f"the newest rollback in force is reorg {newest.after.epoch}"
        raise Refused(Reason.UNDO_IMPOSSIBLE, words)


async def settled_at(reach: Reach, target_height: int) -> Settled | SettlementError | None:
    """Read what the settlement chain says about a target, or why nothing can be read."""
    if reach.settlement is None:
        return None
    try:
        return await read_settled(reach.settlement, target_height)
    except SettlementError as error:
        return error


async def take_back(reach: Reach, plan: Plan, head: Head) -> str:
    """Take the contract back after a rollback, or say who does; "" without a settlement chain."""
    if reach.settlement is None:
        return ""
    if reach.running is not None:
        return "the node takes it back: perpchain status"
    view = reach.store.view
    reason = reason_felt(view, head.epoch)
    try:
        post = await revert_to(reach.settlement, view, plan.target_height, reason)
    except (SettlementError, SettlementDiffers) as error:
        return f"not told yet, the node does it when it starts: {error}"
    cursor = Cursor(view.effect_of(head.epoch), head.sequence, head.block_hash)
    await reach.worker.run(partial(reach.store.advance_cursor, SETTLER, cursor))
    return f"put back to block {post.height}"


def keep_plan(reach: Reach, plan: Plan) -> None:
    """Keep a plan where it is found by its id."""
    reach.plans.save(plan.plan_id.hex(), write_plan(plan))


async def _keep_renewed(reach: Reach, stale: PlanStale) -> None:
    """Keep the plan in place of one that is stale; PLAN_STALE says so where it cannot be kept.

    The store has nothing to do with that failure, and its writer goes on.
    """
    try:
        await reach.worker.run(partial(keep_plan, reach, stale.plan))
    except StoreFailed as failed:
        words = f"{stale.detail}, which could not be kept, so plan again: {failed}"
        raise Refused(Reason.PLAN_STALE, words) from None


async def _hold(reach: Reach, plan: Plan, sent_height: int) -> None:
    """Hold finality for a plan, where there is a settlement chain."""
    if reach.settlement is None:
        return
    with reach.view() as view:
        target = plan.target_height
        await hold_finality(reach.settlement, view, plan.plan_id, target, sent_height)


def _timed(store: Store, ordered: RollbackOrder) -> tuple[Head, int]:
    started = perf_counter_ns()
    head = store.roll_back(ordered)
    return head, (perf_counter_ns() - started) // _NS_PER_MICROSECOND


@asynccontextmanager
async def _held_still(reach: Reach) -> AsyncIterator[int]:
    """Have the settler send nothing; yields the highest block that may still be on its way."""
    if reach.settler is None:
        yield 0
        return
    async with reach.settler.stopped():
        yield reach.settler.sent_height
