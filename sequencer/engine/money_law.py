"""The money law: what the settlement contract holds is what the appchain owes, to the last 1e-8.

Laws
- At quiescence: (deposited - paid over there) + what genesis deposited = (deposited - withdrawn
  here) + withdrawals that are not paid + deposits that are not credited.
- What genesis deposited was paid into the contract outside its counters, so that every withdrawal
  is covered.
"""

from collections.abc import Container, Iterable, Mapping

from sequencer.engine.deposit_facts import Content
from sequencer.model.rows import Totals, Withdrawal
from sequencer.model.settlement import Money
from sequencer.model.units import QUOTE_PER_TOKEN


def money_difference(
    money: Money,
    totals: Totals,
    withdrawals: Mapping[int, Withdrawal],
    paid: Container[int],
    uncredited: Iterable[Content],
) -> int:
    """Return what the contract has more than the appchain owes, in 1e-8 quote: 0 by the law.

    `paid` are the ids of withdrawals that the contract has paid, `uncredited` the deposits that
    stand over there and wait here. All are of one moment at which nothing is under way.
    """
    held = (money.deposited - money.paid) * QUOTE_PER_TOKEN + totals.genesis_deposited
    owed = totals.deposited - totals.withdrawn
    owed += sum(row.payout for id_, row in withdrawals.items() if id_ not in paid)
    waiting = sum(each.amount for each in uncredited) * QUOTE_PER_TOKEN
    return held - owed - waiting
