"""Events of the embedded chain, page by page.

Promises
- Every event that matches comes once and in order, however the pages are cut.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeAlias

from devnet.embedded.chain import Chain
from devnet.embedded.reading import find_block
from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.errors import TOKEN_INVALID, starknet_error
from sequencer.api.starknet_rpc.event_query import EventQuery, read_event_query
from sequencer.api.starknet_rpc.values import BlockId
from sequencer.api.starknet_rpc.wire import Emitted, Fields, emitted, emitted_fields
from sequencer.chain.block import Block
from sequencer.starknet.felt import format_felt

_TOKEN = re.compile("([0-9]{1,18})-([0-9]{1,18})", re.ASCII)

_Asked: TypeAlias = tuple[EventQuery, tuple[int, int] | None]
"""A page that somebody wants, and where it begins: a height and an event's number in that block."""


def event_methods(chain: Chain) -> Sequence[Method]:
    """Return the method that lists events."""
    return (Method("starknet_getEvents", (Parameter("filter", _read),), partial(_events, chain)),)


def _read(value: object) -> _Asked:
    query = read_event_query(value)
    return query, None if query.token is None else _read_token(query.token)


def _read_token(token: str) -> tuple[int, int]:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise starknet_error(TOKEN_INVALID)
    return int(found[1]), int(found[2])


async def _events(chain: Chain, _: object, **given: _Asked) -> Fields:
    query, begun = given["filter"]
    first, last = _height(chain, query.first), _height(chain, query.last)
    start = begun or (first, 0)
    if start[0] < first:
        raise starknet_error(TOKEN_INVALID)
    found = list(islice(_matching(chain, query, start, last), query.count + 1))
    page: Fields = {"events": [_fields(block, each) for block, _, each in found[: query.count]]}
    if len(found) > query.count:
        block, number, _each = found[-1]
        page["continuation_token"] = f"{block.header.number}-{number}"
    return page


def _height(chain: Chain, block_id: BlockId) -> int:
    block = find_block(chain, block_id)
    return chain.head.header.number + 1 if block is None else block.header.number


def _matching(
    chain: Chain, query: EventQuery, start: tuple[int, int], last: int
) -> Iterator[tuple[Block, int, Emitted]]:
    for height in range(start[0], last + 1):
        block = chain.block(height)
        if block is None:
            return
        skipped = start[1] if height == start[0] else 0
        for number, each in enumerate(emitted(block.receipts)):
            if number >= skipped and query.filter.matches(each.event):
                yield block, number, each


def _fields(block: Block, each: Emitted) -> Fields:
    return {
        **emitted_fields(each),
        "block_number": block.header.number,
        "block_hash": format_felt(block.hash),
    }
