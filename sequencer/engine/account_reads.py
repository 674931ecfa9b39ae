"""What an account has, as of one state: collateral, margin figures, positions, orders.

Promises
- Figures are those of the exchange's own views, rounded as they are: value down, needs up.
- An account that nobody has used is an account of zeros.
"""

from collections.abc import Sequence
from itertools import islice

import msgspec

from sequencer.chain.exchange_views import MarginView, margin_figures, require_market
from sequencer.exchange.closing import orders_of
from sequencer.exchange.positions import accrued_funding
from sequencer.exchange.state import State
from sequencer.model.rows import Account, OrderRow, Position
from sequencer.model.units import ONE, divide_toward_zero
from sequencer.starknet.felt import Felt


class HeldPosition(msgspec.Struct, frozen=True):
    """A position with what it is worth. All in 1e-8, but `row.index` in 1e-18.

    `entry_price` is cost / size, toward zero. `notional` is unsigned. `unrealized` is value less
    cost, `funding` what is due since the last settlement; both are rounded down.
    """

    market: str
    row: Position
    mark: int
    entry_price: int
    notional: int
    unrealized: int
    funding: int


class AccountFigures(msgspec.Struct, frozen=True):
    """An account. `exists` where it has a row. `isolated` are the accounts that it owns."""

    exists: bool
    row: Account
    margin: MarginView
    positions: Sequence[HeldPosition]
    open_orders: int
    subkeys: int
    isolated: Sequence[Felt]


def account_figures(state: State, account: Felt) -> AccountFigures:
    """Return an account with all that it has but its orders one by one."""
    row = state.accounts.get(account)
    exposures = state.holding(account).exposures.values()
    owned = (state.isolated.get((account, market)) for market in sorted(state.markets))
    return AccountFigures(
        exists=row is not None,
        row=row or Account(),
        margin=margin_figures(state, account),
        positions=held_positions(state, account),
        open_orders=sum(len(each.resting) + len(each.waiting) for each in exposures),
        subkeys=state.subkey_counts.get(account, 0),
        isolated=tuple(each for each in owned if each is not None),
    )


def held_positions(state: State, account: Felt, market: str = "") -> list[HeldPosition]:
    """List an account's positions, of one market or of all, by market. Refusal: MARKET_UNKNOWN."""
    require_known_or_any(state, market)
    positions = sorted(state.holding(account).positions.items())
    return [_held(state, name, row) for name, row in positions if market in ("", name)]


def open_orders(
    state: State, account: Felt, market: str, after: int, count_max: int
) -> list[tuple[Felt, OrderRow]]:
    """List an account's orders behind a place in time, resting and waiting, oldest first.

    Refusal: MARKET_UNKNOWN.
    """
    require_known_or_any(state, market)
    orders = orders_of(state, account, market)
    return list(islice((each for each in orders if each[1].sequence > after), count_max))


def require_known_or_any(state: State, market: str) -> None:
    """Refuse with MARKET_UNKNOWN a market that there is not; "" stands for all of them."""
    if market:
        require_market(state, market)


def _held(state: State, market: str, row: Position) -> HeldPosition:
    price = state.prices[market]
    return HeldPosition(
        market=market,
        row=row,
        mark=price.mark,
        entry_price=divide_toward_zero(row.cost * ONE * (1 if row.size > 0 else -1), abs(row.size)),
        notional=abs(row.size) * price.mark // ONE,
        unrealized=row.size * price.mark // ONE - row.cost,
        funding=accrued_funding(row, price.funding_index),
    )
