"""Harm on purpose, for drills: what incidents have done to exchanges.

Laws
- A fault exists only where genesis says drill, and is recorded like every other command.
- Harm to a price or an index meets the guard that would have stopped it, and is done only where
  that guard is off; harm to rows goes behind the rules' back, and laws meet it at their next check.
"""

from typing import assert_never

import msgspec

from sequencer.exchange.authority import require_operator
from sequencer.exchange.closing import orders_of
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.commands import Fault, FaultKind
from sequencer.model.events import FaultDone
from sequencer.model.exchange_limits import FAULT_DECIMALS_MAX, QUOTE_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Price
from sequencer.model.units import INDEX_ONE

_GUARDS = {
    FaultKind.ZERO_PRICE: Guard.ZERO_PRICE,
    FaultKind.WRONG_DECIMALS: Guard.PRICE_STEP,
    FaultKind.INDEX_RESET: Guard.FUNDING_STEP,
}


def do_fault(step: Step, command: Fault) -> None:
    """Do harm.

    Refusals: NOT_OPERATOR, NOT_A_DRILL, MODE_FORBIDS, FAULT_INVALID, GUARD_STOPPED.
    """
    require_operator(step)
    if not step.state.system.drill:
        raise Refused(Reason.NOT_A_DRILL, "faults exist in drills only")
    match command.kind:
        case FaultKind.ZERO_PRICE | FaultKind.WRONG_DECIMALS | FaultKind.INDEX_RESET:
            price = step.state.prices.get(command.market)
            if price is None:
                raise Refused(Reason.FAULT_INVALID, f"no market {command.market!r:.40}")
            harmed = _harmed(price, command)
            guard = _GUARDS[command.kind]
            if step.guarded(guard, True, f"{command.market}: {command.kind.value}"):
                raise Refused(Reason.GUARD_STOPPED, f"{guard.value} stops it")
            step.put(Table.PRICE, command.market, harmed)
        case FaultKind.LOST_POSITION:
            _lose_position(step, command)
        case FaultKind.LOST_ORDER:
            _lose_order(step, command)
        case FaultKind.CASH_MINTED:
            _mint_cash(step, command)
        case _ as unreachable:
            assert_never(unreachable)
    harm = command.kind.value
    step.emit(FaultDone(harm, command.market, command.account, command.amount))


def _harmed(price: Price, command: Fault) -> Price:
    if command.kind is FaultKind.ZERO_PRICE:
        return msgspec.structs.replace(price, index=0, mark=0)
    if command.kind is FaultKind.INDEX_RESET:
        return msgspec.structs.replace(price, funding_index=INDEX_ONE)
    if not 0 < command.amount <= FAULT_DECIMALS_MAX:
        raise Refused(Reason.FAULT_INVALID, f"an amount of {command.amount} decimals")
    shift = 10**command.amount
    return msgspec.structs.replace(price, index=price.index // shift, mark=price.mark // shift)


def _lose_position(step: Step, command: Fault) -> None:
    key = (command.account, command.market)
    if key not in step.state.positions:
        raise Refused(Reason.FAULT_INVALID, f"{command.account:#x} has none in {command.market}")
    step.put(Table.POSITION, key, None)


def _lose_order(step: Step, command: Fault) -> None:
    orders = orders_of(step.state, command.account, command.market)
    if not orders:
        raise Refused(Reason.FAULT_INVALID, f"{command.account:#x} has no order")
    step.put(Table.ORDER, orders[0][0], None)


def _mint_cash(step: Step, command: Fault) -> None:
    if command.account not in step.state.accounts:
        raise Refused(Reason.FAULT_INVALID, f"no account {command.account:#x}")
    if not 0 < abs(command.amount) <= QUOTE_MAX:
        raise Refused(Reason.FAULT_INVALID, f"amount {command.amount}")
    step.add_cash(command.account, command.amount)
