"""The market goes on, and every decision is the operator's, at another terminal.

Promises
- A block each 200 ms of the wall, whatever the operator does; the market comes back by itself once
  the mode allows it.
- It ends when the chain was gone back on and is OPEN again, or when it is interrupted.
"""

import asyncio
import time
from collections.abc import Callable

from devnet.live_market import LiveMarket
from devnet.market_feed import Feed, ScriptClock
from devnet.run_folder import RunFolder
from devnet.story import Narrator, moment_of
from devnet.timings import Stopwatch
from devnet.waiting import Interrupted
from sequencer.model.records import IncidentKind
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.model.units import MS_PER_SECOND
from sequencer.node import Node

BLOCK_SECONDS = 0.2


class Handover:
    """Plays a market on a node that somebody else operates."""

    def __init__(
        self,
        node: Node,
        clock: ScriptClock,
        market: LiveMarket,
        narrator: Narrator,
        is_interrupted: Callable[[], bool],
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._node = node
        self._clock = clock
        self._market = market
        self._narrator = narrator
        self._is_interrupted = is_interrupted
        self.feed = Feed(lambda: node.engine, clock, stopwatch)

    async def run(self, folder: RunFolder) -> None:
        """Play until the chain is OPEN again after a rollback. Interrupted where it was asked to.

        Refusal: RUN_BROKEN where the chain has halted for good.
        """
        for words in _directions(folder):
            self._narrator.say(words)
        from_ms = max(self._clock.ms, self._node.engine.writer.state.system.time_ms)
        started = time.monotonic()
        while not self._is_back():
            if self._is_interrupted():
                raise Interrupted
            elapsed_ms = int((time.monotonic() - started) * MS_PER_SECOND)
            await self._play(from_ms + elapsed_ms)
            await asyncio.sleep(BLOCK_SECONDS)
        await self.feed.drained()
        newest = self._node.views.view.incidents()[-1]
        good_height, bad_height = newest.height_after, newest.height_before
        settler = self._node.settler
        reverted_to = -1 if settler is None else settler.status().reverted_height
        folder.note(good_height=good_height, bad_height=bad_height)
        if reverted_to >= 0:
            folder.note(reverted_to=reverted_to)
        self._narrator.say(f"OPEN again, {bad_height - good_height} blocks undone")

    async def _play(self, time_ms: int) -> None:
        engine = self._node.engine
        final = engine.gate.final()
        if final is not None:
            raise Refused(Reason.RUN_BROKEN, str(final))
        state = engine.writer.state
        block = self._market.block(state, max(time_ms, self._clock.ms))
        await self.feed.play(block)
        self._narrator.block(moment_of(self._node, len(block.items)))

    def _is_back(self) -> bool:
        view = self._node.views.view
        incidents = view.incidents()
        if not incidents or incidents[-1].kind is not IncidentKind.ROLLBACK:
            return False
        is_open = self._node.engine.writer.state.system.mode is Mode.OPEN
        return is_open and view.head.latch is None


def _directions(folder: RunFolder) -> list[str]:
    here, good = folder.data_dir, folder.notes.good_height
    return [
        "the chain is yours now; at another terminal:",
        f"  perpchain status {here}",
        f"  perpchain mode {here} halted --reason 'liquidations that no price explains'",
        f"  perpchain reorg suggest {here} --since {good}",
        f"  perpchain reorg plan {here} --to before-the-incident --policy cancel-all-but-tpsl",
        "  and whatever the answers say next; this run ends when the chain is OPEN again",
    ]
