"""Telling the world: every row of the outbox to every reader, in order, each with a cursor.

Promises
- A reader gets every row at least once and in order, also after a crash: its cursor moves, durably,
  only after it has taken what is before it. The row's number tells it what it had already.
- A reader that fails is parked: it holds nothing back, and its cursor says where it stopped. So is
  one that a node is started without, until a node is started with it again.
- A store that takes no cursor any more ends the telling, not the node: the next block meets the
  same failure, and the writer halts.

Laws
- Nothing is told before it is durable, nor from a store that nobody has acknowledged.
"""

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from sequencer.engine.rollback import resume
from sequencer.engine.views import Views
from sequencer.model.commits import BucketChange
from sequencer.model.limits import EFFECTS_TOGETHER_MAX
from sequencer.model.plugins import READER_PREFIX
from sequencer.model.records import NO_HASH, BlockRecord, Cursor, Effect, EffectKind, Stage
from sequencer.ports import ChainView, Store, StoreError, Worker


class EffectReader(Protocol):
    """Somebody who is told. `name` is that of its cursor, for ever."""

    name: str

    async def deliver(self, effect: Effect, block: BlockRecord | None) -> None:
        """Take one row, with its block if it is one's. OSError: it cannot take any more."""
        ...


class Outbox:
    """Delivers to one reader; `wake` says that there may be something new."""

    def __init__(self, store: Store, worker: Worker, views: Views, reader: EffectReader) -> None:
        self._store = store
        self._worker = worker
        self._views = views
        self._reader = reader
        self._news = asyncio.Event()
        self._news.set()
        self._finishing = False

    def wake(self) -> None:
        """Look again."""
        self._news.set()

    def finish(self) -> None:
        """Deliver what there is, and end."""
        self._finishing = True
        self._news.set()

    async def run(self) -> None:
        """Deliver until told to finish, or until the reader fails and is parked."""
        with suppress(StoreError):
            await self._run()

    async def _run(self) -> None:
        # A reader that was parked begins again where it stopped: this is another process.
        known = self._views.view.cursor(self._reader.name) or Cursor(0, 0, NO_HASH)
        cursor = msgspec.structs.replace(known, parked=False)
        finishing = False
        while not finishing:
            await self._news.wait()
            self._news.clear()
            finishing = self._finishing
            if not self._store.acknowledged:
                continue
            while (moved := await self._deliver(cursor)) is not cursor:
                cursor = moved
                if cursor.parked:
                    return

    async def _deliver(self, cursor: Cursor) -> Cursor:
        """Deliver a number of rows and move the cursor behind them."""
        moved = cursor
        with self._views.at_head() as view:
            for effect in view.effects(cursor.effect, EFFECTS_TOGETHER_MAX):
                try:
                    await self._reader.deliver(effect, _block_of(effect, view))
                except OSError:
                    moved = msgspec.structs.replace(moved, parked=True)
                    break
                moved = Cursor(effect.number, effect.sequence, view.head.block_hash)
        if moved is not cursor:
            # How far rollbacks have come is read from views, and no block may follow for long.
            move = partial(move_cursor, self._store, self._reader.name, moved)
            await self._views.change(self._worker, move)
        return moved


def move_cursor(
    store: Store, reader: str, cursor: Cursor, buckets: Iterable[BucketChange] = ()
) -> None:
    """Move a reader, with what it writes, and take the rollbacks on that waited for it."""
    store.advance_cursor(reader, cursor, buckets)
    # What is prepared now is being carried out: only a start may abort it.
    if all(each.stage is not Stage.PREPARED for each in store.open_journals()):
        resume(store)


def park_absent(store: Store, present: Collection[str]) -> None:
    """Let go of what readers hold back that this process does not tell; plugins' hosts do so, too.

    Otherwise no rollback would ever be told to everybody, and nothing that it undid collected.
    """
    for name, cursor in store.view.cursors().items():
        if not (cursor.parked or name in present or name.startswith(READER_PREFIX)):
            move_cursor(store, name, msgspec.structs.replace(cursor, parked=True))


def _block_of(effect: Effect, view: ChainView) -> BlockRecord | None:
    if effect.kind is not EffectKind.BLOCK:
        return None
    return view.block_at(int.from_bytes(effect.payload, "big"), effect.sequence)
