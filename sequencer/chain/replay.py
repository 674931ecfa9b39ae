"""A whole chain executed again from its genesis and blocks alone."""

from collections.abc import Callable, Iterable

from sequencer.chain.block import Block, verify_block
from sequencer.chain.executor import Environment
from sequencer.chain.genesis import Chain, Genesis, start_chain
from sequencer.exchange.rules import require_rules
from sequencer.starknet.felt_hash import verify


def replay_chain(
    genesis: Genesis, blocks: Iterable[Block], look: Callable[[Chain], None] = lambda _: None
) -> Chain:
    """Execute every block on the state of the one before it, and check every signature in it.

    Returns the chain at its last block; `look` is shown it after each, genesis first. Refusals:
    GENESIS_INVALID, BLOCK_DIFFERS naming the first difference, RULES_VERSION_UNKNOWN; and those of
    whoever reads the blocks.
    """
    chain = start_chain(genesis)
    look(chain)
    environment = Environment(chain.chain_id, verify)
    for block in blocks:
        require_rules(chain.state)
        verify_block(chain.state, chain.tries, chain.head, block, environment)
        chain.head = block
        look(chain)
    return chain
