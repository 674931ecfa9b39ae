"""The admin server: the operator's desk over HTTP, on this machine alone.

Promises
- It listens on 127.0.0.1 and answers only whoever sends the token that lies in a file of the data
  folder; others get 401 and nothing else. A page in a browser gets nothing by another host's name.
- JSON-RPC 2.0, one request in each POST to `/`: `docs/operate.md` lists the methods. A refusal is
  an error with its stable code in `data.code`; nothing of the inside is ever shown.
- A GET of `/metrics` returns the node's figures for Prometheus, to the holder of the token too.
- Every call is in the operator's log, those that are refused at the door as well.
- Whoever is slow, sends too much or opens too many connections is cut off; whoever is, nobody
  without the token keeps a request with it from being answered.
- How things stand is told, and the mode is changed, however many other commands are waiting.
- A bug in a command ends the node like any other bug, and is not an answer.

Laws
- A command that changes something is finished once it has begun, whether or not whoever asked
  still waits. One that only looks or waits ends when nobody does.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sequencer.api.json_rpc import INVALID_REQUEST, METHOD_UNKNOWN, PARAMS_INVALID, PARSE_ERROR
from sequencer.api.metrics import Counted, Metrics
from sequencer.api.strict_json import decode_strict
from sequencer.engine.desk import Desk
from sequencer.engine.operator_log import OperatorLog
from sequencer.engine.requests import (
    REQUESTS,
    AnyRequest,
    Denied,
    ModeRequest,
    StatusRequest,
    answer,
)
from sequencer.model.admin_limits import (
    ADMIN_BODY_BYTES_MAX,
    ADMIN_CALLS_MAX,
    ADMIN_CLOSING_SECONDS_MAX,
    ADMIN_CONNECTIONS_MAX,
    ADMIN_IDLE_SECONDS_MAX,
    ADMIN_REQUEST_SECONDS_MAX,
    ADMIN_URGENT_CALLS_MAX,
)
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.secret import Secret

_LOOPBACK = "127.0.0.1"
_HOSTS = frozenset({_LOOPBACK, "localhost"})
_DENIED = -32_000
# What clients send wrongly is answered, and no news for whoever runs the node.
_SILENT = logging.Logger("admin", logging.CRITICAL + 1)
_NAMES = frozenset({"jsonrpc", "id", "method", "params"})
_URGENT = (StatusRequest, ModeRequest)
_ROUTES = {"/": "POST", "/metrics": "GET"}
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _nothing_counted() -> Mapping[str, int]:
    return {}


class _Failed(Exception):
    """A request that is answered with an error."""

    def __init__(self, number: int, denied: Denied) -> None:
        super().__init__(str(denied))
        self.number = number
        self.denied = denied


class _Call:
    """A command on its way, and the answer that its connection waits for."""

    __slots__ = ("answer", "gone", "kind", "request")

    def __init__(self, request: AnyRequest) -> None:
        self.request = request
        self.kind = type(request) if isinstance(request, _URGENT) else None
        self.gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[msgspec.Raw | Denied] = loop.create_future()

    def end(self, told: msgspec.Raw | Denied) -> None:
        if not self.answer.done():
            self.answer.set_result(told)


class AdminServer:
    """Answers for one desk, to whoever shows the token. `port` 0 is any free one.

    `counted` counts what the server for clients has to do, for the metrics.
    """

    def __init__(
        self,
        desk: Desk,
        token: Secret,
        log: OperatorLog,
        port: int = 0,
        counted: Counted = _nothing_counted,
    ) -> None:
        self._desk = desk
        self._log = log
        self._counted = counted
        self._requests = self._unauthorized = 0
        self._metrics = Metrics(desk, self._counts)
        self._token = f"Bearer {token.value:064x}".encode()
        self._port = port
        self._waiting: asyncio.Queue[_Call] = asyncio.Queue()
        self._open: set[_Call] = set()
        self._runner: web.ServerRunner | None = None

    async def start(self) -> str:
        """Listen, and return the address. OSError where that port cannot be had."""
        server = _Server(self._response)
        self._runner = web.ServerRunner(server, shutdown_timeout=ADMIN_CLOSING_SECONDS_MAX)
        await self._runner.setup()
        await web.TCPSite(self._runner, _LOOPBACK, self._port).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def run(self) -> None:
        """Carry commands out until cancelled; what nobody expects of one of them is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._log.run())
                group.create_task(self._metrics.run())
                while True:
                    group.create_task(self._carry_out(await self._waiting.get()))
        finally:
            ending = "the node is stopping: whether it was done, perpchain status tells"
            for call in [*self._open]:
                call.end(Denied(Reason.OUTCOME_UNKNOWN.value, ending, ExitCode.INPUT))
            await self.close()
            await self._log.flush()

    async def close(self) -> None:
        """Listen no more. Can be repeated."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _carry_out(self, call: _Call) -> None:
        told = await answer(self._desk, call.request, self._log, call.gone)
        # Written here, so that nothing that can go wrong with it is left to the connection.
        call.end(told if isinstance(told, Denied) else msgspec.Raw(msgspec.json.encode(told)))

    async def _response(self, request: web.BaseRequest, admit: Callable[[], None]) -> web.Response:
        response = await self._respond(request, admit)
        self._requests += 1
        self._unauthorized += response.status == HTTPStatus.UNAUTHORIZED
        return response

    async def _respond(self, request: web.BaseRequest, admit: Callable[[], None]) -> web.Response:
        if not _is_loopback(request.headers.get("Host", "")):
            return web.Response(status=HTTPStatus.MISDIRECTED_REQUEST)
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._token):
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        needed = _ROUTES.get(request.path)
        if needed is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if request.method != needed:
            headers = {"Allow": needed}
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers=headers)
        if needed == "GET":
            admit()
            headers = {"Content-Type": _METRICS_TYPE}
            return web.Response(body=self._metrics.text(), headers=headers)
        return await self._answered(request, admit)

    async def _answered(self, request: web.BaseRequest, admit: Callable[[], None]) -> web.Response:
        number: str | int | None = None
        try:
            body = await _body(request)
            admit()
            called = _read_call(body)
            number = called["id"]
            result = await self._result(self._admitted(called))
        except _Failed as failed:
            return _json({"id": number, "error": _error(failed)})
        return _json({"id": number, "result": result})

    def _admitted(self, called: dict[str, Any]) -> _Call:
        """Queue a call; one that is refused here is in the log all the same."""
        try:
            call = _Call(_request_of(called))
            calls_max = ADMIN_CALLS_MAX if call.kind is None else ADMIN_URGENT_CALLS_MAX
            if sum(each.kind is call.kind for each in self._open) >= calls_max:
                words = f"{calls_max} such commands are being carried out"
                raise _failed(_DENIED, Reason.BUSY, words)
        except _Failed as failed:
            method, params = called.get("method"), called.get("params", {})
            name = method if isinstance(method, str) and method in REQUESTS else shown(method)
            self._log.look(name, json.dumps(params).encode(), failed.denied.code)
            raise
        self._open.add(call)
        self._waiting.put_nowait(call)
        call.answer.add_done_callback(lambda _: self._open.discard(call))
        return call

    async def _result(self, call: _Call) -> msgspec.Raw:
        try:
            # Whoever asked may go: the command stays counted until it is done.
            told = await asyncio.shield(call.answer)
        finally:
            call.gone.set()
        if isinstance(told, Denied):
            raise _Failed(_DENIED, told)
        return told

    def _counts(self) -> Mapping[str, int]:
        """Count what is of this server and of the log, beside what the clients' server counts."""
        return {
            **{f"api_{name}": count for name, count in self._counted().items()},
            "admin_requests_total": self._requests,
            "admin_unauthorized_total": self._unauthorized,
            "admin_calls": len(self._open),
            "operator_log_entries": self._log.number,
            "operator_log_unwritten_total": self._log.unwritten,
        }


