"""One WebSocket connection: requests as they come, answers as they are ready, and what is pushed.

Promises
- Requests are begun in their order, and so many are carried out at one time; whoever waits for a
  block holds nobody else up. Answers are matched by id.
- A reader too slow is never waited for: its connection ends with 1008 and SLOW_READER. Others end
  with 1001 SHUTTING_DOWN (the node stops), 1009 (a message too long), 1013 BUSY (no room).
- A client that answers no ping is cut off. One that is refused for want of room is answered, and
  then not listened to for a moment.

Laws
- Everything goes out through one queue, in order: what an answer announces comes after it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal

from aiohttp import WSCloseCode, WSMsgType, web

from sequencer.api.buckets import Hold, Share
from sequencer.api.callers import Caller
from sequencer.api.connections import abort_later
from sequencer.api.json_rpc import RpcError, error_text, limit_exceeded
from sequencer.model.api_limits import (
    RPC_BUSY_PAUSE_MS,
    RPC_CLOSING_SECONDS_MAX,
    STREAM_BYTES_MAX,
    STREAM_CALLS_MAX,
    STREAM_CALLS_WAIT_SECONDS_MAX,
    STREAM_MESSAGE_BYTES_MAX,
    STREAM_MESSAGES_MAX,
    STREAM_PING_SECONDS,
)
from sequencer.model.refusals import Reason
from sequencer.model.units import MS_PER_SECOND

Act = Callable[[], None]
Answering = Callable[[bytes, Caller, Hold], Awaitable[bytes | None]]

_NOT_READ = b"SLOW_READER"


class _UnderWay:
    """A request that is being carried out, and what is done after its answer."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.is_told = False

    def told(self) -> None:
        self.is_told = True
        for act in self.acts:
            act()


_UNDER_WAY: ContextVar[_UnderWay | None] = ContextVar("request", default=None)


