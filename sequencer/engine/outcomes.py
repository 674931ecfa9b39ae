"""What became of one order in one transaction: how it stands, and what it traded.

Promises
- Only what is said of that order counts, whatever else the transaction carries.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from sequencer.chain.exchange_contract import read_event
from sequencer.model.events import CloseReason, Fill, OrderClosed, OrderOpened
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt


class OrderStatus(StrEnum):
    """How an order stands: in the book, before its trigger, or gone."""

    OPEN = "OPEN"
    WAITING = "WAITING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class Outcome(msgspec.Struct, frozen=True):
    """How an order stood after a transaction. Sizes in 1e-8; `reason` says why it is gone."""

    status: OrderStatus = OrderStatus.UNKNOWN
    remaining: int = 0
    reason: str = ""
    fills: Sequence[Fill] = ()


def outcome_of(receipt: Receipt, order_id: Felt) -> Outcome:
    """Follow an order through the events of a transaction."""
    outcome = Outcome()
    fills: list[Fill] = []
    for event in _events_about(receipt, order_id):
        match event:
            case OrderOpened(remaining=remaining, waiting=waiting):
                status = OrderStatus.WAITING if waiting else OrderStatus.OPEN
                outcome = Outcome(status, remaining)
            case OrderClosed(remaining=remaining, reason=reason):
                filled = reason is CloseReason.FILLED
                status = OrderStatus.FILLED if filled else OrderStatus.CANCELLED
                outcome = Outcome(status, remaining, reason.value)
            case Fill():
                fills.append(event)
                if outcome.status is OrderStatus.OPEN:
                    remaining = outcome.remaining - abs(event.size)
                    outcome = msgspec.structs.replace(outcome, remaining=remaining)
    return msgspec.structs.replace(outcome, fills=tuple(fills))


def mentions(receipt: Receipt, order_id: Felt) -> bool:
    """Say whether a transaction says anything of an order."""
    return any(_events_about(receipt, order_id))


def _events_about(receipt: Receipt, order_id: Felt) -> Iterator[Fill | OrderOpened | OrderClosed]:
    for event in receipt.events:
        # Looked for before it is read: a batch has hundreds of events, and few are about one order.
        if order_id not in event.data:
            continue
        read = read_event(event)
        match read:
            case Fill(taker_order=taker, maker_order=maker) if order_id in (taker, maker):
                yield read
            case OrderOpened() | OrderClosed() if read.order_id == order_id:
                yield read
