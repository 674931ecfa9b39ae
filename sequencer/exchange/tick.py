"""The tick: the command that opens a block. Time moves on, prices count, and what they cause runs.

Promises
- The order is fixed: time and its gap rule, expiry, prices, marks, funding, triggers, liquidations,
  and at last the way back up after a gap. Each part sees what the parts before it have done.

Laws
- Nothing but a tick moves time, index and mark prices, or funding.
"""

from sequencer.exchange.authority import require_mode, require_operator
from sequencer.exchange.chain_time import advance_time
from sequencer.exchange.expiry import expire_orders, forget_used_orders
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.funding import accrue_funding
from sequencer.exchange.mark import update_marks
from sequencer.exchange.modes import reopen_after_gap
from sequencer.exchange.oracle import accept_reports
from sequencer.exchange.state import State
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
    require_mode(step, Mode.CANCEL_ONLY)
    before = _figures(step.state)
    elapsed_ms = advance_time(step, command.time_ms)
    forget_used_orders(step)
    expire_orders(step)
    perpetuals = accept_reports(step, command.reports)
    update_marks(step, perpetuals)
    accrue_funding(step, elapsed_ms)
    after = _figures(step.state)
    moved = tuple(market for market in sorted(after) if after[market] != before[market])
    fire_triggers(step)
    sweep_accounts(step, moved, command.tick_hash)
    reopen_after_gap(step)


def _figures(state: State) -> dict[str, tuple[int, int, bool]]:
    """Return, by market, what accounts are valued at, and whether that is too old to act on.

    A price that is fresh again counts as moved even where it comes back unchanged.
    """
    return {
        market: (price.mark, price.funding_index, is_stale(state, market))
        for market, price in state.prices.items()
    }
