"""Whoever follows a chain step by step, and what it is told of a block."""

from collections.abc import Iterator

from sequencer.chain.stored import decode_body
from sequencer.engine.deliveries import Position, Step, next_step
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView
from sequencer.starknet.state import StateDiff

READER = "plugin:follower"
ENTRIES = 10**6
"""More rows of the outbox than there are."""


def steps_from(view: ChainView, position: Position) -> Iterator[Step]:
    while (step := next_step(view, position)) is not None:
        yield step
        position = step.after


def diff_of(view: ChainView, block: BlockRecord) -> StateDiff:
    return decode_body(view.body(block)).diff
