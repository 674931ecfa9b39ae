"""A server of a few methods, and clients of it: strict ones, rude ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from typing import Any

import aiohttp

from sequencer.api.callers import Caller
from sequencer.api.json_rpc import Method, Methods, Parameter, RpcError
from sequencer.api.server import RpcServer
from sequencer.model.api_limits import RPC_DEPTH_MAX, ServerLimits
from sequencer.model.limits import JSON_DEPTH_MAX
from sequencer.model.refusals import Reason, Refused
from tests.strategies import Unchecked

GENEROUS = ServerLimits(
    connections_per_address_max=4_096,
    streams_per_address_max=1_024,
    calls_per_address_max=2_048,
    bytes_per_address_max=256 * 1024 * 1024,
    tokens_per_second=1_000_000,
    tokens_max=1_000_000,
)
SECONDS_MAX = 30


class Bug(Exception):
    """What no method may raise."""


def _read_small(value: object) -> int:
    if type(value) is not int or not 0 <= value < 100:
        raise Refused(Reason.PARAMETER_INVALID, "a number from 0 to 99")
    return value


class Toys:
    """Methods that hold, count and push."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.waiting = self.given_up = 0
        self.begun: list[int] = []
        self.closed: list[str] = []
        self.callers: list[Caller] = []

    def methods(self) -> Methods:
        value = Parameter("value", lambda value: value, None)
        number = Parameter("number", _read_small)
        found = (
            Method("toy_echo", (value,), self._echo, is_large=True, depth_max=RPC_DEPTH_MAX),
            Method("toy_shallow", (value,), self._echo, depth_max=JSON_DEPTH_MAX),
            Method("toy_small", (number,), self._small, cost=10),
            Method("toy_hold", (number,), self._hold),
            Method("toy_blob", (Parameter("bytes", int),), self._blob),
            Method("toy_fail", (), self._fail),
            Method("toy_bug", (), self._bug),
            Method("toy_push", (number,), self._push),
        )
        return {method.name: method for method in found}

    async def _echo(self, caller: Caller, value: object) -> object:
        self.callers.append(caller)
        return value

    async def _small(self, caller: Caller, number: int) -> int:
        self.begun.append(number)
        return number

    async def _hold(self, caller: Caller, number: int) -> int:
        self.begun.append(number)
        self.waiting += 1
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.waiting -= 1
        return number

    async def _blob(self, caller: Caller, bytes: int) -> str:
        return "x" * bytes

    async def _fail(self, caller: Caller) -> object:
        raise RpcError(20, "Contract not found", data={"why": "it is not there"})

    async def _bug(self, caller: Caller) -> object:
        raise Bug

    async def _push(self, caller: Caller, number: int) -> str:
        stream = caller.stream
        if stream is None:
            raise RpcError(-32601)
        for each in range(number):
            message = json.dumps({"pushed": each}).encode()
            stream.after_answer(partial(stream.send, message))
        stream.on_close(lambda: self.closed.append("closed"))
        return "pushing"


class Client:
    """Asks one server."""

    def __init__(self, url: str, session: aiohttp.ClientSession, server: RpcServer) -> None:
        self.url, self.session, self.server = url, session, server
        self.port = int(url.rpartition(":")[2])

    async def post(self, body: bytes, path: str = "/") -> bytes:
        async with self.session.post(self.url + path, data=BytesIO(body)) as response:
            told = await response.read()
            assert response.status == (200 if told else 204)
            return told

    async def reply(self, content: object, path: str = "/") -> Unchecked:
        told = await self.post(json.dumps(content).encode(), path)
        return json.loads(told) if told else None

    async def call(self, method: str, *values: object) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": values}
        told: dict[str, Any] = await self.reply(request)
        assert told["jsonrpc"] == "2.0"
        assert told["id"] in (7, None)
        return told

    async def result(self, method: str, *values: object) -> Unchecked:
        return (await self.call(method, *values))["result"]

    async def error(self, method: str, *values: object) -> tuple[int, Any]:
        error = (await self.call(method, *values))["error"]
        return error["code"], error.get("data")

    async def raw(self, *parts: bytes, half_close: bool = False) -> bytes:
        """Send bytes, and nothing more; returns what comes until the end, b"" for a reset."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            if half_close:
                writer.write_eof()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(toys: Toys, limits: ServerLimits = GENEROUS) -> AsyncIterator[Client]:
    """Serve for as long as the block lasts; a bug of a method is raised here."""
    server = RpcServer(toys.methods(), "127.0.0.1", 0, limits)
    url = await server.start()
    async with (
        asyncio.timeout(SECONDS_MAX),
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(server.run())
        try:
            yield Client(url, session, server)
        finally:
            toys.free.set()
            running.cancel()
