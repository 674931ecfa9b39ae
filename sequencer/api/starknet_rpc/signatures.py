"""Signatures of transactions that are only tried out, checked away from the event loop.

Promises
- The first transaction whose signature is not its account's is found, also among those of accounts
  that the same list deploys.

Laws
- An account's key is part of its address and never changes, so it does not matter at which block
  it is looked up. What has no account is left to whoever executes it.
"""

from collections.abc import Mapping, Sequence

from sequencer.engine.service import Service
from sequencer.engine.simulation import SimulatedTransaction
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.transactions import DeployAccountV3, Transaction

_SIGNATURE_FELTS = 2


async def first_forged(service: Service, sent: Sequence[SimulatedTransaction]) -> int | None:
    """Return the place of the first transaction with a wrong signature, None where all are good.

    All have their hashes.
    """
    contracts = service.newest.contracts
    senders = [getattr(each.transaction, "sender", 0) for each in sent]
    keys = {each: contracts[each].public_key for each in senders if each in contracts}
    return await service.reader.run(lambda: _first_forged(keys, sent))


def _first_forged(keys: Mapping[Felt, Felt], sent: Sequence[SimulatedTransaction]) -> int | None:
    known = dict(keys)
    for index, each in enumerate(sent):
        key = _key_of(each.transaction, known)
        if key and not _is_signed(each, key):
            return index
    return None


def _key_of(transaction: Transaction, known: dict[Felt, Felt]) -> Felt:
    if not isinstance(transaction, DeployAccountV3):
        return known.get(getattr(transaction, "sender", 0), 0)
    key = transaction.calldata[0] if transaction.calldata else 0
    return known.setdefault(transaction.address(), key)


def _is_signed(each: SimulatedTransaction, key: Felt) -> bool:
    signature: Sequence[Felt] = getattr(each.transaction, "signature", ())
    return len(signature) == _SIGNATURE_FELTS and verify(key, each.hash, *signature)
