"""The settlement chain and this one: what stands there, what it means here, what to tell it.

Promises
- Every decision follows from what was just read over there, so each function can be repeated after
  a crash, a lost receipt or a settlement reorg; what was done already is not done twice.
- A running node and a command on a stopped one go through the same functions.

Laws
- What is final stays: nothing here reverts below it, and no plan is held that would have to.
- A root over there that no block of this chain has, live or orphaned, is never built on, reverted
  or made final: `SettlementDiffers`.

Unless said otherwise, every function that waits fails with SettlementError.
"""

from enum import StrEnum

import msgspec

from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import (
    FINALITY_MARGIN_PART,
    FINALITY_MARGIN_SECONDS,
    SETTLEMENT_TRIES_MAX,
)
from sequencer.model.records import BlockRecord, IncidentKind, RollbackJournal, Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import (
    Post,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)
from sequencer.ports import ChainView, Settlement
from sequencer.starknet.felt import Felt, as_bytes

SETTLER = "settlement"
"""The name of the settler's cursor in the outbox: behind a rollback's row, it is reconciled."""

_PLAN_HASH_BYTES = 31
_OWNERS = "HELD_BY_OWNER"
_UNDER_WAY = frozenset({Stage.PREPARED, Stage.COMMITTED})


class Place(StrEnum):
    """What a post is to this chain."""

    LIVE = "LIVE"
    ORPHANED = "ORPHANED"
    UNKNOWN = "UNKNOWN"


class SettlementDiffers(Exception):
    """What stands on the settlement chain cannot be this chain's; `halt` is what becomes of it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.halt = Halt(HaltCause.SETTLEMENT_DIFFERS, detail)


class Settled(msgspec.Struct, frozen=True):
    """The settlement chain as a rollback meets it.

    `post` is the newest live post at or below the target, `above` the oldest live one above it.
    """

    standing: Standing
    post: Post | None
    above: TimedPost | None


def plan_felt(plan_id: bytes) -> Felt:
    """Return a plan's name on the settlement chain: the first 31 bytes of its id."""
    return int.from_bytes(plan_id[:_PLAN_HASH_BYTES], "big")


def reason_felt(view: ChainView, reorg_id: int) -> Felt:
    """Return the name of the plan that a rollback carried out, 0 where there is no such one."""
    made = (each for each in view.incidents() if each.after.epoch == reorg_id)
    return next((plan_felt(each.plan_id) for each in made), 0)


def refusal_of(error: SettlementError) -> Refused:
    """Return what an operator is told: SETTLEMENT_REFUSED, SETTLEMENT_UNREACHABLE.

    Its words begin with the contract's own code, or with the problem where no reason is named so.
    """
    refused = error.problem is SettlementProblem.REFUSED
    reason = Reason.SETTLEMENT_REFUSED if refused else Reason.SETTLEMENT_UNREACHABLE
    name = error.code or error.problem.value
    is_said = reason.value.endswith(name) or error.detail.startswith(name)
    return Refused(reason, error.detail if is_said else f"{name}: {error.detail}")


def post_of(block: BlockRecord) -> Post:
    """Return a block as it is posted."""
    root, hash_ = block.state_root, block.block_hash
    return Post(block.height, int.from_bytes(root, "big"), int.from_bytes(hash_, "big"))


def place_of(post: Post, view: ChainView) -> Place:
    """Say what a post is here."""
    live = view.block(post.height) if post.height <= view.head.height else None
    if live is not None and post_of(live) == post:
        return Place.LIVE
    orphan = view.block_by_hash(as_bytes(post.block_hash))
    known = orphan is not None and post_of(orphan) == post
    return Place.ORPHANED if known else Place.UNKNOWN


def compare(standing: Standing, view: ChainView) -> Place:
    """Say whether the contract stands at a live block, or at an orphaned one, to be reverted.

    `view` must be no older than what was read. Errors: SettlementDiffers where it stands at no
    block of this chain, or where a block is final there that is not live here.
    """
    if place_of(standing.finalized, view) is not Place.LIVE:
        raise SettlementDiffers(f"final there, and not in this chain: {_words(standing.finalized)}")
    place = place_of(standing.newest, view)
    if place is Place.UNKNOWN:
        head = view.head.height
        words = f"no block of this chain, whose head is {head}: {_words(standing.newest)}"
        raise SettlementDiffers(words)
    return place


def reorg_of(standing: Standing, view: ChainView) -> int:
    """Return the id of the reorg that orphaned the newest post, 0 where none did."""
    block = view.block_by_hash(as_bytes(standing.newest.block_hash))
    return 0 if block is None else view.orphaned_by(block)


