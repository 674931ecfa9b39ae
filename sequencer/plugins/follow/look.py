"""One look at a node: is the kept chain still its chain, and what comes next.

Promises
- Nothing is planned that was not read as one chain: what moved while it was read is read again.
- While nothing speaks against it, the tip alone is compared where its hash stands for all below,
  and the last FOLLOW_LOOK_BLOCKS where it does not; with a doubt, everything is.
"""

import asyncio
import time
from typing import Protocol

import msgspec

from sequencer.chain.block import Block
from sequencer.model.plugin_limits import (
    FOLLOW_COMPARE_SECONDS,
    FOLLOW_LOOK_BLOCKS,
    FOLLOW_POLL_MS,
    FOLLOW_TOGETHER_MAX,
)
from sequencer.model.records import IncidentKind
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.plugins.follow.fetch import (
    Unsteady,
    fetch_blocks,
    first_different,
    is_kept,
    read_block,
    require_linked,
    without_diff,
)
from sequencer.plugins.follow.node import NodeAway, RemoteNode
from sequencer.plugins.follow.reading import has_true_hash, read_remote_block
from sequencer.plugins.follow.reverse import reverse_diffs
from sequencer.plugins.follow.store import FollowStore, Place, read_sent_block, write_sent
from sequencer.plugins.protocol import Reorg
from sequencer.starknet.felt import Felt, parse_felt


class Log(Protocol):
    """Takes events for the operator."""

    def info(self, event: str, **values: object) -> None:
        """Log what happened."""

    def warning(self, event: str, **values: object) -> None:
        """Log what somebody should look at."""


class Doubt(msgspec.Struct):
    """Whether something happened that may have hidden a reorg."""

    is_open: bool = True


