"""The public server: JSON-RPC 2.0 over HTTP and WebSocket on one port.

Promises
- POST on / and /rpc is a request or a batch; a WebSocket on /ws, / and /rpc takes the same, each
  message for itself. GET on /is_alive says that the process serves. All else is 404 or 405.
- Whatever is asked in JSON-RPC is answered in it, with 200, or with 204 where nothing is to be
  said. 4xx are for what is not JSON-RPC at all. There is no 5xx.
- Any page may ask: there are no cookies or passwords here, and what changes something is signed.
- What cannot be carried out for want of room is answered at once: -32005 with BUSY in `data.code`.
  Tokens are paid before anything is decoded, and again for what turns out to cost more. Whoever
  has none left is not listened to for a moment after that.
- A bug in a method ends the node like any other bug, and is not an answer.

Laws
- A method that has begun goes on when whoever asked is gone, until it is done or takes too long.
"""

import asyncio
import resource
from functools import partial
from http import HTTPStatus

import msgspec
from aiohttp import WSCloseCode, web

from sequencer.api import json_rpc
from sequencer.api.bodies import read_body
from sequencer.api.buckets import Hold, Share, Visitors
from sequencer.api.callers import Caller
from sequencer.api.connections import Connection, Connections, abort_later
from sequencer.api.json_rpc import Methods, RpcError, error_text, limit_exceeded
from sequencer.api.websocket import WebSocket
from sequencer.engine.worker import ASKER
from sequencer.model.api_limits import (
    RPC_BACKLOG,
    RPC_BODY_BYTES_MAX,
    RPC_BUSY_PAUSE_MS,
    RPC_CLOSING_SECONDS_MAX,
    RPC_CUTTING_OFF_MS,
    RPC_FILES_KEPT,
    RPC_LARGE_TOGETHER_MAX,
    RPC_SENDING_SECONDS_MAX,
    RPC_TOKEN_BYTES,
    ServerLimits,
)
from sequencer.model.refusals import Reason
from sequencer.model.units import MS_PER_SECOND

_RPC_PATHS = frozenset({"/", "/rpc"})
_STREAM_PATH, _ALIVE_PATH = "/ws", "/is_alive"
_PATHS = _RPC_PATHS | {_STREAM_PATH, _ALIVE_PATH}
_ALLOWED = {
    **dict.fromkeys(_RPC_PATHS, "POST, OPTIONS, GET"),
    _STREAM_PATH: "GET",
    _ALIVE_PATH: "GET, HEAD",
}
_HEADERS = {"Server": "perpchain", "Access-Control-Allow-Origin": "*"}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json"}
_PREFLIGHT_HEADERS = {
    **_HEADERS,
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}


class Traffic(msgspec.Struct, frozen=True):
    """How much the server has to do now, and what it was asked since it started."""

    connections: int
    streams: int
    calls: int
    bytes_held: int
    requests_total: int
    messages_total: int
    busy_total: int
    malformed_total: int