def pending_rollback(view: ChainView, delivered: int = 0) -> int:
    """Return the outbox number of the newest rollback that is not reconciled, 0 for none.

    `delivered` is the last number delivered in this process; the settler's cursor may be behind.
    """
    cursor = view.cursor(SETTLER)
    done = max(delivered, 0 if cursor is None else cursor.effect)
    rollbacks = (each for each in view.incidents() if each.kind is IncidentKind.ROLLBACK)
    newest = max((view.effect_of(each.after.epoch) for each in rollbacks), default=0)
    return newest if newest > done else 0


async def read_settled(settlement: Settlement, target_height: int) -> Settled:
    """Read what a rollback to a block has to do with the settlement chain."""
    standing = await settlement.standing()
    above = await settlement.oldest_post_above(target_height)
    return Settled(standing, await settlement.newest_post(target_height), above)


async def newest_live(settlement: Settlement, view: ChainView, height: int) -> Post:
    """Return the newest post at or below a height that is a live block of this chain.

    Errors: SettlementDiffers where there is none, or where an unknown one is above it.
    """
    while True:
        post = await settlement.newest_post(height) if height >= 0 else None
        if post is None:
            raise SettlementDiffers("no live block of this chain is posted there")
        place = place_of(post, view)
        if place is Place.LIVE:
            return post
        if place is Place.UNKNOWN:
            raise SettlementDiffers(f"no block of this chain: {_words(post)}")
        # The rollback that orphaned it orphaned every post between its target and this one.
        height = min(post.height - 1, _height_after(view, post))


async def hold_finality(
    settlement: Settlement,
    view: ChainView,
    plan_id: bytes,
    target_height: int,
    sent_height: int = 0,
) -> None:
    """Stop finality for a plan, if a block above its target is posted or, up to `sent_height`, may
    still be on its way. A hold of this plan that runs is not taken twice; one of another plan of
    this chain that is under way no more is ended first.

    `view` is of this moment. Refusals: SETTLEMENT_DIFFERS, TARGET_BELOW_FINALIZED,
    FINALITY_TOO_CLOSE, SETTLEMENT_REFUSED, also for another plan's hold, SETTLEMENT_UNREACHABLE.
    """
    plan_hash = plan_felt(plan_id)
    failure = SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "the hold does not show")
    try:
        for _ in range(SETTLEMENT_TRIES_MAX):
            settled = await read_settled(settlement, target_height)
            require_ours(settled.standing, view)
            require_unfinalized(settled.standing, target_height)
            if settled.above is None and sent_height <= target_height:
                return
            if await _ended_finished(settlement, view, settled.standing, plan_hash):
                continue
            if _is_held_in_time(settled, plan_hash):
                return
            try:
                await settlement.hold(plan_hash)
            except SettlementError as error:
                if not _may_be_done(error, "HELD"):
                    raise
                failure = error
    except SettlementDiffers as differs:
        raise Refused(Reason.SETTLEMENT_DIFFERS, str(differs)) from None
    except SettlementError as error:
        raise refusal_of(error) from None
    raise refusal_of(failure)


def require_ours(standing: Standing, view: ChainView) -> None:
    """Refuse with SETTLEMENT_DIFFERS where `compare` finds that the contract is not this chain's.

    Its heights say nothing then about what is final of this chain.
    """
    try:
        compare(standing, view)
    except SettlementDiffers as differs:
        raise Refused(Reason.SETTLEMENT_DIFFERS, str(differs)) from None


def require_unfinalized(standing: Standing, target_height: int) -> None:
    """Refuse with TARGET_BELOW_FINALIZED where a block above a target is final."""
    if standing.finalized.height > target_height:
        words = f"block {standing.finalized.height} is final on the settlement chain"
        raise Refused(Reason.TARGET_BELOW_FINALIZED, words)


async def revert_to(
    settlement: Settlement, view: ChainView, target_height: int, reason_hash: Felt
) -> Post:
    """Put the contract on its newest live block at or below a rollback's target; returns its post.

    It is told so also where it stands there: its epoch rises, so that no post that is still on its
    way is taken, and any hold but the owner's ends. Where a block above the target is final and
    live, the rollback was reconciled or undone since, and the contract is put on that block.
    Errors: SettlementDiffers.
    """
    failure: SettlementError | None = None
    named = 0
    for _ in range(SETTLEMENT_TRIES_MAX):
        standing = await settlement.standing()
        compare(standing, view)
        height = max(target_height, standing.finalized.height)
        post = await newest_live(settlement, view, min(height, view.head.height))
        if failure is not None and standing.epoch > named and standing.newest == post:
            return post
        named = standing.epoch
        try:
            await settlement.revert_state_to(named, post, reason_hash)
        except SettlementError as error:
            if not _may_be_done(error, "EPOCH_DIFFERS"):
                raise
            failure = error
        else:
            return post
    raise failure or SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "the revert does not show")


