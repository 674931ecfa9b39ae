"""What a chain has done, counted from events: each order and each fill once."""

from collections.abc import Sequence

import msgspec

from devnet.embedded.blocks import Content, seal
from devnet.tally import Tally, tally_of
from sequencer.chain.block import Block
from sequencer.chain.exchange_contract import announce
from sequencer.model.events import (
    CloseReason,
    Credited,
    Event,
    Fill,
    LiquidationEnded,
    OrderClosed,
    OrderOpened,
    OrderRefused,
)
from sequencer.starknet.block import Receipt
from sequencer.starknet.state import StateDiff

EMPTY = seal(None, 1, Content(StateDiff()))


def fill(market: str, size: int, taker: int, maker: int) -> Fill:
    return Fill(market, 100, size, 1, 2, taker, maker, 0, 0)


def saying(events: Sequence[Event]) -> Block:
    """Return a block whose one transaction said something."""
    receipt = Receipt(1, 0, tuple(map(announce, events)))
    return msgspec.structs.replace(EMPTY, receipts=(receipt,))


def counted(*blocks: Sequence[Event]) -> Tally:
    """Count blocks, given by what they say."""
    return tally_of(map(saying, blocks))


def test_no_blocks_and_empty_ones() -> None:
    assert counted() == Tally(0, 0, 0, 0, 0, {})
    assert counted([], []).blocks == 2


def test_volume_is_the_size_of_fills_on_either_side() -> None:
    found = counted([fill("B", 5, 1, 2)], [fill("A", -3, 3, 2), fill("B", -7, 4, 2)])
    assert list(found.volume.items()) == [("A", 3), ("B", 12)]
    assert found.fills == 3


def test_an_order_is_counted_once_however_often_it_is_seen() -> None:
    opened = OrderOpened(1, 9, "A", 5, waiting=False)
    closed = OrderClosed(1, 9, "A", 0, CloseReason.FILLED)
    found = counted([opened, fill("A", 2, 3, 1)], [fill("A", 3, 4, 1), closed], [closed])
    assert found.orders == 3


def test_a_liquidation_has_no_order_and_a_refusal_is_none() -> None:
    found = counted(
        [fill("A", 2, 0, 1), LiquidationEnded(9, 1, 1), OrderRefused(7, 9, "MARGIN_TOO_LOW")]
    )
    assert (found.orders, found.liquidations, found.refused_orders) == (1, 1, 1)


def test_deposits_are_counted_and_summed() -> None:
    found = counted([Credited(0, 9, 500)], [Credited(1, 8, 700), fill("A", 2, 3, 1)])
    assert (found.deposits, found.deposited) == (2, 1_200)
