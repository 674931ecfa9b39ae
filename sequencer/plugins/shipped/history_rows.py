"""From a block to the rows of the history.

Laws
- A row is what events say, in their units, with the sign of what it did to the account.
- What an event does to an account that it does not name is not in the account's history: insurance
  takes over liquidated positions, and the fee account gets fees.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from sequencer.chain.block import Block
from sequencer.model.events import (
    Covered,
    Credited,
    Event,
    Fill,
    FundingPaid,
    IsolatedOpened,
    Liquidated,
    LiquidationEnded,
    Settled,
    Transferred,
    Withdrawn,
)
from sequencer.model.units import notional
from sequencer.plugins.exchange import Plain, executed_in, plain_fields, said_in
from sequencer.plugins.shipped.history_schema import (
    ACCOUNT_HISTORY,
    EVENTS,
    LIQUIDATIONS,
    TABLES,
    TRADES,
    TRANSACTIONS,
    Table,
)
from sequencer.starknet.felt import Felt, format_felt

Value: TypeAlias = int | str | None
Row: TypeAlias = tuple[Value, ...]

_INTEGER_BOUND = 2**63


class _Change(msgspec.Struct, frozen=True, gc=False):
    """What an event did to one account: position in base, money in quote, both signed."""

    account: Felt
    role: str | None = None
    size: int | None = None
    amount: int | None = None


def block_row(block: Block, block_id: int) -> Row:
    """Return the row of a block that is live."""
    header = block.header
    events = sum(len(receipt.events) for receipt in block.receipts)
    return (
        *(block_id, header.number, format_felt(block.hash), format_felt(header.parent_hash)),
        *(header.timestamp, format_felt(header.state_root), format_felt(header.sequencer)),
        *(len(block.transactions), events, None, None),
    )


def rows_of(block: Block, block_id: int) -> Mapping[Table, list[Row]]:
    """Return what a block adds to each table."""
    where = (block.header.number, block_id)
    rows: dict[Table, list[Row]] = {table: [] for table in TABLES}
    rows[TRANSACTIONS] = _transactions(block, where)
    for said in said_in(block):
        if said.content is None:
            continue
        event, at = said.content, (*where, said.transaction, said.index)
        fields = plain_fields(event)
        rows[EVENTS].append((*at, *_event(event, fields)))
        match event:
            case Fill():
                rows[TRADES].append((*at, *_trade(event, fields)))
                continue
            case Liquidated() | LiquidationEnded() | Covered():
                rows[LIQUIDATIONS].append((*at, *_liquidation(event)))
        for part, row in enumerate(_history(event)):
            rows[ACCOUNT_HISTORY].append((*at, part, *row))
    return rows


def exact(value: int) -> int | str:
    """Return a number as SQLite keeps it exactly: an integer of 64 bits, else decimal text."""
    return value if -_INTEGER_BOUND <= value < _INTEGER_BOUND else str(value)


def _transactions(block: Block, where: tuple[int, int]) -> list[Row]:
    return [
        (
            *(*where, number, format_felt(receipt.transaction_hash), sent.kind),
            *(format_felt(sent.sender), exact(receipt.actual_fee), receipt.revert_reason),
        )
        for number, (sent, receipt) in enumerate(executed_in(block))
    ]


def _event(event: Event, fields: Mapping[str, Plain]) -> Row:
    market: str | None = getattr(event, "market", None)
    return type(event).__name__, market, msgspec.json.encode(fields).decode()


def _trade(fill: Fill, fields: Mapping[str, Plain]) -> Row:
    size = abs(fill.size)
    return (
        *(fill.market, "BUY" if fill.size > 0 else "SELL", exact(fill.price), exact(size)),
        exact(notional(size, fill.price)),
        *(fields["taker"], fields["maker"], fields["taker_order"], fields["maker_order"]),
        *(exact(fill.taker_fee), exact(fill.maker_fee)),
    )


def _liquidation(event: Liquidated | LiquidationEnded | Covered) -> Row:
    head = (type(event).__name__, format_felt(event.account))
    match event:
        case Liquidated():
            return (*head, event.market, exact(event.size), exact(event.price), *(None,) * 4)
        case LiquidationEnded():
            return (*head, *(None,) * 3, exact(event.share), exact(event.penalty), None, None)
        case Covered():
            return (*head, *(None,) * 5, exact(event.insurance), exact(event.bad_debt))


def _history(event: Event) -> Iterator[Row]:
    """Yield the rows that an event, but for a trade, adds to the history of accounts."""
    price = _exact(getattr(event, "price", None))
    order_id: int | None = getattr(event, "order_id", None)
    reason: str | None = getattr(event, "reason", None)
    for change in _changes(event):
        yield (
            *(format_felt(change.account), change.role),
            *(None if order_id is None else format_felt(order_id), _exact(change.size), price),
            *(_exact(change.amount), None if reason is None else str(reason)),
        )


def _exact(value: int | None) -> Value:
    return None if value is None else exact(value)


def _changes(event: Event) -> tuple[_Change, ...]:
    match event:
        case Transferred(sender=sender, receiver=receiver, amount=amount):
            return (
                _Change(sender, "sender", amount=-amount),
                _Change(receiver, "receiver", amount=amount),
            )
        case Credited() | FundingPaid():
            return (_Change(event.account, amount=event.amount),)
        case Withdrawn():
            return (_Change(event.account, amount=-event.requested),)
        case Liquidated() | Settled():
            return (_Change(event.account, size=-event.size),)
        case LiquidationEnded():
            return (_Change(event.account, amount=-event.penalty),)
        case Covered():
            return (_Change(event.account, amount=event.insurance + event.bad_debt),)
        case IsolatedOpened():
            return _Change(event.owner, "owner"), _Change(event.account)
        case _:
            # Orders, subkeys, drills: what they did stands in the details.
            account: Felt = getattr(event, "account", 0)
            return (_Change(account),) if account else ()
