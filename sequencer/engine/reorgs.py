"""What was undone and restored: the record of every rollback and undo, and what became of a hash.

Promises
- A record names both heads and the blocks that it took away or gave back, from first to last.
- A hash that a block applied has a story: the block, and each reorg that undid it or restored it.

Laws
- Everything comes from one view. No range of blocks is walked: a look costs a few reads for each
  rollback in its way, however long it was.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from sequencer.engine.lookup import block_of_sequence, search_sequence
from sequencer.engine.rollback import Details, read_details
from sequencer.model.records import BlockRecord, Incident, IncidentKind
from sequencer.ports import ChainView, StoreFailed, StoreProblem
from sequencer.starknet.felt import Felt, as_bytes


class Named(msgspec.Struct, frozen=True):
    """A block by its height and its hash."""

    height: int
    block_hash: bytes


class Reorg(msgspec.Struct, frozen=True):
    """A rollback or an undo. `reorg_id` is the epoch that it made.

    `undoes` is the reorg that an undo took back, 0 for a rollback. `first` and `last` are the ends
    of the range that a rollback orphaned or an undo restored.
    """

    number: int
    kind: IncidentKind
    reorg_id: int
    undoes: int
    epoch_before: int
    old_head: Named
    new_head: Named
    first: Named
    last: Named
    plan_id: bytes
    details: Details


class Standing(StrEnum):
    """What a hash is to the live chain."""

    WAITING = "WAITING"
    APPLIED = "APPLIED"
    UNDONE = "UNDONE"
    UNKNOWN = "UNKNOWN"


class Fate(msgspec.Struct, frozen=True):
    """What became of a transaction or an order, and each reorg that changed it since, in order.

    `block` is the one that applied it, live or orphaned, and None where none is known.
    """

    standing: Standing
    block: BlockRecord | None = None
    reorgs: Sequence[Reorg] = ()


def list_reorgs(view: ChainView, after: int, count_max: int) -> list[Reorg]:
    """List what was done to the chain behind a record's number, oldest first."""
    incidents = view.incidents()
    behind = [each for each in incidents if each.number > after]
    return [_reorg(view, incidents, each) for each in behind[:count_max]]


def reorgs_since(view: ChainView, epoch: int, count_max: int) -> list[Reorg]:
    """List what made the epochs after one: the newest of it, oldest first."""
    incidents = view.incidents()
    since = [each for each in incidents if each.after.epoch > epoch]
    return [_reorg(view, incidents, each) for each in since[-count_max:]]


def fate_of(view: ChainView, hash_: Felt) -> Fate:
    """Say what the chain knows of a hash; what waits for a block is not known here."""
    name = as_bytes(hash_)
    place = view.transaction(name) or view.orphaned_transaction(name)
    if place is not None:
        block = view.block_at(place.height, place.sequence)
    else:
        mark = view.seen(name)
        block = None if mark is None else _block_of(view, mark.sequence)
    if block is None:
        return Fate(Standing.UNKNOWN)
    undone = view.undone_by(block.sequence)
    standing = Standing.UNDONE if undone else Standing.APPLIED
    return Fate(standing, block, tuple(_story(view, block)))


def ancestor_at(view: ChainView, block: BlockRecord, height: int) -> BlockRecord:
    """Return the block at a height that a block, live or orphaned, was built on, or is.

    Sequences count blocks, rollbacks and undos, so where `distance` blocks and nothing else lie in
    between, the ancestor took the sequence that is `distance` less. A block that is found there is
    the ancestor: what another branch put at that height since would keep this one from standing.
    """
    distance = block.height - height
    while block.height > height:
        distance = min(distance, block.height - height)
        found = view.block_at(block.height - distance, block.sequence - distance)
        if found is None and distance == 1:
            found = view.block_at(block.height - 1, block.parent_sequence)
            if found is None:
                words = f"block {block.height} has no parent"
                raise StoreFailed(StoreProblem.HEADERS_BROKEN, words)
        if found is None:
            distance >>= 1
        else:
            block, distance = found, found.height - height
    return block


def _reorg(view: ChainView, incidents: Sequence[Incident], incident: Incident) -> Reorg:
    old = Named(incident.height_before, incident.before.block_hash)
    new = Named(incident.height_after, incident.after.block_hash)
    upper, lower = (old, new) if incident.kind is IncidentKind.ROLLBACK else (new, old)
    first = ancestor_at(view, _block_named(view, upper), lower.height + 1)
    return Reorg(
        number=incident.number,
        kind=incident.kind,
        reorg_id=incident.after.epoch,
        undoes=_undone_reorg(incidents, incident),
        epoch_before=incident.before.epoch,
        old_head=old,
        new_head=new,
        first=Named(first.height, first.block_hash),
        last=upper,
        plan_id=incident.plan_id,
        details=read_details(incident),
    )


def _undone_reorg(incidents: Sequence[Incident], undo: Incident) -> int:
    if undo.kind is IncidentKind.ROLLBACK:
        return 0
    rollbacks = (each for each in incidents if each.kind is IncidentKind.ROLLBACK)
    return next((each.after.epoch for each in rollbacks if each.plan_id == undo.plan_id), 0)


def _block_named(view: ChainView, name: Named) -> BlockRecord:
    block = view.block_by_hash(name.block_hash)
    if block is None:
        words = f"no block {name.block_hash.hex()} at height {name.height}"
        raise StoreFailed(StoreProblem.HEADERS_BROKEN, words)
    return block


def _block_of(view: ChainView, sequence: int) -> BlockRecord | None:
    """Return the block that took a sequence, live or orphaned."""
    reorg_id = view.undone_by(sequence)
    if not reorg_id:
        return block_of_sequence(view, sequence)
    undoing = next(each for each in view.incidents() if each.after.epoch == reorg_id)
    top = _block_named(view, Named(undoing.height_before, undoing.before.block_hash))
    heights = range(undoing.height_after + 1, top.height + 1)
    return search_sequence(heights, sequence, lambda height: ancestor_at(view, top, height))


def _story(view: ChainView, block: BlockRecord) -> Iterator[Reorg]:
    """Yield what undid a block and what restored it; what happened to an orphan changes nothing."""
    incidents, undoing = view.incidents(), b""
    for each in incidents:
        if each.before.sequence < block.sequence:
            continue
        is_rollback = each.kind is IncidentKind.ROLLBACK
        if not undoing and is_rollback and each.height_after < block.height:
            undoing = each.plan_id
            yield _reorg(view, incidents, each)
        elif undoing and not is_rollback and each.plan_id == undoing:
            undoing = b""
            yield _reorg(view, incidents, each)
