"""The tick: the command that opens a block. Time moves on, prices count, and what they cause runs.

Promises
- The order is fixed: time and its gap rule, expiry, prices, marks, funding, triggers, liquidations,
  and at last the way back up after a gap. Each part sees what the parts before it have done.

Laws
- Nothing but a tick moves time, index and mark prices, or funding.
"""

from msgspec.structs import replace

from sequencer.exchange.authority import require_operator
from sequencer.exchange.chain_time import advance_time
from sequencer.exchange.expiry import expire_orders, forget_used_orders
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.funding import accrue_funding
from sequencer.exchange.mark import update_marks
from sequencer.exchange.modes import reopen_after_gap
from sequencer.exchange.oracle import accept_reports
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.exchange.sweep import sweep_accounts
from sequencer.exchange.triggers import fire_triggers
from sequencer.model.commands import Tick
from sequencer.model.rows import Mode


def tick(step: Step, command: Tick) -> None:
    """Open a block.

    Refusals: NOT_OPERATOR, MODE_FORBIDS, TIME_NOT_INCREASING, TIME_OUT_OF_RANGE, PARAMETER_INVALID,
    and HALTED_BY_TRIPWIRE.
    """
    require_operator(step)
    stale = _stale(step.state)
    elapsed_ms = advance_time(step, command.time_ms)
    forget_used_orders(step)
    expire_orders(step)
    perpetuals = accept_reports(step, command.reports)
    update_marks(step, perpetuals)
    accrue_funding(step, elapsed_ms)
    moved = _moved(step.state, stale)
    fire_triggers(step)
    sweep_accounts(step, moved, command.tick_hash)
    _note_swept(step, moved)
    reopen_after_gap(step)


def _stale(state: State) -> dict[str, bool]:
    return {market: is_stale(state, market) for market in state.prices}


def _moved(state: State, stale: dict[str, bool]) -> tuple[str, ...]:
    """Return the markets whose figures are not those of the last sweep.

    A price that is fresh again counts as moved even where it comes back unchanged.
    """
    return tuple(
        market
        for market, price in sorted(state.prices.items())
        if (price.mark, price.funding_index) != (price.swept_mark, price.swept_index)
        or stale[market] != is_stale(state, market)
    )


def _note_swept(step: Step, moved: tuple[str, ...]) -> None:
    if step.state.system.mode is not Mode.OPEN:
        return
    for market in moved:
        price = step.state.prices[market]
        swept = replace(price, swept_mark=price.mark, swept_index=price.funding_index)
        step.put(Table.PRICE, market, swept)
