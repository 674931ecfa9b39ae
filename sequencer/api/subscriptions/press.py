"""Reading blocks and writing their news, in a thread: the loop only hands out what is written.

Promises
- A block is told as its branch had it, live or orphaned; what was read for one is kept for the
  next who asks soon.

Laws
- Only the loop's thread asks. Two presses that write the same thing write it alike.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from sequencer.api.subscriptions.news import News, Topic
from sequencer.engine.lookup import read_block
from sequencer.engine.reorgs import Reorg, ancestor_at, list_reorgs
from sequencer.engine.service import Service
from sequencer.model.api_limits import NEWS_CACHED, SUBSCRIPTION_BLOCKS_BACK_MAX
from sequencer.model.records import BlockRecord, Effect, EffectKind, IncidentKind
from sequencer.ports import ChainView, Worker

_T = TypeVar("_T")


class Told(msgspec.Struct, frozen=True):
    """What an effect tells: a block; or a reorg and, of an undo, the blocks that it restored.

    `is_too_long`: it restored more blocks than anybody may ask for, and none of them is here.
    """

    epoch: int
    reorg: Reorg | None = None
    blocks: Sequence[BlockRecord] = ()
    is_too_long: bool = False

    @property
    def restores(self) -> bool:
        """Say whether it is an undo."""
        return self.reorg is not None and self.reorg.kind is IncidentKind.UNDO


class Press:
    """Writes news in the thread of `worker`, which gives views back before whoever lent them goes.

    `other` is a press with which it shares them.
    """

    def __init__(self, service: Service, worker: Worker, other: "Press | None" = None) -> None:
        self._service = service
        self._worker = worker
        self._kept: OrderedDict[tuple[int, int], News]
        self._kept = OrderedDict() if other is None else other._kept

    async def read(self, effect: Effect) -> Told:
        """Read what an effect is about. Failures: those of the store."""
        if effect.kind is EffectKind.BLOCK:
            height = int.from_bytes(effect.payload, "big")
            record = self._service.views.view.block_at(height, effect.sequence)
            return Told(effect.epoch, None, (_require(record),))
        # The record of what made an epoch has the epoch's number.
        reorg = (await self.run(lambda view: list_reorgs(view, effect.epoch - 1, 1)))[0]
        told = Told(effect.epoch, reorg)
        if not told.restores:
            return told
        if reorg.last.height - reorg.first.height >= SUBSCRIPTION_BLOCKS_BACK_MAX:
            return msgspec.structs.replace(told, is_too_long=True)
        head = self._service.views.view.block_by_hash(reorg.last.block_hash)
        blocks = await self.branch(_require(head), reorg.first.height)
        return msgspec.structs.replace(told, blocks=blocks)

    async def branch(self, last: BlockRecord, first_height: int) -> Sequence[BlockRecord]:
        """Return the blocks from a height on that a block was built on, and itself, in order."""

        def walk(view: ChainView) -> list[BlockRecord]:
            blocks = [last]
            while blocks[-1].height > first_height:
                blocks.append(ancestor_at(view, blocks[-1], blocks[-1].height - 1))
            return blocks[::-1]

        return await self.run(walk)

    async def news(self, record: BlockRecord, epoch: int, topics: Iterable[Topic]) -> News:
        """Return the news of a block, with what it tells about topics already written."""
        key = (record.sequence, epoch)
        news = self._kept.get(key)
        if news is None:
            news = self._kept[key] = await self._read(record, epoch)
            if len(self._kept) > NEWS_CACHED:
                self._kept.popitem(last=False)
        unwritten = [topic for topic in topics if not news.has_written(topic)]
        if unwritten:
            await self._worker.run(partial(_write, news, unwritten))
        return news

    async def run(self, work: Callable[[ChainView], _T]) -> _T:
        """Do something with the view of this moment in the thread."""
        with self._service.views.at_head() as view:
            return await self._worker.run(lambda: work(view))

    async def _read(self, record: BlockRecord, epoch: int) -> News:
        history = self._service.history
        block = history.kept_block(record)
        if block is None:
            block = await self.run(lambda view: read_block(view, record))
            history.keep_block(record, block)
        return News.of_block(block, epoch)


def _write(news: News, topics: Sequence[Topic]) -> None:
    for topic in topics:
        news.messages(topic)


def _require(record: BlockRecord | None) -> BlockRecord:
    if record is None:
        raise TypeError("a block that the outbox names is never removed")
    return record
