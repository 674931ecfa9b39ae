"""Margin: an account's value, and what it needs to add risk and to keep its positions.

Laws
- Everything is an exact integer. Value and initial margin are in 1e-24, maintenance in 1e-32;
  they are compared cross-multiplied and never rounded first.
- Only orders in the book need margin; orders that wait for a trigger need it when it fires.

Formulas (Paradex): per market, buys = orders + position, sells = orders - position, and the larger
of both at mark needs initial margin and a taker fee; orders worse than mark lose the difference at
once. Maintenance is a part of the position's initial margin and its taker fee.
"""

from collections.abc import Iterable

import msgspec

from sequencer.exchange.derived import NO_EXPOSURE, Exposure
from sequencer.exchange.positions import accrued_funding
from sequencer.exchange.state import State
from sequencer.model.orders import Side
from sequencer.model.rows import OrderRow, Position
from sequencer.model.units import ONE

VALUE_PER_QUOTE = ONE * ONE
"""Units of value (1e-24) in one unit of quote (1e-8)."""


class Margin(msgspec.Struct, frozen=True, gc=False):
    """An account's figures: value and initial in 1e-24, maintenance in 1e-32 quote."""

    value: int
    initial: int
    maintenance: int
    has_position: bool

    def is_healthy(self) -> bool:
        """Say whether the account keeps its positions: no position, or value > 0 and enough."""
        return not self.has_position or (self.value > 0 and self.maintenance <= self.value * ONE)

    def adds_risk(self) -> bool:
        """Say whether the account may take on more: its value covers initial margin."""
        return self.value >= self.initial

    def is_no_worse_than(self, before: "Margin") -> bool:
        """Say whether maintenance / value did not rise and no value was lost that matters.

        Compared as maintenance x value before <= maintenance before x value.
        """
        if self.value <= 0 or before.value <= 0:
            return self.value >= before.value and self.maintenance <= before.maintenance
        return self.maintenance * before.value <= before.maintenance * self.value


def margin_of(state: State, account: int, extra: OrderRow | None = None) -> Margin:
    """Work out an account's figures at the present marks and funding indices.

    `extra` is an order that counts as if it were in the book.
    """
    holding = state.holding(account)
    positions, exposures = holding.positions, holding.exposures
    cash = state.account(account).cash
    value, initial, maintenance = 0, 0, 0
    for market, position in positions.items():
        price, rates = state.prices[market], state.margin_rates[market]
        size, mark = position.size, price.mark
        cash -= position.cost
        if position.index != price.funding_index:
            cash += accrued_funding(position, price.funding_index)
        value += size * mark
        held = abs(size) * mark
        maintenance += held * rates.maintenance
        if market not in exposures and (extra is None or extra.order.market != market):
            initial += held * rates.initial
    for market, exposure in exposures.items():
        added = extra if extra is not None and extra.order.market == market else None
        initial += _initial(state, market, positions.get(market), exposure, added)
    if extra is not None and extra.order.market not in exposures:
        market = extra.order.market
        initial += _initial(state, market, positions.get(market), NO_EXPOSURE, extra)
    value = value * ONE + cash * VALUE_PER_QUOTE
    return Margin(value, initial, maintenance, bool(positions))


def is_healthy(state: State, account: int) -> bool:
    """Say what `margin_of(state, account).is_healthy()` says, without the account's orders."""
    positions = state.holding(account).positions
    if not positions:
        return True
    cash = state.account(account).cash
    value, maintenance = 0, 0
    for market, position in positions.items():
        price, size = state.prices[market], position.size
        cash += accrued_funding(position, price.funding_index) - position.cost
        value += size * price.mark
        maintenance += abs(size) * price.mark * state.margin_rates[market].maintenance
    value = value * ONE + cash * VALUE_PER_QUOTE
    return value > 0 and maintenance <= value * ONE


def _initial(
    state: State, market: str, position: Position | None, exposure: Exposure, extra: OrderRow | None
) -> int:
    mark = state.prices[market].mark
    size = 0 if position is None else position.size
    buys, sells = exposure.buy_size + size, exposure.sell_size - size
    loss = 0
    if exposure.buy_bound > mark or exposure.sell_bound < mark:
        loss = open_loss(exposure.resting.values(), mark)
    if extra is not None:
        if extra.order.side is Side.BUY:
            buys += extra.remaining
            loss += max(extra.price - mark, 0) * extra.remaining
        else:
            sells += extra.remaining
            loss += max(mark - extra.price, 0) * extra.remaining
    return initial_of(state, market, max(buys, sells), loss)


def initial_of(state: State, market: str, worst: int, loss: int) -> int:
    """Return the initial margin of one market in 1e-24.

    `worst` is the larger of buys and sales with the position, `loss` the open loss in 1e-16.
    """
    return max(worst, 0) * state.prices[market].mark * state.margin_rates[market].initial + (
        loss * ONE
    )


def open_loss(rows: Iterable[OrderRow], mark: int) -> int:
    """Sum, over the orders worse than mark, what they would lose at once, in 1e-16."""
    loss = 0
    for row in rows:
        worse = row.price - mark if row.order.side is Side.BUY else mark - row.price
        if worse > 0:
            loss += worse * row.remaining
    return loss
