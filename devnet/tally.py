"""What a chain has done, counted from its blocks alone.

Laws
- A run that was killed and went on counts the same as one that was not: nothing is remembered.
- Volumes are the sizes of fills in 1e-8 base, each fill once; amounts of money are in 1e-8 quote.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from sequencer.chain.block import Block
from sequencer.engine.impact import events_of
from sequencer.model.events import (
    Credited,
    Fill,
    LiquidationEnded,
    OrderClosed,
    OrderOpened,
    OrderRefused,
)

_KINDS = (OrderOpened, OrderClosed, OrderRefused, Fill, LiquidationEnded, Credited)


class Tally(msgspec.Struct, frozen=True):
    """Blocks, orders that entered and that were refused, fills, liquidations, volume by market,
    deposits that were credited and what they came to."""

    blocks: int
    orders: int
    refused_orders: int
    fills: int
    liquidations: int
    volume: Mapping[str, int]
    deposits: int = 0
    deposited: int = 0


def tally_of(blocks: Iterable[Block]) -> Tally:
    """Count what blocks did."""
    counted = deposited = 0
    entered: set[int] = set()
    volume: Counter[str] = Counter()
    kinds: Counter[type] = Counter()
    for block in blocks:
        counted += 1
        for event in events_of(block, _KINDS):
            kinds[type(event)] += 1
            match event:
                case Fill(market=market, size=size, taker_order=taker, maker_order=maker):
                    volume[market] += abs(size)
                    entered |= {taker, maker} - {0}
                case Credited(amount=amount):
                    deposited += amount
                case OrderOpened(order_id=order_id) | OrderClosed(order_id=order_id):
                    entered.add(order_id)
    return Tally(
        blocks=counted,
        orders=len(entered),
        refused_orders=kinds[OrderRefused],
        fills=kinds[Fill],
        liquidations=kinds[LiquidationEnded],
        volume=dict(sorted(volume.items())),
        deposits=kinds[Credited],
        deposited=deposited,
    )
