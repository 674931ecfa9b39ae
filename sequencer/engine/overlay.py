"""What the blocks above the head change that nobody has sealed yet: pre-confirmed state.

Promises
- The diff of a block that will be sealed as it is now is the diff that it will be sealed with.

Laws
- Blocks come in order, the one being sealed first; each is read on top of those before it.
"""

from collections.abc import Sequence

from sequencer.chain.block import ClosedBlock
from sequencer.chain.commitment import ROWS_TRIE, diff_of
from sequencer.engine.lookup import trie_reader
from sequencer.ports import ChainView
from sequencer.starknet.state import StateDiff
from sequencer.starknet.trie import Changes, Position


def pending_diff(view: ChainView, pending: Sequence[ClosedBlock]) -> list[StateDiff]:
    """Return the state diff of each block above a view's head. Refusal: STATE_PRUNED."""
    below = trie_reader(view.state(), ROWS_TRIE)
    written: Changes = {}

    def read(position: Position) -> bytes | None:
        return written[position] if position in written else below(position)

    diffs = []
    for closed in pending:
        diff, nodes = diff_of(closed.net, read)
        written |= nodes
        diffs.append(diff)
    return diffs
