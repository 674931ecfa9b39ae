"""What every account has at one block: what two programs that executed a chain compare.

Laws
- Everything is in exact integers of the exchange; nothing is rounded but an account's value, which
  is rounded against the account, as everywhere.
"""

from collections.abc import Sequence

import msgspec

from sequencer.chain.exchange_views import margin_figures
from sequencer.exchange.state import State
from sequencer.starknet.felt import Felt


class HeldPosition(msgspec.Struct, frozen=True):
    """A position with its market: 1e-8 base, 1e-8 quote, 1e-18 quote per base."""

    market: str
    size: int
    cost: int
    index: int


class Holdings(msgspec.Struct, frozen=True):
    """An account: cash and value in 1e-8 quote, and its positions by market."""

    cash: int
    value: int
    positions: Sequence[HeldPosition]


def holdings_of(state: State) -> dict[Felt, Holdings]:
    """Return what every account has, by address."""
    return {account: _holdings(state, account) for account in sorted(state.accounts)}


def _holdings(state: State, account: Felt) -> Holdings:
    positions = sorted(state.holding(account).positions.items())
    return Holdings(
        cash=state.accounts[account].cash,
        value=margin_figures(state, account).value,
        positions=tuple(
            HeldPosition(market, row.size, row.cost, row.index) for market, row in positions
        ),
    )
