"""Ethereum signatures at the gate: checked in a worker's thread, before a block is thought of.

Promises
- Bounded: so many at a time. What is one too many is refused with BUSY, for one costs ten times as
  much as an account's own signature.
- Whatever is not looked at here is refused in its block, if it is wrong.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from sequencer.chain.calldata import read_all
from sequencer.chain.calls import exchange_calldata
from sequencer.chain.ethereum_binding import require_ethereum_signature
from sequencer.chain.exchange_contract import entry_point_of
from sequencer.engine.items import Item, Payload
from sequencer.model.bridge_limits import ETHEREUM_KEYS_TOGETHER_MAX
from sequencer.model.commands import RegisterEthereumKey
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import Worker
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3

_ENTRY_POINT = entry_point_of(RegisterEthereumKey)
_SELECTOR = selector(_ENTRY_POINT.name)


async def refused_registrations(
    items: Sequence[Item], chain_id: Felt, worker: Worker
) -> Mapping[Item, Refused]:
    """Return those of signed items that bind an address which did not sign, with the refusal.

    Refusals: ETHEREUM_SIGNATURE_INVALID, BUSY.
    """
    found = [(item, each) for item in items if (each := _registration(item.payload)) is not None]
    if not found:
        return {}
    taken, late = found[:ETHEREUM_KEYS_TOGETHER_MAX], found[ETHEREUM_KEYS_TOGETHER_MAX:]
    words = f"{ETHEREUM_KEYS_TOGETHER_MAX} Ethereum keys are being checked"
    busy = {item: Refused(Reason.BUSY, words) for item, _ in late}
    return busy | await worker.run(partial(_check_all, taken, chain_id))


def _registration(payload: Payload) -> RegisterEthereumKey | None:
    """Return the first registration in a transaction: a second one can only be refused."""
    if not isinstance(payload, InvokeV3):
        return None
    # What cannot be read, its block will say, as of any other call.
    with suppress(Refused):
        for calldata in exchange_calldata(payload, _SELECTOR):
            return RegisterEthereumKey(**read_all(_ENTRY_POINT.inputs, calldata))
    return None


def _check_all(
    found: Sequence[tuple[Item, RegisterEthereumKey]], chain_id: Felt
) -> dict[Item, Refused]:
    refused: dict[Item, Refused] = {}
    for item, command in found:
        key = 0 if item.signature is None else item.signature[0]
        try:
            require_ethereum_signature(command, key, chain_id)
        except Refused as wrong:
            refused[item] = wrong
    return refused
