"""Funding: a rate on every position, paid all the time between long and short.

Laws
- The rate of a period is basis + clamp(interest - basis), clamped to the market's largest.
- An index moves by rate x index price x time / period, toward zero, in 1e-18 quote per base.
- Time counts only in OPEN, between two ticks without a gap, for active markets with a fresh price.
- An index never moves by more than the largest rate allows, whoever moves it, and is never 0: that
  is what a lost row would say.
"""

from msgspec.structs import replace

from sequencer.exchange.freshness import is_stale
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import FundingIndexMoved
from sequencer.model.exchange_limits import GAP_MS_MAX
from sequencer.model.laws import Law, check
from sequencer.model.markets import FundingParameters, MarketStatus
from sequencer.model.rows import Guard, Mode, Price
from sequencer.model.units import BASIS_ONE, INDEX_ONE, ONE, clamp, divide_toward_zero

_RATE_TO_BASIS = BASIS_ONE // ONE
"""From a rate of 1e-8 to one of 1e-9."""

_BASIS_PRICE_TO_INDEX = INDEX_ONE // (BASIS_ONE * ONE)
"""From basis x price (1e-17) to a funding index (1e-18)."""

_RATE_PRICE_TO_INDEX = INDEX_ONE // (ONE * ONE)
"""From rate x price (1e-16) to a funding index (1e-18)."""


def accrue_funding(step: Step, elapsed_ms: int) -> None:
    """Move every market's funding index on by the time since the last tick."""
    for market, price in sorted(step.state.prices.items()):
        check(price.funding_index != 0, Law.FUNDING_INDEX, f"{market}: the index is lost")
        counted_ms = _counted_ms(step, market, price, elapsed_ms)
        if counted_ms:
            parameters = step.state.markets[market].parameters.funding
            change = funding_change(parameters, price.basis, price.index, counted_ms)
            # An index that would land on 0 stops one unit short of it.
            change -= clamp(change, -1, 1) if price.funding_index + change == 0 else 0
            if change:
                move_index(step, market, price.funding_index + change, elapsed_ms)


def move_index(step: Step, market: str, index: int, elapsed_ms: int) -> None:
    """Set a market's funding index, in 1e-18, after `elapsed_ms` since the last tick.

    Stops the writer where the index is 0, or (unless a drill switched the guard off) where it moved
    by more than the largest rate allows for that time. A gap allows nothing, however long.
    """
    check(index != 0, Law.FUNDING_INDEX, f"{market}: the index may not become 0")
    price = step.state.prices[market]
    parameters = step.state.markets[market].parameters.funding
    far = exceeds_step(parameters, price.index, index - price.funding_index, elapsed_ms)
    detail = f"{market}: {price.funding_index} to {index} in {elapsed_ms} ms"
    check(not step.guarded(Guard.FUNDING_STEP, far, detail), Law.FUNDING_INDEX, detail)
    step.put(Table.PRICE, market, replace(price, funding_index=index))
    step.emit(FundingIndexMoved(market, index))


def exceeds_step(
    parameters: FundingParameters, index_price: int, change: int, elapsed_ms: int
) -> bool:
    """Say whether a funding index moved by more than the largest rate allows for a time.

    Cross-multiplied, so nothing is rounded. After a gap any change is too much.
    """
    allowed = parameters.rate_max * index_price * _RATE_PRICE_TO_INDEX * _without_gap(elapsed_ms)
    return abs(change) * parameters.period_ms > allowed


def funding_rate(parameters: FundingParameters, basis: int) -> int:
    """Return the rate of one period, in 1e-9, for a basis of 1e-9."""
    bound = parameters.clamp * _RATE_TO_BASIS
    rate_max = parameters.rate_max * _RATE_TO_BASIS
    pull = clamp(parameters.interest * _RATE_TO_BASIS - basis, -bound, bound)
    return clamp(basis + pull, -rate_max, rate_max)


def funding_change(parameters: FundingParameters, basis: int, index: int, time_ms: int) -> int:
    """Return what a funding index moves by in a time, in 1e-18, toward zero."""
    due = funding_rate(parameters, basis) * index * time_ms * _BASIS_PRICE_TO_INDEX
    return divide_toward_zero(due, parameters.period_ms)


def _counted_ms(step: Step, market: str, price: Price, elapsed_ms: int) -> int:
    active = step.state.markets[market].status is MarketStatus.ACTIVE
    if step.state.system.mode is not Mode.OPEN or not active or price.index == 0:
        return 0
    stale = is_stale(step.state, market)
    if step.guarded(Guard.STALE_PRICE, stale, f"{market}: funding on an old price"):
        return 0
    return _without_gap(elapsed_ms)


def _without_gap(elapsed_ms: int) -> int:
    return elapsed_ms if elapsed_ms <= GAP_MS_MAX else 0
