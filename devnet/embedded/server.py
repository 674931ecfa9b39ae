"""The embedded devnet over HTTP: JSON-RPC at / and /rpc, GET /is_alive, and faults in between.

Promises
- A devnet that is down refuses connections and ends those that there are; then it is back at the
  same address.
- A slow one is only late with its answers: what was asked is done at once. A silent one does
  nothing, and what was asked by somebody who did not wait is never done.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from devnet.embedded.faults import Asked, Faults
from sequencer.api import json_rpc
from sequencer.api.json_rpc import Method
from sequencer.model.api_limits import RPC_LARGE_BODY_BYTES_MAX
from sequencer.model.units import MS_PER_SECOND

SET_FAULT = "devnet_setFault"

_RPC_PATHS = frozenset({"/", "/rpc"})
_ALIVE_PATH = "/is_alive"
_JSON = {"Content-Type": "application/json"}
_CLOSING_SECONDS_MAX = 1
_RETURN_POLL_SECONDS = 0.05


class _Called(msgspec.Struct, frozen=True):
    """What a request asks for, as far as faults want to know."""

    method: str = ""


class EmbeddedServer:
    """Serves one table of methods on this machine, at one port. Port 0 is a free one."""

    def __init__(self, methods: Mapping[str, Method], faults: Faults, host: str, port: int) -> None:
        self._methods = methods
        self._faults = faults
        self._host, self._port = host, port
        self._asking: set[asyncio.Transport] = set()
        self._is_down = False
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=_CLOSING_SECONDS_MAX
        )
        self._site: web.TCPSite | None = None

    async def start(self) -> str:
        """Listen, and return host and port. OSError where that port cannot be had."""
        await self._runner.setup()
        await self._listen()
        host, self._port = self._runner.addresses[0][:2]
        return f"{host}:{self._port}"

    async def run(self) -> None:
        """Go down and come back as faults want it, until cancelled."""
        while True:
            seconds = await self._faults.until_down()
            self._is_down = True
            await self._stop_listening()
            await asyncio.sleep(seconds)
            self._is_down = False
            while not await self._listens_again():
                pass

    async def close(self) -> None:
        """Stop listening, and let go of whoever waits."""
        await self._runner.cleanup()

    async def _listen(self) -> None:
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._site = site

    async def _listens_again(self) -> bool:
        try:
            await self._listen()
        except OSError:
            # Somebody else has the port for a moment.
            await asyncio.sleep(_RETURN_POLL_SECONDS)
            return False
        return True

    async def _stop_listening(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        for transport in [*self._asking]:
            transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        if self._is_down:
            raise _cut(transport)
        self._asking.add(transport)
        try:
            return await self._respond(request, transport)
        finally:
            self._asking.discard(transport)

    async def _respond(
        self, request: web.BaseRequest, transport: asyncio.Transport
    ) -> web.StreamResponse:
        if request.rel_url.raw_path == _ALIVE_PATH and request.method == "GET":
            await self._faults.until_speaking()
            return web.Response(text="Alive!!!")
        if request.rel_url.raw_path not in _RPC_PATHS or request.method != "POST":
            return web.Response(status=HTTPStatus.NOT_FOUND)
        body = await request.read()
        if len(body) > RPC_LARGE_BODY_BYTES_MAX:
            return web.Response(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if _sets_fault(body):
            # Not cut off by what it asks for.
            self._asking.discard(transport)
            return _answered(await json_rpc.answer(body, self._methods, Asked()))
        await self._faults.until_speaking()
        slow_ms = self._faults.standing.slow_ms
        if transport.is_closing():
            raise ConnectionResetError
        asked = Asked()
        told = await json_rpc.answer(body, self._methods, asked)
        if slow_ms:
            await asyncio.sleep(slow_ms / MS_PER_SECOND)
        if asked.is_lost:
            raise _cut(transport)
        return _answered(told)


def _answered(told: bytes | None) -> web.Response:
    if told is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    return web.Response(body=told, headers=_JSON)


def _cut(transport: asyncio.Transport) -> ConnectionResetError:
    transport.abort()
    return ConnectionResetError()


def _sets_fault(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_Called).method == SET_FAULT
    except msgspec.MsgspecError:
        return False
