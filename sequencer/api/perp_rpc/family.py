"""The three kinds of `perp_*` methods: a look at the head, a longer read of it, and a write.

Promises
- Every answer is an object that begins with height, block hash and epoch: of the one view that all
  of it was read from, or of the block that holds what was written.
- Every method takes the epoch that its caller believes in, and refuses a stale one with
  EPOCH_CONFLICT before it does anything.

Laws
- A look never waits. A longer read holds on to its view until the reader is done with it.
- A write is answered when its block is durable. One that was admitted under an epoch is recorded in
  that epoch or refused: a rollback answers what waits, and carries none of it over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.perp_rpc.errors import conflict_error, recorded_error, refused_error, store_error
from sequencer.api.perp_rpc.wire import Fields, head_fields, place_fields
from sequencer.api.starknet_rpc.values import NUMBER_MAX, read_integer
from sequencer.engine.items import Applied, Item
from sequencer.engine.reorgs import reorgs_since
from sequencer.engine.service import Service
from sequencer.model.api_limits import PERP_REORGS_MAX
from sequencer.model.limits import JSON_DEPTH_MAX
from sequencer.model.refusals import Refused
from sequencer.ports import StoreError
from sequencer.starknet.felt import as_bytes, format_felt

PREFIX = "perp_"
"""What every method's name begins with."""

# A signature is a millisecond and more, valid or not.
_COST_WRITE = 3

EPOCH = Parameter("epoch", read_integer(0, NUMBER_MAX), None)
"""The last parameter of every method: the epoch that the caller believes in."""


def look(
    service: Service, name: str, parameters: Sequence[Parameter], read: Callable[..., Fields]
) -> Method:
    """Make a method that reads the state at the head at once."""

    async def run(_: object, epoch: int | None, **values: Any) -> Fields:  # noqa: ANN401
        require_epoch(service, epoch)
        head = service.views.view.head
        try:
            return {**head_fields(head), **read(**values)}
        except Refused as refused:
            raise refused_error(head, refused) from None

    return _method(name, parameters, run)


def search(
    service: Service,
    name: str,
    parameters: Sequence[Parameter],
    read: Callable[..., Awaitable[Fields]],
    cost: int,
) -> Method:
    """Make a method that reads one view for longer. `read` takes the view first."""

    async def run(_: object, epoch: int | None, **values: Any) -> Fields:  # noqa: ANN401
        with service.views.at_head() as view:
            require_epoch(service, epoch)
            try:
                return {**head_fields(view.head), **await read(view, **values)}
            except Refused as refused:
                raise refused_error(view.head, refused) from None
            except StoreError as error:
                raise store_error(view.head, error) from None

    return _method(name, parameters, run, cost)


def write(
    service: Service,
    name: str,
    parameters: Sequence[Parameter],
    send: Callable[..., Item],
    tell: Callable[[Item, Applied], Fields],
) -> Method:
    """Make a method that hands something to the chain and waits for its block.

    `send` admits it, `tell` says what became of it.
    """

    async def run(_: object, epoch: int | None, **values: Any) -> Fields:  # noqa: ANN401
        require_epoch(service, epoch)
        try:
            item = send(**values)
            # Whoever asked may go: what was admitted is counted until it is answered.
            applied = await asyncio.shield(item.answer)
        except Refused as refused:
            raise refused_error(service.views.view.head, refused) from None
        told = tell(item, applied)
        if applied.refusal:
            raise recorded_error(applied, order_id=told["order_id"])
        place = place_fields(applied.height, as_bytes(applied.block_hash), applied.epoch)
        hash_ = format_felt(applied.receipt.transaction_hash)
        return {**place, "transaction_hash": hash_, **told}

    return _method(name, parameters, run, _COST_WRITE)


def _method(
    name: str, parameters: Sequence[Parameter], run: Callable[..., Awaitable[Any]], cost: int = 1
) -> Method:
    named = (*parameters, EPOCH)
    return Method(PREFIX + name, named, run, depth_max=JSON_DEPTH_MAX, cost=cost)


def require_epoch(service: Service, named: int | None) -> None:
    """Refuse a caller who believes in another epoch. Error: EPOCH_CONFLICT."""
    view = service.views.view
    if named is not None and named != view.head.epoch:
        since = reorgs_since(view, named, PERP_REORGS_MAX)
        raise conflict_error(view.head, named, since)
