"""Which orders an account may have, and which fills it may take: the margin test.

Laws
- An order is accepted if value covers initial margin with it, or if it only reduces: it is opposite
  to the position and all opposite orders with it are no more than the position.
- While an account holds a market at a stale price it only reduces: it cannot be liquidated, so it
  may not take on risk either.
- A fill leaves both accounts healthy, or no worse than before; and no fill closes the last position
  of an account that cannot pay its loss: that is for liquidation, where the loss is covered.
"""

from sequencer.exchange.freshness import is_stale
from sequencer.exchange.margin import VALUE_PER_QUOTE, Margin, margin_of
from sequencer.exchange.state import State
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import Guard, OrderRow
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


def margin_to_open(state: State, row: OrderRow) -> Margin | None:
    """Return an account's figures with an order that is not yet in the book, if it is accepted."""
    margin = margin_of(state, row.order.account, row)
    if margin.adds_risk() and not is_frozen(state, row.order.account):
        return margin
    return margin if only_reduces(state, row, is_extra=True) else None


def may_fill(
    state: State,
    row: OrderRow,
    size: int,
    price: int,
    is_extra: bool = False,
    known: Margin | None = None,
) -> bool:
    """Say whether a fill of an order passes the margin test.

    `is_extra` says that the order is not in the book but is matching against it; `known` are the
    account's figures with it, where they have just been worked out.
    """
    account, market = row.order.account, row.order.market
    margin = known or margin_of(state, account, row if is_extra else None)
    signed = size if row.order.side is Side.BUY else -size
    # A market order names no price, so its loss against mark is in no open loss yet.
    gain = signed * (state.prices[market].mark - price) * ONE
    unseen_loss = max(-gain, 0) if row.order.type in MARKET_TYPES else 0
    adds_risk = margin.value - unseen_loss >= margin.initial and not is_frozen(state, account)
    if not adds_risk and not only_reduces(state, row, is_extra):
        return False
    after = _after_fill(state, margin, account, market, signed, price, gain)
    if not after.has_position:
        return after.value >= 0
    return after.is_healthy() or after.is_no_worse_than(margin)


def is_frozen(state: State, account: int) -> bool:
    """Say whether an account holds a market at a stale index price."""
    for market in state.holding(account).positions:
        if is_stale(state, market):
            return Guard.STALE_PRICE not in state.system.guards_off
    return False


def _after_fill(
    state: State, margin: Margin, account: int, market: str, signed: int, price: int, gain: int
) -> Margin:
    parameters = state.markets[market].parameters
    positions = state.holding(account).positions
    held = positions[market].size if market in positions else 0
    fee = divide_up(abs(signed) * price * parameters.taker_fee, ONE * ONE)
    growth = (abs(held + signed) - abs(held)) * state.prices[market].mark
    others = len(positions) - (market in positions)
    return Margin(
        value=margin.value + gain - fee * VALUE_PER_QUOTE,
        initial=margin.initial,
        maintenance=margin.maintenance + growth * state.margin_rates[market].maintenance,
        has_position=others > 0 or held + signed != 0,
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
