"""The settler: posts live blocks to the settlement chain, makes them final, and takes them back.

Promises
- The contract follows this chain: in the end it stands at the newest block, whatever was late, lost
  or sent twice, over there or here, and after each rollback and undo.
- No block is posted while a rollback is not reconciled, however long that takes: its row of the
  outbox is delivered only once the contract has been told.
- A settlement reorg is said once, and what it removed is posted again.

Laws
- What to do follows from what was read over there for it. What is remembered says when to look.
- One thing at a time: posts, reverts, and whoever holds the settler stopped exclude each other.
- A root over there that is none of ours is a halt by name; after it nothing is sent any more.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

import msgspec

from sequencer.engine.lookup import find_block
from sequencer.engine.rollback import read_notice
from sequencer.engine.settler_status import SettlerStatus
from sequencer.engine.settling import (
    SETTLER,
    Holds,
    Place,
    SettlementDiffers,
    compare,
    pending_rollback,
    place_of,
    post_of,
    reason_felt,
    reorg_of,
    revert_to,
)
from sequencer.engine.views import Views
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import (
    FINALIZE_STEPS_MAX,
    SETTLE_BACKOFF_SECONDS_MAX,
    SETTLE_BLOCKS,
    SETTLE_LOOK_MS,
    SETTLE_ORPHANS_MAX,
    SETTLE_REQUESTS_MAX,
    SETTLE_SECONDS,
    SETTLEMENT_LAG_BLOCKS_MAX,
)
from sequencer.model.records import BlockRecord, Effect, EffectKind
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import Post, SettlementError, SettlementProblem, Standing, TimedPost
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import ChainView, Settlement, StoreError

_LOOK_SECONDS = SETTLE_LOOK_MS / MS_PER_SECOND
_LONG_AGO = float("-inf")


class SettlePace(msgspec.Struct, frozen=True):
    """A block is posted once it is this far ahead of the newest post, or after this long."""

    blocks: int = SETTLE_BLOCKS
    seconds: int = SETTLE_SECONDS


class Surroundings(msgspec.Struct, frozen=True):
    """What a settler works with and does not own.

    `is_acknowledged` says whether the store is known to be the newest. `say` takes a line for the
    operator, `halt` a halt, `lower` the words for which the exchange takes cancels only. `now` and
    `sleep` are in seconds.
    """

    settlement: Settlement
    views: Views
    is_acknowledged: Callable[[], bool]
    say: Callable[[str], None]
    halt: Callable[[Halt], None]
    lower: Callable[[str], None]
    now: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Settler:
    """Follows one chain; a reader of the outbox, for the sake of rollbacks.

    `deliver` of a rollback waits until it is done: cancel the delivery when the node stops.
    """

    name = SETTLER

    def __init__(self, around: Surroundings, pace: SettlePace | None = None) -> None:
        self._around = around
        self._settlement = around.settlement
        self._pace = pace or SettlePace()
        self._turn = asyncio.Lock()
        self._first_height = around.views.view.head.height
        self._standing: Standing | None = None
        self._final_next: TimedPost | None = None
        self._sent: tuple[int, int] | None = None
        self._delivered = 0
        self._requests: set[int] = set()
        self._posts = 0
        self._reverted_height = -1
        self._orphans = 0
        self._posted_at = _LONG_AGO
        self._look_at = _LONG_AGO
        self._failures = 0
        self._problem = ""
        self._held, self._holds = "", Holds()
        self._differs = False
        self._lags = False

    @property
    def sent_height(self) -> int:
        """The highest block whose post may still be on its way, 0 for none."""
        return 0 if self._sent is None else self._sent[1]

    @property
    def finalized_height(self) -> int:
        """The newest block that is known to be final over there, -1 for none. From any thread."""
        standing = self._standing
        return -1 if standing is None else standing.finalized.height

    async def check_start(self) -> Halt | None:
        """Look before the first block is made, and say what the chain comes up HALTED with.

        SETTLEMENT_UNREACHABLE; SETTLEMENT_DIFFERS, and nothing will be sent. None also where the
        contract stands at a block that is orphaned here: it will be reverted.
        """
        try:
            standing = await self._settlement.standing()
            with self._around.views.at_head() as view:
                compare(standing, view)
                self._notice(standing, view)
        except SettlementError as error:
            self._fail(error)
            return Halt(HaltCause.SETTLEMENT_UNREACHABLE, str(error))
        except SettlementDiffers as differs:
            self._give_up(differs)
            return differs.halt
        return None

    async def run(self) -> None:
        """Post, make final, and watch, until cancelled; a store that cannot be read ends it."""
        try:
            while True:
                async with self._turn:
                    if self._is_due():
                        await self._try(self._settle)
                self._watch_lag()
                await self._around.sleep(_LOOK_SECONDS)
        except StoreError as error:
            self._around.halt(Halt(HaltCause.READ_FAILED, str(error)))

    async def deliver(self, effect: Effect, block: BlockRecord | None) -> None:
        """Take a row of the outbox; a rollback's is taken once the contract has been told."""
        if effect.kind is EffectKind.ROLLBACK:
            target_height = read_notice(effect.payload).first_height - 1
            while not await self._reconcile(target_height, effect.epoch):
                await self._around.sleep(max(_LOOK_SECONDS, self._look_at - self._around.now()))
        self._delivered = effect.number

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Have nothing under way over there: from before finality is held to the new head."""
        async with self._turn:
            yield

    def request(self, height: int) -> None:
        """Have a block posted next, if no newer one was. Refusals: BLOCK_UNKNOWN, BUSY."""
        if height > self._around.views.view.head.height:
            raise Refused(Reason.BLOCK_UNKNOWN, f"no block {height}")
        if len(self._requests) >= SETTLE_REQUESTS_MAX:
            raise Refused(Reason.BUSY, f"{SETTLE_REQUESTS_MAX} blocks wait to be posted")
        self._requests.add(height)

    async def caught_up(self, height: int, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Wait until the contract stands at a height or above, as long as that goes on.

        Refusals: BLOCK_UNKNOWN once a rollback has undone it, HALTED once nothing is posted.
        """
        while goes_on() and (self._standing is None or self._standing.newest.height < height):
            if self._differs:
                raise Refused(Reason.HALTED, self._problem)
            if height > self._around.views.view.head.height:
                raise Refused(Reason.BLOCK_UNKNOWN, f"no block {height}")
            await self._around.sleep(_LOOK_SECONDS)

    def status(self) -> SettlerStatus:
        """Say how things stand, as far as is known."""
        standing, view = self._standing, self._around.views.view
        return SettlerStatus(
            backend=self._settlement.backend,
            settled_height=-1 if standing is None else standing.newest.height,
            settled_root=0 if standing is None else standing.newest.state_root,
            finalized_height=self.finalized_height,
            epoch=0 if standing is None else standing.epoch,
            hold=0 if standing is None else standing.hold,
            hold_until=0 if standing is None else standing.hold_until,
            lag_blocks=self._lag_blocks(view.head.height),
            problem=self._problem,
            posts=self._posts,
            reverted_height=self._reverted_height,
            is_idle=self._is_idle(view),
            final_next=self._final_next,
            finality_delay=0 if standing is None else standing.finality_delay,
        )

    def _is_idle(self, view: ChainView) -> bool:
        standing = self._standing
        busy = self._problem or self._sent or pending_rollback(view, self._delivered)
        if busy or standing is None:
            return False
        return standing.newest == post_of(find_block(view, "latest"))

    def _is_due(self) -> bool:
        """Say whether it is time to look over there; while a rollback waits, its delivery does."""
        view = self._around.views.view
        if self._differs or not self._around.is_acknowledged():
            return False
        if pending_rollback(view, self._delivered):
            return False
        if self._around.now() >= self._look_at:
            return True
        standing = self._standing
        if standing is None or self._failures:
            return False
        return self._wanted(standing.newest.height, view.head.height) > 0

    def _wanted(self, newest_height: int, head_height: int) -> int:
        """Return which block is to be posted now, 0 for none."""
        asked = [each for each in self._requests if newest_height < each <= head_height]
        if asked:
            return min(asked)
        waited = self._around.now() - self._posted_at >= self._pace.seconds
        behind = head_height - newest_height
        return head_height if behind >= self._pace.blocks or (waited and behind > 0) else 0

    async def _try(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Take a step, which says whether to look again at once; says whether it could be taken."""
        try:
            again = await step()
        except SettlementError as error:
            self._fail(error)
            return False
        except SettlementDiffers as differs:
            self._give_up(differs)
            self._around.halt(differs.halt)
            return False
        if self._failures:
            self._around.say("settlement: it goes on")
        self._failures, self._problem = 0, ""
        self._look_at = self._around.now() + (0 if again else self._pace.seconds)
        return True

    async def _settle(self) -> bool:
        """Read, and do what is to be done. Returns whether anything was."""
        standing = await self._settlement.standing()
        # A view of this moment knows every block that was posted before it was read there.
        with self._around.views.at_head() as view:
            place = compare(standing, view)
            self._notice(standing, view)
            if pending_rollback(view, self._delivered):
                return False
            if place is Place.ORPHANED:
                return await self._take_back(standing, view)
            self._orphans = 0
            if standing.hold:
                self._say_hold(await self._holds.look(self._settlement, standing, view))
            posted = await self._post(standing, view)
            return await self._finalize(standing, view) or posted

    async def _post(self, standing: Standing, view: ChainView) -> bool:
        height = self._wanted(standing.newest.height, view.head.height)
        if not height:
            return False
        new, before = post_of(find_block(view, str(height))), self._sent
        self._sent = (standing.epoch, max(height, self.sent_height))
        try:
            await self._settlement.update_state(standing.epoch, standing.newest, new)
        except SettlementError as error:
            if error.problem is not SettlementProblem.OUTCOME_UNKNOWN:
                self._sent = before
            raise
        self._sent = None
        self._posts += 1
        self._posted_at = self._around.now()
        self._standing = msgspec.structs.replace(standing, newest=new)
        return True

    async def _finalize(self, standing: Standing, view: ChainView) -> bool:
        """Make the newest post final whose delay has passed."""
        if standing.hold:
            return False
        due: Post | None = None
        height = standing.finalized.height
        for _ in range(FINALIZE_STEPS_MAX):
            timed = self._final_next = await self._settlement.oldest_post_above(height)
            if timed is None or timed.posted_at + standing.finality_delay > standing.time:
                break
            place = place_of(timed.post, view)
            if place is Place.UNKNOWN:
                raise SettlementDiffers(f"block {timed.post.height} there is not in this chain")
            if place is Place.ORPHANED:
                # A reorg over there took a revert back just now: the next look makes it again.
                break
            due, height = timed.post, timed.post.height
        if due is None:
            return False
        try:
            # By height alone: a late call waits, by its nonce, behind the revert that takes an
            # orphan of that height away, and what was posted since has a delay of its own.
            await self._settlement.finalize(height)
        except SettlementError as error:
            # Somebody else did it, holds it, or the clock there has gone back: the next look tells.
            if error.problem is not SettlementProblem.REFUSED:
                raise
            return False
        return True

    async def _reconcile(self, target_height: int, reorg_id: int) -> bool:
        """Tell the contract of a rollback, once. Returns whether that is done."""

        async def step() -> bool:
            with self._around.views.at_head() as view:
                return await self._revert(view, target_height, reorg_id)

        async with self._turn:
            return not self._differs and await self._try(step)

    async def _take_back(self, standing: Standing, view: ChainView) -> bool:
        """Take back what is orphaned here. One that stays, whatever it is told, is given up."""
        orphan, self._orphans = standing.newest.height, self._orphans + 1
        if self._orphans > SETTLE_ORPHANS_MAX:
            words = f"block {orphan} is orphaned here, and no revert takes it away"
            raise SettlementDiffers(words)
        self._around.say(f"settlement: block {orphan} is orphaned here")
        return await self._revert(view, view.head.height, reorg_of(standing, view))

    async def _revert(self, view: ChainView, target_height: int, reorg_id: int) -> bool:
        reason = reason_felt(view, reorg_id)
        post = await revert_to(self._settlement, view, target_height, reason)
        if self._standing is not None:
            self._standing = msgspec.structs.replace(self._standing, newest=post)
        self._reverted_height = post.height
        self._around.say(f"settlement: put back to block {post.height}")
        return True

    def _notice(self, standing: Standing, view: ChainView) -> None:
        """Remember what was read; say where it went back without being told to."""
        newest, seen = standing.newest, None if self._standing is None else self._standing.newest
        if seen is not None and newest != seen and newest.height <= seen.height:
            words = f"block {seen.height} is not posted any more, block {newest.height} is"
            self._around.say(f"settlement: {words}; what is missing is posted again")
            self._posted_at = _LONG_AGO
        self._standing = standing
        open_heights = range(newest.height + 1, view.head.height + 1)
        self._requests = {each for each in self._requests if each in open_heights}
        if self._sent is not None:
            epoch, height = self._sent
            arrived = standing.epoch > epoch or newest.height >= height
            self._sent = None if arrived else self._sent

    def _say_hold(self, words: str) -> None:
        if words != self._held:
            self._held = words
            self._around.say(f"settlement: {words}")

    def _fail(self, error: SettlementError) -> None:
        self._problem = str(error)
        if not self._failures:
            self._around.say(f"settlement: {self._problem}; tried again until it goes on")
        seconds = min(SETTLE_BACKOFF_SECONDS_MAX, 1 << min(self._failures, 16))
        self._failures += 1
        self._look_at = self._around.now() + seconds

    def _give_up(self, differs: SettlementDiffers) -> None:
        self._differs, self._problem = True, str(differs.halt)

    def _lag_blocks(self, head_height: int) -> int:
        """Return blocks behind the head; those made since the start where nothing was ever seen."""
        standing = self._standing
        settled = self._first_height if standing is None else standing.newest.height
        return max(0, head_height - settled)

    def _watch_lag(self) -> None:
        lag_blocks = self._lag_blocks(self._around.views.view.head.height)
        if lag_blocks <= SETTLEMENT_LAG_BLOCKS_MAX // 2:
            self._lags = False
        elif lag_blocks > SETTLEMENT_LAG_BLOCKS_MAX and not self._lags:
            self._lags = True
            self._around.lower(f"the settlement chain is {lag_blocks} blocks behind")
