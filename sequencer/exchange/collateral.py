"""Money in and out of the chain: deposits from the settlement chain, withdrawals to it.

Laws
- A deposit is credited once per nonce; a well-formed one is refused in HALTED only.
- What the settlement chain has lost and was credited leaves total collateral with insurance's cash,
  never with that of whoever has it by now; its nonce is free again.
- A withdrawal takes what was asked for and pays it less its share of bad debt, floored to the
  settlement token. The difference lowers bad debt, never below 0, and the rest is dust, so money
  is conserved exactly.
- Only cash that margin does not need may leave; unrealized profit is not cash.
"""

import msgspec

from sequencer.exchange.authority import require_mode, require_owner
from sequencer.exchange.freshness import stale_held
from sequencer.exchange.limiter import add_capacity, drop_capacity, take_capacity
from sequencer.exchange.margin import VALUE_PER_QUOTE, margin_of
from sequencer.exchange.state import Table
from sequencer.exchange.step import Step
from sequencer.model.commands import Deposit, UnmakeDeposit, Withdraw
from sequencer.model.events import Credited, DepositUnmade, Withdrawn
from sequencer.model.exchange_limits import QUOTE_MAX
from sequencer.model.limits import ADDRESS_MAX, FELT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import DepositRow, Guard, Mode, System, Totals, Withdrawal
from sequencer.model.units import DUST_PER_QUOTE, QUOTE_PER_TOKEN


def deposit(step: Step, command: Deposit) -> None:
    """Credit a deposit of the settlement chain; only its messages come without any signer.

    Refusals: NOT_AUTHORIZED, MODE_FORBIDS, DEPOSIT_CREDITED, ACCOUNT_INVALID, AMOUNT_INVALID.
    """
    if step.context.signer or step.context.key:
        raise Refused(Reason.NOT_AUTHORIZED, "a deposit comes from the settlement chain alone")
    nonce, account = command.nonce, command.account
    if nonce in step.state.deposits:
        raise Refused(Reason.DEPOSIT_CREDITED, f"deposit {nonce} is credited already")
    require_address(account)
    amount = command.token_amount * QUOTE_PER_TOKEN
    require_amount(amount)
    add_capacity(step, amount)
    totals = step.state.totals
    step.put_totals(msgspec.structs.replace(totals, deposited=totals.deposited + amount))
    step.put(Table.DEPOSIT, nonce, DepositRow(account, amount, command.message_hash))
    step.add_cash(account, amount)
    step.emit(Credited(nonce, account, amount))


def unmake_deposit(step: Step, command: UnmakeDeposit) -> None:
    """Take a credited deposit back at insurance's expense; only insurance's own key signs that.

    Whether the settlement chain has lost it no state knows: admission looks. Refusals:
    NOT_AUTHORIZED, MODE_FORBIDS, DEPOSIT_UNKNOWN, CASH_INSUFFICIENT.
    """
    state, nonce = step.state, command.nonce
    insurance = state.system.insurance
    require_owner(step, insurance)
    row = state.deposits.get(nonce)
    if row is None:
        raise Refused(Reason.DEPOSIT_UNKNOWN, f"deposit {nonce} is not credited")
    cash = state.account(insurance).cash
    if row.amount > cash:
        raise Refused(Reason.CASH_INSUFFICIENT, f"{row.amount} of insurance's {cash}")
    drop_capacity(step, row.amount)
    totals = state.totals
    step.put_totals(msgspec.structs.replace(totals, deposited=totals.deposited - row.amount))
    step.put(Table.DEPOSIT, nonce, None)
    step.add_cash(insurance, -row.amount)
    step.emit(DepositUnmade(nonce, row.account, row.amount))


def withdraw(step: Step, command: Withdraw) -> None:
    """Take cash out of a cross account for good.

    Refusals: NOT_AUTHORIZED, MODE_FORBIDS, ACCOUNT_UNKNOWN, ACCOUNT_INVALID, AMOUNT_INVALID,
    PARAMETER_INVALID, WITHDRAWAL_EXISTS, WITHDRAWAL_WAITS, PRICE_STALE, CASH_INSUFFICIENT,
    MARGIN_INSUFFICIENT, WITHDRAWAL_LIMIT.
    """
    account, amount = command.account, command.amount
    require_owner(step, account)
    require_mode(step, Mode.OPEN)
    _require_shape(step, command)
    _require_no_wait(step)
    require_free(step, account, amount)
    totals = step.state.totals
    payout = socialized_payout(amount, totals)
    if payout == 0:
        raise Refused(Reason.AMOUNT_INVALID, "its share of bad debt leaves nothing to pay")
    take_capacity(step, payout)
    step.add_cash(account, -amount)
    step.put_totals(_after_payout(totals, amount, payout))
    row = Withdrawal(account, command.recipient, amount, payout)
    step.put(Table.WITHDRAWAL, command.withdrawal_id, row)
    step.emit(Withdrawn(command.withdrawal_id, account, command.recipient, amount, payout))


