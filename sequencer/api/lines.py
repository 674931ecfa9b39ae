"""A node over two pipes: one JSON object a line in, one answer a line out.

Promises
- Every line gets exactly one answer with its number: `applied` with the block that holds it, once
  that block is durable, or `refused` with a stable code.
- Blocks are announced from the outbox, in order and at least once: the effect's number is the key
  by which a reader knows one that comes again after a crash.
- A pipe that brings more than the node takes is read more slowly; nothing is dropped.

A line is one of
    {"order": {...}}  {"cancel": {...}}  a message that its trader signed
    {"transaction": {"type": "InvokeV3", ...}}  a transaction of an account
    {"report": {...}}  a publisher's price
    {"operate": {"type": "SetMode", ...}}  a command of the operator, whose pipe this is
Numbers are integers, or text in hexadecimal.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from sequencer.api.strict_json import decode_strict
from sequencer.chain.calls import COMMANDS
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.engine.admission import Admission
from sequencer.engine.items import Applied, Item
from sequencer.engine.rollback import read_notice
from sequencer.engine.writer import Writer
from sequencer.model.commands import Command
from sequencer.model.limits import LINE_BYTES_MAX, LINES_CLOSING_SECONDS_MAX, LINES_WAITING_MAX
from sequencer.model.records import BlockRecord, Effect, EffectKind
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import format_felt, format_hash
from sequencer.starknet.transactions import Transaction

_PATIENCE_SECONDS = 0.01
_FULL = frozenset({Reason.BUSY, Reason.ACCOUNT_BUSY})


class Served(Protocol):
    """The engine of the moment: another one after a rollback."""

    @property
    def writer(self) -> Writer:
        """Return who makes blocks."""

    @property
    def admission(self) -> Admission:
        """Return who lets commands in."""


class Lines:
    """Answers lines. `write` takes one line of output."""

    name = "lines"

    def __init__(self, engine: Callable[[], Served], write: Callable[[bytes], None]) -> None:
        self._engine = engine
        self._write = write
        self._number = 0

    async def take(self, line: bytes) -> None:
        """Admit one line; returns as soon as there is room for another one."""
        self._number += 1
        number = self._number
        while True:
            try:
                item = self._admit(line)
            except Refused as refused:
                if refused.reason in _FULL:
                    await asyncio.sleep(_PATIENCE_SECONDS)
                    continue
                self._answer(number, _refused(refused))
            else:
                self._answer_later(number, item)
            return

    async def deliver(self, effect: Effect, block: BlockRecord | None) -> None:
        """Announce what the outbox holds."""
        told: dict[str, object] = {"effect": effect.number, "kind": effect.kind.value}
        told |= {"epoch": effect.epoch}
        if effect.kind is not EffectKind.BLOCK:
            notice = read_notice(effect.payload)
            told |= {"first": notice.first_height, "last": notice.last_height}
            back = effect.kind is EffectKind.ROLLBACK
            head = notice.target_hash if back else notice.head_hash
            told |= {"head": format_felt(head), "reason": notice.reason}
        if block is not None:
            told |= {"height": block.height, "hash": format_hash(block.block_hash)}
        self._print(told)

    def _admit(self, line: bytes) -> Item | None:
        if len(line) > LINE_BYTES_MAX:
            raise Refused(Reason.JSON_MALFORMED, f"a line of over {LINE_BYTES_MAX} bytes")
        value = decode_strict(line)
        if not isinstance(value, dict) or len(value) != 1:
            raise Refused(Reason.JSON_MALFORMED, "a line is an object with one name")
        ((kind, content),) = value.items()
        match kind:
            case "order":
                return self._engine().admission.order(_convert(content, SignedOrder))
            case "cancel":
                return self._engine().admission.cancel(_convert(content, SignedCancel))
            case "transaction":
                return self._engine().admission.transaction(_convert(content, Transaction))
            case "report":
                self._engine().admission.report(_convert(content, SignedReport))
                return None
            case "operate":
                return self._engine().writer.operate(_operated(content))
            case _:
                raise Refused(Reason.JSON_MALFORMED, f"no kind of line: {kind:.40}")

    def _answer_later(self, number: int, item: Item | None) -> None:
        if item is None:
            self._answer(number, {"status": "kept"})
            return

        def answer(future: "asyncio.Future[Applied]") -> None:
            error = future.exception()
            if isinstance(error, Refused):
                self._answer(number, _refused(error))
            elif error is None:
                self._answer(number, _applied(future.result()))

        item.answer.add_done_callback(answer)

    def _answer(self, number: int, answer: dict[str, object]) -> None:
        with suppress(OSError):  # Whoever asked has gone; the command stands all the same.
            self._print({"line": number, **answer})

    def _print(self, value: dict[str, object]) -> None:
        self._write(msgspec.json.encode(value) + b"\n")


class LinePipes:
    """The two pipes of a process, by their descriptors.

    Lines go out in a thread of their own, so that a reader who is slow holds nobody up: while too
    many lines wait for it no line is read, and one who reads nothing at all is told nothing more.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._failure: OSError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._drain, name="answers", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Have a line written whole. OSError where nobody reads."""
        with self._changed:
            if self._failure is None and len(self._waiting) >= 2 * LINES_WAITING_MAX:
                self._failure = BlockingIOError("nobody reads the answers")
            if self._failure is not None:
                raise self._failure
            self._waiting.append(line)
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits, unless the reader takes too long."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(LINES_CLOSING_SECONDS_MAX)

    def _drain(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                line = self._waiting.popleft()
                self._changed.notify_all()
            try:
                while line:
                    line = line[os.write(self._writing, line) :]
            except OSError as failure:
                with self._changed:
                    self._failure = failure
                    self._waiting.clear()
                    self._changed.notify_all()

    def _wait_for_room(self) -> None:
        with self._changed:
            while len(self._waiting) >= LINES_WAITING_MAX and not self._closing:
                self._changed.wait()

    def pump(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Read lines in a thread of their own, and have each taken before the next is read."""

        async def taken(line: bytes) -> None:
            await take(line)

        def read() -> None:
            with suppress(RuntimeError, CancelledError):  # The loop has ended before the pipe.
                for line in _lines_of(self._reading):
                    self._wait_for_room()
                    asyncio.run_coroutine_threadsafe(taken(line), loop).result()

        threading.Thread(target=read, name="lines", daemon=True).start()