class RpcServer:
    """Serves one table of methods. `port` 0 is any free one."""

    def __init__(
        self, methods: Methods, host: str, port: int, limits: ServerLimits | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._methods = methods
        self._host, self._port = host, port
        self._visitors = Visitors(_within_files(limits or ServerLimits()), loop.time)
        self._connections = Connections(self._handle, self._visitors, self._fail)
        self._large = asyncio.Semaphore(RPC_LARGE_TOGETHER_MAX)
        self._runner: web.ServerRunner | None = None
        self._group: asyncio.TaskGroup | None = None
        self._begun = asyncio.Event()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._streams: set[WebSocket] = set()
        self._under_way = 0
        self._ended = asyncio.Event()
        self._is_closing = False
        self._messages_total = 0

    async def start(self) -> str:
        """Listen, and return the address. OSError where that port cannot be had."""
        # What could end in time has ended by then: see `close`.
        seconds = RPC_CUTTING_OFF_MS / MS_PER_SECOND
        runner = web.ServerRunner(self._connections, shutdown_timeout=seconds)
        self._runner = runner
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port, backlog=RPC_BACKLOG).start()
        host, port = runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Answer until cancelled; what nobody expects of a method is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._begun.set()
                try:
                    await self._failed.wait()
                finally:
                    await self.close()
        finally:
            try:
                await self.close()
            finally:
                # Whatever else ends this meanwhile: a bug is never lost.
                if self._failure is not None:
                    raise self._failure

    async def close(self) -> None:
        """Let what is under way end, tell the connections, and listen no more. Can be repeated."""
        self._is_closing = True
        for stream in [*self._streams]:
            stream.close(WSCloseCode.GOING_AWAY, Reason.SHUTTING_DOWN.value.encode())
        try:
            async with asyncio.timeout(RPC_CLOSING_SECONDS_MAX):
                while self._under_way:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            pass
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def traffic(self) -> Traffic:
        """Tell how much there is to do."""
        visitors, connections = self._visitors, self._connections
        return Traffic(
            connections=visitors.taken(Share.CONNECTIONS),
            streams=visitors.taken(Share.STREAMS),
            calls=visitors.taken(Share.CALLS),
            bytes_held=visitors.taken(Share.BYTES),
            requests_total=connections.requests_count,
            messages_total=self._messages_total,
            busy_total=visitors.refused_total,
            malformed_total=connections.malformed_count,
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, Connection):
            raise ConnectionResetError
        with self._connections.asking(connection) as hold:
            self._under_way += 1
            try:
                response = await self._respond(request, connection, hold.address)
                if not response.prepared:
                    await _send(request, response)
            finally:
                self._under_way -= 1
                self._ended.set()
        if self._visitors.is_short(hold.address) and not self._is_closing:
            # The answer is out, and the connection counts as idle.
            await asyncio.sleep(RPC_BUSY_PAUSE_MS / MS_PER_SECOND)
        return response

    async def _respond(
        self, request: web.BaseRequest, connection: Connection, address: str
    ) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path in _RPC_PATHS and request.method == "POST":
            return await self._post(request, connection, address)
        self._connections.asked(connection)
        try:
            self._require_open(connection)
            self._visitors.pay(address, 1)
        except RpcError:
            return _plain(HTTPStatus.TOO_MANY_REQUESTS, close=True)
        is_upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if path in _PATHS and path != _ALIVE_PATH and request.method == "GET" and is_upgrade:
            return await self._stream(request, address)
        return _answer_plain(path, request.method)

    async def _post(
        self, request: web.BaseRequest, connection: Connection, address: str
    ) -> web.StreamResponse:
        hold = Hold(self._visitors, address)
        try:
            told = await self._told(request, connection, hold)
            response = _answered(told)
            if connection.is_refused:
                response.force_close()
            # In here: what is not sent yet is still held.
            await _send(request, response)
            return response
        finally:
            hold.release()

    async def _told(
        self, request: web.BaseRequest, connection: Connection, hold: Hold
    ) -> bytes | None:
        try:
            self._require_open(connection)
            pay = partial(self._pay, hold.address)
            body = await read_body(request, pay, hold)
            self._connections.asked(connection)
            told = await self._carried_out(body, hold)
            # Kept until it is sent.
            hold.take(Share.BYTES, len(told or b""))
        except RpcError as error:
            return error_text(error)
        return told

    async def _carried_out(self, body: bytes, hold: Hold) -> bytes | None:
        await self._begun.wait()
        group = self._group
        if group is None or self._is_closing:
            raise limit_exceeded(Reason.SHUTTING_DOWN, "the node stops")
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        group.create_task(self._carry_out(body, hold, answer))
        return await answer

    async def _carry_out(
        self, body: bytes, hold: Hold, answer: asyncio.Future[bytes | None]
    ) -> None:
        try:
            told = await self._answering(body, Caller(hold.address), hold)
            if not answer.done():
                answer.set_result(told)
        finally:
            # Whatever happened: nobody waits for ever.
            answer.cancel()

    async def _answering(self, body: bytes, caller: Caller, hold: Hold) -> bytes | None:
        self._messages_total += 1
        ASKER.set(hold.address)
        toll = partial(self._toll, hold)
        if len(body) <= RPC_BODY_BYTES_MAX:
            return await json_rpc.answer(body, self._methods, caller, toll)
        async with self._large:
            return await json_rpc.answer(body, self._methods, caller, toll)

    def _toll(self, hold: Hold, requests: int, cost: int) -> None:
        hold.take(Share.CALLS, requests)
        self._visitors.pay(hold.address, cost - 1)

    def _pay(self, address: str, size: int) -> None:
        self._visitors.pay(address, 1 + size // RPC_TOKEN_BYTES)

    async def _stream(self, request: web.BaseRequest, address: str) -> web.StreamResponse:
        await self._begun.wait()
        if self._group is None or self._is_closing:
            return _plain(HTTPStatus.TOO_MANY_REQUESTS)
        pay, new_hold = partial(self._pay, address), partial(Hold, self._visitors, address)
        stream = WebSocket(self._answering, pay, new_hold, self._group)
        self._streams.add(stream)
        try:
            return await stream.serve(request, address)
        except web.HTTPException:
            return _plain(HTTPStatus.BAD_REQUEST)
        finally:
            self._streams.discard(stream)

    def _require_open(self, connection: Connection) -> None:
        if self._is_closing:
            raise limit_exceeded(Reason.SHUTTING_DOWN, "the node stops")
        if connection.is_refused:
            raise limit_exceeded(Reason.BUSY, "no room for one more connection")

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._failed.set()


def _answered(told: bytes | None) -> web.Response:
    if told is None:
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)
    return web.Response(body=told, headers=_JSON_HEADERS)


async def _send(request: web.BaseRequest, response: web.StreamResponse) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    loop = asyncio.get_running_loop()
    too_slow = loop.call_later(RPC_SENDING_SECONDS_MAX, transport.abort)
    try:
        await response.prepare(request)
        await response.write_eof()
    finally:
        too_slow.cancel()
    if not response.keep_alive:
        abort_later(transport)


def _answer_plain(path: str, method: str) -> web.Response:
    if path not in _PATHS:
        return _plain(HTTPStatus.NOT_FOUND)
    if path == _ALIVE_PATH and method in {"GET", "HEAD"}:
        return web.Response(text="Alive!!!", headers=_HEADERS)
    if path in _RPC_PATHS and method == "OPTIONS":
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT_HEADERS)
    if path == _STREAM_PATH and method == "GET":
        return _plain(HTTPStatus.UPGRADE_REQUIRED, {"Upgrade": "websocket"})
    return _plain(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": _ALLOWED[path]})


def _plain(
    status: HTTPStatus, headers: dict[str, str] | None = None, *, close: bool = False
) -> web.Response:
    response = web.Response(status=status, headers={**_HEADERS, **(headers or {})})
    if close:
        response.force_close()
    return response


def _within_files(limits: ServerLimits) -> ServerLimits:
    # A connection too many must not keep the store from opening a file.
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    room = max(files - RPC_FILES_KEPT, files // 2)
    return msgspec.structs.replace(limits, connections_max=min(limits.connections_max, room))
