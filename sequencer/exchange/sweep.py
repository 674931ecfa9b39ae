"""What a tick does to accounts: who is watched, who is liquidated, whose orders go.

Laws
- Outside OPEN nothing is cancelled or liquidated here.
- Every account with a position in a market that moved is looked at, but for those that `calm`
  proves not to be low, and everyone whom the tripwire watches: whoever was over the cap at the last
  tick is among them.
- An account that holds a market at a stale index price is left alone: not counted, not liquidated,
  its orders stay. A market that is paused but has fresh prices is no reason to wait.
- Insurance is an account like others, but never unhealthy: there is nobody to take its positions.

Orders go (Paradex calls it deleveraging) while value is below initial margin: first those that do
not reduce a position, newest first; then, market by market, the most passive of those that do,
until no more than the position is left. Those that remain would only reduce. One tick cancels a
named number; the rest goes at the next that moves the market.
"""

from collections.abc import Iterator, Sequence

from sequencer.exchange.calm import move_since, note, refer, restless
from sequencer.exchange.closing import close_order, orders_of
from sequencer.exchange.derived import NO_EXPOSURE
from sequencer.exchange.freshness import stale_held
from sequencer.exchange.liquidation import liquidate_worst
from sequencer.exchange.margin import Margin, initial_of, margin_of, open_loss
from sequencer.exchange.state import State
from sequencer.exchange.step import Step
from sequencer.exchange.tripwire import watch
from sequencer.model.events import CloseReason
from sequencer.model.exchange_limits import CANCELLED_PER_TICK_MAX
from sequencer.model.orders import Side
from sequencer.model.rows import Guard, Mode, OrderRow

# When more than one in so many is looked at, all are, and moves are measured anew.
_RESTLESS_PART_MAX = 4


def sweep_accounts(step: Step, moved: Sequence[str], tick_hash: int) -> None:
    """Look at the accounts in markets that moved; watch, liquidate and cancel as the laws say.

    `moved` names the markets whose mark, funding index or age changed. Refusals:
    HALTED_BY_TRIPWIRE, unless the operator lets the tick with this hash through.
    """
    state = step.state
    if state.system.mode is not Mode.OPEN:
        return
    margins = _restless(state, _concerned(state, moved))
    low = [account for account in sorted(margins) if _is_low(margins[account])]
    low = [account for account in low if not _is_frozen(step, account)]
    unhealthy = {
        account: margins[account]
        for account in low
        if account != state.system.insurance and not margins[account].is_healthy()
    }
    watched = sorted(state.unhealthy)
    recovered = [account for account in watched if margins[account].is_healthy()]
    watch(step, list(unhealthy), recovered, tick_hash)
    liquidate_worst(step, unhealthy)
    left = CANCELLED_PER_TICK_MAX
    for account in low:
        left -= _cancel_uncovered(step, account, left)


def _concerned(state: State, moved: Sequence[str]) -> set[int]:
    accounts = set(state.unhealthy)
    for market in moved:
        accounts.update(state.holders[market])
    return accounts


def _restless(state: State, concerned: set[int]) -> dict[int, Margin]:
    """Work out the figures of those who may be low, and of all that the tripwire watches."""
    move = move_since(state)
    accounts = concerned
    if move is not None:
        accounts = restless(state, concerned, move) | state.unhealthy.keys()
    if move is None or len(accounts) * _RESTLESS_PART_MAX > len(concerned):
        # Too many are near it, or there is none: from here on moves are measured from here.
        refer(state)
        move, accounts = 0, concerned
    margins = {account: margin_of(state, account) for account in accounts}
    for account, margin in margins.items():
        note(state, account, margin, move)
    return margins


def _is_low(margin: Margin) -> bool:
    return not margin.adds_risk() or not margin.is_healthy()


def _is_frozen(step: Step, account: int) -> bool:
    stale = stale_held(step.state, account)
    return step.guarded(Guard.STALE_PRICE, bool(stale), f"{stale}: account {account:#x} is low")


def _cancel_uncovered(step: Step, account: int, most: int) -> int:
    """Cancel orders until value covers initial margin or none is left that adds to it.

    Returns how many went, `most` at the most.
    """
    state = step.state
    if not state.holding(account).exposures:
        return 0
    margin = margin_of(state, account)
    excess = margin.initial - margin.value
    if excess <= 0:
        return 0
    losses = {
        market: open_loss(exposure.resting.values(), state.prices[market].mark)
        for market, exposure in state.holding(account).exposures.items()
    }
    cancelled = 0
    for order_id, row in _uncovered(step, account):
        if excess <= 0 or cancelled == most:
            break
        market = row.order.market
        before = _initial(state, account, market, losses[market])
        losses[market] -= open_loss((row,), state.prices[market].mark)
        close_order(step, order_id, row, CloseReason.MARGIN)
        excess -= before - _initial(state, account, market, losses[market])
        cancelled += 1
    return cancelled


def _initial(state: State, account: int, market: str, loss: int) -> int:
    exposure = state.holding(account).exposures.get(market, NO_EXPOSURE)
    size = state.size_of(account, market)
    return initial_of(state, market, max(exposure.buy_size + size, exposure.sell_size - size), loss)


def _uncovered(step: Step, account: int) -> Iterator[tuple[int, OrderRow]]:
    """Go through the orders that may have to go, in the order in which they do."""
    state = step.state
    orders = [item for item in orders_of(step.state, account) if not item[1].waiting]
    closing: dict[str, list[tuple[int, OrderRow]]] = {}
    for item in reversed(orders):
        market, side = item[1].order.market, item[1].order.side
        size = state.size_of(account, market)
        if size and (side is Side.SELL) == (size > 0):
            closing.setdefault(market, []).append(item)
        else:
            yield item
    for market in sorted(closing):
        total = sum(row.remaining for _, row in closing[market])
        for order_id, row in sorted(closing[market], key=_most_passive):
            if total <= abs(state.size_of(account, market)):
                break
            total -= row.remaining
            yield order_id, row


def _most_passive(item: tuple[int, OrderRow]) -> tuple[int, int]:
    row = item[1]
    return (row.price if row.order.side is Side.BUY else -row.price, -row.sequence)
