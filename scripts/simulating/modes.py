"""In which mode what happened: the liquidator is disarmed until the chain is open again.

Laws
- Nobody is liquidated but in OPEN: not after a rollback, nor at any other time.
"""

from collections.abc import Iterable

from scripts.simulating.records import Records
from sequencer.engine.lookup import state_at
from sequencer.model.events import Event, Liquidated, ModeChanged
from sequencer.model.records import BlockRecord
from sequencer.model.rows import Mode
from sequencer.ports import ChainView


class Modes:
    """The mode after each block that was ever committed. Blocks are told parents first."""

    def __init__(self, view: ChainView, records: Records) -> None:
        self._view = view
        self._records = records
        self._after: dict[bytes, Mode] = {}

    def follow(self, block: BlockRecord, events: Iterable[Event]) -> None:
        """Go through a block's events in order."""
        mode = self._after.get(block.parent_hash)
        for event in events:
            if isinstance(event, ModeChanged):
                mode = event.mode
            elif isinstance(event, Liquidated):
                words = f"block {block.height} liquidates {event.account:#x} in {mode}"
                self._records.require(mode is Mode.OPEN, words)
        # Genesis says its mode by no event.
        self._after[block.block_hash] = mode or state_at(self._view, block).system.mode