def _lines_of(descriptor: int) -> Iterator[bytes]:
    """Yield lines without their ends; one that is too long comes cut, one byte over the limit."""
    rest = b""
    while chunk := os.read(descriptor, LINE_BYTES_MAX):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
        rest = rest[: LINE_BYTES_MAX + 1]
    if rest.strip():
        yield rest


def _convert(content: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise Refused(Reason.JSON_MALFORMED, str(error)) from None


def _operated(content: Any) -> Command:
    kind = COMMANDS.get(str(content.get("type"))) if isinstance(content, dict) else None
    if kind is None:
        raise Refused(Reason.JSON_MALFORMED, f"operate takes one of {', '.join(sorted(COMMANDS))}")
    command: Command = _convert(content, kind)
    return command


def _refused(refused: Refused) -> dict[str, object]:
    return {"status": "refused", "code": refused.reason.value, "detail": refused.detail}


def _applied(applied: Applied) -> dict[str, object]:
    status = "refused" if applied.refusal else "applied"
    answer: dict[str, object] = {"status": status, "height": applied.height}
    answer |= {"block": format_felt(applied.block_hash), "epoch": applied.epoch}
    answer |= {"transaction": format_felt(applied.receipt.transaction_hash)}
    if applied.refusal:
        answer |= {"code": applied.refusal, "detail": applied.receipt.revert_reason or ""}
    return answer
