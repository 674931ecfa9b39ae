"""Clients of a node in another process: they ask over kept connections, and time each answer.

Promises
- A closed load asks again as soon as it is answered; what it tells is what can be carried out.
- An open load asks at a pace, whatever the answers: a time counts from when a request was due, so
  one slow answer hides no other.

An answer counts when it has come as a whole and is no error.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector

from scripts.benches.api_requests import Request

Ask = Callable[[Request], Awaitable[bytes]]
"""Sends a request and returns the bytes of its answer."""

_JSON = {"Content-Type": "application/json"}


class _Error(msgspec.Struct):
    code: int
    data: Any = None

    def name(self) -> str:
        """Return the stable code where there is one, else the number."""
        data = self.data
        return str(data.get("code", self.code) if isinstance(data, dict) else self.code)


class Answer(msgspec.Struct):
    """What a request came to: its result as it was written, or an error."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class _Recorded(msgspec.Struct):
    """The block that holds what was written."""

    height: int


class Load:
    """What came of a load. Only answers between `start` and `end` count."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.by_kind: dict[str, list[float]] = {}
        self.refused: Counter[str] = Counter()
        self.bytes = 0
        self.start = self.end = float("inf")

    @property
    def seconds(self) -> float:
        """Return how long it lasted."""
        return self.end - self.start

    def note(self, sent: float, body: bytes, kind: str = "") -> None:
        """Note an answer that has come just now."""
        now = time.perf_counter()
        if not self.start <= now < self.end:
            return
        error = _ANSWER.decode(body).error
        if error is not None:
            self.refused[error.name()] += 1
            return
        self.bytes += len(body)
        self.latencies.append(now - sent)
        self.by_kind.setdefault(kind, []).append(now - sent)


async def pressed(
    ask: Ask, requests: Iterator[Request], together: int, warm_seconds: float, seconds: float
) -> Load:
    """Ask with so many under way at any time, for so long after so much that is not counted."""
    load = Load()
    load.start = time.perf_counter() + warm_seconds
    load.end = load.start + seconds

    async def client() -> None:
        while time.perf_counter() < load.end and (request := next(requests, None)) is not None:
            sent = time.perf_counter()
            load.note(sent, await ask(request))

    await _together(client() for _ in range(together))
    if not load.latencies:
        raise SystemExit(f"a bench's node answered nothing in time: {dict(load.refused)}")
    return load


async def paced(
    ask: Ask, requests: Iterator[tuple[str, Request]], per_second: int, seconds: float
) -> Load:
    """Ask so often in a second, each request with the kind under which it is told."""
    load = Load()
    load.start = start = time.perf_counter()

    async def client(due: float, kind: str, request: Request) -> None:
        load.note(due, await ask(request), kind)

    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(client(due, *next(requests)))
    load.end = time.perf_counter()
    return load


async def all_asked(ask: Ask, requests: Sequence[Request], together: int) -> Counter[int]:
    """Ask everything, and count by block what was written; SystemExit where nothing was."""
    waiting, heights, refused = iter(requests), Counter[int](), Counter[str]()

    async def client() -> None:
        for request in waiting:
            answer = _ANSWER.decode(await ask(request))
            if answer.error is None:
                heights[msgspec.json.decode(answer.result, type=_Recorded).height] += 1
            else:
                refused[answer.error.name()] += 1

    await _together(client() for _ in range(together))
    if not heights:
        raise SystemExit(f"a bench's node took no order: {dict(refused)}")
    return heights


async def _together(clients: Iterator[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client)


@asynccontextmanager
async def over_http(url: str, connections: int) -> AsyncIterator[Ask]:
    """Ask over so many connections, each with one request at a time."""
    connector = TCPConnector(limit=connections)
    async with ClientSession(connector=connector, headers=_JSON) as session:

        async def ask(request: Request) -> bytes:
            async with session.post(url, data=request.body) as response:
                return await response.read()

        yield ask


@asynccontextmanager
async def over_websockets(url: str, connections: int) -> AsyncIterator[Ask]:
    """Ask over so many WebSockets, each with as many requests under way as there are."""
    async with AsyncExitStack() as opened:
        session = await opened.enter_async_context(ClientSession())
        group = await opened.enter_async_context(asyncio.TaskGroup())
        streams = []
        for _ in range(connections):
            socket = await session.ws_connect(f"{url}/ws", compress=0)
            opened.push_async_callback(socket.close)
            streams.append(_Stream(socket))
            group.create_task(streams[-1].read())

        async def ask(request: Request) -> bytes:
            return await streams[request.number % connections].ask(request)

        yield ask


class _Stream:
    """A WebSocket whose answers are matched by number."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int | None, asyncio.Future[bytes]] = {}

    async def ask(self, request: Request) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[request.number] = answer
        await self._socket.send_str(request.body.decode())
        return await answer

    async def read(self) -> None:
        async for message in self._socket:
            body: bytes = message.data.encode()
            answer = self._waiting.pop(_ANSWER.decode(body).id)
            if not answer.done():
                answer.set_result(body)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("a bench's node closed a WebSocket"))


_ANSWER = msgspec.json.Decoder(Answer)
