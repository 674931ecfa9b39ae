"""The chain executed again in the background, checkpoint by checkpoint, while it goes on.

Promises
- Blocks are executed on a state that was proven against its header, with every signature and law,
  and compared with what is stored: header, receipts, state diff.
- A difference halts the chain by its name. What a drill did, or a guard that was off let pass, is
  what was stored: it is counted, and no difference.
- After a rollback or an undo the search goes on from the newest verified checkpoint that is live.

Laws
- It reads snapshots, in a thread of its own, one block at a time; it rests most of the time.
- What was verified is known to this process alone. A start begins at the newest checkpoint below
  the head; what lies below that one is for `verify --full`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from sequencer.engine.lookup import read_block, rows_at
from sequencer.engine.recovery import check_root
from sequencer.engine.suggest import Rerun, harm
from sequencer.engine.throttle import Stopped, Throttle
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.laws import LawBroken
from sequencer.model.limits import VERIFICATION_REST_TIMES
from sequencer.model.records import BlockRecord, Checkpoint
from sequencer.model.refusals import Refused
from sequencer.ports import ChainView, Store, StoreError, Worker

NOWHERE = -1
"""In place of a height where there is none yet."""


class VerificationStatus(msgspec.Struct, frozen=True):
    """What this process has verified: the blocks `since_height` + 1 .. `verified_height`.

    `checkpoint` is the label of the newest verified one that is live, "" for none. `from_height` ..
    `to_height` is the part under way, both NOWHERE while it waits for a block. `differs` says
    which block is another one, "" for none. `harmed_blocks` were met in which a drill did harm or
    a guard was off, those undone since included.
    """

    since_height: int = NOWHERE
    verified_height: int = NOWHERE
    checkpoint: str = ""
    from_height: int = NOWHERE
    to_height: int = NOWHERE
    differs: str = ""
    harmed_blocks: int = 0


class _Found(msgspec.Struct, frozen=True):
    """A difference in the chain as it was at an epoch."""

    epoch: int
    words: str


class Verification:
    """Follows one store. `worker` is the thread in which it works.

    `status` may be read at any time. `wake` says that the head has moved.
    """

    def __init__(self, store: Store, worker: Worker, throttle: Throttle | None = None) -> None:
        self.status = VerificationStatus()
        self._store = store
        self._worker = worker
        self._throttle = throttle or Throttle(VERIFICATION_REST_TIMES)
        self._news = asyncio.Event()
        self._rerun: Rerun | None = None
        # Live blocks whose sequences lie between these two are verified.
        self._first: BlockRecord | None = None
        self._last: BlockRecord | None = None
        self._found: _Found | None = None
        self._newest_sequence = 0
        self._harmed_blocks = 0

    def wake(self) -> None:
        """Look again."""
        self._news.set()

    def stop(self) -> None:
        """Give up what is under way; `run` ends soon."""
        self._throttle.stop()
        self._news.set()

    async def run(self, halt: Callable[[Halt], None]) -> None:
        """Verify until told to stop. `halt` is called for each difference, once in an epoch.

        A store that cannot be read ends it, with READ_FAILED.
        """
        try:
            await self._follow_store(halt)
        except Stopped:
            return
        except StoreError as error:
            halt(Halt(HaltCause.READ_FAILED, str(error)))

    async def _follow_store(self, halt: Callable[[Halt], None]) -> None:
        while True:
            self._news.clear()
            done = await self._worker.run(self._step)
            if isinstance(done, _Found):
                # What was undone meanwhile halts nobody.
                if done.epoch == self._store.head.epoch:
                    halt(Halt(HaltCause.BLOCK_DIFFERS, done.words))
            elif not done:
                await self._news.wait()

    def _step(self) -> bool | _Found:
        """Do the next piece of work; False where there is none until the head moves."""
        self._throttle.begin()
        self._throttle.pause()
        with _snapshot(self._store) as view:
            self._follow(view)
            if self._found is not None:
                return False
            if self._rerun is None:
                start = self._start(view)
                if start is None:
                    return False
                done = self._prove(view, start)
            elif self._last is None or self._last.height >= view.head.height:
                done = False
            else:
                done = self._execute(view, self._rerun, self._last.height + 1)
            self._note(view, is_running=bool(done))
        self._throttle.rest()
        return done

    def _follow(self, view: ChainView) -> None:
        """Forget what a rollback or an undo since has made void."""
        if self._found is not None and self._found.epoch != view.head.epoch:
            self._found = None
        if self._last is not None and view.undone_by(self._last.sequence):
            self._rerun = None

    def _start(self, view: ChainView) -> BlockRecord | None:
        """Return the block to begin after, None while there is nothing above it."""
        live = _live_checkpoints(view)
        verified = [each for each in live if self._is_verified(each.sequence)]
        below = [each for each in live if each.height < view.head.height]
        if verified or below:
            checkpoint = (verified or below)[-1]
            return view.block_at(checkpoint.height, checkpoint.sequence)
        oldest_height = view.retention().rows.height
        return view.block(oldest_height) if oldest_height < view.head.height else None

    def _prove(self, view: ChainView, start: BlockRecord) -> bool | _Found:
        """Load the state to begin with, and prove it against its header."""
        if not self._is_verified(start.sequence):
            self._first = self._last = None
        pause = self._throttle.pause
        self.status = msgspec.structs.replace(
            self.status, from_height=start.height, to_height=_end_of(view, start.height), differs=""
        )
        try:
            rows, parent = rows_at(view, start, pause), read_block(view, start)
            self._rerun = Rerun(start, parent, rows, pause)
        except (Refused, LawBroken, StoreError) as error:
            return self._differ(view, start.height, str(error))
        self._first, self._last = self._first or start, start
        return True

    def _execute(self, view: ChainView, rerun: Rerun, height: int) -> bool | _Found:
        """Execute the block at a height again, on the one below it."""
        what = rerun.difference(view)
        block = None if what else view.block(height)
        if block is None:
            return self._differ(view, height, what)
        self._last = block
        if block.sequence > self._newest_sequence:
            self._newest_sequence = block.sequence
            self._harmed_blocks += any(True for _ in harm(rerun.block))
        return True

    def _differ(self, view: ChainView, height: int, what: str) -> _Found:
        self._rerun = None
        self._found = _Found(view.head.epoch, f"block {height}: {what}")
        return self._found

    def _note(self, view: ChainView, *, is_running: bool) -> None:
        """Say how things stand."""
        first, last = self._first, self._last
        verified = [each for each in _live_checkpoints(view) if self._is_verified(each.sequence)]
        since_height = NOWHERE if first is None else first.height
        height = NOWHERE if last is None else last.height
        goes_on = is_running and self._found is None and height < view.head.height
        from_height = verified[-1].height if verified else since_height
        self.status = VerificationStatus(
            since_height=since_height,
            verified_height=height,
            checkpoint=verified[-1].label if verified else "",
            from_height=from_height if goes_on else NOWHERE,
            to_height=_end_of(view, height) if goes_on else NOWHERE,
            differs="" if self._found is None else self._found.words,
            harmed_blocks=self._harmed_blocks,
        )

    def _is_verified(self, sequence: int) -> bool:
        """Say whether a live block is verified: whatever was undone is not live."""
        if self._first is None or self._last is None:
            return False
        return self._first.sequence <= sequence <= self._last.sequence


def check_owed_root(store: Store, block: BlockRecord, throttle: Throttle) -> Sequence[Halt]:
    """Work a block's root out again from its rows, resting in between.

    Returns why the chain has to halt, nothing where the root is the same. Stopped: told to stop.
    """
    throttle.begin()
    try:
        with _snapshot(store) as view:
            rows = rows_at(view, block, throttle.pause)
        return list(check_root(block, rows, throttle.pause))
    except (Refused, StoreError) as error:
        return [Halt(HaltCause.START_CHECK, str(error))]


def _live_checkpoints(view: ChainView) -> list[Checkpoint]:
    return [each for each in view.checkpoints() if not view.undone_by(each.sequence)]


def _end_of(view: ChainView, height: int) -> int:
    """Return the height of the next checkpoint above, or of the head."""
    above = (each.height for each in _live_checkpoints(view) if each.height > height)
    return next(above, view.head.height)


@contextmanager
def _snapshot(store: Store) -> Iterator[ChainView]:
    view, close = store.snapshot()
    try:
        yield view
    finally:
        close()
