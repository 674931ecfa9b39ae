"""What a transaction did, call by call: what traces, simulations and estimates tell.

Laws
- Native contracts call nobody: an account's calls stand side by side, none inside another.
"""

from collections.abc import Sequence

import msgspec

from sequencer.chain.native import Answer, Call
from sequencer.starknet.block import Event, Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import Transaction


class Called(msgspec.Struct, frozen=True):
    """One call of an entry point, with what it gave."""

    contract: Felt
    selector: Felt
    caller: Felt
    class_hash: Felt
    calldata: Sequence[Felt]
    result: Sequence[Felt]
    events: Sequence[Event]


class Traced(msgspec.Struct, frozen=True):
    """A transaction with its receipt and its calls; none of them stays where it was reverted.

    `diff` lacks the slot of the rows trie's root: that one is written once a block.
    """

    transaction: Transaction
    receipt: Receipt
    calls: Sequence[Called]
    diff: StateDiff


def called_of(selector: Felt, call: Call, answer: Answer) -> Called:
    """Return what a call was and gave."""
    return Called(
        contract=call.contract,
        selector=selector,
        caller=call.caller,
        class_hash=call.state.contracts[call.contract].class_hash,
        calldata=tuple(call.calldata),
        result=tuple(answer.result),
        events=tuple(answer.events),
    )
