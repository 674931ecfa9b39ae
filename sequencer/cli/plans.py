"""A rollback's plan as a page that can be read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import assert_never

from sequencer.cli.quantities import decimal
from sequencer.engine.plan import Plan, Zone
from sequencer.model.commands import (
    RemovePublisher,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetOperator,
)
from sequencer.model.plugins import PluginOpinion
from sequencer.starknet.felt import format_felt


def describe(
    plan: Plan, data_dir: Path, opinions: Sequence[PluginOpinion] | None = ()
) -> Iterator[str]:
    """Yield the page: what stays, what goes, who is hit most, what cannot be undone, what next.

    `opinions` are those of plugins; None for plugins that could not be asked.
    """
    impact = plan.impact
    yield f"plan {plan.plan_id.hex()}"
    yield f"STAYS  block {plan.target_height} {plan.target_hash:#x} and all below it"
    yield f"       its root {plan.target_root:#x} was worked out again from its rows: equal"
    yield f"GOES   blocks {plan.target_height + 1} to {plan.head_height}: {impact.blocks} blocks,"
    yield f"       {impact.transactions} transactions, {impact.orders_opened} orders opened,"
    yield f"       {impact.orders_closed} closed, {impact.fills} fills, {impact.liquidations}"
    yield f"       liquidations, {impact.funding_payments} funding payments"
    if impact.unread:
        yield f"UNREAD {impact.unread} of them cannot be read: what they did is not counted here"
    if not impact.is_compared:
        yield "UNREAD the state at the head cannot be read: no account is compared, no key listed"
    yield f"ORDERS {plan.orders_kept} survive ({plan.policy.value}), {plan.orders_cancelled} do not"
    yield f"HIT    {impact.accounts} accounts differ; the largest changes of value:"
    for balance in impact.balances:
        change = decimal(balance.value_then - balance.value_now)
        yield f"       {format_felt(balance.account)} {change} to {decimal(balance.value_then)}"
    for position in impact.positions:
        sizes = f"{decimal(position.size_now)} to {decimal(position.size_then)}"
        yield f"       {format_felt(position.account)} {position.market} {sizes}"
    for deposit in impact.deposits:
        amount = decimal(deposit.amount)
        place = f"nonce {deposit.nonce} of block {deposit.height}"
        if deposit.is_gone:
            yield f"GONE   deposit {place}: {amount}; the settlement chain has lost it"
        else:
            yield f"AGAIN  deposit {place}: {amount} waits to be credited again"
    for nonce in impact.lost:
        yield f"LOST   deposit nonce {nonce} stays credited, and the settlement chain has lost it"
    for withdrawal in impact.withdrawals:
        place = f"{format_felt(withdrawal.withdrawal_id)} of block {withdrawal.height}"
        yield f"GOES   withdrawal {place}: {decimal(withdrawal.payout)}"
    for number, command in enumerate(impact.security):
        again = "done again" if command in plan.security else "NOT done again"
        words = f"{_security_words(command)} would be undone"
        yield f"KEYS   {number}: {words}; {again} when the chain reopens"
    yield from _settlement_lines(plan.zone)
    yield "KEPT   what was told to readers and plugins cannot be untold; they are told of this"
    yield from _opinion_lines(opinions)
    step = f"perpchain reorg apply {data_dir} {plan.plan_id.hex()} --reason '...'"
    is_vetoed = any(each.veto for each in opinions or ())
    yield f"NEXT   {step} --override '...'" if is_vetoed else f"NEXT   {step}"


def _settlement_lines(zone: Zone) -> Iterator[str]:
    yield f"SETTLE {zone.name}: {zone.action}"
    if zone.post_height >= 0:
        yield f"       posted block at or below it: {zone.post_height}, root {zone.post_root:#x};"
        yield f"       newest {zone.settled_height}, final {zone.finalized_height}; contract root"
        yield f"       at the target: {zone.posted_root.value}"


def _opinion_lines(opinions: Sequence[PluginOpinion] | None) -> Iterator[str]:
    if opinions is None:
        yield "MUTE   plugins are not asked while the node does not run; its next start tells them"
    for each in opinions or ():
        if each.veto:
            yield f"VETO   {each.name}: {each.words}"
        elif each.words:
            yield f"WARNS  {each.name}: {each.words}"
        else:
            yield f"FINE   {each.name}: nothing speaks against it"


def _security_words(command: SecurityCommand) -> str:
    """Name a security command with what it is about."""
    match command:
        case RevokeSubkey(account=account, key=key):
            return f"RevokeSubkey of key {format_felt(key)} of account {format_felt(account)}"
        case RemovePublisher(name=name):
            return f"RemovePublisher or another key of {name}"
        case SetOperator(operator=operator):
            return f"SetOperator to account {format_felt(operator)}"
        case SetGuard(guard=guard, on=on):
            return f"SetGuard {guard.value} {'on' if on else 'off'}"
    assert_never(command)
