"""The ladder of modes: HALTED, CANCEL_ONLY, POST_ONLY, OPEN.

Laws
- Down is allowed at once, from anywhere to anywhere; up goes one step at a time.
- OPEN arms liquidations and triggers, so it is refused until every active market has a fresh price
  that was accepted some times in a row and, where one is demanded, a book; and until nobody would
  be surprised by what fires.
- Only what a gap has lowered opens again by itself, and only where genesis says so.
"""

from collections.abc import Iterable

import msgspec

from sequencer.exchange.authority import rank, require_operator
from sequencer.exchange.closing import close_order
from sequencer.exchange.entry import is_outside_post_only_band
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.state import State
from sequencer.exchange.step import Step
from sequencer.exchange.triggers import count_due
from sequencer.exchange.tripwire import count_unhealthy, note_baseline
from sequencer.model.commands import SetMode
from sequencer.model.events import CloseReason, ModeChanged
from sequencer.model.exchange_limits import (
    BOOK_DEPTH_MIN,
    BOOK_DEPTH_RANGE,
    BOOK_SPREAD_MAX,
    MODE_PROBLEMS_MAX,
    PRICES_IN_ROW_MIN,
    TRIPWIRE_ACCOUNTS_MIN,
    WITHDRAWAL_WAIT_MS,
    WITHDRAWAL_WAIT_TICKS,
)
from sequencer.model.markets import MarketStatus
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode, ModeCause, OrderRow, System
from sequencer.model.units import ONE


def set_mode(step: Step, command: SetMode) -> None:
    """Change the mode as the operator says. The present mode again only takes over its cause.

    A HALTED with cause TRIPWIRE starts the withdrawal wait. Refusals: NOT_OPERATOR,
    PARAMETER_INVALID, MODE_ORDER, MODE_NOT_READY.
    """
    require_operator(step)
    tripped = command.cause is ModeCause.TRIPWIRE and command.mode is Mode.HALTED
    if not tripped and command.cause is not ModeCause.OPERATOR:
        words = f"{command.mode.value} because of {command.cause.value}"
        raise Refused(Reason.PARAMETER_INVALID, words)
    mode = step.state.system.mode
    if rank(command.mode) <= rank(mode):
        if tripped:
            step.put_system(with_withdrawal_wait(step.state.system))
        lower_mode(step, command.mode, command.cause, command.reason)
        return
    if rank(command.mode) > rank(mode) + 1:
        raise Refused(Reason.MODE_ORDER, f"{mode.value} is too far below {command.mode.value}")
    if command.mode is Mode.OPEN:
        _require_ready(step.state, command.accept)
    _raise_mode(step, command.mode, ModeCause.OPERATOR, command.reason)


def lower_mode(step: Step, mode: Mode, cause: ModeCause, reason: str) -> None:
    """Set a mode at or below the present one, and why."""
    system = step.state.system
    step.put_system(msgspec.structs.replace(system, mode=mode, cause=cause))
    step.emit(ModeChanged(mode, cause, reason))
    if mode is Mode.POST_ONLY and system.mode is not mode:
        _cancel_outside_band(step)


def with_withdrawal_wait(system: System) -> System:
    """Return the exchange's row with the withdrawal wait started; the next tick knows its end."""
    return msgspec.structs.replace(
        system,
        wait_until_ticks=system.ticks + WITHDRAWAL_WAIT_TICKS,
        wait_until_ms=-WITHDRAWAL_WAIT_MS,
    )


def reopen_after_gap(step: Step) -> None:
    """Go one step up after a gap, on chains that reopen by themselves, if all is ready."""
    state = step.state
    system = state.system
    if not system.reopen_automatic or system.cause is not ModeCause.GAP:
        return
    if system.mode is Mode.CANCEL_ONLY and not _price_problems(state):
        _raise_mode(step, Mode.POST_ONLY, ModeCause.GAP, "prices are back")
    elif system.mode is Mode.POST_ONLY and not opening_problems(state, 0):
        _raise_mode(step, Mode.OPEN, ModeCause.GAP, "prices and books are back")


