"""The admin server over real connections: who is answered, with what, and who is cut off."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sequencer.api import admin
from sequencer.api.admin import AdminServer
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.operator_log import OperatorLog
from sequencer.engine.requests import REQUESTS
from sequencer.model.admin_limits import ADMIN_BODY_BYTES_MAX, ADMIN_CALLS_MAX
from sequencer.model.secret import Secret
from tests.unit.engine.builders import until
from tests.unit.engine.logs import MemoryLogFile, memory_log

TOKEN = Secret(0xABC)
BEARER = f"Bearer {TOKEN.value:064x}"


class Client:
    """Asks one server."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session
        self.port = int(url.rpartition(":")[2])

    async def raw(
        self,
        body: bytes,
        headers: dict[str, str] | None = None,
        method: str = "POST",
        path: str = "",
    ) -> tuple[int, bytes]:
        given = {"Authorization": BEARER, **(headers or {})}
        sent = {name: value for name, value in given.items() if value}
        url = self.url + path
        async with self._session.request(method, url, data=body, headers=sent) as response:
            assert "Traceback" not in await response.text()
            return response.status, await response.read()

    async def reply(self, body: bytes | dict[str, object]) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = await self.raw(content)
        assert status == 200
        told: dict[str, Any] = json.loads(answer)
        assert told["jsonrpc"] == "2.0"
        return told

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        return await self.reply({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})

    async def error(self, body: bytes | dict[str, object]) -> tuple[int, str]:
        told = (await self.reply(body))["error"]
        return told["code"], told["data"]["code"]


@asynccontextmanager
async def serving(desk: Desk, log: OperatorLog | None = None) -> AsyncIterator[Client]:
    server = AdminServer(desk, TOKEN, log or memory_log())
    url = await server.start()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        try:
            yield Client(url, session)
        finally:
            running.cancel()


async def test_an_operator_is_answered(desk: Desk) -> None:
    async with serving(desk) as client:
        told = await client.call("admin_status")
        assert (told["id"], told["result"]["height"], told["result"]["node"]) == (7, 4, "stopped")
        told = await client.call("admin_reorgPlan", to="0x99")
        assert told["error"]["data"] == {"code": "BLOCK_UNKNOWN", "exit_code": 2}
        planned = (await client.call("admin_reorgPlan", to="2"))["result"]["plan_id"]
        reason = "0x0 was no price"
        told = await client.call("admin_reorgApply", plan_id=planned[:8], reason=reason)
        assert told["result"]["height"] == 2
        listed = (await client.call("admin_reorgList"))["result"]["reorgs"]
        assert listed[0].endswith(reason)
        told = await client.call("admin_checkpointCreate", label="x" * 999)
        assert told["error"]["data"] == {"code": "PARAMETER_INVALID", "exit_code": 2}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"{BEARER}0"},
        {"Authorization": BEARER[:-1]},
        {"Authorization": BEARER.lower()},
        {"Authorization": f"Bearer {1:064x}"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_without_the_token_there_is_nothing(
    desk: Desk, headers: dict[str, str], method: str
) -> None:
    async with serving(desk) as client:
        assert await client.raw(b"{", headers, method) == (401, b"")


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
PATHS = ("/", "/metrics", "/metrics/", "/metrics?a=b", "//", "/rpc", "/ws", "/is_alive", "/%00")
ANSWERED = {("POST", "/"), ("GET", "/metrics"), ("GET", "/metrics?a=b")}


async def test_every_route_is_for_the_holder_of_the_token(desk: Desk) -> None:
    file = MemoryLogFile()
    async with serving(desk, memory_log(file)) as client:
        for method in METHODS:
            for path in PATHS:
                for given in ("", "Bearer", f"Bearer {1:064x}", BEARER[7:]):
                    told = await client.raw(b"", {"Authorization": given}, method, path)
                    assert told == (401, b""), (method, path, given)
                status, _ = await client.raw(b"", None, method, path)
                assert (status == 200) is ((method, path) in ANSWERED), (method, path, status)
                assert status in (200, 404, 405)
        for method in REQUESTS:
            body = json.dumps({**CALL, "method": method}).encode()
            assert await client.raw(body, {"Authorization": ""}) == (401, b"")
    assert file.entries == []


async def test_every_call_is_logged_and_nothing_that_has_no_token(desk: Desk) -> None:
    file = MemoryLogFile()
    async with serving(desk, memory_log(file)) as client:
        await client.call("admin_status")
        await client.call("admin_mode", mode="HALTED", reason="why")
        await client.call("admin_nothing", token="x" * 9_999)
        await client.call("admin_guard", guard="NO_SUCH", on=False)
        await client.raw(b"{")
        await client.raw(b"", method="GET", path="/metrics")
    assert [(each.event, each.method, each.outcome) for each in file.entries] == [
        ("LOOK", "admin_status", "ok"),
        ("INTENT", "admin_mode", ""),
        ("OUTCOME", "admin_mode", "NODE_NOT_RUNNING"),
        ("LOOK", "'admin_nothing'", "METHOD_UNKNOWN"),
        ("LOOK", "admin_guard", "PARAMETER_INVALID"),
    ]
    assert json.loads(file.entries[1].params)["reason"] == "why"
    assert json.loads(file.entries[3].params).keys() == {"bytes", "sha256"}
    assert not any(f"{TOKEN.value:x}".encode() in each.params for each in file.entries)


async def test_a_log_that_takes_nothing_stops_changes_and_no_looks(desk: Desk) -> None:
    file = MemoryLogFile()
    file.is_full = True
    async with serving(desk, memory_log(file)) as client:
        assert "result" in await client.call("admin_status")
        for method, params in (
            ("admin_checkpointCreate", {"label": "x"}),
            ("admin_guard", {"guard": "QUORUM", "on": True}),
            ("admin_reorgResume", {}),
        ):
            told = await client.call(method, **params)
            assert told["error"]["data"] == {"code": "OPERATOR_LOG_FAILED", "exit_code": 2}
        assert (await client.call("admin_checkpointList"))["result"]["checkpoints"]
        _, text = await client.raw(b"", method="GET", path="/metrics")
        assert b"perpchain_operator_log_unwritten_total 2.0\n" in text
        file.is_full = False
        assert "result" in await client.call("admin_checkpointCreate", label="x")
    assert [each.event for each in file.entries] == ["INTENT", "OUTCOME"]


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "127.0.0.1:x", "[::1]"])
async def test_by_the_name_of_another_host_there_is_nothing(desk: Desk, host: str) -> None:
    async with serving(desk) as client:
        assert await client.raw(b"{", {"Host": host}) == (421, b"")
        for name in ("localhost", "127.0.0.1:80"):
            assert (await client.raw(b"{", {"Host": name}))[0] == 200


