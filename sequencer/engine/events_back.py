"""Looking back for what the exchange said: events of some kinds, newest first, a piece at a time.

Promises
- An answer is bounded, by what it finds and by what it looks at; it says where the next one goes
  on, and each one gets on by a block at least.
- A place stays good through rollbacks as long as its block is live: what is below a block cannot
  change without it.
- A block without such an event is passed over unread: its bytes do not hold the event's name.

Laws
- Everything comes from one view. It is read in the reader's thread, in slices between which others
  have their turn.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from sequencer.chain.exchange_contract import read_event
from sequencer.chain.stored import Body, decode_body, decode_header
from sequencer.engine.service import Service
from sequencer.model.api_limits import (
    EVENTS_BACK_BLOCKS_MAX,
    EVENTS_BACK_BYTES_MAX,
    EVENTS_BACK_SLICES,
)
from sequencer.model.events import Event, Fill
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector

# More transactions than any block has, in no more digits than a cursor takes.
_BEHIND_ALL = 10**9 - 1


class Before(msgspec.Struct, frozen=True):
    """A place: everything ahead of an event of a transaction of a block."""

    height: int
    transaction: int
    event: int


class Said(msgspec.Struct, frozen=True):
    """An event with its place. `timestamp` is the block's, in seconds of chain time."""

    block: BlockRecord
    timestamp: int
    transaction_hash: Felt
    transaction: int
    event: int
    content: Event


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for: some kinds, of a market or ("") of all, of an account or (None) of any.

    An account is a party of a trade on either side.
    """

    kinds: Sequence[type[Event]]
    market: str = ""
    account: Felt | None = None


class _Slice(msgspec.Struct, frozen=True):
    """What a slice found, where the next one begins, and how much it looked at and decoded."""

    found: Sequence[Said]
    before: Before | None
    blocks: int
    size: int


def at_end_of(height: int) -> Before:
    """Return the place behind everything in a block."""
    return Before(height, _BEHIND_ALL, 0)


async def look_back(
    service: Service, view: ChainView, before: Before, wanted: Wanted, count_max: int
) -> tuple[list[Said], Before | None]:
    """Collect events ahead of a place, newest first; None where there is nothing further."""
    found: list[Said] = []
    place: Before | None = before
    blocks = size = 0
    while place is not None and len(found) < count_max:
        if blocks >= EVENTS_BACK_BLOCKS_MAX or size >= EVENTS_BACK_BYTES_MAX:
            break
        look = partial(_slice, view, place, wanted, count_max - len(found))
        done = await service.reader.run(look)
        found += done.found
        place, blocks, size = done.before, blocks + done.blocks, size + done.size
    return found, place


def _slice(view: ChainView, before: Before, wanted: Wanted, count_max: int) -> _Slice:
    found: list[Said] = []
    blocks = size = 0
    record = view.block(before.height)
    while record is not None:
        blocks += 1
        data = view.body(record)
        if _may_hold(data, wanted):
            size += len(data)
            for said in _said_in(record, decode_body(data), wanted, before):
                found.append(said)
                if len(found) == count_max:
                    place = Before(record.height, said.transaction, said.event)
                    return _Slice(found, place, blocks, size)
        if not record.height:
            break
        before = at_end_of(record.height - 1)
        if blocks * EVENTS_BACK_SLICES >= EVENTS_BACK_BLOCKS_MAX or (
            size * EVENTS_BACK_SLICES >= EVENTS_BACK_BYTES_MAX
        ):
            return _Slice(found, before, blocks, size)
        record = view.block_at(record.height - 1, record.parent_sequence)
    return _Slice(found, None, blocks, size)


def _may_hold(data: bytes, wanted: Wanted) -> bool:
    """Say whether a block's bytes hold a kind's name, the account and the market."""
    if not any(_as_written(selector(kind.__name__)) in data for kind in wanted.kinds):
        return False
    account = b"" if wanted.account is None else _as_written(wanted.account)
    return account in data and wanted.market.encode() in data


def _as_written(felt: Felt) -> bytes:
    # An integer is written as short as it can be, big-endian; so is text, as the number that it is.
    return felt.to_bytes((felt.bit_length() + 7) // 8, "big")


def _said_in(record: BlockRecord, body: Body, wanted: Wanted, before: Before) -> Iterator[Said]:
    selectors = {selector(kind.__name__) for kind in wanted.kinds}
    timestamp = decode_header(record.header).timestamp
    for transaction in reversed(range(len(body.receipts))):
        receipt = body.receipts[transaction]
        for event in reversed(range(len(receipt.events))):
            if (transaction, event) >= (before.transaction, before.event):
                continue
            raw = receipt.events[event]
            content = read_event(raw) if raw.keys[0] in selectors else None
            if content is not None and _is_wanted(content, wanted):
                place = (receipt.transaction_hash, transaction, event)
                yield Said(record, timestamp, *place, content)


def _is_wanted(event: Event, wanted: Wanted) -> bool:
    if wanted.market not in ("", getattr(event, "market", "")):
        return False
    parties = (event.taker, event.maker) if isinstance(event, Fill) else (_account(event),)
    return wanted.account is None or wanted.account in parties


def _account(event: Event) -> Felt:
    account: Felt = getattr(event, "account", 0)
    return account
