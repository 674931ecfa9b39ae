"""Plans of rollbacks as files, and as a page that can be read."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from sequencer.chain.text import from_text, to_text
from sequencer.cli.quantities import decimal
from sequencer.config import read_limited
from sequencer.engine.plan import Plan
from sequencer.model.limits import PLAN_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import format_felt

PLANS_FOLDER = "plans"
"""The folder of plans, in the data folder."""

_ID_DIGITS = 64
_ID_DIGITS_MIN = 8


def save_plan(data_dir: Path, plan: Plan) -> Path:
    """Keep a plan where `find_plan` finds it."""
    folder = data_dir / PLANS_FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{plan.plan_id.hex()}.json"
    path.write_bytes(msgspec.json.encode(to_text(plan)))
    return path


def find_plan(data_dir: Path, plan_id: str) -> Plan:
    """Read a plan by its id, or by the first 8 or more digits of it. Refusal: PLAN_UNKNOWN."""
    sound = _ID_DIGITS_MIN <= len(plan_id) <= _ID_DIGITS and plan_id.isascii() and plan_id.isalnum()
    found = sorted((data_dir / PLANS_FOLDER).glob(f"{plan_id}*.json")) if sound else []
    if len(found) != 1:
        words = f"{len(found)} plans begin with {plan_id:.64}; perpchain reorg plan makes one"
        raise Refused(Reason.PLAN_UNKNOWN, words)
    content = read_limited(found[0], PLAN_FILE_BYTES_MAX)
    try:
        plan = msgspec.convert(from_text(msgspec.json.decode(content)), Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Refused(Reason.PLAN_UNKNOWN, f"{found[0].name}: {error}") from None
    if plan.plan_id.hex() != found[0].stem:
        raise Refused(Reason.PLAN_UNKNOWN, f"{found[0].name} was changed since it was made")
    return plan


def describe(plan: Plan, data_dir: Path) -> Iterator[str]:
    """Yield the page: what stays, what goes, who is hit most, what cannot be undone, what next."""
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
        place = f"nonce {deposit.nonce} of block {deposit.height}"
        yield f"AGAIN  deposit {place}: {decimal(deposit.amount)} waits to be credited again"
    for withdrawal in impact.withdrawals:
        place = f"{format_felt(withdrawal.withdrawal_id)} of block {withdrawal.height}"
        yield f"GOES   withdrawal {place}: {decimal(withdrawal.payout)}"
    for number, command in enumerate(impact.security):
        again = "done again" if command in plan.security else "NOT done again"
        yield f"KEYS   {number}: {command} would come back; {again} when the chain reopens"
    yield f"SETTLE {plan.zone.name}: {plan.zone.action}"
    yield "KEPT   what was told to readers and plugins cannot be untold; they are told of this"
    yield f"NEXT   perpchain reorg apply {data_dir} {plan.plan_id.hex()} --reason '...'"
