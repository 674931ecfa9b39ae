"""What a settlement contract has to know of its appchain."""

import msgspec

from sequencer.exchange.state import State
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt


class AppchainFacts(msgspec.Struct, frozen=True):
    """Block 0, the chain's id, and what genesis deposits, in 1e-8 quote.

    `l1_bridge` is the address of a contract on Ethereum that sends deposits, 0 for none.
    """

    first: BlockRecord
    chain_id: Felt
    genesis_deposited: int
    l1_bridge: int = 0


def facts_of(view: ChainView, state: State, l1_bridge: int = 0) -> AppchainFacts:
    """Return the facts of a chain, by any state of it. Refusal: RUN_BROKEN without block 0."""
    first = view.block(0)
    if first is None:
        raise Refused(Reason.RUN_BROKEN, "the chain has no block 0")
    return AppchainFacts(first, state.system.chain_id, state.totals.genesis_deposited, l1_bridge)
