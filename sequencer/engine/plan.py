"""A rollback's plan: what it would do, proven and counted before anything is touched.

Promises
- Planning reads and writes nothing. The target's root is worked out again from its rows alone and
  must be the one in its header.
- A plan's id is the hash of everything in it, so whoever applies it applies what was read.

Refusals, each by name: TARGET_ABOVE_HEAD, TARGET_IS_HEAD, BLOCK_UNKNOWN, TARGET_ORPHANED,
TARGET_PRUNED, TARGET_ROOT_DIFFERS, SETTLEMENT_DIFFERS, TARGET_BELOW_FINALIZED, ROLLBACK_OPEN,
PARAMETER_INVALID.
"""

import hashlib
from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.stored import decode_header
from sequencer.chain.text import text_reader, to_text
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.impact import Impact, measure_impact
from sequencer.engine.lookup import (
    find_block,
    is_block_name,
    is_height,
    prove_rows,
    read_block,
    rows_at,
    state_at,
)
from sequencer.engine.settling import Place, Settled, place_of, require_ours, require_unfinalized
from sequencer.exchange.reopening import survives
from sequencer.exchange.state import State
from sequencer.model.commands import OrderPolicy, SecurityCommand
from sequencer.model.records import BlockRecord, Mark, Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import Post, SettlementError
from sequencer.ports import ChainView, StoreFailed, StoreProblem, StoreRefused
from sequencer.starknet.felt import Felt, as_bytes

_TAG = b"plan"


class PostedRoot(StrEnum):
    """What the settlement contract says about a rollback's target."""

    EQUAL = "equal"
    NOT_POSTED = "not posted"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


class Zone(msgspec.Struct, frozen=True):
    """Where the target lies against the settlement chain, and what will be told there.

    The contract goes back to the post at `post_height`; `settled_height` and `finalized_height`
    are its newest post and its newest final one. Heights are -1 where nothing is known.
    """

    name: str
    action: str
    post_height: int = -1
    post_root: Felt = 0
    settled_height: int = -1
    finalized_height: int = -1
    posted_root: PostedRoot = PostedRoot.UNKNOWN


LOCAL = Zone("LOCAL", "none: this chain posts to no settlement chain")
"""The zone of every target as long as nothing is posted."""


class Plan(msgspec.Struct, frozen=True):
    """Everything that a rollback will do. Block `target` stays; all above it is undone.

    `epoch`, `sequence` and `head_*` are of the head that it was made for. Times are those of block
    headers, -1 where one cannot be read. `oldest_height` is as far as one can go back at all.
    `security` are the
    commands that will be done again when the chain reopens. `orders_*` count the orders at the
    target that survive the policy, and those that do not.
    """

    epoch: int
    sequence: int
    head_height: int
    head_hash: Felt
    head_root: Felt
    head_time_seconds: int
    target_height: int
    target_hash: Felt
    target_root: Felt
    target_time_seconds: int
    oldest_height: int
    policy: OrderPolicy
    orders_kept: int
    orders_cancelled: int
    security: Sequence[SecurityCommand]
    zone: Zone
    impact: Impact

    @property
    def planned(self) -> Mark:
        """Return the head that the plan was made for."""
        return Mark(self.epoch, self.sequence, as_bytes(self.head_hash))

    @property
    def plan_id(self) -> bytes:
        """Return the hash of the plan: 32 bytes."""
        return hashlib.blake2s(msgspec.json.encode(to_text(self)), person=_TAG).digest()


_plan_of = text_reader(Plan)


def make_plan(
    view: ChainView,
    reference: str,
    policy: OrderPolicy,
    deselected: Sequence[int] = (),
    settled: Settled | SettlementError | None = None,
) -> Plan:
    """Plan to go back to a block, named by height, hash or checkpoint label.

    `deselected` are places in the impact's list of security commands that shall not be done again.
    `settled` is what was read of the settlement chain for the target, or why nothing was; None
    for a chain that posts nothing. `view` must be no older than what was read.
    """
    _require_no_open(view)
    target = resolve_target(view, reference)
    zone = _zone_of(view, target, settled)
    then = _proven_state(view, target)
    undone, facts = _readable(view, target.height + 1), DepositFacts(lambda: view)
    impact = measure_impact(undone, _head_state(view), then, facts)
    unknown = sorted(set(deselected) - set(range(len(impact.security))))
    if unknown:
        raise Refused(Reason.PARAMETER_INVALID, f"there is no security command {unknown[0]}")
    kept = sum(survives(row, policy) for row in then.orders.values())
    head, kept_back_to = view.head, view.retention()
    return Plan(
        epoch=head.epoch,
        sequence=head.sequence,
        head_height=head.height,
        head_hash=int.from_bytes(head.block_hash, "big"),
        head_root=int.from_bytes(head.state_root, "big"),
        head_time_seconds=_time_of(view.block(head.height)),
        target_height=target.height,
        target_hash=int.from_bytes(target.block_hash, "big"),
        target_root=int.from_bytes(target.state_root, "big"),
        target_time_seconds=_time_of(target),
        oldest_height=max(kept_back_to.rows.height, kept_back_to.nodes.height),
        policy=policy,
        orders_kept=kept,
        orders_cancelled=len(then.orders) - kept,
        security=tuple(
            command for place, command in enumerate(impact.security) if place not in deselected
        ),
        zone=zone,
        impact=impact,
    )


def write_plan(plan: Plan) -> bytes:
    """Write a plan as it is kept."""
    return msgspec.json.encode(to_text(plan))


