"""What the operator orders of one plugin: carried out one at a time, answered whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreError

Act: TypeAlias = Callable[[], Awaitable[None]]


class Orders:
    """Orders that wait for one plugin's host. `has_ended`: nobody carries any out any more."""

    def __init__(self) -> None:
        self.has_ended = False
        self._waiting: asyncio.Queue[tuple[Act, asyncio.Future[None]]] = asyncio.Queue()
        self._unanswered: set[asyncio.Future[None]] = set()

    async def give(self, act: Act) -> None:
        """Wait until something was done. Refusal: SHUTTING_DOWN. Failures: those of the store."""
        if self.has_ended:
            raise _ending()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unanswered.add(done)
        self._waiting.put_nowait((act, done))
        try:
            await done
        finally:
            self._unanswered.discard(done)

    async def next(self) -> tuple[Act, asyncio.Future[None]]:
        """Wait for an order; returns what is to be done, and what answers it."""
        return await self._waiting.get()

    def end(self) -> None:
        """Answer all that nobody carries out."""
        self.has_ended = True
        for done in self._unanswered:
            if not done.done():
                done.set_exception(_ending())


@contextmanager
def answering(done: asyncio.Future[None]) -> Iterator[None]:
    """Answer an order by what becomes of the block, where anybody still waits."""
    try:
        yield
    except StoreError as error:
        if not done.done():
            done.set_exception(error)
    else:
        if not done.done():
            done.set_result(None)


def _ending() -> Refused:
    return Refused(Reason.SHUTTING_DOWN, "the node ends")
