"""Backups: the whole chain copied into another folder, while the node goes on or beside it.

Promises
- The chain is copied as of one moment, in a thread of its own: no block waits for it, and no plan.
- One that nobody waits for any more ends, and leaves nothing.

Laws
- One at a time. What is copied has still to be opened and checked before it counts as a backup:
  that takes the memory of a second chain, so it is not done in the node's own process.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

from sequencer.engine.desk_facts import Facts, head_facts
from sequencer.engine.reach import Copies, Reach
from sequencer.engine.throttle import Throttle
from sequencer.model.refusals import Reason, Refused
from sequencer.model.transfer_limits import BACKUP_REST_TIMES


class Backups:
    """Makes copies of one desk's chain."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._is_under_way = self._ends = False

    async def make(self, directory: str, gone: asyncio.Event | None = None) -> Facts:
        """Copy the chain into a folder, as long as whoever asked has not `gone`.

        Refusals: BUSY while another copy is made, SHUTTING_DOWN where nobody waits any more, and
        those of `Copies.make`.
        """
        reach, asked = self._reach, gone or asyncio.Event()
        if reach.copies is None:
            raise Refused(Reason.NODE_NOT_RUNNING, "no copies are made from here")
        if self._is_under_way:
            raise Refused(Reason.BUSY, "another backup is under way; it ends with its command")
        rest_times = 0 if reach.running is None else BACKUP_REST_TIMES
        copy = partial(
            _copied, reach.copies, directory, lambda: not self._is_over(asked), rest_times
        )
        thread = reach.copier or reach.reader
        self._is_under_way = True
        try:
            return await thread.run(copy)
        except asyncio.CancelledError:
            # The store stays open until what reads it has ended.
            self._ends = True
            await thread.run(lambda: None)
            raise
        finally:
            self._is_under_way = False

    def _is_over(self, asked: asyncio.Event) -> bool:
        return self._ends or asked.is_set()


def _copied(copies: Copies, directory: str, goes_on: Callable[[], bool], rest_times: int) -> Facts:
    since, throttle = monotonic(), Throttle(rest_times)

    def pause() -> None:
        if not goes_on():
            raise Refused(Reason.SHUTTING_DOWN, "nobody waits for the backup any more")
        throttle.pause()

    copied = copies.make(directory, pause)
    return {
        "directory": directory,
        **head_facts(copied.head),
        "keys": copied.keys,
        "bytes": copied.bytes,
        "content": copied.digest,
        "seconds": round(monotonic() - since, 3),
    }
