"""The check that an Ethereum address itself agreed to be bound to an account.

Promises
- Whoever executes a block asks the same question: nothing but the transaction and the account's
  key is looked at. What admission has found is remembered, so that execution is cheap.
"""

from sequencer.model.commands import RegisterEthereumKey
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.ethereum_key import registration_hash, signer_of
from sequencer.starknet.felt import Felt

_HALF_BITS = 128


def require_ethereum_signature(
    command: RegisterEthereumKey, stark_key: Felt, chain_id: Felt
) -> None:
    """Refuse with ETHEREUM_SIGNATURE_INVALID what the address did not sign for this account.

    `stark_key` is the key of the account that sends the command, 0 for nobody's.
    """
    address, given = command.ethereum_address, command.signature
    signer = None
    if stark_key:
        hash_ = registration_hash(chain_id, command.account, stark_key, address)
        r = given.r_high << _HALF_BITS | given.r_low
        s = given.s_high << _HALF_BITS | given.s_low
        signer = signer_of(hash_, r, s, y_parity=given.y_parity)
    if signer != address:
        words = f"{address:#x} has not signed for account {command.account:#x}"
        raise Refused(Reason.ETHEREUM_SIGNATURE_INVALID, words)
