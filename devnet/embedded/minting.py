"""New fee tokens on the embedded chain, paid out by the minter that it begins with.

Law: a mint is a transaction in a block like any other, but for its signature: it has none.
"""

from contracts.fee_token import BALANCES
from contracts.twin import Reverted
from devnet.embedded.chain import Chain
from devnet.embedded.execution import Outcome
from devnet.embedded.machine import TransactionMachine
from devnet.embedded.predeployed import MINTER
from devnet.embedded.state import NONCE, STORAGE, Overlay, View
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3, ResourceBound, Terms

AMOUNT_MAX = 2**128 - 1
"""The most that one mint pays out, in the smallest unit."""

_MINT = selector("permissioned_mint")
_NO_BOUNDS = (ResourceBound(),) * 3
_HALF_BITS = 128


def balance_of(state: View, token: Felt, account: Felt) -> int:
    """Return what an account has of a token, in the smallest unit."""
    slot = BALANCES.slot(account)
    lower, upper = state.get((STORAGE, token, slot)), state.get((STORAGE, token, slot + 1))
    return upper << _HALF_BITS | lower


def mint(chain: Chain, token: Felt, recipient: Felt, amount: int) -> Felt:
    """Pay out new tokens in a block; returns the transaction's hash.

    Refusal: PARAMETER_INVALID where the token does not make them.
    """
    nonce = chain.state.get((NONCE, MINTER, 0))
    arguments = (recipient, amount, 0)
    calldata = (1, token, _MINT, len(arguments), *arguments)
    transaction = InvokeV3(MINTER, calldata, Terms(nonce, _NO_BOUNDS))
    hash_, timestamp = chain.hash_of(transaction), chain.next_time()
    overlay = Overlay(chain.state)
    overlay.put((NONCE, MINTER, 0), nonce + 1)
    machine = TransactionMachine(overlay, chain.around(timestamp), hash_)
    try:
        machine.call(MINTER, token, _MINT, arguments)
    except Reverted as error:
        raise Refused(Reason.PARAMETER_INVALID, error.code) from None
    receipt = Receipt(hash_, 0, tuple(machine.events))
    chain.include(transaction, Outcome(overlay.changes(), receipt), timestamp)
    return hash_
