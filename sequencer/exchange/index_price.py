"""The index price: which median of the publishers becomes it, and how a market gets its first.

Laws
- A price is dated with chain time when it is accepted, never with the time that was signed.
- Against the last index it moves by a step at most, and within any 60 s by a range at most, so that
  many small steps do not add up to a large one.
- A market without a price, or whose last one is older than 300 s, takes no median. Medians wait as
  candidates until the operator names one of them, or, after a gap where genesis says so, until
  enough of them agree.
- A price that is stamped anew without moving is as good as any: age is what counts.
"""

from msgspec.structs import replace

from sequencer.exchange.authority import require_operator
from sequencer.exchange.mark import fair_price
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.commands import SeedPrice
from sequencer.model.events import PriceAccepted, PriceRefused
from sequencer.model.exchange_limits import (
    INDEX_LOST_MS_MAX,
    PRICE_RANGE_MS,
    PRICE_SPACING_MS_MIN,
    SEED_CANDIDATES_MIN,
    SEED_SPREAD_MAX,
    SEED_WINDOW_MS,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Extreme, Guard, Mode, ModeCause, Price
from sequencer.model.units import ONE


def offer_median(step: Step, market: str, median: int) -> None:
    """Accept a median as index price, keep it as a candidate, or report the guard it broke."""
    price = step.state.prices[market]
    now_ms = step.state.system.time_ms
    lost = is_lost(price, now_ms)
    if step.guarded(Guard.PRICE_SEED, lost, f"{market}: {median} without a seed"):
        _keep_candidate(step, market, price, median)
        return
    if lost:
        step.put(Table.PRICE, market, seeded(price, median, now_ms))
        return
    recent = _recent(price, now_ms)
    guard = _broken_guard(step, market, recent, median)
    if guard is not None:
        step.emit(PriceRefused(market, median, guard.value))
        return
    step.put(Table.PRICE, market, _accepted(recent, median, now_ms))


def seed_price(step: Step, command: SeedPrice) -> None:
    """Take a candidate as index price. The averages start anew.

    Refusals: NOT_OPERATOR, MODE_FORBIDS, MARKET_UNKNOWN, PRICE_SEED_REFUSED.
    """
    require_operator(step)
    system, market = step.state.system, command.market
    if system.mode is not Mode.CANCEL_ONLY:
        raise Refused(Reason.MODE_FORBIDS, "prices are seeded in CANCEL_ONLY alone")
    price = step.state.prices.get(market)
    if price is None:
        raise Refused(Reason.MARKET_UNKNOWN, f"no market {market!r:.40} takes prices")
    if not is_lost(price, system.time_ms):
        raise Refused(Reason.PRICE_SEED_REFUSED, f"{market} has a price")
    if command.price not in seeds_of(price, system.time_ms):
        words = f"{command.price} is no median of {SEED_CANDIDATES_MIN} agreeing candidates"
        raise Refused(Reason.PRICE_SEED_REFUSED, words)
    price = seeded(price, command.price, system.time_ms)
    step.put(Table.PRICE, market, price)
    step.emit(PriceAccepted(market, price.index, price.mark))


def is_lost(price: Price, now_ms: int) -> bool:
    """Say whether a market has no price, or one too old to compare another with."""
    return price.index == 0 or now_ms - price.index_at_ms > INDEX_LOST_MS_MAX


def seeded(price: Price, index: int, now_ms: int) -> Price:
    """Return a market's prices with a first index: averages, basis and extremes start anew."""
    fresh = Price(funding_index=price.funding_index, accepted_in_row=price.accepted_in_row)
    counted = replace(fresh, counted_at_ms=price.counted_at_ms)
    return replace(_accepted(counted, index, now_ms), mark=fair_price(index, 0))


def _accepted(price: Price, index: int, now_ms: int) -> Price:
    """Return a market's prices with a new index, counted where it is a second from the last."""
    new = Extreme(now_ms, index)
    counts = price.accepted_in_row == 0 or now_ms - price.counted_at_ms >= PRICE_SPACING_MS_MIN
    return replace(
        price,
        index=index,
        index_at_ms=now_ms,
        lows=(*(low for low in price.lows if low.price < index), new),
        highs=(*(high for high in price.highs if high.price > index), new),
        accepted_in_row=price.accepted_in_row + counts,
        counted_at_ms=now_ms if counts else price.counted_at_ms,
    )


def _recent(price: Price, now_ms: int) -> Price:
    """Return a market's prices with only the extremes of the last minute, its end included.

    Lows ascend and highs descend with time, so the first of each bounds the whole minute.
    """
    oldest_ms = now_ms - PRICE_RANGE_MS
    return replace(
        price,
        lows=tuple(low for low in price.lows if low.time_ms >= oldest_ms),
        highs=tuple(high for high in price.highs if high.time_ms >= oldest_ms),
    )


def _broken_guard(step: Step, market: str, price: Price, median: int) -> Guard | None:
    """Return the guard that stops a median, if one does."""
    oracle = step.state.markets[market].parameters.oracle
    detail = f"{market}: {price.index} to {median}"
    steps = abs(median - price.index) * ONE > oracle.step_max * price.index
    if step.guarded(Guard.PRICE_STEP, steps, detail):
        return Guard.PRICE_STEP
    low = min(price.lows[0].price, median) if price.lows else median
    high = max(price.highs[0].price, median) if price.highs else median
    ranges = (high - low) * ONE > oracle.range_max * low
    if step.guarded(Guard.PRICE_RANGE, ranges, f"{detail} within {low} .. {high}"):
        return Guard.PRICE_RANGE
    return None


def _keep_candidate(step: Step, market: str, price: Price, median: int) -> None:
    step.emit(PriceRefused(market, median, Guard.PRICE_SEED.value))
    system = step.state.system
    kept = _candidates(price, system.time_ms)
    if kept and system.time_ms - kept[-1].time_ms < PRICE_SPACING_MS_MIN:
        return
    price = replace(price, candidates=(*kept, Extreme(system.time_ms, median)))
    step.put(Table.PRICE, market, price)
    after_gap = system.mode is Mode.CANCEL_ONLY and system.cause is ModeCause.GAP
    seeds = seeds_of(price, system.time_ms) if system.reopen_automatic and after_gap else ()
    if seeds:
        step.put(Table.PRICE, market, seeded(price, seeds[-1], system.time_ms))


def _candidates(price: Price, now_ms: int) -> tuple[Extreme, ...]:
    oldest_ms = now_ms - SEED_WINDOW_MS
    return tuple(candidate for candidate in price.candidates if candidate.time_ms >= oldest_ms)


def seeds_of(price: Price, now_ms: int) -> tuple[int, ...]:
    """Return the prices that may be named, oldest first; none while candidates disagree.

    Each is the median of three in a row: candidates go on coming while an operator reads them.
    """
    prices = [candidate.price for candidate in _candidates(price, now_ms)]
    if len(prices) < SEED_CANDIDATES_MIN:
        return ()
    if (max(prices) - min(prices)) * ONE > SEED_SPREAD_MAX * min(prices):
        return ()
    starts = range(len(prices) - SEED_CANDIDATES_MIN + 1)
    runs = (sorted(prices[start : start + SEED_CANDIDATES_MIN]) for start in starts)
    return tuple(run[SEED_CANDIDATES_MIN // 2] for run in runs)
