"""The parts of a plan's page: accounts, money, keys, plugins, and the settlement chain in words."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from sequencer.cli.page import wrapped
from sequencer.cli.quantities import column, grouped
from sequencer.engine.impact import BalanceChange, Impact
from sequencer.engine.plan import Plan
from sequencer.engine.settling import plan_felt
from sequencer.model.commands import (
    RemovePublisher,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetOperator,
)
from sequencer.model.plugins import PluginOpinion, PluginStanding
from sequencer.starknet.felt import format_felt

_COLUMN = 25


def account_lines(impact: Impact) -> Iterator[str]:
    """Yield a table of the accounts that are hit most: an account, its value, its positions."""
    if not impact.is_compared:
        yield from wrapped("not known: the state at the head cannot be read")
        return
    balances = {each.account: each for each in impact.balances}
    accounts = dict.fromkeys([*balances, *(each.account for each in impact.positions)])
    if not accounts:
        yield from wrapped(f"{impact.accounts} accounts differ, none in value or position")
        return
    yield from wrapped(f"{impact.accounts} accounts differ; these are the largest changes:")
    yield f"  {'value now':>{_COLUMN}}{'value then':>{_COLUMN}}{'change':>{_COLUMN}}"
    for account in accounts:
        yield f"  {format_felt(account)}"
        yield _values(balances.get(account))
        for each in impact.positions:
            if each.account == account:
                change = f"{grouped(each.size_now)} now, {grouped(each.size_then)} then"
                yield f"      position {each.market}: {change}"


def _values(balance: BalanceChange | None) -> str:
    if balance is None:
        return "      its change of value is none of the largest"
    change = column(balance.value_then - balance.value_now, _COLUMN, signed=True)
    values = column(balance.value_now, _COLUMN) + column(balance.value_then, _COLUMN)
    return f"  {values}{change}".rstrip()


def money_lines(impact: Impact) -> Iterator[str]:
    """Yield what becomes of deposits and withdrawals, and whether the sums agree."""
    for deposit in impact.deposits:
        amount = grouped(deposit.amount)
        place = f"deposit nonce {deposit.nonce} of block {deposit.height}: {amount}"
        if deposit.is_gone:
            yield from wrapped(f"GONE   {place}; the settlement chain has lost it", hanging=7)
        else:
            yield from wrapped(f"AGAIN  {place} waits to be credited again", hanging=7)
        yield f"           of account {format_felt(deposit.account)}"
    for withdrawal in impact.withdrawals:
        payout = grouped(withdrawal.payout)
        yield f"  GOES   withdrawal of block {withdrawal.height}: {payout}"
        yield f"           {format_felt(withdrawal.withdrawal_id)}"
        yield f"           of account {format_felt(withdrawal.account)}"
        yield f"           to {format_felt(withdrawal.recipient)}"
    yield from _sums(impact)


def _sums(impact: Impact) -> Iterator[str]:
    held = impact.collateral
    if held is None:
        yield from wrapped("UNREAD whether the sums agree: not everything could be read", hanging=7)
        return
    yield from wrapped(f"all collateral: {grouped(held.now)} now, {grouped(held.then)} then")
    undone = f"{grouped(held.deposited)} deposited and {grouped(held.withdrawn)} withdrawn"
    unmade = f", {grouped(held.unmade)} unmade" if held.unmade else ""
    if held.unexplained:
        words = f"{grouped(held.unexplained)} is neither: {undone}{unmade} in these blocks"
        yield from wrapped(f"LOST   {words}", hanging=7)
    else:
        yield from wrapped(f"it adds up: {undone}{unmade} in the blocks that go")


def security_lines(plan: Plan) -> Iterator[str]:
    """Yield the security commands that would be undone, by number, and what becomes of guards."""
    for number, command in enumerate(plan.impact.security):
        again = "done again" if command in plan.security else "NOT done again"
        words = f"{_security_words(command)} would be undone; {again} when the chain reopens"
        yield from wrapped(f"{number}: {words}", hanging=3)
    if plan.impact.security:
        yield from wrapped("`reorg plan --deselect NUMBER` plans without doing one of them again")
    yield from wrapped("every guard is on after a rollback")


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


def setting_lines(impact: Impact) -> Iterator[str]:
    """Yield what operators had set and is as before again, in the units of the commands."""
    if not impact.is_compared:
        yield from wrapped("not known: the state at the head cannot be read")
        return
    for each in impact.settings:
        now, then = each.now or "none", each.then or "none"
        yield from wrapped(f"BACK   {each.name}: {now} now, {then} then", hanging=7)
    if impact.settings:
        yield from wrapped("nothing sets these again: whoever wants one as it is now has to")
    else:
        yield from wrapped("all of them are now as they were then")


def opinion_lines(
    opinions: Sequence[PluginOpinion] | None, plugins: Sequence[PluginStanding], *, is_new: bool
) -> Iterator[str]:
    """Yield what plugins think of a plan, and how far each was told of the chain.

    Those of a plan that is not new are not known: nobody is asked again.
    """
    if opinions is None:
        words = "plugins are not asked while the node does not run; its next start tells them"
        yield from wrapped(f"MUTE   {words}", hanging=7)
    for each in opinions or ():
        name = "VETO " if each.veto else "WARNS" if each.words else "FINE "
        words = each.words or "nothing speaks against it"
        yield from wrapped(f"{name}  {each.name}: {words}", hanging=7)
    for plugin in plugins:
        place = f"block {plugin.height}" if plugin.height >= 0 else "nothing"
        words = f"{plugin.name} ({plugin.state.value}) was told of {place}"
        yield from wrapped(f"{words}, {plugin.lag} commits behind", hanging=2)
    if not plugins and opinions is not None and not opinions:
        words = (
            "there are none" if is_new else "not kept: `reorg plan` asks them, `apply` does again"
        )
        yield from wrapped(words)


def settlement_lines(plan: Plan) -> Iterator[str]:
    """Yield the zone of the target, and the calls to the settlement contract in words."""
    zone = plan.zone
    yield from wrapped(f"zone {zone.name}: {zone.action}")
    if zone.post_height < 0:
        return
    name = f"{plan_felt(plan.plan_id):#x}"
    if zone.settled_height > plan.target_height:
        yield "  hold: finality stops for this plan, whose name over there is"
        yield f"      {name}"
    yield f"  revert_state_to: every post above block {zone.post_height} is taken back"
    yield "      epoch   the contract's own at that moment"
    yield f"      height  {zone.post_height}"
    yield f"      root    {zone.post_root:#x}"
    yield f"      reason  {name}"
    yield from wrapped(
        f"over there the newest post is block {zone.settled_height}, the newest final one block "
        f"{zone.finalized_height}; the contract's root at the target: {zone.posted_root.value}"
    )
