"""A rollback's plan: what it would do, proven and counted before anything is touched.

Promises
- Planning reads and writes nothing. The target's root is worked out again from its rows alone and
  must be the one in its header.
- A plan's id is the hash of everything in it, so whoever applies it applies what was read.

Refusals, each by name: TARGET_ABOVE_HEAD, TARGET_IS_HEAD, BLOCK_UNKNOWN, TARGET_ORPHANED,
TARGET_PRUNED, TARGET_ROOT_DIFFERS, ROLLBACK_OPEN, PARAMETER_INVALID.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.text import to_text
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
from sequencer.engine.sealer import as_bytes
from sequencer.exchange.reopening import survives
from sequencer.exchange.state import State
from sequencer.model.commands import OrderPolicy, SecurityCommand
from sequencer.model.records import BlockRecord, Mark, Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView, Store, StoreFailed, StoreProblem, StoreRefused
from sequencer.starknet.felt import Felt

_TAG = b"plan"


class Zone(msgspec.Struct, frozen=True):
    """Where the target lies against the settlement chain, and what will be told there."""

    name: str
    action: str


LOCAL = Zone("LOCAL", "none: this chain posts to no settlement chain")
"""The zone of every target as long as nothing is posted."""


class Plan(msgspec.Struct, frozen=True):
    """Everything that a rollback will do. Block `target` stays; all above it is undone.

    `epoch`, `sequence` and `head_*` are of the head that it was made for. `security` are the
    commands that will be done again when the chain reopens. `orders_*` count the orders at the
    target that survive the policy, and those that do not.
    """

    epoch: int
    sequence: int
    head_height: int
    head_hash: Felt
    target_height: int
    target_hash: Felt
    target_root: Felt
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


def make_plan(
    store: Store, reference: str, policy: OrderPolicy, deselected: Sequence[int] = ()
) -> Plan:
    """Plan to go back to a block, named by height, hash or checkpoint label.

    `deselected` are places in the impact's list of security commands that shall not be done again.
    """
    view = store.view
    _require_no_open(store)
    target = resolve_target(view, reference)
    then = _proven_state(view, target)
    impact = measure_impact(_readable(view, target.height + 1), _head_state(view), then)
    unknown = sorted(set(deselected) - set(range(len(impact.security))))
    if unknown:
        raise Refused(Reason.PARAMETER_INVALID, f"there is no security command {unknown[0]}")
    kept = sum(survives(row, policy) for row in then.orders.values())
    return Plan(
        epoch=view.head.epoch,
        sequence=view.head.sequence,
        head_height=view.head.height,
        head_hash=int.from_bytes(view.head.block_hash, "big"),
        target_height=target.height,
        target_hash=int.from_bytes(target.block_hash, "big"),
        target_root=int.from_bytes(target.state_root, "big"),
        policy=policy,
        orders_kept=kept,
        orders_cancelled=len(then.orders) - kept,
        security=tuple(
            command for place, command in enumerate(impact.security) if place not in deselected
        ),
        zone=LOCAL,
        impact=impact,
    )


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


def resolve_target(view: ChainView, reference: str) -> BlockRecord:
    """Return the one live block below the head that a reference names."""
    head = view.head
    if is_height(reference) and int(reference) > head.height:
        words = f"block {reference} is above the head, block {head.height}"
        raise Refused(Reason.TARGET_ABOVE_HEAD, words)
    # A label that looks like a height or a hash never takes the place of one.
    labelled = None if is_block_name(reference) else _labelled(view, reference)
    target = labelled or resolve_live(view, reference)
    if target.height >= head.height:
        words = f"block {target.height} is the head: there is nothing to undo"
        raise Refused(Reason.TARGET_IS_HEAD, words)
    return target


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


def _require_no_open(store: Store) -> None:
    for journal in store.open_journals():
        if journal.stage is Stage.PREPARED:
            words = f"plan {journal.plan_id.hex()[:16]} is prepared: resume first"
            raise Refused(Reason.ROLLBACK_OPEN, words)
