"""Accounts: subkeys, isolated accounts, and cash that moves between accounts.

Laws
- Only the owner manages or moves money; a subkey never does.
- An owner has at most one isolated account in a market; it trades cash with its owner alone.
- A transfer leaves its sender with value >= initial margin; exactly equal is enough.
- Insurance can be given money in every mode that makes blocks: it may have to pay before the chain
  may open.
"""

from sequencer.exchange.authority import require_mode, require_owner
from sequencer.exchange.collateral import require_address, require_amount, require_free
from sequencer.exchange.derived import NOTHING
from sequencer.exchange.orders import require_market
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.commands import AddSubkey, OpenIsolated, RevokeSubkey, Transfer
from sequencer.model.events import IsolatedOpened, SubkeyChanged, Transferred
from sequencer.model.exchange_limits import SUBKEYS_MAX
from sequencer.model.limits import FELT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, Mode, Subkey


def add_subkey(step: Step, command: AddSubkey) -> None:
    """Let a key trade for a cross account; a key that already may is no refusal.

    Refusals: NOT_AUTHORIZED, MODE_FORBIDS, ACCOUNT_UNKNOWN, ACCOUNT_INVALID, PARAMETER_INVALID,
    SUBKEY_LIMIT.
    """
    account, key = command.account, command.key
    require_owner(step, account)
    _require_cross(step.state, account)
    if not 0 < key <= FELT_MAX:
        raise Refused(Reason.PARAMETER_INVALID, f"{key:#x} is no key")
    if (account, key) in step.state.subkeys:
        return
    if step.state.subkey_counts.get(account, 0) >= SUBKEYS_MAX:
        raise Refused(Reason.SUBKEY_LIMIT, f"an account has at most {SUBKEYS_MAX} subkeys")
    step.put(Table.SUBKEY, (account, key), Subkey(step.state.system.time_ms))
    step.emit(SubkeyChanged(account, key, active=True))


def revoke_subkey(step: Step, command: RevokeSubkey) -> None:
    """Take a key's right to trade away. Refusals: NOT_AUTHORIZED, MODE_FORBIDS, SUBKEY_UNKNOWN."""
    require_owner(step, command.account)
    if not drop_subkey(step, command.account, command.key):
        raise Refused(Reason.SUBKEY_UNKNOWN, f"{command.key:#x} of {command.account:#x}")


def drop_subkey(step: Step, account: int, key: int) -> bool:
    """Remove a subkey whoever asks; False where there is none."""
    if (account, key) not in step.state.subkeys:
        return False
    step.put(Table.SUBKEY, (account, key), None)
    step.emit(SubkeyChanged(account, key, active=False))
    return True


def open_isolated(step: Step, command: OpenIsolated) -> None:
    """Open an owner's isolated account in a market, empty, at an address that nobody uses.

    Refusals: NOT_AUTHORIZED, MODE_FORBIDS, ACCOUNT_UNKNOWN, ACCOUNT_INVALID, MARKET_UNKNOWN,
    MARKET_CLOSED, ACCOUNT_EXISTS.
    """
    owner, account, market = command.owner, command.account, command.market
    require_owner(step, owner)
    _require_cross(step.state, owner)
    require_market(step, market)
    require_address(account)
    if (owner, market) in step.state.isolated:
        raise Refused(Reason.ACCOUNT_EXISTS, f"{owner:#x} has an isolated account in {market}")
    if _is_used(step.state, account):
        raise Refused(Reason.ACCOUNT_EXISTS, f"{account:#x} is in use")
    step.put(Table.ACCOUNT, account, Account(0, owner, market))
    step.emit(IsolatedOpened(owner, account, market))


def transfer(step: Step, command: Transfer) -> None:
    """Move cash to another account, which is made where it has no row.

    Refusals: NOT_AUTHORIZED, MODE_FORBIDS, ACCOUNT_UNKNOWN, ACCOUNT_INVALID, AMOUNT_INVALID,
    PRICE_STALE, CASH_INSUFFICIENT, MARGIN_INSUFFICIENT.
    """
    sender, receiver, amount = command.sender, command.receiver, command.amount
    require_owner(step, sender)
    into_own = step.state.account(receiver).owner == sender
    early = into_own or receiver == step.state.system.insurance
    require_mode(step, Mode.CANCEL_ONLY if early else Mode.OPEN)
    require_address(receiver)
    if sender not in step.state.accounts:
        raise Refused(Reason.ACCOUNT_UNKNOWN, f"no account {sender:#x}")
    _require_family(step.state, sender, receiver)
    require_amount(amount)
    require_free(step, sender, amount)
    step.add_cash(sender, -amount)
    step.add_cash(receiver, amount)
    step.emit(Transferred(sender, receiver, amount))


def _require_cross(state: State, account: int) -> None:
    row = state.accounts.get(account)
    if row is None:
        raise Refused(Reason.ACCOUNT_UNKNOWN, f"no account {account:#x}")
    if row.owner:
        raise Refused(Reason.ACCOUNT_INVALID, f"{account:#x} is an isolated account")


def _require_family(state: State, sender: int, receiver: int) -> None:
    if sender == receiver:
        raise Refused(Reason.ACCOUNT_INVALID, "sender and receiver are one account")
    to_owner = state.accounts[sender].owner
    from_owner = state.account(receiver).owner
    if (to_owner and to_owner != receiver) or (from_owner and from_owner != sender):
        raise Refused(Reason.ACCOUNT_INVALID, "an isolated account deals with its owner alone")


def _is_used(state: State, account: int) -> bool:
    system = state.system
    reserved = account in (system.operator, system.insurance, system.fees)
    keyed = account in state.subkey_counts
    return reserved or keyed or account in state.accounts or state.holding(account) is not NOTHING
