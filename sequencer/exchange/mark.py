"""The mark price: index x (1 + basis), where the basis follows trading slowly and within bounds.

Laws
- Basis is the median of three averages: of the own mid price, the own last trade, and the
  publishers' perpetual price, each as a rate against index.
- Every rate is clamped before it enters an average, so a pushed book moves mark by little.
- Averages are sampled at ticks, never at fills, and only in OPEN, for active markets with a fresh
  index; otherwise averages and basis stay as they are.
- Averages forget half in 30 minutes; they are integers of 1e-9, rounded toward zero.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from sequencer.exchange.freshness import is_stale
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import PriceAccepted
from sequencer.model.exchange_limits import GAP_MS_MAX, INDEX_AGE_MS_MAX
from sequencer.model.markets import MarketStatus
from sequencer.model.rows import Guard, Mode, Price
from sequencer.model.units import BASIS_ONE, ONE, clamp, divide_toward_zero

_WEIGHT_BITS = 64
"""A weight is an integer of 2^-64."""

_HALF_LIFE_WEIGHTS = (
    0xFFFF_F98A_1633_7A59,
    0xFFFF_F314_2C90_B1F6,
    0xFFFF_E628_59C8_58FD,
    0xFFFF_CC50_B62C_8619,
    0xFFFF_98A1_76C8_5BA2,
    0xFFFF_3143_174D_EC98,
    0xFFFE_6286_D590_6B16,
    0xFFFC_C510_46F1_0271,
    0xFFF9_8A2A_FD11_DB92,
    0xFFF3_147F_B65C_4039,
    0xFFE6_29A6_5964_2F49,
    0xFFCC_55E8_43C4_EAF2,
    0xFF98_B63D_BE02_5D9F,
    0xFF31_9627_EB96_3262,
    0xFE63_D2BE_5AB0_362D,
)
"""What is left of an average after 2^i ms: 2^64 x 2^(-2^i / 1,800,000) to the nearest integer.

To make them again: compute that expression with 80 decimal digits and round half to even.
"""


def fair_price(index: int, basis: int) -> int:
    """Return mark for an index and a basis, rounded down, and never 0 for a positive index."""
    return max(index * (BASIS_ONE + basis) // BASIS_ONE, 1) if index else 0


def remaining_weight(elapsed_ms: int) -> int:
    """Return what is left of an average after 0 .. 30,000 ms, in 2^-64, rounded down."""
    weight = 1 << _WEIGHT_BITS
    for bit, factor in enumerate(_HALF_LIFE_WEIGHTS):
        if elapsed_ms >> bit & 1:
            weight = weight * factor >> _WEIGHT_BITS
    return weight


def update_marks(step: Step, perpetuals: Mapping[str, int]) -> None:
    """Sample every market's averages and work out its mark.

    `perpetuals` are this tick's perpetual prices of the publishers, by market.
    """
    now_ms = step.state.system.time_ms
    for market, before in sorted(step.state.prices.items()):
        price = before
        if _samples(step, market, price):
            price = _sampled(step, market, price, perpetuals.get(market, 0))
        price = replace(price, mark=fair_price(price.index, price.basis))
        if price != before:
            step.put(Table.PRICE, market, price)
        if price.index_at_ms == now_ms or price.mark != before.mark:
            step.emit(PriceAccepted(market, price.index, price.mark))


def _samples(step: Step, market: str, price: Price) -> bool:
    active = step.state.markets[market].status is MarketStatus.ACTIVE
    fresh = price.index > 0 and not is_stale(step.state, market)
    return step.state.system.mode is Mode.OPEN and active and fresh


def _sampled(step: Step, market: str, price: Price, perpetual: int) -> Price:
    now_ms = step.state.system.time_ms
    double_mid, trade = _double_mid(step, market), _fresh_trade(step, market)
    if double_mid:
        rate = _clamped_rate(step, market, double_mid, 2 * price.index)
        average = _average(price.mid_average, price.mid_at_ms, rate, now_ms)
        price = replace(price, mid_average=average, mid_at_ms=now_ms)
    if trade:
        rate = _clamped_rate(step, market, trade, price.index)
        average = _average(price.trade_average, price.trade_at_ms, rate, now_ms)
        price = replace(price, trade_average=average, trade_at_ms=now_ms)
    if perpetual:
        rate = _clamped_rate(step, market, perpetual, price.index)
        average = _average(price.perpetual_average, price.perpetual_at_ms, rate, now_ms)
        price = replace(price, perpetual_average=average, perpetual_at_ms=now_ms)
    fresh = now_ms - price.perpetual_at_ms <= INDEX_AGE_MS_MAX
    elsewhere = price.perpetual_average if fresh else 0
    basis = sorted((price.mid_average, price.trade_average, elsewhere))[1]
    return replace(price, basis=basis)


def _double_mid(step: Step, market: str) -> int:
    """Return best bid + best ask, or 0 where a side is empty."""
    book = step.state.books[market]
    bid, ask = book.bids.best_price(), book.asks.best_price()
    return 0 if bid is None or ask is None else bid + ask


def _fresh_trade(step: Step, market: str) -> int:
    """Return the last trade's price, or 0 where it says nothing of today's index any more."""
    trade = step.state.trades.get(market)
    if trade is None or step.state.system.time_ms - trade.time_ms > INDEX_AGE_MS_MAX:
        return 0
    return trade.price


def _clamped_rate(step: Step, market: str, price: int, index: int) -> int:
    rate = divide_toward_zero((price - index) * BASIS_ONE, index)
    bound = step.state.markets[market].parameters.oracle.clamp_max * BASIS_ONE // ONE
    if step.guarded(Guard.MARK_CLAMP, abs(rate) > bound, f"{market}: {rate}"):
        return clamp(rate, -bound, bound)
    return rate


def _average(average: int, sampled_at_ms: int, rate: int, now_ms: int) -> int:
    """Return an average with one more sample. A new one starts at 0 and follows slowly.

    A sample says nothing of the time before it: after a silence it weighs no more than 30 s do, so
    one trade after a quiet hour cannot take an average over.
    """
    kept = remaining_weight(min(now_ms - sampled_at_ms, GAP_MS_MAX))
    one = 1 << _WEIGHT_BITS
    return divide_toward_zero(average * kept + rate * (one - kept), one)