async def test_other_methods_of_http_do_nothing(desk: Desk) -> None:
    async with serving(desk) as client:
        for method in ("GET", "PUT", "OPTIONS", "DELETE"):
            assert await client.raw(b"", method=method) == (405, b"")


CALL = {"jsonrpc": "2.0", "id": 1, "method": "admin_status"}


@pytest.mark.parametrize(
    ("body", "number", "code"),
    [
        (b"", -32700, "JSON_MALFORMED"),
        (b"{", -32700, "JSON_MALFORMED"),
        (b"\xff", -32700, "JSON_MALFORMED"),
        (b'{"a": 1, "a": 2}', -32700, "JSON_MALFORMED"),
        (b"[" * 50, -32700, "JSON_MALFORMED"),
        (b"NaN", -32700, "JSON_MALFORMED"),
        (b"[]", -32600, "JSON_MALFORMED"),
        (b"1", -32600, "JSON_MALFORMED"),
        (json.dumps([CALL]).encode(), -32600, "JSON_MALFORMED"),
        ({**CALL, "jsonrpc": "1.0"}, -32600, "JSON_MALFORMED"),
        ({**CALL, "id": None}, -32600, "JSON_MALFORMED"),
        ({**CALL, "id": True}, -32600, "JSON_MALFORMED"),
        ({**CALL, "more": 1}, -32600, "JSON_MALFORMED"),
        (b"x" * (ADMIN_BODY_BYTES_MAX + 1), -32600, "JSON_MALFORMED"),
        ({**CALL, "method": "admin_nothing"}, -32601, "METHOD_UNKNOWN"),
        ({**CALL, "method": ["admin_status"]}, -32601, "METHOD_UNKNOWN"),
        ({**CALL, "method": "__class__"}, -32601, "METHOD_UNKNOWN"),
        ({**CALL, "params": []}, -32602, "PARAMETER_INVALID"),
        ({**CALL, "params": {"more": 1}}, -32602, "PARAMETER_INVALID"),
        ({**CALL, "method": "admin_reorgPlan"}, -32602, "PARAMETER_INVALID"),
        ({**CALL, "method": "admin_reorgPlan", "params": {"to": 5}}, -32602, "PARAMETER_INVALID"),
        (
            {**CALL, "method": "admin_reorgUndo", "params": {"reorg_id": "1"}},
            -32602,
            "PARAMETER_INVALID",
        ),
        (
            {**CALL, "method": "admin_mode", "params": {"mode": "OPENED"}},
            -32602,
            "PARAMETER_INVALID",
        ),
        (
            {**CALL, "method": "admin_mode", "params": {"mode": "OPEN", "decide_minutes": -1}},
            -32000,
            "PARAMETER_INVALID",
        ),
    ],
)
async def test_what_is_no_request_has_a_code(
    desk: Desk, body: bytes | dict[str, object], number: int, code: str
) -> None:
    async with serving(desk) as client:
        assert await client.error(body) == (number, code)
        assert "result" in await client.call("admin_status")


