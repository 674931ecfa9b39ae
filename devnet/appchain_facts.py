"""What a settlement contract has to know of its appchain."""

import msgspec

from sequencer.model.records import BlockRecord
from sequencer.starknet.felt import Felt


class AppchainFacts(msgspec.Struct, frozen=True):
    """Block 0, the chain's id, and what genesis deposits, in 1e-8 quote.

    `l1_bridge` is the address of a contract on Ethereum that sends deposits, 0 for none.
    """

    first: BlockRecord
    chain_id: Felt
    genesis_deposited: int
    l1_bridge: int = 0
