"""What a story waits for: its node, the node's inbox, and the settlement chain.

Promises
- Every wait ends: with what it waits for, with a refusal that says what does not come, or where the
  story is interrupted.

Laws
- Nothing is changed here, but for the settler's being asked to post.
"""

import asyncio
import time
from collections.abc import Callable

from sequencer.engine.settler_status import SettlerStatus
from sequencer.model.bridge_limits import FUNDING_SECONDS_MAX
from sequencer.model.halts import HaltCause
from sequencer.model.limits import RUN_POST_SECONDS_MAX, SETTLEMENT_LAG_BLOCKS_MAX
from sequencer.model.records import Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.node import Node

_LOOK_SECONDS = 0.05


class Interrupted(Exception):
    """Somebody asked the story to stop; the chain is at the end of a block."""


class Waiting:
    """Waits on one node. `is_interrupted` ends every wait.

    Refusals of all: RUN_BROKEN, DEPOSIT_UNMADE. Interrupted where it was asked to stop.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.is_interrupted = False

    async def until_stored(self) -> None:
        """Wait until every block is in the store."""
        while self._node.store.head.height < self._node.engine.writer.made_height:
            self.require_whole()
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_posted_enough(self) -> None:
        """Wait while so much is not posted that the mode would soon be lowered."""
        await self._while_posting(lambda now: now.lag_blocks > SETTLEMENT_LAG_BLOCKS_MAX // 2)

    async def until_known(self, count: int) -> None:
        """Wait until the node's inbox holds so many deposits, or they are credited already.

        Refusal: RUN_BROKEN where they do not come in.
        """
        most, since = -1, time.monotonic()
        while (held := self._known()) < count:
            self.require_whole()
            if held > most:
                most, since = held, time.monotonic()
            if time.monotonic() - since > FUNDING_SECONDS_MAX:
                problem = "" if self._node.collector is None else self._node.collector.problem
                words = f"{held} of {count} deposits reach the chain: {problem or 'no word'}"
                raise Refused(Reason.RUN_BROKEN, words)
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_proven(self) -> None:
        """Wait until the root gone back to has been worked out again: OPEN needs it."""
        while self._node.engine.gate.owes_root:
            self.require_whole()
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_reconciled(self) -> int:
        """Wait until the contract has gone back, too; returns to which block, -1 for none."""
        if self._node.settler is None:
            return -1
        waiting = (Stage.PREPARED, Stage.COMMITTED)
        views = self._node.views
        await self._while_posting(
            lambda _: any(journal.stage in waiting for journal in views.view.journals())
        )
        return self._node.settler.status().reverted_height

    async def until_settled(self, height: int) -> None:
        """Wait until a block's root is posted, or one above it."""
        settler = self._node.settler
        if settler is None:
            return
        settler.request(height)
        await self._while_posting(lambda now: now.settled_height < height)

    async def _while_posting(self, waits: Callable[[SettlerStatus], bool]) -> None:
        """Wait for the settlement chain. Refusal: RUN_BROKEN where no root arrives there."""
        settler = self._node.settler
        posts, since = -1, time.monotonic()
        while settler is not None and waits(status := settler.status()):
            self.require_whole()
            if status.posts != posts:
                posts, since = status.posts, time.monotonic()
            if time.monotonic() - since > RUN_POST_SECONDS_MAX:
                place = f"block {status.settled_height}, epoch {status.epoch}"
                words = f"the settlement chain stays at {place}: {status.problem or 'no word'}"
                raise Refused(Reason.RUN_BROKEN, words)
            await asyncio.sleep(_LOOK_SECONDS)

    def _known(self) -> int:
        """Count the deposits that are credited, or wait to be."""
        status = self._node.deposits.status(self._node.engine.writer.state.deposits)
        return status.next_nonce + status.pending

    def require_whole(self) -> None:
        """Give up waiting where there is nothing to wait for any more."""
        final = self._node.engine.gate.final()
        if final is not None:
            raise Refused(Reason.RUN_BROKEN, str(final))
        for halt in self._node.engine.gate.halts:
            if halt.cause is HaltCause.DEPOSIT_UNMADE:
                words = f"{halt.detail}; a run begins again in another folder"
                raise Refused(Reason.DEPOSIT_UNMADE, words)
        if self.is_interrupted:
            raise Interrupted
