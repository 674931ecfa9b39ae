"""Chain time: the tick moves it on, and nothing else does.

Laws
- Time is strictly increasing, whatever a clock says.
- After a gap the exchange takes cancels only, in the same block: restarts, halts and jumps of a
  clock are one case. A gap never raises a mode.
- The first tick of a chain follows no other, so it ends no gap.
"""

from msgspec.structs import replace

from sequencer.exchange.authority import rank
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.events import ModeChanged
from sequencer.model.exchange_limits import GAP_MS_MAX, TIME_MS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Extreme, Mode, ModeCause


def advance_time(step: Step, time_ms: int) -> int:
    """Move chain time on and return by how many milliseconds.

    Refusals: TIME_NOT_INCREASING, TIME_OUT_OF_RANGE.
    """
    system = step.state.system
    if time_ms <= system.time_ms:
        raise Refused(Reason.TIME_NOT_INCREASING, f"{time_ms} after {system.time_ms}")
    if time_ms > TIME_MS_MAX:
        raise Refused(Reason.TIME_OUT_OF_RANGE, f"{time_ms}, {TIME_MS_MAX} at most")
    elapsed_ms = time_ms - system.time_ms
    wait = system.wait_until_ms
    until_ms = time_ms - wait if wait < 0 else wait
    ticks = system.ticks + 1
    step.put_system(replace(system, time_ms=time_ms, ticks=ticks, wait_until_ms=until_ms))
    if system.ticks == 0:
        _date_given_prices(step, time_ms)
    elif elapsed_ms > GAP_MS_MAX:
        _note_gap(step, elapsed_ms)
    return elapsed_ms


def _date_given_prices(step: Step, time_ms: int) -> None:
    """Date what genesis gave: its prices hold from the first tick on."""
    for market, price in sorted(step.state.prices.items()):
        if price.index:
            extremes = (Extreme(time_ms, price.index),)
            dated = replace(price, index_at_ms=time_ms, lows=extremes, highs=extremes)
            step.put(Table.PRICE, market, dated)


def _note_gap(step: Step, elapsed_ms: int) -> None:
    for market, price in sorted(step.state.prices.items()):
        if price.accepted_in_row:
            step.put(Table.PRICE, market, replace(price, accepted_in_row=0))
    system = step.state.system
    if rank(system.mode) <= rank(Mode.CANCEL_ONLY):
        return
    # Only an OPEN exchange may come back by itself: one in POST_ONLY was lowered for the cause that
    # it still carries, and a gap on top of it does not undo that.
    cause = ModeCause.GAP if system.mode is Mode.OPEN else system.cause
    step.put_system(replace(system, mode=Mode.CANCEL_ONLY, cause=cause))
    step.emit(ModeChanged(Mode.CANCEL_ONLY, cause, f"no tick for {elapsed_ms} ms"))
