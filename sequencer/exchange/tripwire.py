"""The tripwire: many accounts unhealthy at once, and no index price that explains it.

Promises
- A tick that trips it is refused as a whole, before anybody is liquidated. The operator may let
  one tick through, by its hash; then, as with the guard switched off, those counted so far are no
  alarm any more.

Laws
- It counts accounts that became unhealthy in OPEN in the last TRIPWIRE_WINDOW_MS, each once,
  liquidated or not. Those unhealthy when OPEN is entered are its baseline and do not count.
- It trips at TRIPWIRE_ACCOUNTS_MIN of them and TRIPWIRE_HOLDERS_RATE of all holders, or at
  TRIPWIRE_NOTIONAL_RATE of open interest (long sizes). Insurance is neither counted nor a holder.

An index explains an account if it moved *against* one of its positions by TRIPWIRE_INDEX_RATE or
more: for a long from the highest accepted price of the window down to the present one, for a short
from the lowest up. That is decided for each account alone, when it becomes unhealthy: an account
that is explained never counts, also not after the window has passed; one that is not counts, also
if the index moves afterwards. While any guard of prices is off no move explains anything.

Notionals are worked out at the higher of mark and the highest index of the window, so that a price
of 0 does not make its own victims weigh nothing. They are rounded toward the tripwire.
"""

from collections.abc import Iterable, Sequence

import msgspec

from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.events import SettingChanged
from sequencer.model.exchange_limits import (
    TRIPWIRE_ACCOUNTS_MIN,
    TRIPWIRE_HOLDERS_RATE,
    TRIPWIRE_INDEX_RATE,
    TRIPWIRE_NOTIONAL_RATE,
    TRIPWIRE_WINDOW_MS,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Extreme, Guard, Unhealthy
from sequencer.model.units import ONE, divide_up

_PRICE_GUARDS = frozenset(
    (
        Guard.ZERO_PRICE,
        Guard.STALE_PRICE,
        Guard.PRICE_STEP,
        Guard.PRICE_RANGE,
        Guard.PRICE_SEED,
        Guard.QUORUM,
        Guard.MARK_CLAMP,
    )
)


def watch(step: Step, unhealthy: Sequence[int], recovered: Sequence[int], tick_hash: int) -> None:
    """Note who is unhealthy now and who is no longer, both by address, and decide.

    Refusals: HALTED_BY_TRIPWIRE.
    """
    for account in recovered:
        _end(step, account)
    for account in unhealthy:
        _begin(step, account)
    alarm = _alarm(step.state)
    if not alarm:
        return
    system = step.state.system
    if tick_hash and system.tick_allowed == tick_hash:
        step.put_system(msgspec.structs.replace(system, tick_allowed=0))
        step.emit(SettingChanged("tick_allowed"))
    elif step.guarded(Guard.TRIPWIRE, True, alarm):
        raise Refused(Reason.HALTED_BY_TRIPWIRE, alarm)
    for account, row in sorted(step.state.unhealthy.items()):
        step.put(Table.UNHEALTHY, account, msgspec.structs.replace(row, counted=False))


def note_baseline(step: Step) -> None:
    """Take those who are unhealthy at this moment as known. For entering OPEN."""
    state = step.state
    unhealthy = _unhealthy(state)
    for account in sorted(unhealthy | state.unhealthy.keys()):
        row = Unhealthy(state.system.time_ms, _notional_of(state, account), counted=False)
        step.put(Table.UNHEALTHY, account, row if account in unhealthy else None)


def count_unhealthy(state: State) -> int:
    """Count the accounts that OPEN would liquidate at the present prices, over the cap or not."""
    return len(_unhealthy(state))


def _unhealthy(state: State) -> set[int]:
    return {account for account in _holders(state) if not margin_of(state, account).is_healthy()}


def _holders(state: State) -> set[int]:
    accounts = {account for holders in state.holders.values() for account in holders}
    return accounts - {state.system.insurance}


def _end(step: Step, account: int) -> None:
    row = step.state.unhealthy[account]
    if not row.counted or not _is_recent(step.state, row):
        step.put(Table.UNHEALTHY, account, None)
    elif not row.over:
        step.put(Table.UNHEALTHY, account, msgspec.structs.replace(row, over=True))


def _begin(step: Step, account: int) -> None:
    state = step.state
    row = state.unhealthy.get(account)
    if row is None or row.over:
        counted = not _is_explained(state, account)
        row = Unhealthy(state.system.time_ms, _notional_of(state, account), counted)
        step.put(Table.UNHEALTHY, account, row)


def _is_recent(state: State, row: Unhealthy) -> bool:
    return state.system.time_ms - row.since_ms < TRIPWIRE_WINDOW_MS


def _alarm(state: State) -> str:
    """Return the counts that trip the tripwire, or ""."""
    rows = [row for row in state.unhealthy.values() if row.counted and _is_recent(state, row)]
    if not rows:
        return ""
    notional = sum(row.notional for row in rows)
    holders, interest = len(_holders(state)), _open_interest(state)
    by_number = len(rows) * ONE >= TRIPWIRE_HOLDERS_RATE * holders
    by_notional = notional > 0 and notional * ONE >= TRIPWIRE_NOTIONAL_RATE * interest
    if (len(rows) >= TRIPWIRE_ACCOUNTS_MIN and by_number) or by_notional:
        return f"{len(rows)} of {holders} accounts, {notional} of {interest} open interest"
    return ""


def _open_interest(state: State) -> int:
    sums = state.market_sums
    return sum(sums[market].long * _weight(state, market) for market in state.prices) // ONE


def _notional_of(state: State, account: int) -> int:
    positions = state.holding(account).positions
    total = sum(abs(row.size) * _weight(state, market) for market, row in positions.items())
    return divide_up(total, ONE)


def _weight(state: State, market: str) -> int:
    price = state.prices[market]
    return max(price.mark, *_recent(state, price.highs), 0)


def _recent(state: State, extremes: Iterable[Extreme]) -> list[int]:
    since_ms = state.system.time_ms - TRIPWIRE_WINDOW_MS
    return [extreme.price for extreme in extremes if extreme.time_ms >= since_ms]


def _is_explained(state: State, account: int) -> bool:
    if not _PRICE_GUARDS.isdisjoint(state.system.guards_off):
        return False
    for market, position in state.holding(account).positions.items():
        price = state.prices[market]
        if position.size > 0:
            start = max(_recent(state, price.highs), default=price.index)
            against = start - price.index
        else:
            start = min(_recent(state, price.lows), default=price.index)
            against = price.index - start
        if against > 0 and against * ONE >= TRIPWIRE_INDEX_RATE * start:
            return True
    return False