def socialized_payout(amount: int, totals: Totals) -> int:
    """Return what a withdrawal pays: x (1 - bad debt / (collateral + bad debt)), floored.

    In 1e-8 quote, a multiple of QUOTE_PER_TOKEN.
    """
    if not totals.bad_debt:
        return amount
    collateral = max(totals.deposited - totals.withdrawn, 0)
    payout = amount * collateral // (collateral + totals.bad_debt)
    return payout - payout % QUOTE_PER_TOKEN


def withdrawal_waits(system: System) -> bool:
    """Say whether a tripwire or a rollback is too recent for withdrawals."""
    until_ms = system.wait_until_ms
    return system.ticks < system.wait_until_ticks or until_ms < 0 or system.time_ms < until_ms


def require_free(step: Step, account: int, amount: int) -> None:
    """Refuse to move out cash that is not there or that margin needs. Amount in 1e-8 quote.

    Refusals: PRICE_STALE, CASH_INSUFFICIENT, MARGIN_INSUFFICIENT.
    """
    state = step.state
    stale = stale_held(state, account)
    if step.guarded(Guard.STALE_PRICE, bool(stale), f"{stale}: margin moves out"):
        raise Refused(Reason.PRICE_STALE, f"{stale} is held and has an old index price")
    cash = state.account(account).cash
    if amount > cash:
        raise Refused(Reason.CASH_INSUFFICIENT, f"{amount} of {cash}")
    margin = margin_of(state, account)
    if margin.value - amount * VALUE_PER_QUOTE < margin.initial:
        raise Refused(Reason.MARGIN_INSUFFICIENT, f"account {account:#x} without {amount}")


def require_address(account: int) -> None:
    """Refuse with ACCOUNT_INVALID what can be no account's address."""
    if not 0 < account <= ADDRESS_MAX:
        raise Refused(Reason.ACCOUNT_INVALID, f"{account:#x} is no address")


def require_amount(amount: int) -> None:
    """Refuse with AMOUNT_INVALID an amount that is not in 1 .. QUOTE_MAX."""
    if not 0 < amount <= QUOTE_MAX:
        raise Refused(Reason.AMOUNT_INVALID, f"amount {amount}")


def _require_shape(step: Step, command: Withdraw) -> None:
    state, account = step.state, command.account
    row = state.accounts.get(account)
    if row is None:
        raise Refused(Reason.ACCOUNT_UNKNOWN, f"no account {account:#x}")
    if row.owner or account in (state.system.insurance, state.system.fees):
        raise Refused(Reason.ACCOUNT_INVALID, f"{account:#x} transfers, it does not withdraw")
    require_address(command.recipient)
    require_amount(command.amount)
    if command.amount % QUOTE_PER_TOKEN:
        raise Refused(Reason.AMOUNT_INVALID, f"{command.amount} is no multiple of 1e-6")
    if not 0 < command.withdrawal_id <= FELT_MAX:
        raise Refused(Reason.PARAMETER_INVALID, f"{command.withdrawal_id:#x} is no withdrawal id")
    if command.withdrawal_id in state.withdrawals:
        raise Refused(Reason.WITHDRAWAL_EXISTS, f"withdrawal {command.withdrawal_id:#x}")


def _require_no_wait(step: Step) -> None:
    waits = withdrawal_waits(step.state.system)
    if step.guarded(Guard.WITHDRAWAL_WAIT, waits, "a withdrawal so soon"):
        raise Refused(Reason.WITHDRAWAL_WAITS, "too soon after a tripwire or a rollback")


def _after_payout(totals: Totals, amount: int, payout: int) -> Totals:
    kept = amount - payout
    repaid = min(kept, totals.bad_debt)
    return msgspec.structs.replace(
        totals,
        withdrawn=totals.withdrawn + payout,
        bad_debt=totals.bad_debt - repaid,
        dust=totals.dust + (kept - repaid) * DUST_PER_QUOTE,
    )
