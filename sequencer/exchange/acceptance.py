"""Which orders an account may have, and which fills it may take: the margin test.

Laws
- An order is accepted if value covers initial margin with it, or if it only reduces: it is opposite
  to the position and all opposite orders with it are no more than the position.
- A fill that leans on the second rule must leave the account healthy, or no worse than before.
"""

from sequencer.exchange.margin import Margin, margin_of
from sequencer.exchange.state import State
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import OrderRow
from sequencer.model.units import ONE, divide_up

MARKET_TYPES = frozenset(
    (
        OrderType.MARKET,
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.STOP_LOSS_MARKET,
    )
)
"""Order types without a price of their own."""


def is_covered(state: State, row: OrderRow) -> bool:
    """Say whether value covers initial margin with an order that is not yet in the book."""
    return margin_of(state, row.order.account, row).adds_risk()


def may_fill(state: State, row: OrderRow, size: int, price: int, is_extra: bool = False) -> bool:
    """Say whether a fill of an order passes the margin test.

    `is_extra` says that the order is not in the book but is matching against it.
    """
    account, market = row.order.account, row.order.market
    margin = margin_of(state, account, row if is_extra else None)
    signed = size if row.order.side is Side.BUY else -size
    # A market order names no price, so its loss against mark is in no open loss yet.
    gain = signed * (state.prices[market].mark - price) * ONE
    unseen_loss = max(-gain, 0) if row.order.type in MARKET_TYPES else 0
    if margin.value - unseen_loss >= margin.initial:
        return True
    if not only_reduces(state, row, is_extra):
        return False
    after = _after_fill(state, margin, account, market, signed, price, gain)
    return after.is_healthy() or after.is_no_worse_than(margin)


def _after_fill(
    state: State, margin: Margin, account: int, market: str, signed: int, price: int, gain: int
) -> Margin:
    parameters = state.markets[market].parameters
    position = state.positions[account, market]
    fee = divide_up(abs(signed) * price * parameters.taker_fee, ONE * ONE)
    kept = state.margin_rates[market].maintenance
    shrink = abs(position.size) - abs(position.size + signed)
    return Margin(
        value=margin.value + gain - fee * ONE * ONE,
        initial=margin.initial,
        maintenance=margin.maintenance - shrink * state.prices[market].mark * kept,
        has_position=True,
    )


def only_reduces(state: State, row: OrderRow, is_extra: bool) -> bool:
    """Say whether an order and all others on its side only close the position.

    `is_extra` says that the order is not in the book.
    """
    account, market = row.order.account, row.order.market
    position = state.positions.get((account, market))
    if position is None:
        return False
    exposure = state.holding(account).exposures.get(market)
    added = row.remaining if is_extra else 0
    if row.order.side is Side.BUY:
        orders = added + (0 if exposure is None else exposure.buy_size)
        return orders <= -position.size
    orders = added + (0 if exposure is None else exposure.sell_size)
    return orders <= position.size
