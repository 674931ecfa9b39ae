"""Positions: what a fill does to size, cost, funding and cash.

Laws
- A fill's notional is exact; a fill conserves cash - cost + settled funding + dust to the unit.
- Closing releases cost x closed / size truncated toward zero; the rest of the cost stays.
- Funding settles with every change: the account gets the floor, the dust row the remainder.
"""

from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import FundingPaid
from sequencer.model.laws import Law, check
from sequencer.model.rows import Position
from sequencer.model.units import DUST_PER_QUOTE, ONE, clamp, divide_toward_zero


def accrued_funding(position: Position, index: int) -> int:
    """Return the funding due since a position's last settlement, floored, in 1e-8 quote."""
    return -position.size * (index - position.index) // DUST_PER_QUOTE


def change_position(
    step: Step, account: int, market: str, change: int, price: int, fee: int = 0
) -> None:
    """Apply one side of a fill: `change` is signed base, `fee` is taken from the account's cash.

    The fee's other side is the caller's. Both in 1e-8.
    """
    key = (account, market)
    state = step.state
    index = state.prices[market].funding_index
    position = state.positions.get(key)
    paid, rest = divmod(change * price, ONE)
    check(rest == 0, Law.EXACT_NOTIONAL, f"{market}: {change} at {price}")
    if position is None:
        step.put(Table.POSITION, key, Position(change, paid, index))
        if fee:
            step.add_cash(account, -fee)
        return
    funding = _settle(step, account, market, position, index)
    size, cost = position.size, position.cost
    realized = 0
    if size * change < 0:
        closed = min(abs(size), abs(change))
        released = divide_toward_zero(cost * closed, abs(size))
        proceeds = -paid if closed == abs(change) else (closed * price // ONE) * clamp(size, -1, 1)
        realized = proceeds - released
        opened = 0 if closed == abs(change) else paid + proceeds
        cost = cost - released + opened
    else:
        cost += paid
    size += change
    step.put(Table.POSITION, key, Position(size, cost, index) if size else None)
    cash = realized + funding - fee
    if cash:
        step.add_cash(account, cash)


def _settle(step: Step, account: int, market: str, position: Position, index: int) -> int:
    if position.index == index:
        return 0
    funding, dust = divmod(-position.size * (index - position.index), DUST_PER_QUOTE)
    step.add_dust(dust)
    step.emit(FundingPaid(account, market, funding))
    return funding
