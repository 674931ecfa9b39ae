"""Which blocks hold which kinds of events: what makes looking through a long chain quick.

Promises
- A block that was looked at once is passed over again without reading it, unless it holds a kind
  of event that is wanted.
- A rollback makes nothing here wrong: what is known of a height counts only while its block lives.

Laws
- One thread uses it: the reader's.
- It costs sixteen bytes a block, and the events of a few blocks.
"""

from array import array
from collections import OrderedDict

from sequencer.api.starknet_rpc.values import EventFilter
from sequencer.api.starknet_rpc.wire import Emitted, emitted
from sequencer.chain.stored import decode_body, decode_header
from sequencer.model.api_limits import EVENT_BLOCKS_CACHED
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView
from sequencer.starknet.block import Event
from sequencer.starknet.felt import Felt

_UNKNOWN = 0
"""In place of a sequence: no block takes it."""

_Kind = tuple[Felt, Felt | None]
"""Who emitted an event, and its first key."""


class EventLog:
    """What is known of the live blocks. Kinds of events are bits; a block's are a mask."""

    def __init__(self) -> None:
        self._sequences = array("Q")
        self._masks: list[int] = []
        self._bits: dict[_Kind, int] = {}
        self._same: dict[int, int] = {}
        self._kept: OrderedDict[int, tuple[Emitted, ...]] = OrderedDict()

    @property
    def kinds(self) -> int:
        """Count the kinds of events seen so far."""
        return len(self._bits)

    def mask_of(self, wanted: EventFilter) -> int:
        """Return the kinds seen so far that may match a filter."""
        return sum(bit for kind, bit in self._bits.items() if _may_match(wanted, kind))

    def mask_at(self, view: ChainView, height: int) -> int:
        """Return the kinds of events of a live block, which is read where it is not known."""
        if height < len(self._masks):
            sequence = self._sequences[height]
            known = sequence != _UNKNOWN and sequence <= view.head.block_sequence
            if known and not view.undone_by(sequence):
                return self._masks[height]
        return self._learn(view, height)

    def events_at(self, view: ChainView, height: int) -> tuple[Emitted, ...]:
        """Return the events of a live block."""
        record = view.block(height)
        return () if record is None else self._events_of(view, record)

    def _learn(self, view: ChainView, height: int) -> int:
        record = view.block(height)
        if record is None:
            return 0
        is_silent = decode_header(record.header).commitments.event_count == 0
        mask = 0
        for each in () if is_silent else self._events_of(view, record):
            mask |= self._bit(each.event)
        missing = height + 1 - len(self._masks)
        if missing > 0:
            self._sequences.extend([_UNKNOWN] * missing)
            self._masks.extend([0] * missing)
        self._sequences[height] = record.sequence
        # Most blocks hold what others hold, too: one number serves them all.
        self._masks[height] = self._same.setdefault(mask, mask)
        return mask

    def _bit(self, event: Event) -> int:
        kind = (event.from_address, event.keys[0] if event.keys else None)
        bit = self._bits.get(kind)
        if bit is None:
            bit = self._bits[kind] = 1 << len(self._bits)
        return bit

    def _events_of(self, view: ChainView, record: BlockRecord) -> tuple[Emitted, ...]:
        found = self._kept.get(record.sequence)
        if found is None:
            found = self._kept[record.sequence] = emitted(decode_body(view.body(record)).receipts)
            if len(self._kept) > EVENT_BLOCKS_CACHED:
                self._kept.popitem(last=False)
        return found


def _may_match(wanted: EventFilter, kind: _Kind) -> bool:
    address, key = kind
    if wanted.addresses and address not in wanted.addresses:
        return False
    return not wanted.keys or (key is not None and (not wanted.keys[0] or key in wanted.keys[0]))
