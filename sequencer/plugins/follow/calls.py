"""A plugin in this process: made, told and ended in one thread of its own.

Promises
- What fails is refused in one line that names the call; nothing of it is left in the bucket.
- A plugin that does not end in time is left behind: its thread does not hold up the process.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias, TypeVar

from sequencer.model.plugin_limits import PLUGIN_CLOSING_SECONDS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.calling import Raised, attempt, call, one_line
from sequencer.plugins.context import NOBODY, CallContext, MemoryBucket
from sequencer.plugins.follow.reading import RemoteBlock
from sequencer.plugins.follow.store import CallKind, PlannedCall
from sequencer.plugins.protocol import BlockAndStateUpdate
from sequencer.plugins.telling import Kept, tell

Changes: TypeAlias = Sequence[tuple[bytes, bytes | None]]
"""What a call wrote into the bucket: keys with their values, None for what it removed."""

_Outcome = TypeVar("_Outcome")


class _Turns:
    """A thread that does one thing after the other."""

    def __init__(self) -> None:
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=self._run, daemon=True).start()

    async def take(self, work: Callable[[], _Outcome]) -> _Outcome | Raised:
        future: Future[_Outcome | Raised] = Future()

        def done() -> None:
            if not future.set_running_or_notify_cancel():
                return
            outcome: _Outcome | Raised = Raised("it ended its thread")
            try:
                outcome = work()
            finally:
                future.set_result(outcome)

        self._works.put(done)
        return await asyncio.wrap_future(future)

    def end(self) -> None:
        self._works.put(None)

    def _run(self) -> None:
        while (work := self._works.get()) is not None:
            work()


class PluginCalls:
    """Somebody's plugin, with its bucket in memory; the bucket is the context's own."""

    def __init__(self, context: CallContext, bucket: MemoryBucket) -> None:
        self._context, self._bucket = context, bucket
        bucket.writer = NOBODY
        self._plugin: object = None
        self._turns = _Turns()

    async def begin(self, factory: Callable[[], object]) -> Changes:
        """Make the plugin and call `init`. Refusal: PLUGIN_RAISED."""
        module = factory.__module__
        made = await self._turns.take(lambda: attempt(module, factory))
        if isinstance(made, Raised):
            raise self._refused("making it", made.words)
        self._plugin = made.value
        return await self._call("init", self._context)

    async def tell(self, planned: PlannedCall) -> Changes:
        """Make a call. Refusal: PLUGIN_RAISED."""
        self._context.enter(planned.key, planned.reorg)
        return await self._call(planned.kind.value, *_arguments(planned))

    async def end(self) -> None:
        """Call `shutdown`, if it was made at all; whatever comes of it."""
        if self._plugin is not None:
            try:
                async with asyncio.timeout(PLUGIN_CLOSING_SECONDS_MAX):
                    await self._turns.take(lambda: call(self._plugin, "shutdown"))
            except TimeoutError:
                self._context.say("shutdown took too long and was cut off")
        self._turns.end()

    async def _call(self, method: str, *arguments: object) -> Changes:
        work = partial(tell, self._plugin, self._bucket, method, *arguments)
        outcome = await self._turns.take(work)
        if isinstance(outcome, Kept):
            return outcome.changes
        # Also of one that ended the thread under it.
        self._bucket.undo_changes()
        raise self._refused(method, outcome.words)

    def _refused(self, doing: str, words: str) -> Refused:
        line = one_line(f"{self._context.name}, {doing}: {words}")
        return Refused(Reason.PLUGIN_RAISED, line)


def _arguments(planned: PlannedCall) -> Sequence[object]:
    match planned.kind:
        case CallKind.APPLY:
            told = _told(planned.block)
            return (told.block, told.state_update, planned.classes)
        case CallKind.REVERT:
            below = None if planned.below is None else planned.below.told
            return (_told(planned.block), below, planned.reverse)
        case CallKind.DONE:
            return (planned.reorg,)


def _told(block: RemoteBlock | None) -> BlockAndStateUpdate:
    if block is None:
        raise TypeError("a call about a block without the block")
    return block.told
