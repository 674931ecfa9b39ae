"""What no state knows about an `UnmakeDeposit`: whether the settlement chain has lost the deposit.

Laws
- Asked when insurance's transaction is admitted, and again right before it is executed: a reorg of
  the settlement chain may bring a deposit back in between.
"""

from sequencer.chain.calls import exchange_calldata
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
    unmakings = (data[0] for data in exchange_calldata(transaction, _UNMAKE) if len(data) == 1)
    for nonce in unmakings:
        if nonce in state.deposits and nonce not in lost:
            words = f"deposit {nonce} stands on the settlement chain"
            raise Refused(Reason.DEPOSIT_STANDS, words)
        if lost and nonce != lost[-1]:
            words = f"the newest lost deposit comes first: {lost[-1]}"
            raise Refused(Reason.DEPOSIT_STANDS, words)
        lost = lost[:-1]
