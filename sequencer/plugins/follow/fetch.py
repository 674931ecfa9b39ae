"""Blocks of a node read whole, and where the node's chain parts from the one that is kept.

Promises
- Blocks that are read together are of one chain, whatever happens to it meanwhile: where a block's
  hash is that of its header all answers name it, and elsewhere all blocks are read again.
- Blocks are compared by what they hold: some nodes give different blocks the same hash.
"""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sequencer.chain.block import Block
from sequencer.model.plugin_limits import FOLLOW_COMPARED_BLOCKS, FOLLOW_TOGETHER_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.follow.node import NodeRejected, RemoteNode
from sequencer.plugins.follow.reading import has_true_hash, read_remote, read_remote_block
from sequencer.plugins.follow.store import FetchedBlock, FollowStore, write_sent
from sequencer.plugins.protocol import Classes
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff

_NO_DIFF = StateDiff()


class Unsteady(Exception):
    """The node does not have what it should have, or its chain moved: to be asked again.

    `about` says of what, so that a failure that stays can be told from a chain that moves on.
    """

    def __init__(self, about: str, words: str) -> None:
        super().__init__(f"{about}: {words}")
        self.about = about


async def read_block(node: RemoteNode, height: int) -> Block | None:
    """Read a block without what it changed, None where there is none. Unsteady, NodeAway."""
    about = f"block {height}"
    try:
        answer = await node.block(height)
        return None if answer is None else _require_height(read_remote_block(answer), height)
    except NodeRejected as rejected:
        raise Unsteady(about, str(rejected)) from None
    except Refused as refused:
        raise _unreadable(about, refused) from None


async def fetch_blocks(node: RemoteNode, first: int, last: int) -> Sequence[FetchedBlock]:
    """Read blocks first .. last, each on top of the one before. Unsteady, NodeAway."""
    heights = range(first, last + 1)
    fetched = await asyncio.gather(*(_fetch(node, height) for height in heights))
    blocks = [without_diff(each.remote.told.block) for each in fetched]
    for below, above in pairwise(blocks):
        require_linked(below, above)
    # Equal before and after, all of them were there together in between.
    unsure = [block for block in blocks if not has_true_hash(block)]
    again = await asyncio.gather(*(read_block(node, block.header.number) for block in unsure))
    for block, found in zip(unsure, again, strict=True):
        if block != found:
            raise Unsteady(f"block {block.header.number}", "it changed while it was read")
    return fetched


def require_linked(below: Block, above: Block) -> None:
    """Refuse as Unsteady a block that is not on top of another."""
    if above.header.parent_hash != below.hash:
        raise Unsteady(f"block {above.header.number}", "it is not on top of the one below")


async def first_different(node: RemoteNode, store: FollowStore, head: int) -> int | None:
    """Return the lowest height at which a kept block is not the node's; None for none.

    It looks from the tip down, through FOLLOW_COMPARED_BLOCKS that are equal in a row, or to one
    whose hash stands for all below. Unsteady, NodeAway.
    """
    different, equal = None, 0
    height, lowest = store.begun().tip, store.lowest()
    while height >= lowest and equal < FOLLOW_COMPARED_BLOCKS:
        heights = range(height, max(height - FOLLOW_TOGETHER_MAX, lowest - 1), -1)
        asked = (read_block(node, at) if at <= head else _nothing() for at in heights)
        for at, found in zip(heights, await asyncio.gather(*asked), strict=True):
            if found is None or not is_kept(store, found):
                different, equal = at, 0
            elif has_true_hash(found):
                return different
            else:
                equal += 1
        height -= FOLLOW_TOGETHER_MAX
    return different


def is_kept(store: FollowStore, found: Block) -> bool:
    """Say whether a block of the node's is the kept one of its height."""
    kept = store.block(found.header.number)
    return kept is not None and without_diff(kept.told.block) == found


def without_diff(block: Block) -> Block:
    """Return what of a block the node sends with it."""
    return Block(block.header, block.hash, block.transactions, block.receipts, _NO_DIFF)


async def _fetch(node: RemoteNode, height: int) -> FetchedBlock:
    about = f"block {height}"
    try:
        return await _fetch_whole(node, height)
    except NodeRejected as rejected:
        raise Unsteady(about, str(rejected)) from None
    except Refused as refused:
        raise _unreadable(about, refused) from None


async def _fetch_whole(node: RemoteNode, height: int) -> FetchedBlock:
    block = await node.block(height)
    if block is None:
        raise Unsteady(f"block {height}", "the node has none at that height")
    update = await node.state_update(height)
    remote = read_remote(block, update)
    _require_height(remote.told.block, height)
    declared = [*remote.told.block.diff.declared, *remote.told.block.diff.deprecated]
    classes = await _classes(node, declared, height)
    return FetchedBlock(remote, write_sent(block, update), classes)


async def _classes(node: RemoteNode, hashes: Sequence[Felt], height: int) -> Classes:
    answers = await asyncio.gather(*(node.class_of(each, height) for each in hashes))
    classes: dict[Felt, dict[str, Any]] = {}
    for class_hash, answer in zip(hashes, answers, strict=True):
        if not isinstance(answer, dict):
            raise Refused(Reason.CLASS_MALFORMED, f"class {class_hash:#x} is no object")
        classes[class_hash] = answer
    return classes


def _require_height(block: Block, height: int) -> Block:
    if block.header.number != height:
        words = f"asked for block {height}, it sent {block.header.number}"
        raise Refused(Reason.BLOCK_MALFORMED, words)
    return block


def _unreadable(about: str, refused: Refused) -> Exception:
    """What a newer node sends will not be read at the next try either: that is said at once."""
    if refused.reason is Reason.TRANSACTION_UNSUPPORTED:
        return Refused(Reason.FOLLOW_NODE_UNUSABLE, f"{about}: {refused}")
    return Unsteady(about, str(refused))


async def _nothing() -> None:
    return None
