"""The admin server in a crowd: strangers, idle connections, and commands that wait for long."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest

from sequencer.api import admin
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.model.admin_limits import ADMIN_CALLS_MAX, ADMIN_URGENT_CALLS_MAX
from sequencer.model.rows import Mode
from tests.unit.api.test_admin import BEARER, Client, hang, serving
from tests.unit.engine.builders import until

HEADERS = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
BEGINNINGS = [b"", HEADERS.encode(), f"{HEADERS}\r\n{{".encode()]


@contextmanager
def nothing_unexpected() -> Iterator[None]:
    """Expect that the event loop has nothing to say about tasks that nobody awaits."""
    said: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: said.append(told))
    try:
        yield
    finally:
        loop.set_exception_handler(None)
    assert said == []


@asynccontextmanager
async def standing(client: Client, count: int, sent: bytes) -> AsyncIterator[None]:
    """Hold connections on which no whole request comes."""
    opened = [asyncio.open_connection("127.0.0.1", client.port) for _ in range(count)]
    held = await asyncio.gather(*opened)
    try:
        for _, writer in held:
            writer.write(sent)
        yield
    finally:
        for _, writer in held:
            writer.transport.abort()


@pytest.mark.parametrize("sent", BEGINNINGS)
async def test_whoever_holds_connections_keeps_nobody_out(desk: Desk, sent: bytes) -> None:
    async with serving(desk) as client, asyncio.timeout(20):
        with nothing_unexpected():
            async with standing(client, 100, sent):
                assert "result" in await client.call("admin_status")
                assert "result" in await client.call("admin_reorgList")
            async with standing(client, 40, sent):
                assert "result" in await client.call("admin_status")


async def test_connections_that_come_all_at_once_leave_no_words_behind(desk: Desk) -> None:
    async with serving(desk) as client, asyncio.timeout(20):
        with nothing_unexpected(), ExitStack() as held:
            for _ in range(100):
                held.enter_context(socket.create_connection(("127.0.0.1", client.port)))
            assert "result" in await client.call("admin_status")


async def test_the_oldest_connection_without_a_request_goes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "ADMIN_CONNECTIONS_MAX", 2)
    async with serving(desk) as client, asyncio.timeout(20):
        held = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(3)]
        try:
            assert await held[0][0].read() == b""
            for reader, writer in held[1:]:
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b" 401 " in await reader.readline()
        finally:
            for _, writer in held:
                writer.transport.abort()


async def test_a_request_that_waits_is_not_pushed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ADMIN_CONNECTIONS_MAX", 2)
    desk = Held()
    async with serving(desk) as client, asyncio.timeout(20), asyncio.TaskGroup() as group:
        asked = group.create_task(client.call("admin_reorgList"))
        await until(lambda: desk.waiting == 1)
        async with standing(client, 10, b""):
            assert "result" in await client.call("admin_status")
            desk.free.set()
            assert "result" in await asked


async def test_an_idle_connection_is_closed_and_one_with_a_slow_body_is_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "ADMIN_REQUEST_SECONDS_MAX", 60)
    async with serving(desk) as client, asyncio.timeout(20):
        slow, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"{HEADERS}Authorization: {BEARER}\r\n\r\n".encode())
        monkeypatch.setattr(admin, "ADMIN_IDLE_SECONDS_MAX", 0.01)
        assert await hang(client) == b""
        assert await hang(client, b"POST / HT") == b""
        writer.write(b"x" * 100)
        assert b" 200 " in await slow.readline()
        writer.close()
        await writer.wait_closed()


class Held(Desk):
    """Lists, checkpoints and modes are waited for; the status is there at once."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.waiting = 0
        self.given_up = 0

    async def watch_commits(self, seen: Callable[[float], None]) -> None:
        """Make no blocks."""

    async def status(self) -> Facts:
        return {}

    async def mode(self, mode: Mode, reason: str, accept: int, decide_ms: int) -> Facts:
        return await self.reorgs()

    async def reorgs(self) -> Facts:
        self.waiting += 1
        await self.free.wait()
        return {}

    async def create_checkpoint(
        self,
        label: str,
        at: str,
        by: str,
        *,
        replace: bool,
        settled: bool,
        gone: asyncio.Event | None = None,
    ) -> Facts:
        assert gone is not None
        self.waiting += 1
        await gone.wait()
        self.given_up += 1
        return {}


async def test_commands_that_wait_never_lock_out_status_and_mode() -> None:
    desk = Held()
    async with serving(desk) as client, asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(ADMIN_CALLS_MAX):
            group.create_task(client.call("admin_reorgList"))
        await until(lambda: desk.waiting == ADMIN_CALLS_MAX)
        assert "result" in await client.call("admin_status")
        for _ in range(ADMIN_URGENT_CALLS_MAX):
            group.create_task(client.call("admin_mode", mode="OPEN"))
        await until(lambda: desk.waiting == ADMIN_CALLS_MAX + ADMIN_URGENT_CALLS_MAX)
        for method, given in (("admin_mode", {"mode": "OPEN"}), ("admin_reorgList", {})):
            told = await client.call(method, **given)
            assert told["error"]["data"]["code"] == "BUSY"
        assert "result" in await client.call("admin_status")
        desk.free.set()


async def test_who_goes_gives_the_place_up() -> None:
    desk = Held()
    async with serving(desk) as client, asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(client.call("admin_checkpointCreate", label="x", settled=True))
                for _ in range(ADMIN_CALLS_MAX)
            ]
            await until(lambda: desk.waiting == ADMIN_CALLS_MAX)
            for each in asked:
                each.cancel()
        await until(lambda: desk.given_up == ADMIN_CALLS_MAX)
        desk.free.set()
        assert "result" in await client.call("admin_reorgList")


async def test_who_breaks_off_leaves_no_words_behind(capfd: pytest.CaptureFixture[str]) -> None:
    desk = Held()
    async with serving(desk) as client, asyncio.timeout(20):
        with nothing_unexpected():
            timeout = aiohttp.ClientTimeout(total=0.05)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                with pytest.raises(TimeoutError):
                    await Client(client.url, session).call("admin_reorgList")
            desk.free.set()
            assert "result" in await client.call("admin_reorgList")
    assert capfd.readouterr() == ("", "")