class Look:
    """Looks at one node for one follower."""

    def __init__(self, node: RemoteNode, store: FollowStore, doubt: Doubt, log: Log) -> None:
        self._node, self._store, self._doubt, self._log = node, store, doubt, log
        self._compared_at = 0.0
        self._was_behind = False

    async def identify(self, name: str, start: int | None) -> Place:
        """Return where the follower stands on the node's chain, or begins: at `start`, or None for
        its last block. Refusal: FOLLOW_CHAIN_OTHER."""
        if self._store.place is not None:
            await self._require_same_chain(self._store.place)
            return self._store.place
        chain_id, genesis, head = await self._chain_id(), await self._genesis(), await self._head()
        first = head if start is None else start
        return Place(name, chain_id, genesis, first, first - 1)

    async def look(self) -> bool:
        """Plan what comes next; say whether there is nothing.

        Unsteady, NodeAway, NodeRejected. Refusals: FOLLOW_CHAIN_OTHER, FOLLOW_REORG_TOO_DEEP,
        FOLLOW_NODE_UNUSABLE.
        """
        head = await self._head()
        place = self._store.begun()
        if not await self._is_on_top(place, head):
            return False
        last = min(head, place.tip + FOLLOW_TOGETHER_MAX)
        if last <= place.tip:
            return place.tip < place.start or not self._doubt.is_open
        fetched = await fetch_blocks(self._node, place.tip + 1, last)
        await self._require_on_tip(place, fetched[0].remote.told.block)
        self._store.plan_blocks(fetched)
        return False

    async def _is_on_top(self, place: Place, head: int) -> bool:
        """Say whether the node's chain still has all that is kept; plan a reorg where not."""
        if place.tip < place.start:
            return await self._is_same_chain(place)
        tip = self._kept(place.tip)
        is_true = has_true_hash(tip)
        is_due = not is_true and time.monotonic() - self._compared_at > FOLLOW_COMPARE_SECONDS
        if not (self._doubt.is_open or is_due) and await self._is_tip_same(place, is_true=is_true):
            return True
        # Closed first: what happens during the comparison opens it again.
        self._doubt.is_open = False
        await self._require_same_chain(place)
        different = await first_different(self._node, self._store, head)
        if different is None:
            self._compared_at, self._was_behind = time.monotonic(), False
            return True
        if different > head and not self._was_behind:
            # Of several nodes behind one address one may be behind: it is asked once more.
            self._was_behind = self._doubt.is_open = True
            await asyncio.sleep(FOLLOW_POLL_MS / MS_PER_SECOND)
            return False
        self._was_behind = False
        await self._plan_reorg(place, different, head)
        return False

    async def _is_same_chain(self, place: Place) -> bool:
        if self._doubt.is_open:
            self._doubt.is_open = False
            await self._require_same_chain(place)
        return True

    async def _is_tip_same(self, place: Place, *, is_true: bool) -> bool:
        lowest = max(place.tip - (1 if is_true else FOLLOW_LOOK_BLOCKS), self._store.lowest() - 1)
        heights = range(place.tip, lowest, -1)
        found = await asyncio.gather(*(read_block(self._node, height) for height in heights))
        return all(block is not None and is_kept(self._store, block) for block in found)

    async def _require_on_tip(self, place: Place, block: Block) -> None:
        kept = self._store.block(place.tip)
        if kept is None:
            return
        require_linked(kept.told.block, block)
        # Below an equal block there may be others by now, on which this one stands.
        if not has_true_hash(block) and not await self._is_tip_same(place, is_true=False):
            raise Unsteady(f"block {place.tip}", "it changed while the next one was read")

    async def _plan_reorg(self, place: Place, first: int, head: int) -> None:
        lowest = self._store.lowest()
        if first == lowest and lowest > place.start:
            words = f"all kept blocks, {lowest} to {place.tip}, are gone; --rebuild begins anew"
            raise Refused(Reason.FOLLOW_REORG_TOO_DEEP, words)
        base = first - 1 if first > place.start else min(first - 1, head)
        below = None if base < 0 else await self._base(base)
        if below is None:
            raise Unsteady(f"block {base}", "the node has none below what it removed")
        heights = range(first, place.tip + 1)
        reverses = await reverse_diffs(self._node, self._store, heights, base)
        if await self._base(base) != below or not await self._is_first(first, below, head):
            raise Unsteady(f"block {base}", "it changed while its state was read")
        reorg = Reorg(
            reorg_id=place.reorgs + 1,
            kind=IncidentKind.ROLLBACK,
            reason=await self._node.reason_of(first),
            first_height=first,
            last_height=place.tip,
            head_height=base,
            head_hash=below.hash,
        )
        self._log.warning(
            "reorg", first=first, last=place.tip, blocks=len(heights), reason=reorg.reason
        )
        self._store.plan_reorg(reorg, reverses)

    async def _is_first(self, first: int, below: Block, head: int) -> bool:
        """Say whether a height is still the lowest one that differs: the block below may be equal,
        and yet stand on others by now."""
        if has_true_hash(below):
            return True
        return await first_different(self._node, self._store, head) == first

    async def _base(self, height: int) -> Block | None:
        """Read the block that stays: the kept one of its height, where it is kept."""
        found = await read_block(self._node, height)
        kept = self._store.block(height)
        if kept is not None and without_diff(kept.told.block) != found:
            raise Unsteady(f"block {height}", "it changed after it was compared")
        return found

    def _kept(self, height: int) -> Block:
        kept = self._store.block(height)
        if kept is None:
            raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, f"it has no block {height}")
        return kept.told.block

    async def _require_same_chain(self, place: Place) -> None:
        chain_id = await self._chain_id()
        if chain_id != place.chain_id:
            words = f"the node's chain is {chain_id:#x}, followed is {place.chain_id:#x}"
            raise Refused(Reason.FOLLOW_CHAIN_OTHER, words)
        genesis = await self._genesis()
        if genesis is None or place.genesis is None:
            return
        if read_sent_block(genesis) != read_sent_block(place.genesis):
            words = "block 0 of the node is another one; --rebuild begins anew with its chain"
            raise Refused(Reason.FOLLOW_CHAIN_OTHER, words)

    async def _chain_id(self) -> Felt:
        try:
            return parse_felt(await self._node.chain_id())
        except Refused as refused:
            raise Unsteady("the chain's id", str(refused)) from None

    async def _genesis(self) -> bytes | None:
        """Read block 0; None where the node does not have it any more."""
        await self._head()
        answer = await self._node.block(0)
        if answer is None:
            return None
        try:
            read_remote_block(answer)
            return write_sent(answer, None)
        except Refused as refused:
            raise Unsteady("block 0", str(refused)) from None

    async def _head(self) -> int:
        head = await self._node.head()
        if head < 0:
            raise NodeAway("it has no blocks yet")
        return head
