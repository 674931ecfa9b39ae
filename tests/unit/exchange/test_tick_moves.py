"""What counts as moved: figures that differ from those of the last sweep, whoever changed them."""

from msgspec.structs import replace

from sequencer.exchange.state import State
from sequencer.model.commands import Fault, FaultKind, Tick, UpdateMarket
from sequencer.model.rows import Guard
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    OPERATOR,
    add_market,
    change_price,
    fund,
    hold,
    make_state,
    run,
)
from tests.unit.exchange.pricing import add_publishers, reports_of


def tick(state: State) -> None:
    """Let a second pass, and BTC be reported at 100."""
    time_ms = state.system.time_ms + 1_000
    run(state, Tick(time_ms, reports_of([100 * ONE] * 3, time_ms)), OPERATOR)


def test_what_moved_between_ticks_is_swept_at_the_next() -> None:
    """A fault, or other margins, at a price that does not move at all."""
    state = make_state(drill=True, guards_off=(Guard.FUNDING_STEP, Guard.TRIPWIRE))
    add_market(state, price=100 * ONE)
    add_publishers(state)
    change_price(state, BTC, funding_index=11 * INDEX_ONE)
    fund(state, ALICE, 3 * ONE)
    fund(state, BOB, 50 * ONE)
    hold(state, BOB, ALICE, ONE, 100 * ONE)
    tick(state)
    tick(state)
    assert (ALICE, BTC) in state.positions
    run(state, Fault(FaultKind.INDEX_RESET, BTC), OPERATOR)
    tick(state)
    assert (ALICE, BTC) not in state.positions


def test_other_margins_are_a_reason_to_look_again() -> None:
    state = make_state(drill=True, guards_off=(Guard.TRIPWIRE,))
    add_market(state, price=100 * ONE, initial_margin=2_000_000, taker_fee=0)
    add_publishers(state)
    fund(state, ALICE, 3 * ONE)
    fund(state, BOB, 500 * ONE)
    hold(state, BOB, ALICE, ONE, 100 * ONE)
    tick(state)
    tick(state)
    parameters = state.markets[BTC].parameters
    run(state, UpdateMarket(replace(parameters, initial_margin=20_000_000)), OPERATOR)
    tick(state)
    held = state.positions.get((ALICE, BTC))
    assert held is None or held.size != -ONE