def read_plan(plan_id: str, content: bytes) -> Plan:
    """Read a plan that must still be what its id says. Refusal: PLAN_UNKNOWN."""
    try:
        plan = _plan_of(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Refused(Reason.PLAN_UNKNOWN, f"plan {plan_id}: {error}") from None
    if plan.plan_id.hex() != plan_id:
        raise Refused(Reason.PLAN_UNKNOWN, f"plan {plan_id} was changed since it was made")
    return plan


def renewed(view: ChainView, plan: Plan, settled: Settled | SettlementError | None = None) -> Plan:
    """Make a plan for the head of now with the target, policy and deselection of an older one."""
    made = make_plan(view, f"{plan.target_hash:#x}", plan.policy, settled=settled)
    dropped = [command for command in plan.impact.security if command not in plan.security]
    kept = tuple(command for command in made.impact.security if command not in dropped)
    return msgspec.structs.replace(made, security=kept)


def _zone_of(
    view: ChainView, target: BlockRecord, settled: Settled | SettlementError | None
) -> Zone:
    """Say where a target lies. Refusals: SETTLEMENT_DIFFERS, TARGET_BELOW_FINALIZED."""
    if settled is None:
        return LOCAL
    if isinstance(settled, SettlementError):
        return Zone("UNKNOWN", f"cannot be known, so this plan will be refused: {settled}")
    standing = settled.standing
    require_ours(standing, view)
    require_unfinalized(standing, target.height)
    post = settled.post or standing.finalized
    name, action = "LOCAL", "no posted block is undone; the contract's epoch is raised"
    if standing.newest.height > target.height:
        name = "ABOVE_FINALIZED"
        action = f"finality is held, then the contract goes back to block {post.height}"
    return Zone(
        name=name,
        action=action,
        post_height=post.height,
        post_root=post.state_root,
        settled_height=standing.newest.height,
        finalized_height=standing.finalized.height,
        posted_root=_posted_root(view, target, post),
    )


def _posted_root(view: ChainView, target: BlockRecord, post: Post) -> PostedRoot:
    if place_of(post, view) is not Place.LIVE:
        return PostedRoot.DIFFERS
    return PostedRoot.EQUAL if post.height == target.height else PostedRoot.NOT_POSTED


def _readable(view: ChainView, first: int) -> Iterator[Block | None]:
    """Read live blocks from a height on, None for one that cannot be read."""
    for height in range(first, view.head.height + 1):
        try:
            yield read_block(view, find_block(view, str(height)))
        except (Refused, StoreFailed):
            yield None


def _head_state(view: ChainView) -> State | None:
    """Load the state at the head, None where it cannot be read or does not fit together."""
    try:
        return state_at(view, find_block(view, "latest"))
    except (Refused, StoreFailed, LookupError, ValueError):
        return None


def _time_of(block: BlockRecord | None) -> int:
    try:
        return -1 if block is None else decode_header(block.header).timestamp
    except Refused:
        return -1


def resolve_target(view: ChainView, reference: str) -> BlockRecord:
    """Return the one live block below the head that a reference names."""
    head = view.head
    if is_height(reference) and int(reference) > head.height:
        words = f"block {reference} is above the head, block {head.height}"
        raise Refused(Reason.TARGET_ABOVE_HEAD, words)
    target = resolve_named(view, reference)
    if target.height >= head.height:
        words = f"block {target.height} is the head: there is nothing to undo"
        raise Refused(Reason.TARGET_IS_HEAD, words)
    return target


def resolve_named(view: ChainView, reference: str) -> BlockRecord:
    """Return the live block that a height, a hash, `latest` or a checkpoint's label names.

    Refusals: BLOCK_UNKNOWN, TARGET_ORPHANED.
    """
    # A label that looks like a height or a hash never takes the place of one.
    labelled = None if is_block_name(reference) else _labelled(view, reference)
    return labelled or resolve_live(view, reference)


def resolve_live(view: ChainView, reference: str) -> BlockRecord:
    """Return the live block that a reference names. Refusals: BLOCK_UNKNOWN, TARGET_ORPHANED."""
    block = find_block(view, reference)
    reorg_id = view.orphaned_by(block)
    if reorg_id:
        words = f"block {block.height} with that hash was orphaned by reorg {reorg_id}"
        raise Refused(Reason.TARGET_ORPHANED, words)
    return block


def _labelled(view: ChainView, reference: str) -> BlockRecord | None:
    """Return the block of the newest checkpoint of the live chain with a label."""
    live = (each for each in view.checkpoints() if not view.undone_by(each.sequence))
    named = [each for each in live if each.label == reference]
    return view.block_at(named[-1].height, named[-1].sequence) if named else None


def _proven_state(view: ChainView, target: BlockRecord) -> State:
    """Load the target's state and prove that it is the one in its header."""
    try:
        rows = rows_at(view, target)
    except StoreRefused as refused:
        if refused.problem is not StoreProblem.STATE_PRUNED:
            raise
        raise Refused(Reason.TARGET_PRUNED, refused.detail) from None
    if target.sequence < view.retention().nodes.sequence:
        oldest = view.retention().nodes.height
        words = f"trie nodes of block {target.height} are pruned, the oldest are of block {oldest}"
        raise Refused(Reason.TARGET_PRUNED, words)
    prove_rows(target, rows)
    return State.rebuilt(rows)


def _require_no_open(view: ChainView) -> None:
    for journal in view.journals():
        if journal.stage is Stage.PREPARED:
            words = f"plan {journal.plan_id.hex()[:16]} is prepared: resume first"
            raise Refused(Reason.ROLLBACK_OPEN, words)
