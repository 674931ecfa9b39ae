"""Liquidations: unhealthy accounts hand a share of their positions to insurance.

Promises
- At most LIQUIDATIONS_PER_TICK_MAX accounts a tick: lowest margin ratio (value / maintenance)
  first, ties by address.
- All positions shrink by the same share: the smallest multiple of the risk row's step after which
  maintenance / value is below its target. Where no share is enough, or the penalty cannot be paid,
  all of them are closed.

Laws
- An account never loses more than the penalty: share x liquidation fee x maintenance, rounded up.
- A deficit is paid before a position moves, and gains are realized before losses, so nothing is
  sent that is not there.

Roundings: a part of a position is rounded up to the lot, which leaves nothing smaller than a lot.
The price is the mark brought to the price increment in the account's favour (up for what it sells,
down for what it buys back), so that notionals are exact; what it gains by that goes to insurance
with the penalty.
"""

from collections.abc import Mapping
from functools import cmp_to_key
from heapq import nsmallest
from typing import TypeAlias

from sequencer.exchange.closing import cancel_excess_reduce_only, close_order, orders_of
from sequencer.exchange.invariants import check_health_change
from sequencer.exchange.losses import cover_deficit, settle_insurance
from sequencer.exchange.margin import VALUE_PER_QUOTE, Margin, margin_of
from sequencer.exchange.positions import accrued_funding, change_position
from sequencer.exchange.state import State
from sequencer.exchange.step import Step
from sequencer.model.events import CloseReason, Liquidated, LiquidationEnded
from sequencer.model.exchange_limits import LIQUIDATIONS_PER_TICK_MAX
from sequencer.model.markets import MarketParameters
from sequencer.model.rows import Guard, Position
from sequencer.model.units import ONE, divide_up

_Ranked: TypeAlias = tuple[int, Margin]
"""An account and its figures."""


def liquidate_worst(step: Step, unhealthy: Mapping[int, Margin]) -> None:
    """Liquidate unhealthy accounts, the worst first, as many as one tick may."""
    ranked = sorted(unhealthy.items())
    over = len(ranked) > LIQUIDATIONS_PER_TICK_MAX
    capped = step.guarded(Guard.LIQUIDATION_CAP, over, f"{len(ranked)} liquidations in a tick")
    most = LIQUIDATIONS_PER_TICK_MAX if capped else len(ranked)
    for account, margin in nsmallest(most, ranked, key=cmp_to_key(_compare_ratio)):
        _liquidate(step, account, margin)


def _compare_ratio(one: _Ranked, other: _Ranked) -> int:
    """Compare value / maintenance exactly. At a zero price maintenance is 0 and counts as least."""
    left = one[1].value * max(other[1].maintenance, 1)
    right = other[1].value * max(one[1].maintenance, 1)
    if left != right:
        return -1 if left < right else 1
    return -1 if one[0] < other[0] else 1


def _liquidate(step: Step, account: int, before: Margin) -> None:
    positions = _gains_first(step.state, account)
    for market in positions:
        for order_id, row in orders_of(step.state, account, market):
            close_order(step, order_id, row, CloseReason.LIQUIDATION)
    share = _choose_share(step.state, before, positions)
    if share == ONE:
        cover_deficit(step, account)
    value = max(before.value, 0)
    penalty = min(_penalty(step.state, before, share), value // VALUE_PER_QUOTE)
    for market, position in positions.items():
        _hand_over(step, account, market, position, share)
    _pay(step, account, value - penalty * VALUE_PER_QUOTE)
    settle_insurance(step)
    step.emit(LiquidationEnded(account, share, penalty))
    check_health_change(step, account, before)


def _gains_first(state: State, account: int) -> dict[str, Position]:
    """Order positions by what closing them brings, so that cash never dips below its end."""

    def order(item: tuple[str, Position]) -> tuple[int, str]:
        market, position = item
        price = state.prices[market]
        cash = accrued_funding(position, price.funding_index) - position.cost
        return -(position.size * price.mark + cash * ONE), market

    return dict(sorted(state.holding(account).positions.items(), key=order))


def _choose_share(state: State, before: Margin, positions: Mapping[str, Position]) -> int:
    """Return the share (1e-8) by which positions shrink; ONE closes them."""
    risk = state.system.risk
    for share in range(risk.share_step, ONE, risk.share_step):
        value = before.value - _penalty(state, before, share) * VALUE_PER_QUOTE
        if value > 0 and _maintenance_left(state, positions, share) < risk.ratio_target * value:
            return share
    return ONE


def _penalty(state: State, before: Margin, share: int) -> int:
    """Return share x fee x maintenance in 1e-8 quote, rounded up."""
    fee = state.system.risk.liquidation_fee
    return divide_up(share * fee * before.maintenance, ONE * ONE * ONE * VALUE_PER_QUOTE)


def _maintenance_left(state: State, positions: Mapping[str, Position], share: int) -> int:
    """Return the maintenance margin of what a share leaves, in 1e-32."""
    total = 0
    for market, position in positions.items():
        size = abs(position.size)
        left = size - _part(size, share, state.markets[market].parameters.lot)
        total += left * state.prices[market].mark * state.margin_rates[market].maintenance
    return total


def _part(size: int, share: int, lot: int) -> int:
    return min(divide_up(size * share, lot * ONE) * lot, size)


def _hand_over(step: Step, account: int, market: str, position: Position, share: int) -> None:
    """Move a share of a position to insurance."""
    state = step.state
    insurance, parameters = state.system.insurance, state.markets[market].parameters
    part = _part(abs(position.size), share, parameters.lot)
    moved = part if position.size > 0 else -part
    price = _price(parameters, state.prices[market].mark, position.size > 0)
    change_position(step, account, market, -moved, price)
    change_position(step, insurance, market, moved, price)
    cancel_excess_reduce_only(step, insurance, market)
    step.emit(Liquidated(account, market, moved, price))


def _price(parameters: MarketParameters, mark: int, sells: bool) -> int:
    increment = parameters.price_increment
    return (divide_up(mark, increment) if sells else mark // increment) * increment


def _pay(step: Step, account: int, kept: int) -> None:
    """Take from an account what it has over the value that it keeps (in 1e-24), never less than 0.

    That is the penalty and what the price increment gave it.
    """
    paid = (margin_of(step.state, account).value - kept) // VALUE_PER_QUOTE
    if paid > 0:
        step.add_cash(account, -paid)
        step.add_cash(step.state.system.insurance, paid)
