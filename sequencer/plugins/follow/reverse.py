"""What the blocks of a reorg take back: the values of before, wherever they wrote.

Laws
- The value under a block is what the blocks below it set, as far down as the first one that goes;
  what none of them set is as it was at the block that all of them stood on. That one is still the
  node's, so nothing has to be asked, or kept, before there is a reorg.
- Where the node does not know the state of that block any more, the kept blocks below tell.
"""

import asyncio
from collections.abc import Sequence

from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.follow.fetch import Unsteady
from sequencer.plugins.follow.node import NO_CONTRACT, NodeRejected, RemoteNode
from sequencer.plugins.follow.reading import RemoteBlock
from sequencer.plugins.follow.store import FollowStore
from sequencer.starknet.felt import Felt, parse_felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.state_places import Place, PlaceKind, Values, places_of, reversed_diff

# Contracts of the protocol that nobody deployed: some nodes say that there are none, although
# blocks write into them. (Contract 1 is written once per slot, so 0 is right for it.)
_ALWAYS_THERE = range(2, 16)


async def reverse_diffs(
    node: RemoteNode, store: FollowStore, heights: Sequence[int], base: int
) -> Sequence[tuple[int, StateDiff]]:
    """Return how each of some kept blocks is taken back, in a row from the lowest on.

    `base` is the height of the block below them that stays. Unsteady, NodeAway.
    """
    values = await _values_at(node, store, _unset_places(store, heights), base)
    reverses: list[tuple[int, StateDiff]] = []
    for height in heights:
        block = _kept(store, height)
        diff = block.told.state_update.diff
        places = dict(places_of(diff))
        before = {place: values[place] for place in places}
        reverses.append((height, reversed_diff(diff, before)))
        values |= places
    return reverses


def _unset_places(store: FollowStore, heights: Sequence[int]) -> Values:
    """Return all places that some blocks wrote; those of contracts that they deployed are 0."""
    values: dict[Place, Felt] = {}
    new: set[Felt] = set()
    unset: set[Place] = set()
    for height in heights:
        block = _kept(store, height)
        new |= block.deployed
        for place, _ in places_of(block.told.state_update.diff):
            if place not in values and place not in unset:
                unset.add(place)
                if place[1] in new:
                    values[place] = 0
    return values | dict.fromkeys(unset - values.keys(), -1)


async def _values_at(node: RemoteNode, store: FollowStore, places: Values, base: int) -> Values:
    unset = [place for place, value in places.items() if value < 0]
    answers = await asyncio.gather(*(_ask(node, place, base) for place in unset))
    values = places | {
        place: answer for place, answer in zip(unset, answers, strict=True) if answer is not None
    }
    missing = {place for place, value in values.items() if value < 0}
    return values | _from_kept(store, missing, base) if missing else values


async def _ask(node: RemoteNode, place: Place, height: int) -> Felt | None:
    """Ask for a value; None where the node knows the state of that block no more."""
    kind, address, key = place
    try:
        if kind is PlaceKind.SLOT:
            answer = await node.storage_at(address, key, height)
        elif kind is PlaceKind.NONCE:
            answer = await node.nonce_at(address, height)
        else:
            answer = await node.class_hash_at(address, height)
        return parse_felt(answer)
    except NodeRejected as rejected:
        is_absent = rejected.code == NO_CONTRACT and address not in _ALWAYS_THERE
        return 0 if is_absent else None
    except Refused as refused:
        raise Unsteady(f"the state of block {height}", str(refused)) from None


def _from_kept(store: FollowStore, missing: set[Place], base: int) -> Values:
    found: Values = {}
    height = base
    while rest := missing - found.keys():
        block = store.block(height)
        if block is None and all(address in _ALWAYS_THERE for _, address, _ in rest):
            return found | dict.fromkeys(rest, 0)
        if block is None:
            # It may be that the block has just gone: then it is another one that stays.
            raise Unsteady(f"the state of block {base}", "the node does not answer for it")
        for place, value in places_of(block.told.state_update.diff):
            if place in rest:
                found[place] = value
        height -= 1
    return found


def _kept(store: FollowStore, height: int) -> RemoteBlock:
    block = store.block(height)
    if block is None:
        raise Refused(Reason.FOLLOW_REORG_TOO_DEEP, f"block {height} is not kept any more")
    return block
