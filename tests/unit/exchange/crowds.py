"""States with many accounts that hold the same, and what makes them unhealthy."""

from collections.abc import Iterable

from sequencer.exchange.state import State, Table
from sequencer.model.events import Event, LiquidationEnded
from sequencer.model.rows import Account, Extreme, Position
from sequencer.model.units import ONE
from tests.unit.exchange.builders import BOB, BTC, change_price, fund, of_type, put

CROWD = 0x100000
"""The address of the first account of a crowd; the others follow."""


def add_holders(
    state: State, count: int, size: int, price: int, cash: int, first: int = CROWD
) -> list[int]:
    """Give accounts the same cash and BTC position each, and BOB the other side; all in 1e-8."""
    accounts = list(range(first, first + count))
    index = state.prices[BTC].funding_index
    for account in accounts:
        fund(state, account, cash)
        put(state, Table.POSITION, (account, BTC), Position(size, size * price // ONE, index))
    held = state.positions.get((BOB, BTC), Position(0, 0, index))
    total = held.size - count * size
    cost = held.cost - count * size * price // ONE
    put(state, Table.POSITION, (BOB, BTC), Position(total, cost, index))
    return accounts


def move_price(state: State, price: int, market: str = BTC) -> None:
    """Set index and mark as an accepted price of this moment, with the extremes that it leaves."""
    before, now_ms = state.prices[market], state.system.time_ms
    extremes = (Extreme(now_ms, before.index), Extreme(now_ms, price))
    lows = tuple(extreme for extreme in extremes if extreme.price <= price)
    highs = tuple(extreme for extreme in extremes if extreme.price >= price)
    change_price(state, market, index=price, mark=price, index_at_ms=now_ms, lows=lows, highs=highs)


def liquidated(events: Iterable[Event]) -> list[int]:
    """Return whose liquidation ended, in order."""
    return [event.account for event in of_type(events, LiquidationEnded)]


def cash_of(state: State, account: int) -> int:
    return state.accounts.get(account, Account()).cash
