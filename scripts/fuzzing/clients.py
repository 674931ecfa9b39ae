"""Clients of the fuzzer: they send anything, and take apart whatever comes back."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from scripts.fuzzing.seeds import Request
from scripts.fuzzing.wire import frame, post

ANSWER_SECONDS_MAX = 20
"""Seconds after which an answer counts as missing."""

_QUIET_SECONDS = 0.15
_LIMIT_BYTES = 64 * 1024 * 1024
_NO_BODY = frozenset({"100", "101", "204"})
_TEXT, _CLOSE = 0x1, 0x8


class NoAnswer(Exception):
    """Neither an answer nor the end of the connection came in time."""


class Reply(NamedTuple):
    """One answer over HTTP, or the text of one message over a WebSocket (status "101")."""

    status: str
    body: bytes


class Replies(NamedTuple):
    """What came for what was sent; `closed` is how the connection ended, "" where it did not.

    `owed`: how many answers could come at most. One to something long may come later than its turn.
    """

    given: Sequence[Reply]
    closed: str = ""
    owed: int = 1


class HttpClient:
    """Sends bodies over a connection that is kept, and broken HTTP over one of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def body(self, body: bytes) -> Replies:
        """Send a body in sound HTTP."""
        if self._kept is None:
            self._kept = await self._open()
        reader, writer = self._kept
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                writer.write(post(body))
                reply = await _read_reply(reader)
        except TimeoutError:
            raise NoAnswer(f"{body[:200]!r}") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
            return Replies((), "closed")
        return Replies((reply,))

    async def broken(self, sent: bytes) -> Replies:
        """Send anything over a new connection, half-close it, and read to the end."""
        reader, writer = await self._open()
        told = b""
        try:
            writer.write(sent)
            try:
                told = await asyncio.wait_for(reader.read(_LIMIT_BYTES), _QUIET_SECONDS)
            except TimeoutError:
                writer.write_eof()
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                while told and not _is_whole(told):
                    if not (more := await reader.read(_LIMIT_BYTES)):
                        break
                    told += more
                if not told:
                    told = await reader.read(_LIMIT_BYTES)
        except TimeoutError:
            raise NoAnswer(f"{sent[:200]!r}") from None
        except ConnectionError:
            return Replies(_replies(told), "reset")
        finally:
            writer.transport.abort()
        return Replies(_replies(told), "" if told else "closed")

    def close(self) -> None:
        """Close the connection that is kept; the next body opens another."""
        if self._kept is not None:
            self._kept[1].transport.abort()
            self._kept = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=_LIMIT_BYTES)


async def _read_reply(reader: asyncio.StreamReader) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = _status_and_length(head)
    return Reply(status, await reader.readexactly(length))


def _status_and_length(head: bytes) -> tuple[str, int]:
    first, _, rest = head.partition(b"\r\n")
    status = first.decode("latin-1").split(" ")[1]
    if status in _NO_BODY:
        return status, 0
    for line in rest.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return status, int(value)
    return status, 0


def _replies(told: bytes) -> list[Reply]:
    found: list[Reply] = []
    while told:
        head, _, told = told.partition(b"\r\n\r\n")
        status, length = _status_and_length(head)
        if status != "100":
            found.append(Reply(status, told[:length]))
        told = told[length:]
    return found


def _is_whole(told: bytes) -> bool:
    head, ended, rest = told.partition(b"\r\n\r\n")
    return bool(ended) and len(rest) >= _status_and_length(head)[1] and not head.endswith(b" 100")


class StreamClient:
    """One WebSocket at a time; a new one when the last has ended. `probe` is always answered."""

    def __init__(self, url: str, probe: Request) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._probe = parts.hostname or "", parts.port or 0, probe
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._probes = self._owed = 0

    async def send(self, sent: bytes, messages: int = 1) -> Replies:
        """Send frames and a probe behind them, and read until the probe's answer or the end.

        What is pushed for subscriptions is left out. Frames that swallow the probe are answered by
        nothing: then the connection is given up. `messages`: how many the frames may be.
        """
        if self._open is None:
            self._open, self._owed = await self._connect(), 0
        reader, writer = self._open
        self._probes += 1
        number = f"probe {self._probes}"
        given: list[Reply] = []
        self._owed += messages
        owed = self._owed
        try:
            writer.write(sent + frame(json.dumps({**self._probe, "id": number}).encode()))
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                closed = await _read_answers(reader, number, given)
        except TimeoutError:
            closed = "silent"
        except (ConnectionError, asyncio.IncompleteReadError):
            closed = "closed"
        if closed:
            self.close()
        else:
            self._owed -= len(given)
        return Replies(given, closed, owed)

    def close(self) -> None:
        """End the connection without a word."""
        if self._open is not None:
            self._open[1].transport.abort()
            self._open = None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LIMIT_BYTES)
        key = base64.b64encode(bytes(16)).decode()
        lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        head = f"GET /ws HTTP/1.1\r\nHost: x\r\n{lines}Sec-WebSocket-Key: {key}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer


async def _read_answers(reader: asyncio.StreamReader, number: str, given: list[Reply]) -> str:
    """Add answers up to that of a probe; returns how the connection was closed before, or ""."""
    while True:
        code, payload = await _read_frame(reader)
        if code == _CLOSE:
            return str(int.from_bytes(payload[:2], "big"))
        if code != _TEXT or _is_pushed(payload):
            continue
        if f'"id":"{number}"'.encode() in payload[:60]:
            return ""
        given.append(Reply("101", payload))


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 0xF, await reader.readexactly(size)


def _is_pushed(payload: bytes) -> bool:
    told = json.loads(payload)
    return isinstance(told, dict) and "method" in told