def opening_problems(state: State, accept: int) -> list[str]:
    """List what keeps the exchange from OPEN, each with its market; none where it is ready.

    What would fire at once is counted only where prices and books are fine, for it hangs on them.
    """
    problems = _price_problems(state) + _book_problems(state)
    if problems:
        return problems
    count = count_due(state) + count_unhealthy(state)
    if count <= max(accept, TRIPWIRE_ACCOUNTS_MIN):
        return []
    return [f"{count} triggers and liquidations would fire at once"]


def _require_ready(state: State, accept: int) -> None:
    problems = opening_problems(state, accept)
    if problems:
        more = len(problems) - MODE_PROBLEMS_MAX
        named = problems[:MODE_PROBLEMS_MAX] + ([f"{more} more"] if more > 0 else [])
        raise Refused(Reason.MODE_NOT_READY, "; ".join(named))


def _raise_mode(step: Step, mode: Mode, cause: ModeCause, reason: str) -> None:
    # The row keeps the cause of the last lowering: a rise must not make a halt look like a gap.
    step.put_system(msgspec.structs.replace(step.state.system, mode=mode))
    step.emit(ModeChanged(mode, cause, reason))
    if mode is Mode.POST_ONLY:
        _cancel_outside_band(step)
    elif mode is Mode.OPEN:
        note_baseline(step)


def _cancel_outside_band(step: Step) -> None:
    """Cancel, oldest first, what rests too far on the wrong side of fair price."""
    state = step.state
    outside: list[tuple[int, OrderRow]] = []
    for market, price in sorted(state.prices.items()):
        book = state.books[market]
        for side in (book.bids, book.asks):
            # A side is walked from its most aggressive order on: the first inside ends it.
            for order_id, row in side.walk():
                if not is_outside_post_only_band(row.order, price):
                    break
                outside.append((order_id, row))
    for order_id, row in sorted(outside, key=lambda item: item[1].sequence):
        close_order(step, order_id, row, CloseReason.BAND)


def _active(state: State) -> list[str]:
    active = MarketStatus.ACTIVE
    return sorted(name for name, market in state.markets.items() if market.status is active)


def _price_problems(state: State) -> list[str]:
    problems = ((market, _price_problem(state, market)) for market in _active(state))
    return [f"{market}: {problem}" for market, problem in problems if problem]


def _price_problem(state: State, market: str) -> str:
    price = state.prices[market]
    if price.index <= 0 or price.mark <= 0:
        return "no price"
    if is_stale(state, market):
        return "its price is stale"
    if price.accepted_in_row < PRICES_IN_ROW_MIN:
        return f"{price.accepted_in_row} of {PRICES_IN_ROW_MIN} prices in a row"
    return ""


def _book_problems(state: State) -> list[str]:
    demanded = [name for name in _active(state) if state.markets[name].parameters.book_demanded]
    problems = ((market, _book_problem(state, market)) for market in demanded)
    return [f"{market}: {problem}" for market, problem in problems if problem]


def _book_problem(state: State, market: str) -> str:
    """Say what a demanded book lacks: a side, a spread that is small enough, or depth."""
    book = state.books[market]
    bid, ask = book.bids.best_price(), book.asks.best_price()
    if bid is None or ask is None:
        return "no bids" if bid is None else "no asks"
    # Twice mid, so that half an increment needs no rounding.
    middle = bid + ask
    if 2 * (ask - bid) * ONE > BOOK_SPREAD_MAX * middle:
        return f"the spread is {bid} .. {ask}"
    low, high = middle * (ONE - BOOK_DEPTH_RANGE), middle * (ONE + BOOK_DEPTH_RANGE)
    levels = ((price, size) for price, size in book.bids.prices() if 2 * price * ONE >= low)
    if _depth(levels) < BOOK_DEPTH_MIN * ONE:
        return "too few bids near the middle"
    levels = ((price, size) for price, size in book.asks.prices() if 2 * price * ONE <= high)
    return "too few asks near the middle" if _depth(levels) < BOOK_DEPTH_MIN * ONE else ""


def _depth(levels: Iterable[tuple[int, int]]) -> int:
    """Sum up quote in 1e-16."""
    return sum(price * size for price, size in levels)
