"""What no state knows about an `UnmakeDeposit`: whether the settlement chain has lost the deposit.

Laws
- Asked when insurance's transaction is admitted, and again right before it is executed: a reorg of
  the settlement chain may bring a deposit back in between.
"""

from collections.abc import Iterator

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.executor import read_calls
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.exchange.state import State
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3, Transaction

_UNMAKE = selector("unmake_deposit")


def require_unmade(transaction: Transaction, state: State, facts: DepositFacts) -> None:
    """Refuse with DEPOSIT_STANDS what unmakes another deposit than the newest that is lost.

    Others than insurance's account are refused by the exchange itself.
    """
    if not isinstance(transaction, InvokeV3) or transaction.sender != state.system.insurance:
        return
    lost = facts.unmade(state.deposits)
    for nonce in _unmakings(transaction):
        if nonce in state.deposits and nonce not in lost:
            words = f"deposit {nonce} stands on the settlement chain"
            raise Refused(Reason.DEPOSIT_STANDS, words)
        if lost and nonce != lost[-1]:
            words = f"the newest lost deposit comes first: {lost[-1]}"
            raise Refused(Reason.DEPOSIT_STANDS, words)
        lost = lost[:-1]


def _unmakings(transaction: InvokeV3) -> Iterator[int]:
    """Yield the nonces that a transaction unmakes; what cannot be read is executed in vain."""
    try:
        calls = read_calls(transaction.calldata)
    except Refused:
        return
    for address, entry_point, calldata in calls:
        if address == EXCHANGE_ADDRESS and entry_point == _UNMAKE and len(calldata) == 1:
            yield calldata[0]
