"""Which events somebody asks for, and how many: the filter of starknet_getEvents.

What a token says is for whoever gave it.
"""

import msgspec

from sequencer.api.starknet_rpc.errors import PAGE_TOO_BIG, starknet_error
from sequencer.api.starknet_rpc.values import (
    LATEST,
    NUMBER_MAX,
    BlockId,
    EventFilter,
    read_addresses,
    read_block_id,
    read_event_keys,
    read_integer,
    read_object,
    read_text,
)
from sequencer.model.api_limits import EVENTS_PAGE_MAX, EVENTS_TOKEN_CHARACTERS_MAX

_FIRST, _LAST = BlockId(height=0), BlockId(tag=LATEST)
_OPTIONAL = ("from_block", "to_block", "address", "keys", "continuation_token")


class EventQuery(msgspec.Struct, frozen=True):
    """One page that somebody wants: which blocks, which events, and how many.

    `token` is what the page before ended with, None for the first page.
    """

    first: BlockId
    last: BlockId
    filter: EventFilter
    count: int
    token: str | None


def read_event_query(value: object) -> EventQuery:
    """Read a filter of events. Refusals: as for its parts. Errors: 31, 34."""
    given = read_object(value, ("chunk_size",), _OPTIONAL)
    count = read_integer(1, NUMBER_MAX)(given["chunk_size"])
    if count > EVENTS_PAGE_MAX:
        raise starknet_error(PAGE_TOO_BIG, f"{EVENTS_PAGE_MAX} events at most")
    first, last = given.get("from_block"), given.get("to_block")
    token = given.get("continuation_token")
    return EventQuery(
        first=_FIRST if first is None else read_block_id(first),
        last=_LAST if last is None else read_block_id(last),
        filter=EventFilter(
            addresses=read_addresses(given.get("address", [])),
            keys=read_event_keys(given.get("keys", [])),
        ),
        count=count,
        token=None if token is None else read_text(EVENTS_TOKEN_CHARACTERS_MAX)(token),
    )
