"""What a block changed, the other way round: how things were before it, wherever it wrote.

Promises
- It is there for every block, live or orphaned, however old: what the tries do not tell any more,
  the bodies of the blocks below tell.
- Whoever takes many blocks back, one after the other, has every body read once for many of them.

Laws
- Slots, nonces and classes of contracts get their values of before, 0 for none: a contract that
  the block deployed has class 0. Classes that it declared are listed as declared, to be removed.
"""

from collections.abc import Mapping

from sequencer.chain.stored import decode_body
from sequencer.engine.state_reads import contract_at, slot_at
from sequencer.model.plugin_limits import REVERSE_PLACES_KNOWN_MAX
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView, StateReader, StoreProblem, StoreRefused
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.state_places import Place, PlaceKind, Values, places_of, reversed_diff

_GONE = (StoreProblem.STATE_PRUNED, StoreProblem.STATE_COLLECTED)


class Reverser:
    """Takes blocks of one chain back, in any order; the newest first is cheap.

    Where states are gone, the blocks below a block are walked through. What that tells of those
    blocks, too, is kept until they are asked for: REVERSE_PLACES_KNOWN_MAX values at the most, and
    one block.
    """

    def __init__(self, known_max: int = REVERSE_PLACES_KNOWN_MAX) -> None:
        self._known: dict[int, Values] = {}
        self._known_max = known_max

    def reverse_diff(self, view: ChainView, block: BlockRecord, diff: StateDiff) -> StateDiff:
        """Return how a block with a diff is taken back."""
        if block.sequence not in self._known:
            self._known = _values_before(view, block, diff, self._known_max)
        return reversed_diff(diff, self._known.pop(block.sequence))


def reverse_diff(view: ChainView, block: BlockRecord, diff: StateDiff) -> StateDiff:
    """Return how a block with a diff is taken back, for whoever takes back but one."""
    return Reverser(0).reverse_diff(view, block, diff)


def _values_before(
    view: ChainView, block: BlockRecord, diff: StateDiff, known_max: int
) -> dict[int, Values]:
    """Return by sequence the values under a block, and under blocks below it that were walked.

    They are those of the newest state below that can be read, and what blocks on top of that one
    set since: each of them tells the next block above it that set the same.
    """
    before: dict[int, Values] = {}
    waiting: dict[Place, Values] = {}
    walked: BlockRecord | None = block
    known = 0
    while walked is not None and (waiting or not before):
        if before:
            diff = decode_body(view.body(walked)).diff
        values = dict(places_of(diff))
        for place in waiting.keys() & values.keys():
            waiting.pop(place)[place] = values[place]
        if not before or known + len(values) <= known_max:
            known += len(values)
            before[walked.sequence] = own = dict.fromkeys(values, 0)
            waiting |= dict.fromkeys(values, own)
        walked = view.block_at(walked.height - 1, walked.parent_sequence)
        if walked is not None and _settle(view, walked, waiting):
            break
    return before


def _settle(view: ChainView, block: BlockRecord, waiting: Mapping[Place, Values]) -> bool:
    """Give everybody who waits the values after a block; False where its state is gone."""
    try:
        state = view.state_at(block)
        found = {place: _read(state, place) for place in waiting}
    except StoreRefused as refused:
        if refused.problem not in _GONE:
            raise
        return False
    for place, values in waiting.items():
        values[place] = found[place]
    return True


def _read(state: StateReader, place: Place) -> Felt:
    kind, address, key = place
    if kind is PlaceKind.SLOT:
        return slot_at(state, address, key)
    contract = contract_at(state, address)
    if contract is None:
        return 0
    return contract.nonce if kind is PlaceKind.NONCE else contract.class_hash