async def test_every_method_is_known_and_refuses_what_it_does_not_know(desk: Desk) -> None:
    async with serving(desk) as client:
        for method in REQUESTS:
            told = await client.call(method, surplus=1)
            assert told["error"]["data"]["code"] == "PARAMETER_INVALID"


async def hang(client: Client, *parts: bytes) -> bytes:
    """Send the beginning of a request, and nothing more; returns what comes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_the_slow_are_cut_off(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("IDLE", "REQUEST", "CLOSING"):
        monkeypatch.setattr(admin, f"ADMIN_{limit}_SECONDS_MAX", 0.05)
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BEARER}\r\n".encode()
    async with serving(desk) as client, asyncio.timeout(20):
        assert await hang(client) == b""
        assert await hang(client, b"POST / HT") == b""
        assert await hang(client, head) == b""
        told = await hang(client, head + b"Content-Length: 100\r\n\r\n{")
        assert b"took over" in told
        assert b"-32600" in told


async def test_what_is_no_http_is_turned_away(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(desk) as client, asyncio.timeout(20):
        for sent in (b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"):
            assert b"Traceback" not in await hang(client, sent)
        assert "result" in await client.call("admin_status")
    assert capfd.readouterr() == ("", "")


class HeldDesk(Desk):
    """Answers nobody until it is free."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.asked = 0

    async def watch_commits(self, seen: Callable[[float], None]) -> None:
        """Make no blocks."""

    async def status(self) -> Facts:
        self.asked += 1
        await self.free.wait()
        return {"asked": self.asked}

    async def reorgs(self) -> Facts:
        return await self.status()


async def test_a_command_outlives_whoever_asked_and_only_so_many_run() -> None:
    desk = HeldDesk()
    async with serving(desk) as client, asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            asked = [client.call("admin_reorgList") for _ in range(ADMIN_CALLS_MAX)]
            calls = [group.create_task(each) for each in asked]
            await until(lambda: desk.asked == ADMIN_CALLS_MAX)
            calls[0].cancel()
            told = await client.call("admin_reorgList")
            assert told["error"]["data"]["code"] == "BUSY"
            desk.free.set()
        assert all(call.result()["result"] for call in calls[1:])
        assert "result" in await client.call("admin_reorgList")


async def test_who_waits_when_the_node_stops_is_told_that_nobody_knows() -> None:
    desk = HeldDesk()
    server = AdminServer(desk, TOKEN, memory_log())
    url = await server.start()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        asked = group.create_task(Client(url, session).call("admin_status"))
        await until(lambda: desk.asked > 0)
        running.cancel()
        assert (await asked)["error"]["data"]["code"] == "OUTCOME_UNKNOWN"


class BrokenDesk(Desk):
    def __init__(self) -> None:
        """Have nothing: whatever is asked is a bug."""

    async def watch_commits(self, seen: Callable[[float], None]) -> None:
        """Make no blocks."""


async def test_a_bug_is_no_answer_and_ends_the_server() -> None:
    server = AdminServer(BrokenDesk(), TOKEN, memory_log())
    url = await server.start()
    async with aiohttp.ClientSession() as session:

        async def asked() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(server.run())
                group.create_task(Client(url, session).call("admin_reorgList"))

        with pytest.raises(ExceptionGroup) as caught:
            await asked()
    assert caught.group_contains(ExceptionGroup, match="TaskGroup")
    assert caught.group_contains(AttributeError)
