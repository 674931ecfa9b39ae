"""Going on after a rollback: one recorded command ahead of the first tick of the new branch.

Promises
- It reads nothing but the command and the state that the rollback restored, whatever mode that
  state is in.
- Afterwards the mode is CANCEL_ONLY, every guard is on, withdrawals wait, no tick is let through.

Laws
- Security commands that the rollback undid count again; what is gone already stays gone.
- A price of 0 that the restored state holds becomes a missing one, which has to be seeded.
"""

from typing import assert_never

import msgspec

from sequencer.exchange.accounts import drop_subkey
from sequencer.exchange.authority import require_operator
from sequencer.exchange.closing import close_order
from sequencer.exchange.modes import lower_mode, with_withdrawal_wait
from sequencer.exchange.settings import hand_over, switch_guard
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.commands import (
    OrderPolicy,
    RemovePublisher,
    Reopen,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetOperator,
)
from sequencer.model.events import CloseReason, PublisherChanged, Reopened
from sequencer.model.orders import STOP_LOSS_TYPES, TAKE_PROFIT_TYPES
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode, ModeCause, OrderRow, Price

_TAKE_PROFIT_OR_STOP_LOSS = TAKE_PROFIT_TYPES | STOP_LOSS_TYPES


def reopen(step: Step, command: Reopen) -> None:
    """Go on after a rollback, in CANCEL_ONLY.

    Refusals: NOT_OPERATOR, PARAMETER_INVALID, ACCOUNT_INVALID for an operator that `hand_over`
    refuses, and NOT_A_DRILL where a guard would go off again.
    """
    require_operator(step)
    if command.reorg_id <= 0:
        raise Refused(Reason.PARAMETER_INVALID, f"{command.reorg_id} is no reorg")
    system = msgspec.structs.replace(with_withdrawal_wait(step.state.system), tick_allowed=0)
    step.put_system(system)
    lower_mode(step, Mode.CANCEL_ONLY, ModeCause.ROLLBACK, f"reorg {command.reorg_id}")
    _forget_lost_prices(step)
    for guard in system.guards_off:
        switch_guard(step, guard, on=True)
    _apply_policy(step, command.policy)
    for security in command.security:
        _apply_again(step, security)
    step.emit(Reopened(command.reorg_id))


def _forget_lost_prices(step: Step) -> None:
    for market, price in sorted(step.state.prices.items()):
        if price.index_at_ms and not (price.index and price.mark):
            step.put(Table.PRICE, market, Price(funding_index=price.funding_index))


def survives(row: OrderRow, policy: OrderPolicy) -> bool:
    """Say whether an order survives a rollback."""
    if policy is OrderPolicy.CANCEL_ALL_BUT_TPSL:
        return row.order.type in _TAKE_PROFIT_OR_STOP_LOSS
    return policy is OrderPolicy.KEEP


def _apply_policy(step: Step, policy: OrderPolicy) -> None:
    orders = sorted(step.state.orders.items(), key=lambda item: item[1].sequence)
    for order_id, row in orders:
        if not survives(row, policy):
            close_order(step, order_id, row, CloseReason.ROLLBACK)


def _apply_again(step: Step, command: SecurityCommand) -> None:
    match command:
        case RevokeSubkey():
            drop_subkey(step, command.account, command.key)
        case RemovePublisher():
            if command.name in step.state.publishers:
                step.put(Table.PUBLISHER, command.name, None)
                step.emit(PublisherChanged(command.name, 0))
        case SetOperator():
            hand_over(step, command.operator)
        case SetGuard():
            switch_guard(step, command.guard, command.on)
        case _ as unreachable:
            assert_never(unreachable)
