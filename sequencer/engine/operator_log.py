"""The operator's log as commands use it: what changes something is written before and after.

Promises
- Nothing is changed that the log could not be told of first: OPERATOR_LOG_FAILED. Only a halt is
  carried out all the same, and counted in `unwritten`.
- A look is never held up: it is written behind the answer, or counted in `unwritten` where the
  disk takes no more. So is an outcome that could not be written; then its intent stands alone.

Laws
- Entries are written one after the other, in a thread; their order in the file is their order.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Protocol

import msgspec

from sequencer.model.admin_limits import OPERATOR_LOG_PARAMS_BYTES_MAX, OPERATOR_LOG_WAITING_MAX
from sequencer.model.operator_log import LogEvent, LoggedCall
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreFailed, Worker


class LogFile(Protocol):
    """Where the entries lie."""

    @property
    def number(self) -> int:
        """Return the number of the newest entry, 0 for none."""

    def append(self, calls: Sequence[LoggedCall]) -> int:
        """Write entries durably; returns the number of the first. Failure: WRITE_FAILED."""


class OperatorLog:
    """A log that is written to. `unwritten` counts the entries that could not be."""

    def __init__(self, file: LogFile, worker: Worker) -> None:
        self.unwritten = 0
        self._file, self._worker = file, worker
        self._looks: list[LoggedCall] = []
        self._news = asyncio.Event()

    @property
    def number(self) -> int:
        """Return the number of the newest entry, 0 for none."""
        return self._file.number

    def look(self, method: str, params: bytes, outcome: str) -> None:
        """Have a look written soon. `params` is JSON."""
        if len(self._looks) >= OPERATOR_LOG_WAITING_MAX:
            self.unwritten += 1
            return
        self._looks.append(LoggedCall(LogEvent.LOOK, method, _bounded(params), outcome))
        self._news.set()

    async def begin(self, method: str, params: bytes) -> int:
        """Write what is about to be done, and return the entry's number.

        Refusal: OPERATOR_LOG_FAILED.
        """
        try:
            return await self._write(LoggedCall(LogEvent.INTENT, method, _bounded(params)))
        except StoreFailed as failure:
            words = f"nothing is changed that cannot be logged: {failure.detail}"
            raise Refused(Reason.OPERATOR_LOG_FAILED, words) from None

    async def end(self, intent: int, method: str, outcome: str) -> None:
        """Write what became of what was begun, if the disk takes it."""
        try:
            await self._write(LoggedCall(LogEvent.OUTCOME, method, outcome=outcome, intent=intent))
        except StoreFailed:
            self.unwritten += 1

    async def run(self) -> None:
        """Write looks as they come, until cancelled."""
        while True:
            await self._news.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write the looks that wait, if the disk takes them."""
        self._news.clear()
        if self._looks:
            try:
                await self._write()
            except StoreFailed:
                return

    async def _write(self, *calls: LoggedCall) -> int:
        """Write what waits, and then some; returns the number of the first of these."""
        looks, self._looks = self._looks, []
        try:
            first = await self._worker.run(lambda: self._file.append([*looks, *calls]))
        except StoreFailed:
            self.unwritten += len(looks)
            raise
        return first + len(looks)


def _bounded(params: bytes) -> bytes:
    """Keep parameters as they are, or only the hash of long ones."""
    if len(params) <= OPERATOR_LOG_PARAMS_BYTES_MAX:
        return params
    kept = {"bytes": len(params), "sha256": hashlib.sha256(params).hexdigest()}
    return msgspec.json.encode(kept)
