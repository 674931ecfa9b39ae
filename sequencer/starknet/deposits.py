"""Deposits and withdrawals as both chains name them: messages, the chain of all of them, ids.

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


def withdrawal_id_of(transaction_hash: Felt, call_number: int = 0) -> Felt:
    """Return the id of a withdrawal: by its transaction, and the number of the call in it."""
    return poseidon_array((transaction_hash, call_number))


def next_chain_hash(chain_hash: Felt, message_hash: Felt) -> Felt:
    """Return the hash of all deposits up to one, from that before it: 0 before the first."""
    return poseidon_array((chain_hash, message_hash))
