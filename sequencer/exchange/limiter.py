"""How much may be withdrawn: an hour's and a day's capacity, as in dYdX v4.

Laws
- A window's baseline is a part of total collateral (deposited - withdrawn), or its minimum.
- Capacity moves toward the baseline by max(baseline, capacity - baseline) x elapsed / period,
  rounded down, and never crosses it. Deposits add to it, withdrawals take from it.
- The row is brought to chain time when it is used; before its first use both windows are full.
"""

import msgspec

from sequencer.exchange.state import ONLY, State, Table
from sequencer.exchange.step import Step
from sequencer.model.exchange_limits import WITHDRAWAL_DAY_MS, WITHDRAWAL_HOUR_MS
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Limiter
from sequencer.model.units import ONE


def moved_capacity(baseline: int, capacity: int, elapsed_ms: int, period_ms: int) -> int:
    """Return a window's capacity after some time. Capacity and baseline in one and any unit."""
    way = max(baseline, capacity - baseline) * elapsed_ms // period_ms
    if capacity > baseline:
        return max(baseline, capacity - way)
    return min(baseline, capacity + way)


def current_limiter(state: State) -> Limiter:
    """Return the limiter's row as of chain time. Capacities in 1e-8 quote."""
    row, risk, now_ms = state.limiter, state.system.risk, state.system.time_ms
    collateral = state.totals.deposited - state.totals.withdrawn
    hour = max(risk.hour_min, collateral * risk.hour_rate // ONE)
    day = max(risk.day_min, collateral * risk.day_rate // ONE)
    if not row.updated_at_ms:
        return Limiter(hour, day, now_ms)
    elapsed_ms = now_ms - row.updated_at_ms
    return Limiter(
        moved_capacity(hour, row.hour_capacity, elapsed_ms, WITHDRAWAL_HOUR_MS),
        moved_capacity(day, row.day_capacity, elapsed_ms, WITHDRAWAL_DAY_MS),
        now_ms,
    )


def settle_limiter(step: Step) -> None:
    """Bring the row to chain time: whatever changes a baseline does this first."""
    step.put(Table.LIMITER, ONLY, current_limiter(step.state))


def add_capacity(step: Step, amount: int) -> None:
    """Count a deposit, in 1e-8 quote. Called before total collateral rises."""
    row = current_limiter(step.state)
    changed = msgspec.structs.replace(
        row, hour_capacity=row.hour_capacity + amount, day_capacity=row.day_capacity + amount
    )
    step.put(Table.LIMITER, ONLY, changed)


def drop_capacity(step: Step, amount: int) -> None:
    """Count a deposit no more, in 1e-8 quote. Called before total collateral falls.

    Who asks pays it back at once, so it is refused for nothing that is left.
    """
    _put_less(step, current_limiter(step.state), amount)


def take_capacity(step: Step, amount: int) -> None:
    """Count a withdrawal, in 1e-8 quote. Called before total collateral falls.

    Refuses with WITHDRAWAL_LIMIT what is more than either window has left.
    """
    row = current_limiter(step.state)
    left = min(row.hour_capacity, row.day_capacity)
    if step.guarded(Guard.WITHDRAWAL_LIMIT, amount > left, f"{amount} of {left}"):
        raise Refused(Reason.WITHDRAWAL_LIMIT, f"{left} may be withdrawn now, not {amount}")
    _put_less(step, row, amount)


def _put_less(step: Step, row: Limiter, amount: int) -> None:
    changed = msgspec.structs.replace(
        row,
        hour_capacity=max(row.hour_capacity - amount, 0),
        day_capacity=max(row.day_capacity - amount, 0),
    )
    step.put(Table.LIMITER, ONLY, changed)
