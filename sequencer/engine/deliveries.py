"""What a follower of the chain is told next: every block, every revert, every end of a reorg.

Promises
- From where somebody stands follows one step, for ever the same: whoever stops anywhere and goes
  on there hears exactly what one hears who never stopped.
- The whole history is told, also of what was undone since: blocks, their bodies and the records of
  rollbacks are never removed.

Laws
- Sequences count blocks, rollbacks and undos without a gap, so the commit after one is the next
  block if that took the next sequence, and what an operator did otherwise.
- A commit writes one row of the outbox, so the number of a commit's row is known without it.
- The first block after a rollback or an undo names that one, so no two blocks have one hash: where
  somebody stands is exact by the hash.
"""

from enum import StrEnum

import msgspec

from sequencer.engine.reorgs import ancestor_at
from sequencer.engine.rollback import read_details
from sequencer.model.records import BlockRecord, Cursor, Incident, IncidentKind
from sequencer.ports import ChainView, StoreFailed, StoreProblem
from sequencer.starknet.felt import Felt


class Position(msgspec.Struct, frozen=True):
    """Where somebody stands: the last commit that they know all of, and the block on top for them.

    `block` None is before genesis. Within a rollback or an undo, its own sequence is the next one;
    `within` is its record for whoever goes on, and is found again by whoever begins there.
    """

    sequence: int = 0
    block: BlockRecord | None = None
    within: Incident | None = None

    @property
    def height(self) -> int:
        """Return the height of the block, -1 for none."""
        return -1 if self.block is None else self.block.height


class StepKind(StrEnum):
    """What is told."""

    APPLY = "APPLY"
    REVERT = "REVERT"
    DONE = "DONE"


class ReorgFacts(msgspec.Struct, frozen=True):
    """A rollback, or the undo of one: the blocks first .. last are gone, or are back.

    `reorg_id` counts rollbacks and undos of this chain; where a chain that is not ours is followed
    it counts those that were seen. `reason` are the operator's words, "" where nobody says.
    """

    reorg_id: int
    kind: IncidentKind
    reason: str
    first_height: int
    last_height: int
    head_height: int
    head_hash: Felt


class Step(msgspec.Struct, frozen=True):
    """One thing to be told. `number` is its place among those of its commit, `sequence`.

    `block` is the one to apply or to revert, `parent` the one below it; at the end of a reorg both
    are None. `reorg` is what it belongs to. `after` is where whoever has taken it stands.
    """

    kind: StepKind
    sequence: int
    number: int
    after: Position
    block: BlockRecord | None = None
    parent: BlockRecord | None = None
    reorg: ReorgFacts | None = None


def next_step(view: ChainView, position: Position) -> Step | None:
    """Return what is told next to somebody who stands somewhere; None at the end."""
    sequence = position.sequence + 1
    if sequence > view.head.sequence:
        return None
    block = view.block_at(position.height + 1, sequence)
    if block is not None:
        after = Position(sequence, block)
        return Step(StepKind.APPLY, sequence, 0, after, block, position.block)
    incident = position.within or _incident_of(view, sequence)
    if incident is None or position.block is None:
        words = f"no commit took sequence {sequence} above block {position.height}"
        raise StoreFailed(StoreProblem.HEADERS_BROKEN, words)
    return _step_of(view, position, position.block, incident)


def _incident_of(view: ChainView, sequence: int) -> Incident | None:
    return next((each for each in view.incidents() if each.after.sequence == sequence), None)


def _step_of(view: ChainView, position: Position, block: BlockRecord, incident: Incident) -> Step:
    sequence, reorg = incident.after.sequence, _facts_of(incident)
    number = abs(block.height - incident.height_before)
    if block.height == incident.height_after:
        return Step(StepKind.DONE, sequence, number, Position(sequence, block), reorg=reorg)
    if block.height > incident.height_after:
        parent = ancestor_at(view, block, block.height - 1)
        after = Position(position.sequence, parent, incident)
        return Step(StepKind.REVERT, sequence, number, after, block, parent, reorg)
    top = view.block_by_hash(incident.after.block_hash)
    if top is None:
        words = f"no block {incident.after.block_hash.hex()} that an undo brought back"
        raise StoreFailed(StoreProblem.HEADERS_BROKEN, words)
    again = ancestor_at(view, top, block.height + 1)
    after = Position(position.sequence, again, incident)
    return Step(StepKind.APPLY, sequence, number, after, again, block, reorg)


def _facts_of(incident: Incident) -> ReorgFacts:
    heights = sorted((incident.height_before, incident.height_after))
    return ReorgFacts(
        reorg_id=incident.after.epoch,
        kind=incident.kind,
        reason=read_details(incident).reason if incident.details else "",
        first_height=heights[0] + 1,
        last_height=heights[1],
        head_height=incident.height_after,
        head_hash=int.from_bytes(incident.after.block_hash, "big"),
    )


def cursor_of(view: ChainView, position: Position, *, parked: bool) -> Cursor:
    """Return the cursor in the outbox of somebody who stands somewhere, not before genesis."""
    if position.block is None:
        raise TypeError("before genesis there is nothing to be kept")
    effect = view.head.next_effect - 1 - (view.head.sequence - position.sequence)
    return Cursor(effect, position.sequence, position.block.block_hash, parked)


def position_of(view: ChainView, cursor: Cursor | None) -> Position:
    """Return where somebody with a cursor stands. Failure: HEADERS_BROKEN."""
    if cursor is None:
        return Position()
    block = view.block_by_hash(cursor.block_hash)
    if block is None:
        raise StoreFailed(StoreProblem.HEADERS_BROKEN, f"no block {cursor.block_hash.hex()}")
    return Position(cursor.sequence, block)