async def release_aborted(settlement: Settlement, view: ChainView) -> str:
    """End a hold whose plan is under way no more: aborted, or reconciled before the hold came.

    Somebody else's hold is left alone. Returns words for the operator, "" where nothing is held.
    Errors: SettlementDiffers.
    """
    failure: SettlementError | None = None
    for _ in range(SETTLEMENT_TRIES_MAX):
        standing = await settlement.standing()
        if standing.hold == 0:
            return "" if failure is None else "the hold has ended"
        journal = _journal_of(view, standing.hold)
        if journal is None:
            return f"{_hold_words(standing)}, not a plan of this chain: left alone"
        if journal.stage in _UNDER_WAY or compare(standing, view) is not Place.LIVE:
            return f"{_hold_words(standing)}, which is {journal.stage.value}"
        try:
            await settlement.release()
        except SettlementError as error:
            if not _may_be_done(error, "NOT_HELD"):
                raise
            failure = error
        else:
            return f"released: {_hold_words(standing)}, which is {journal.stage.value}"
    raise failure or SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "the release does not show")


class Holds:
    """Ends holds that no plan needs. The owner's, once refused, is not tried again: a try costs."""

    def __init__(self) -> None:
        self._owner_until = 0

    async def look(self, settlement: Settlement, standing: Standing, view: ChainView) -> str:
        """End the hold that runs, if it is to be ended; returns words for the operator."""
        if standing.hold_until == self._owner_until:
            return f"{_hold_words(standing)}, the owner's: left alone"
        try:
            return await release_aborted(settlement, view)
        except SettlementError as error:
            if error.code != _OWNERS:
                raise
        self._owner_until = standing.hold_until
        return f"{_hold_words(standing)}, the owner's: left alone"


async def _ended_finished(
    settlement: Settlement, view: ChainView, standing: Standing, plan_hash: Felt
) -> bool:
    """End the hold of another plan of this chain that is under way no more, if that is what holds.

    Returns whether it was. Errors: SettlementDiffers.
    """
    journal = None if standing.hold == plan_hash else _journal_of(view, standing.hold)
    if journal is None or journal.stage in _UNDER_WAY:
        return False
    if place_of(standing.newest, view) is Place.LIVE:
        await release_aborted(settlement, view)
    else:
        # A reorg over there took its revert back: what it undid here must not become final.
        await revert_to(settlement, view, view.head.height, standing.hold)
    return True


def _is_held_in_time(settled: Settled, plan_hash: Felt) -> bool:
    """Say whether this plan's hold runs. Refusals: FINALITY_TOO_CLOSE, SETTLEMENT_REFUSED."""
    standing, above = settled.standing, settled.above
    is_held = standing.hold == plan_hash
    if standing.hold and not is_held:
        raise Refused(Reason.SETTLEMENT_REFUSED, f"HELD: {_hold_words(standing)}")
    posted_at = standing.time if above is None else above.posted_at
    final_at = posted_at + standing.finality_delay
    left = max(final_at, standing.hold_until if is_held else 0) - standing.time
    margin = min(FINALITY_MARGIN_SECONDS, standing.finality_delay // FINALITY_MARGIN_PART)
    if left <= margin:
        words = f"a block above the target can be final in {max(left, 0)} s; {margin} s is too late"
        raise Refused(Reason.FINALITY_TOO_CLOSE, words)
    return is_held


def _may_be_done(error: SettlementError, code: str) -> bool:
    """Say whether the chain has to be read before anybody knows: nobody answered, or `code`."""
    return error.problem is SettlementProblem.OUTCOME_UNKNOWN or error.code == code


def _journal_of(view: ChainView, plan_hash: Felt) -> RollbackJournal | None:
    named = (each for each in view.journals() if plan_felt(each.plan_id) == plan_hash)
    return next(named, None)


def _height_after(view: ChainView, post: Post) -> int:
    """Return the target of the rollback that orphaned a post."""
    block = view.block_by_hash(as_bytes(post.block_hash))
    reorg_id = 0 if block is None else view.orphaned_by(block)
    made = (each for each in view.incidents() if each.after.epoch == reorg_id)
    return next((each.height_after for each in made), post.height)


def _hold_words(standing: Standing) -> str:
    return f"the hold of plan {standing.hold:#x} until second {standing.hold_until}"


def _words(post: Post) -> str:
    return f"block {post.height} {post.block_hash:#x} with root {post.state_root:#x}"
