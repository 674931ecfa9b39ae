"""Which orders an account may have, and which fills it may take: the margin test.

Laws
- An order is accepted if value covers initial margin with it, or if it only reduces: it is opposite
  to the position and all opposite orders with it are no more than the position.
- While an account holds a market at a stale price it only reduces: it cannot be liquidated, so it
  may not take on risk either.
- A fill leaves both accounts healthy, or no worse than before; and no fill closes the last position
  of an account that cannot pay its loss: that is for liquidation, where the loss is covered.
"""

from sequencer.exchange.derived import NO_EXPOSURE
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.margin import VALUE_PER_QUOTE, Margin, margin_of
from sequencer.exchange.state import State
from sequencer.model.orders import MARKET_TYPES, Side
from sequencer.model.rows import Guard, OrderRow
from sequencer.model.units import ONE, divide_up


def margin_to_open(state: State, row: OrderRow) -> Margin | None:
    """Return an account's figures with an order that is not yet in the book, if it is accepted."""
    margin = margin_of(state, row.order.account, row)
    if margin.adds_risk() and not _is_frozen(state, row.order.account):
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
    adds_risk = margin.value - unseen_loss >= margin.initial and not _is_frozen(state, account)
    if not adds_risk and not only_reduces(state, row, is_extra):
        return False
    after = _after_fill(state, margin, account, market, signed, price, gain)
    if not after.has_position:
        return after.value >= 0
    return after.is_healthy() or after.is_no_worse_than(margin)


def _is_frozen(state: State, account: int) -> bool:
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
    held = state.size_of(account, market)
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
    size = state.size_of(account, market)
    if size == 0:
        return False
    exposure = state.holding(account).exposures.get(market, NO_EXPOSURE)
    added = row.remaining if is_extra else 0
    if row.order.side is Side.BUY:
        return added + exposure.buy_size <= -size
    return added + exposure.sell_size <= size
