"""Events: all that match a filter, page by page, through as many blocks as there are.

Promises
- Every event that matches comes once and in order, however the pages are cut; a page may be short,
  or empty, where the work of one look is done, and then it has a token.
- A token of another epoch, or one that does not fit what it was given for, is refused with 33.

Laws
- One look is bounded in events, blocks and time; it runs in the reader's thread.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.errors import BLOCK_NOT_FOUND, TOKEN_INVALID, starknet_error
from sequencer.api.starknet_rpc.event_log import EventLog
from sequencer.api.starknet_rpc.event_query import EventQuery, read_event_query
from sequencer.api.starknet_rpc.resolve import resolve
from sequencer.api.starknet_rpc.values import BlockId
from sequencer.api.starknet_rpc.wire import Emitted, Fields, emitted, emitted_fields, encoded
from sequencer.chain.block import ClosedBlock
from sequencer.engine.service import Service
from sequencer.model.api_limits import EVENTS_SCAN_BLOCKS_MAX, EVENTS_SCAN_MS_MAX
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt, format_hash

# Up to 40 ms of the reader's thread, and the page to be written.
_COST = 20
_TOKEN = re.compile("([0-9]{1,19})-([0-9]{1,19})-([0-9]{1,19})-0x([0-9a-f]{1,64})", re.ASCII)


class _Place(msgspec.Struct, frozen=True):
    """Where a look goes on: an event's number in a block, and the transaction of the one before it.

    That hash is 0 at the beginning of a block.
    """

    height: int
    number: int = 0
    seen: Felt = 0


_Asked: TypeAlias = tuple[EventQuery, tuple[int, _Place] | None]
"""A page that somebody wants, and where the one before ended, if there is one: (epoch, place)."""


def event_methods(service: Service) -> Sequence[Method]:
    """Return the method that lists events."""
    parameters = (Parameter("filter", _read),)
    run = partial(_events, service, EventLog())
    return [Method("starknet_getEvents", parameters, run, cost=_COST)]


def _read(value: object) -> _Asked:
    """Read a filter of events. Refusals: as for its parts. Errors: 31, 33, 34."""
    query = read_event_query(value)
    return query, None if query.token is None else _read_token(query.token)


def _read_token(token: str) -> tuple[int, _Place]:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise starknet_error(TOKEN_INVALID)
    epoch, height, number = (int(digits) for digits in found.groups()[:3])
    return epoch, _Place(height, number, int(found[4], 16))


def _token(epoch: int, place: _Place) -> str:
    return f"{epoch}-{place.height}-{place.number}-{place.seen:#x}"


async def _events(service: Service, log: EventLog, _: object, **given: _Asked) -> msgspec.Raw:
    query, begun = given["filter"]
    with service.views.at_head() as view:
        first = _height(service, view, query.first)
        last = _height(service, view, query.last)
        start = _Place(first)
        if begun is not None:
            epoch, start = begun
            # A tag may have moved on since the first page, which began where it was then.
            is_above = start.height >= first or query.first.tag
            if epoch != view.head.epoch or not is_above or start.height > last:
                raise starknet_error(TOKEN_INVALID)
        look = _Look(log, view, service.pending()[0], query, service.clock.now_ms)
        return await service.reader.run(partial(look.page, start, last))


def _height(service: Service, view: ChainView, block_id: BlockId) -> int:
    """Return a height of the live chain, the one above the head for the pre-confirmed block."""
    record = resolve(service, view, block_id)
    if record is None:
        return view.head.height + 1
    reorg_id = view.orphaned_by(record)
    if reorg_id:
        words = f"reorg {reorg_id} orphaned it, and events are those of the live chain"
        raise starknet_error(BLOCK_NOT_FOUND, words)
    return record.height


class _Look:
    """One page in the making."""

    def __init__(
        self,
        log: EventLog,
        view: ChainView,
        pending: ClosedBlock,
        query: EventQuery,
        now_ms: Callable[[], int],
    ) -> None:
        self._log = log
        self._view = view
        self._pending = pending
        self._query = query
        self._now_ms = now_ms
        self._found: list[tuple[int, Emitted]] = []
        self._kinds = -1
        self._wanted = 0

    def page(self, start: _Place, last: int) -> msgspec.Raw:
        """Look through blocks until the page is full or the work is done. Error: 33."""
        following = self._look(start, last)
        page: Fields = {"events": self._fields()}
        if following is not None:
            page["continuation_token"] = _token(self._view.head.epoch, following)
        return encoded(page)

    def _look(self, start: _Place, last: int) -> _Place | None:
        """Collect events, and return where the next page begins, None at the end."""
        until_ms = self._now_ms() + EVENTS_SCAN_MS_MAX
        if start.number or start.seen:
            self._require_fit(start)
        for height in range(start.height, last + 1):
            is_late = self._now_ms() > until_ms or height - start.height >= EVENTS_SCAN_BLOCKS_MAX
            if is_late and height > start.height:
                return _Place(height)
            number = start.number if height == start.height else 0
            following = self._take(height, number)
            if following is not None:
                return following
        return None

    def _take(self, height: int, number: int) -> _Place | None:
        """Collect from one block, and return where it goes on there if the page is full."""
        events = self._events_at(height) if self._may_hold(height) else ()
        for at in range(number, len(events)):
            if not self._query.filter.matches(events[at].event):
                continue
            if len(self._found) == self._query.count:
                return _Place(height, at, events[at - 1].transaction_hash if at else 0)
            self._found.append((height, events[at]))
        return None

    def _may_hold(self, height: int) -> bool:
        if height > self._view.head.height:
            return True
        mask = self._log.mask_at(self._view, height)
        if self._kinds != self._log.kinds:
            self._kinds, self._wanted = self._log.kinds, self._log.mask_of(self._query.filter)
        return bool(mask & self._wanted)

    def _events_at(self, height: int) -> Sequence[Emitted]:
        if height > self._view.head.height:
            return emitted(self._pending.receipts)
        return self._log.events_at(self._view, height)

    def _require_fit(self, start: _Place) -> None:
        """Refuse a token whose last event is not there any more, as in an open block dropped."""
        events = self._events_at(start.height)
        fits = 0 < start.number <= len(events)
        if not fits or events[start.number - 1].transaction_hash != start.seen:
            raise starknet_error(TOKEN_INVALID)

    def _fields(self) -> list[Fields]:
        heights = {height for height, _ in self._found}
        hashes = {height: self._hash_of(height) for height in heights}
        return [
            {
                **emitted_fields(each),
                "block_number": height,
                **hashes[height],
            }
            for height, each in self._found
        ]

    def _hash_of(self, height: int) -> Fields:
        record = self._view.block(height)
        return {} if record is None else {"block_hash": format_hash(record.block_hash)}