class WebSocket:
    """A connection as a `Stream`; `answering` answers one message for it.

    `pay` takes the tokens for a message of so many bytes, or raises RpcError.
    """

    def __init__(
        self,
        answering: Answering,
        pay: Callable[[int], None],
        new_hold: Callable[[], Hold],
        group: asyncio.TaskGroup,
    ) -> None:
        self.subscriptions: dict[str, Any] = {}
        self._answering = answering
        self._pay = pay
        self._new_hold = new_hold
        self._hold = new_hold()
        self._group: asyncio.TaskGroup = group
        self._socket = _new_socket("")
        self._transport: asyncio.Transport | None = None
        self._queue: deque[tuple[bytes, _UnderWay | None]] = deque()
        self._bytes = 0
        self._wake, self._flushed, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._flushed.set()
        self._calls = 0
        self._ending: tuple[int, bytes] | None = None
        self._is_over = False
        self._on_close: list[Act] = []

    def send(self, message: bytes) -> None:
        """See `Stream`."""
        self._enqueue(message, None)

    async def flushed(self) -> None:
        """See `Stream`."""
        await self._flushed.wait()

    def after_answer(self, act: Act) -> None:
        """See `Stream`."""
        under_way = _UNDER_WAY.get()
        if under_way is None or under_way.is_told:
            act()
        else:
            under_way.acts.append(act)

    def on_close(self, act: Act) -> None:
        """See `Stream`."""
        if self._is_over:
            act()
        else:
            self._on_close.append(act)

    def close(self, code: int, reason: bytes, *, at_once: bool = False) -> None:
        """End the connection with a code, behind what is queued or `at_once`."""
        if self._ending is not None or self._is_over:
            return
        self._ending = (code, reason)
        if at_once:
            self._drop_queue()
        self._wake.set()
        if self._transport is not None:
            abort_later(self._transport)

    async def serve(self, request: web.BaseRequest, address: str) -> web.StreamResponse:
        """Carry the connection to its end. `web.HTTPException` where it is no WebSocket."""
        if request.transport is None:
            raise ConnectionResetError
        self._transport = request.transport
        self._socket = _new_socket(request.headers.get("Sec-WebSocket-Protocol", ""))
        await self._socket.prepare(request)
        try:
            self._hold.take(Share.STREAMS)
        except RpcError:
            self.close(WSCloseCode.TRY_AGAIN_LATER, Reason.BUSY.value.encode(), at_once=True)
        self._group.create_task(self._write())
        try:
            await self._read(Caller(address, self))
        finally:
            self._end()
        return self._socket

    async def _read(self, caller: Caller) -> None:
        # Also while it is ending, until the code has gone out: `_write` ends this then.
        while True:
            message = await self._socket.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._begin(message.data, caller)
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                return
            # What is buffered is read without a pause: others have their turn in between.
            await asyncio.sleep(0)

    async def _begin(self, body: bytes, caller: Caller) -> None:
        if self._ending is not None:
            return
        hold = self._new_hold()
        try:
            self._pay(len(body))
            await self._require_room()
            hold.take(Share.BYTES, len(body))
        except RpcError as error:
            self._enqueue(error_text(error), None)
            await asyncio.sleep(RPC_BUSY_PAUSE_MS / MS_PER_SECOND)
        else:
            self._calls += 1
            self._group.create_task(self._call(body, caller, hold))

    async def _require_room(self) -> None:
        # Waiting slows down a client that sends faster than we answer. Not for ever: while nothing
        # is read, no pong is.
        if self._calls < STREAM_CALLS_MAX:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAM_CALLS_WAIT_SECONDS_MAX):
                while self._calls >= STREAM_CALLS_MAX:
                    self._room.clear()
                    await self._room.wait()
        if self._calls >= STREAM_CALLS_MAX:
            words = f"{STREAM_CALLS_MAX} requests of this connection are being carried out"
            raise limit_exceeded(Reason.BUSY, words)

    async def _call(self, body: bytes, caller: Caller, hold: Hold) -> None:
        under_way = _UnderWay()
        _UNDER_WAY.set(under_way)
        try:
            told = await self._answering(body, caller, hold)
        finally:
            hold.release()
            self._calls -= 1
            self._room.set()
        if told is None:
            under_way.told()
        else:
            self._enqueue(told, under_way)

    def _enqueue(self, message: bytes, under_way: _UnderWay | None) -> None:
        if self._is_over or self._ending is not None:
            return
        is_full = len(self._queue) >= STREAM_MESSAGES_MAX
        if self._queue and (is_full or self._bytes + len(message) > STREAM_BYTES_MAX):
            self.close(WSCloseCode.POLICY_VIOLATION, _NOT_READ, at_once=True)
            return
        try:
            self._hold.take(Share.BYTES, len(message))
        except RpcError:
            self.close(WSCloseCode.TRY_AGAIN_LATER, Reason.BUSY.value.encode(), at_once=True)
            return
        self._bytes += len(message)
        self._queue.append((message, under_way))
        self._flushed.clear()
        self._wake.set()

    async def _write(self) -> None:
        try:
            while not self._is_over:
                if self._queue:
                    await self._write_one(*self._queue.popleft())
                elif self._ending is not None:
                    code, reason = self._ending
                    await self._socket.close(code=code, message=reason)
                    return
                else:
                    self._flushed.set()
                    self._wake.clear()
                    await self._wake.wait()
        except ConnectionError:
            # A client that is gone ends the reading, too.
            return
        except asyncio.CancelledError:
            # Nobody else would end the reading.
            self._abort()
            raise

    async def _write_one(self, message: bytes, under_way: _UnderWay | None) -> None:
        await self._socket.send_frame(message, WSMsgType.TEXT)
        self._bytes -= len(message)
        self._hold.give(Share.BYTES, len(message))
        if under_way is not None:
            under_way.told()

    def _drop_queue(self) -> None:
        dropped = sum(len(message) for message, _ in self._queue)
        self._queue.clear()
        self._bytes -= dropped
        self._hold.give(Share.BYTES, dropped)
        self._flushed.set()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        self._is_over = True
        self._drop_queue()
        self._wake.set()
        self._hold.release()
        if self._transport is not None:
            abort_later(self._transport)
        for act in self._on_close:
            act()


def _new_socket(protocols: str) -> web.WebSocketResponse[Literal[False]]:
    # No subprotocol means anything here: whichever is asked for first is confirmed. Pings are
    # answered by the loop that reads, which pauses in between; aiohttp's own does not. Compressed
    # messages could be a thousand times as long as what was sent.
    return web.WebSocketResponse(
        timeout=RPC_CLOSING_SECONDS_MAX,
        heartbeat=STREAM_PING_SECONDS,
        autoping=False,
        compress=False,
        max_msg_size=STREAM_MESSAGE_BYTES_MAX,
        decode_text=False,
        protocols=(protocols.partition(",")[0].strip(),),
    )
