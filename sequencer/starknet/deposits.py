"""Deposits as both chains name them: the message that credits one, and the chain of all of them.

Laws
- A deposit's message is an L1 handler transaction of the appchain's exchange, and its hash is that
  transaction's: whoever has the one finds the other.
"""

from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import L1Handler

_DEPOSIT = selector("deposit")


def deposit_message(
    exchange: Felt, contract: Felt, nonce: int, account: Felt, amount: int
) -> L1Handler:
    """Return the transaction that credits a deposit.

    `contract` is the settlement contract, `amount` in 1e-6 of the token.
    """
    return L1Handler(exchange, _DEPOSIT, (contract, nonce, account, amount), nonce)


def next_chain_hash(chain_hash: Felt, message_hash: Felt) -> Felt:
    """Return the hash of all deposits up to one, from that before it: 0 before the first."""
    return poseidon_array((chain_hash, message_hash))
