"""Who need not be looked at: accounts that no move of prices so far can have brought low.

A tick looks at everyone who holds a market that moved, and nearly all of them are as they were. For
each account that was looked at, `note` keeps its *room*: how far marks and funding may move before
its figures could be low. Until they have, `restless` leaves it out.

Promises
- What a tick does never depends on what is remembered here: only an account is passed over whose
  figures are proven not to be low.

Laws
- A move is measured from one *reference*, in parts of each market's mark there, rounded up; the
  largest counts of all markets in which somebody has a position or an order in the book. A room is
  measured from the same reference, rounded down: from where it was noted to where prices are, they
  moved by no more than both distances together.
- Whatever changes an account's cash, positions or orders forgets its room; other margin rates or
  other markets end the reference, and all rooms with it.

Formulas: per unit that a mark moves, value moves by the size, initial margin by the larger of buys
and sales at the initial rate, the open loss by all orders in the book. Funding moves value like a
mark that moves by the index's move. Every position may lose one unit of quote more, for funding is
floored. Maintenance never comes first: it is at most initial margin, as its factor is at most 1.
"""

from collections.abc import Iterable

from sequencer.exchange.derived import NO_EXPOSURE, NOTHING, Calm, Reference
from sequencer.exchange.margin import VALUE_PER_QUOTE, Margin
from sequencer.exchange.state import State
from sequencer.model.rows import Price
from sequencer.model.units import DUST_PER_QUOTE, ONE, divide_up

PARTS = 10**9
"""Parts of a mark in which moves and rooms are counted."""


def refer(state: State) -> None:
    """Measure moves from the present prices on; all rooms are forgotten."""
    state.reference = Reference(dict(state.prices), dict(state.margin_rates))


def move_since(state: State) -> int | None:
    """Return how far prices have moved from the reference, None where it cannot be said."""
    reference = state.reference
    if reference is None or reference.rates != state.margin_rates:
        return None
    if reference.prices.keys() != state.prices.keys():
        return None
    pairs = (
        (reference.prices[market], price)
        for market, price in state.prices.items()
        if _is_used(state, market)
    )
    return max((_move(before, now) for before, now in pairs if before is not now), default=0)


def restless(state: State, accounts: Iterable[int], move: int) -> set[int]:
    """Return those of some accounts that may be low where prices have moved so far."""
    reference, holdings = state.reference, state.holdings
    return {
        account
        for account in accounts
        if (calm := holdings.get(account, NOTHING).calm) is None
        or calm.reference is not reference
        or calm.room < move
    }


def note(state: State, account: int, margin: Margin, move: int) -> None:
    """Keep an account's room, given its figures at prices that have moved so far."""
    holding = state.holdings.get(account)
    reference = state.reference
    if holding is not None and reference is not None:
        holding.calm = Calm(reference, _room(state, account, margin, reference) - move)


def _is_used(state: State, market: str) -> bool:
    book = state.books[market]
    prices = (book.bids.best_price(), book.asks.best_price())
    return bool(state.holders[market]) or prices != (None, None)


def _move(before: Price, now: Price) -> int:
    funding = divide_up(abs(now.funding_index - before.funding_index) * ONE, DUST_PER_QUOTE)
    return divide_up((abs(now.mark - before.mark) + funding) * PARTS, max(before.mark, 1))


def _room(state: State, account: int, margin: Margin, reference: Reference) -> int:
    """Return the largest move in any direction after which the figures are surely not low."""
    holding = state.holding(account)
    risk = 0
    for market in holding.positions.keys() | holding.exposures.keys():
        size = state.size_of(account, market)
        exposure = holding.exposures.get(market, NO_EXPOSURE)
        worst = max(exposure.buy_size + size, exposure.sell_size - size, 0)
        orders = exposure.buy_size + exposure.sell_size
        each = (abs(size) + orders) * ONE + worst * reference.rates[market].initial
        risk += each * max(reference.prices[market].mark, 1)
    value = margin.value - VALUE_PER_QUOTE * len(holding.positions)
    return min(value - margin.initial, value - 1) * PARTS // max(risk, 1)
