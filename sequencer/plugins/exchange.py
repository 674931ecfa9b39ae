"""What the exchange said in a block, for plugins: its events as values, or in plain fields.

Promises
- Events of the exchange are decoded, those of other contracts stay as they are. A transaction that
  was reverted did nothing on the exchange.
- A block of any Starknet chain can be read; where there is no exchange, it said nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TypeAlias

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.calldata import FELT_FIELDS
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import read_event
from sequencer.model.events import Event
from sequencer.model.refusals import Refused
from sequencer.starknet.block import Event as RawEvent
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
    Transaction,
)

Plain: TypeAlias = str | bool
"""A field of an event: felts as 0x text, other numbers as decimal text, words, truths."""


class Said(msgspec.Struct, frozen=True):
    """An event with its place; `content` is None where another contract than the exchange said it.

    `transaction` is the place of its transaction in the block, `index` its own in the transaction.
    """

    transaction: int
    index: int
    raw: RawEvent
    content: Event | None


class Sent(msgspec.Struct, frozen=True):
    """What a transaction is called on Starknet, and who sent it: for a message, its receiver."""

    kind: str
    sender: Felt


def said_in(block: Block) -> Iterator[Said]:
    """Yield the events of a block in order."""
    for number, receipt in enumerate(block.receipts):
        for index, raw in enumerate(receipt.events):
            content = _read(raw)
            if content is None or receipt.revert_reason is None:
                yield Said(number, index, raw, content)


def executed_in(block: Block) -> Iterator[tuple[Sent, Receipt]]:
    """Yield the transactions of a block in order, with what became of them."""
    for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
        yield _sent(transaction), receipt


def plain_fields(event: Event) -> Mapping[str, Plain]:
    """Return an event's fields as plain values."""
    return {
        name: _plain(getattr(event, name), is_felt=is_felt)
        for name, is_felt in _fields_of(type(event))
    }


def felts(values: Sequence[Felt]) -> list[str]:
    """Write a list of felts as 0x text."""
    return [format_felt(value) for value in values]


@cache
def _fields_of(kind: type[Event]) -> tuple[tuple[str, bool], ...]:
    return tuple((name, name in FELT_FIELDS) for name in kind.__struct_fields__)


def _plain(value: object, *, is_felt: bool) -> Plain:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and is_felt:
        return format_felt(value)
    return str(value)


def _read(raw: RawEvent) -> Event | None:
    if raw.from_address != EXCHANGE_ADDRESS or not raw.keys:
        return None
    try:
        return read_event(raw)
    except Refused:
        # Of a build that announces it otherwise: as good as another contract's.
        return None


def _sent(transaction: Transaction) -> Sent:
    match transaction:
        case InvokeV3():
            return Sent("INVOKE", transaction.sender)
        case DeclareV3():
            return Sent("DECLARE", transaction.sender)
        case DeployAccountV3():
            return Sent("DEPLOY_ACCOUNT", transaction.address())
        case L1Handler():
            return Sent("L1_HANDLER", transaction.contract)
        case LegacyTransaction():
            return Sent(transaction.kind.upper(), transaction.address)
