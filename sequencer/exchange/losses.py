"""Losses that an account cannot pay: insurance pays first, what is left is bad debt.

Laws
- Insurance pays before anything else moves, and never more than it has: its cash is >= 0.
- An isolated account's deficit stops here. Its owner's other accounts are never touched.

Insurance itself may trade and hold positions; it is never liquidated. What it cannot pay of its own
realized losses becomes bad debt at the end of the command that realized them, also while its open
positions are in profit: withdrawals are paid in cash, and so is insurance.
"""

import msgspec

from sequencer.exchange.margin import VALUE_PER_QUOTE, margin_of
from sequencer.exchange.state import State
from sequencer.exchange.step import Step
from sequencer.model.events import Covered
from sequencer.model.units import divide_up


def cover_deficit(step: Step, account: int) -> None:
    """Bring an account whose value at the present marks is below 0 back to 0, rounded up."""
    value = margin_of(step.state, account).value
    if value < 0:
        deficit = divide_up(-value, VALUE_PER_QUOTE)
        from_insurance = min(deficit, insurance_cash(step.state))
        _cover(step, account, from_insurance, deficit - from_insurance)


def settle_insurance(step: Step) -> None:
    """Turn what insurance owes over its cash into bad debt."""
    cash = insurance_cash(step.state)
    if cash < 0:
        _cover(step, step.state.system.insurance, 0, -cash)


def insurance_cash(state: State) -> int:
    """Return the cash of insurance in 1e-8 quote."""
    return state.account(state.system.insurance).cash


def _cover(step: Step, account: int, from_insurance: int, bad_debt: int) -> None:
    if from_insurance:
        step.add_cash(step.state.system.insurance, -from_insurance)
    if bad_debt:
        totals = step.state.totals
        step.put_totals(msgspec.structs.replace(totals, bad_debt=totals.bad_debt + bad_debt))
    step.add_cash(account, from_insurance + bad_debt)
    step.emit(Covered(account, from_insurance, bad_debt))
