"""Who may do what: the account itself, its subkeys, the operator; and in which mode.

Laws
- A subkey trades. It never withdraws, transfers or manages.
- Every lookup is explicit: an absent row is a no, never a zero that happens to match.
"""

from sequencer.exchange.step import Step
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode

_RANKS = {Mode.HALTED: 0, Mode.CANCEL_ONLY: 1, Mode.POST_ONLY: 2, Mode.OPEN: 3}


def require_trader(step: Step, account: int) -> None:
    """Refuse with NOT_AUTHORIZED whoever may not trade for an account."""
    signer, key = step.context.signer, step.context.key
    if key and (signer, key) not in step.state.subkeys:
        raise Refused(Reason.NOT_AUTHORIZED, f"key {key:#x} is no subkey of {signer:#x}")
    _require_own(step, account)


def require_owner(step: Step, account: int) -> None:
    """Refuse with NOT_AUTHORIZED whoever may not move money or manage an account."""
    if step.context.key:
        raise Refused(Reason.NOT_AUTHORIZED, "a subkey trades and does nothing else")
    _require_own(step, account)


def require_operator(step: Step) -> None:
    """Refuse with NOT_OPERATOR everybody but the operator."""
    if step.context.key or step.context.signer != step.state.system.operator:
        raise Refused(Reason.NOT_OPERATOR, "only the operator may do this")


def _require_own(step: Step, account: int) -> None:
    signer = step.context.signer
    row = step.state.account(account)
    if signer not in (account, row.owner) or signer == 0 or (row.owner and row.owner != signer):
        raise Refused(Reason.NOT_AUTHORIZED, f"{signer:#x} does not own account {account:#x}")


def require_mode(step: Step, lowest: Mode) -> None:
    """Refuse with MODE_FORBIDS in a lower mode than the named one."""
    mode = step.state.system.mode
    if _RANKS[mode] < _RANKS[lowest]:
        raise Refused(Reason.MODE_FORBIDS, f"not in {mode.value}")


def rank(mode: Mode) -> int:
    """Return a mode's place on the ladder from HALTED to OPEN."""
    return _RANKS[mode]
