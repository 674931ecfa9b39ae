"""Whether index prices are recent enough to act on, by the age that is kept in state.

Laws
- A market without an accepted price is stale: its last price is as old as time itself.
"""

from sequencer.exchange.state import State
from sequencer.model.exchange_limits import INDEX_AGE_MS_MAX


def is_stale(state: State, market: str) -> bool:
    """Say whether a market's index price is older than INDEX_AGE_MS_MAX of chain time."""
    return state.system.time_ms - state.prices[market].index_at_ms > INDEX_AGE_MS_MAX


def stale_held(state: State, account: int) -> str:
    """Return the first market, by name, that an account holds at a stale price, or ""."""
    held = sorted(state.holding(account).positions)
    return next((market for market in held if is_stale(state, market)), "")
