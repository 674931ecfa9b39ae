"""From where a plugin stands to the next message for it.

Promises
- The same place always gives the same message: a call that is repeated is the same call.
"""

import msgspec

from sequencer.chain.codec import encode_fields
from sequencer.chain.stored import decode_body
from sequencer.engine.deliveries import Position, Step, StepKind, next_step
from sequencer.engine.reverse_diff import Reverser
from sequencer.model.records import NO_HASH, BlockRecord
from sequencer.plugins.host.messages import BlockParts, TellBlock, TellDone, TellRevert
from sequencer.ports import ChainView


class Call(msgspec.Struct, frozen=True):
    """A message for a plugin, what it is in words, and where the plugin stands after it."""

    message: TellBlock | TellRevert | TellDone
    what: str
    after: Position


def next_call(view: ChainView, position: Position, reverser: Reverser) -> Call | None:
    """Return what a plugin that stands somewhere is told next; None at the end."""
    step = next_step(view, position)
    return None if step is None else Call(_message(view, step, reverser), _words(step), step.after)


def last_key(view: ChainView, position: Position) -> tuple[int, int] | None:
    """Return the key of the call that led to a position; None before the first."""
    step = next_step(view, position)
    if step is not None and step.number:
        return step.sequence, step.number - 1
    if position.block is None:
        return None
    sequence = position.sequence
    if position.block.sequence == sequence:
        return sequence, 0
    incident = next(each for each in view.incidents() if each.after.sequence == sequence)
    return sequence, abs(incident.height_before - incident.height_after)


def _message(view: ChainView, step: Step, reverser: Reverser) -> TellBlock | TellRevert | TellDone:
    key = (step.sequence, step.number)
    reorg = b"" if step.reorg is None else encode_fields(step.reorg)
    if step.block is None:
        return TellDone(key, reorg)
    parts = _parts_of(view, step.block, step.parent)
    if step.kind is StepKind.APPLY:
        return TellBlock(key, parts, reorg)
    diff = decode_body(parts.body).diff
    return TellRevert(
        key=key,
        block=parts,
        parent=None if step.parent is None else _parts_of(view, step.parent),
        reverse_diff=encode_fields(reverser.reverse_diff(view, step.block, diff)),
        reorg=reorg,
    )


def _parts_of(view: ChainView, block: BlockRecord, parent: BlockRecord | None = None) -> BlockParts:
    if parent is None:
        parent = view.block_at(block.height - 1, block.parent_sequence)
    old_root = NO_HASH if parent is None else parent.state_root
    return BlockParts(block.block_hash, block.header, view.body(block), old_root)


def _words(step: Step) -> str:
    if step.block is None:
        return f"reorg_done of reorg {0 if step.reorg is None else step.reorg.reorg_id}"
    method = "new_block" if step.kind is StepKind.APPLY else "revert_block"
    return f"{method} of block {step.block.height}"