class _Server(web.Server):
    """Closes connections on which no request came in time, the oldest first where they are many.

    `handle` calls what it is given once a whole request with the token is there: from then on its
    connection stays. Who gives up cancels `handle`.
    """

    def __init__(
        self, handle: Callable[[web.BaseRequest, Callable[[], None]], Awaitable[web.Response]]
    ) -> None:
        self._handle = handle
        self._asked: set[RequestHandler] = set()
        self._strangers: dict[RequestHandler, asyncio.Transport] = {}
        super().__init__(
            self._answer,
            access_log=None,
            logger=_SILENT,
            auto_decompress=False,
            lingering_time=ADMIN_CLOSING_SECONDS_MAX,
            handler_cancellation=True,
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._strangers[handler] = transport
        loop = asyncio.get_running_loop()
        if len(self._strangers) > ADMIN_CONNECTIONS_MAX:
            # Not the newest: aiohttp has not begun to look at it, and would stumble over its end.
            self._strangers.pop(next(iter(self._strangers))).abort()
        loop.call_later(ADMIN_IDLE_SECONDS_MAX, self._close_unless_asked, handler)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self._asked.discard(handler)
        self._strangers.pop(handler, None)
        super().connection_lost(handler, exc)

    def _close_unless_asked(self, handler: RequestHandler) -> None:
        if handler not in self._asked:
            handler.force_close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        """Answer, and close: a connection brings one request."""
        self._asked.add(request.protocol)

        def admit() -> None:
            self._strangers.pop(request.protocol, None)

        response = await self._handle(request, admit)
        response.force_close()
        return response


def _is_loopback(host: str) -> bool:
    name, _, port = host.partition(":")
    return name in _HOSTS and (host == name or (port.isascii() and port.isdigit()))


async def _body(request: web.BaseRequest) -> bytes:
    """Read a body that is neither too long nor too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(ADMIN_REQUEST_SECONDS_MAX):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > ADMIN_BODY_BYTES_MAX:
                    words = f"over {ADMIN_BODY_BYTES_MAX} bytes"
                    raise _failed(INVALID_REQUEST, Reason.JSON_MALFORMED, words)
    except TimeoutError:
        words = f"the request took over {ADMIN_REQUEST_SECONDS_MAX} s to come"
        raise _failed(INVALID_REQUEST, Reason.JSON_MALFORMED, words) from None
    except web.RequestPayloadError as error:
        raise _failed(INVALID_REQUEST, Reason.JSON_MALFORMED, str(error)) from None
    return bytes(body)


def _read_call(body: bytes) -> dict[str, Any]:
    try:
        called = decode_strict(body, hexadecimal=False)
    except Refused as refused:
        raise _failed(PARSE_ERROR, refused.reason, refused.detail) from None
    sound = isinstance(called, dict) and called.keys() <= _NAMES
    if not sound or called.get("jsonrpc") != "2.0" or type(called.get("id")) not in (int, str):
        words = "one object with jsonrpc 2.0, an id, a method and params"
        raise _failed(INVALID_REQUEST, Reason.JSON_MALFORMED, words)
    found: dict[str, Any] = called
    return found


def _request_of(called: dict[str, Any]) -> AnyRequest:
    method = called.get("method")
    kind = REQUESTS.get(method) if isinstance(method, str) else None
    if kind is None:
        words = f"one of {', '.join(REQUESTS)}"
        raise _failed(METHOD_UNKNOWN, Reason.METHOD_UNKNOWN, words)
    try:
        return msgspec.convert(called.get("params", {}), kind)
    except msgspec.ValidationError as error:
        raise _failed(PARAMS_INVALID, Reason.PARAMETER_INVALID, str(error)) from None


def _failed(number: int, reason: Reason, words: str) -> _Failed:
    return _Failed(number, Denied(reason.value, words, ExitCode.INPUT))


def _error(failed: _Failed) -> dict[str, object]:
    denied = failed.denied
    data = {"code": denied.code, "exit_code": denied.exit_code}
    return {"code": failed.number, "message": denied.detail, "data": data}


def _json(content: dict[str, object]) -> web.Response:
    body = msgspec.json.encode({"jsonrpc": "2.0", **content})
    return web.Response(body=body, content_type="application/json")
