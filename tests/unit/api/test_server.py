"""The public server over real connections: who is answered, with what, and how it ends."""

import asyncio
import json

import aiohttp
import msgspec
import pytest

from sequencer.api import server
from sequencer.api.json_rpc import INVALID_REQUEST, LIMIT_EXCEEDED, PARSE_ERROR
from sequencer.api.server import RpcServer
from sequencer.model.api_limits import RPC_BODY_BYTES_MAX, RPC_LARGE_BODY_BYTES_MAX
from tests.unit.api.toys import GENEROUS, Bug, Client, Toys, serving
from tests.unit.engine.builders import turns, until

ASK = b'{"jsonrpc":"2.0","id":7,"method":"toy_echo","params":["x"]}'
GIVEN = {"jsonrpc": "2.0", "id": 7, "result": "x"}


def head(length: int | str = len(ASK), more: str = "") -> bytes:
    return f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def body_of(answer: bytes) -> bytes:
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:200]
    return answer.partition(b"\r\n\r\n")[2]


def code_of(answer: bytes) -> int:
    code: int = json.loads(body_of(answer))["error"]["code"]
    return code


ROUTES = [
    ("GET", "/is_alive", 200),
    ("HEAD", "/is_alive", 200),
    ("POST", "/is_alive", 405),
    ("OPTIONS", "/", 204),
    ("OPTIONS", "/rpc", 204),
    ("OPTIONS", "/ws", 405),
    ("GET", "/", 405),
    ("GET", "/rpc", 405),
    ("PUT", "/", 405),
    ("DELETE", "/rpc", 405),
    ("TRACE", "/rpc", 405),
    ("GET", "/ws", 426),
    ("POST", "/ws", 405),
    ("POST", "/rpc/", 404),
    ("POST", "/rpc/v0_10", 404),
    ("GET", "/metrics", 404),
    ("POST", "/../rpc", 404),
    ("POST", "//", 404),
    ("POST", "/%2e", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
async def test_every_route_has_its_answer(method: str, path: str, status: int) -> None:
    async with serving(Toys()) as client:
        sent = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await client.raw(sent.encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nServer: perpchain\r\n" in answer
    assert b"aiohttp" not in answer
    alive = b"Alive!!!" if (method, status) == ("GET", 200) else b""
    assert answer.partition(b"\r\n\r\n")[2] == alive
    assert (b"\r\nAllow: " in answer) == (status == 405)
    assert (b"\r\nAccess-Control-Allow-Methods: POST\r\n" in answer) == (status == 204)


async def test_requests_are_answered_and_connections_kept() -> None:
    toys = Toys()
    async with serving(toys) as client:
        for path in ("/", "/rpc", "/rpc?network=x"):
            assert json.loads(await client.post(ASK, path)) == GIVEN
        assert await client.error("toy_fail") == (20, {"why": "it is not there"})
        assert await client.reply([json.loads(ASK)] * 2) == [GIVEN, GIVEN]
        assert await client.reply({"jsonrpc": "2.0", "method": "toy_echo"}) is None
        assert await client.error("toy_push", 1) == (-32601, None)
        assert {caller.address for caller in toys.callers} == {"127.0.0.1"}
        traffic = client.server.traffic()
        assert (traffic.connections, traffic.calls, traffic.bytes_held) == (1, 0, 0)
        assert (traffic.requests_total, traffic.messages_total) == (7, 7)


async def test_any_page_may_ask() -> None:
    async with serving(Toys()) as client:
        headers = {"Origin": "https://example.org", "Content-Type": "text/plain"}
        async with client.session.post(client.url, data=ASK, headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Content-Type"] == "application/json"
            assert "Access-Control-Allow-Credentials" not in response.headers


async def test_a_long_body_is_for_those_methods_that_take_one() -> None:
    async with serving(Toys()) as client:
        long = "x" * (RPC_LARGE_BODY_BYTES_MAX - 200)
        assert await client.result("toy_echo", long) == long
        code, data = await client.error("toy_shallow", "x" * RPC_BODY_BYTES_MAX)
        assert (code, "allowed" in data) == (INVALID_REQUEST, True)
        assert await client.error("toy_echo", long * 2) == (
            INVALID_REQUEST,
            f"{2 * len(long) + 65} bytes, {RPC_LARGE_BODY_BYTES_MAX} allowed",
        )
        assert client.server.traffic().bytes_held == 0


async def test_whoever_announces_a_long_body_is_told_to_go_on() -> None:
    async with serving(Toys()) as client:
        sent = head(more="Expect: 100-continue\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(sent)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        assert json.loads(await reader.readexactly(37)) == GIVEN
        writer.transport.abort()


async def test_requests_that_come_together_are_answered_in_order() -> None:
    async with serving(Toys()) as client:
        asked = [ASK.replace(b'"x"', b"%d" % number) for number in range(100)]
        sent = b"".join(head(len(each)) + each for each in asked)
        answers = await client.raw(sent, head(0, "Connection: close\r\n"))
        found = [each.partition(b"}")[0] for each in answers.split(b'"result":')[1:]]
        assert found == [b"%d" % number for number in range(100)]
        assert answers.count(b"HTTP/1.1 200") == 101


async def test_a_bug_is_no_answer_but_the_end() -> None:
    with pytest.RaisesGroup(Bug, flatten_subgroups=True):
        async with serving(Toys()) as client:
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.call("toy_bug")


async def test_a_bug_of_the_server_itself_is_raised_and_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(path: str, method: str) -> object:
        raise Bug

    monkeypatch.setattr(server, "_answer_plain", broken)
    with pytest.RaisesGroup(Bug, flatten_subgroups=True):
        async with serving(Toys()) as client:
            assert await client.raw(b"GET /is_alive HTTP/1.1\r\nHost: x\r\n\r\n") == b""


async def test_what_was_begun_goes_on_when_whoever_asked_is_gone() -> None:
    toys = Toys()
    async with serving(toys) as client:
        sent = ASK.replace(b"toy_echo", b"toy_hold").replace(b'"x"', b"3")
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(head(len(sent)) + sent)
        await until(lambda: toys.waiting == 1)
        writer.transport.abort()
        await until(lambda: client.server.traffic().connections == 0)
        await turns()
        assert (toys.waiting, toys.given_up) == (1, 0)
        toys.free.set()
        await until(lambda: client.server.traffic().calls == 0)
        assert toys.given_up == 0


async def test_tokens_are_paid_ahead_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RPC_BUSY_PAUSE_MS", 1)
    toys = Toys()
    limits = msgspec.structs.replace(GENEROUS, tokens_per_second=0, tokens_max=97)
    async with serving(toys, limits) as client:
        for _ in range(9):
            assert await client.result("toy_small", 1) == 1
        assert (await client.error("toy_small", 2))[1]["code"] == "BUSY"
        batch = await client.reply([json.loads(ASK)] * 50)
        assert {each["error"]["data"]["code"] for each in batch} == {"BUSY"}
        assert json.loads(await client.post(ASK)) == GIVEN
        code, data = await client.error("toy_echo", "x" * 500_000)
        assert (code, data["code"]) == (LIMIT_EXCEEDED, "BUSY")
        codes = [json.loads(await client.post(b"no JSON"))["error"]["code"] for _ in range(10)]
        assert (codes[0], codes[-1]) == (PARSE_ERROR, LIMIT_EXCEEDED)
        async with client.session.get(client.url + "/is_alive") as response:
            assert response.status == 429
        assert toys.begun == [1] * 9
        assert client.server.traffic().busy_total > 4


async def test_only_so_many_requests_are_carried_out_at_one_time() -> None:
    toys = Toys()
    limits = msgspec.structs.replace(GENEROUS, calls_max=3)
    async with serving(toys, limits) as client, asyncio.TaskGroup() as group:
        asked = [group.create_task(client.result("toy_hold", number)) for number in range(2)]
        await until(lambda: toys.waiting == 2)
        batch = await client.reply([json.loads(ASK)] * 2)
        assert {each["error"]["data"]["code"] for each in batch} == {"BUSY"}
        assert json.loads(await client.post(ASK)) == GIVEN
        toys.free.set()
        assert [await each for each in asked] == [0, 1]


async def test_where_there_is_no_room_for_an_answer_there_is_an_error() -> None:
    limits = msgspec.structs.replace(GENEROUS, bytes_per_address_max=1_000_000)
    async with serving(Toys(), limits) as client:
        assert len(await client.result("toy_blob", 900_000)) == 900_000
        assert (await client.error("toy_blob", 2_000_000))[1]["code"] == "BUSY"
        assert (await client.error("toy_echo", "x" * 1_100_000))[1]["code"] == "BUSY"
        assert client.server.traffic().bytes_held == 0


async def test_a_stop_waits_for_what_is_under_way_and_refuses_what_comes() -> None:
    toys = Toys()
    rpc = RpcServer(toys.methods(), "127.0.0.1", 0, GENEROUS)
    url = await rpc.start()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        running = group.create_task(rpc.run())
        client = Client(url, session, rpc)
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(head() + ASK)
        assert b" 200 " in await reader.readline()
        asked = group.create_task(client.result("toy_hold", 5))
        await until(lambda: toys.waiting == 1)
        running.cancel()
        await turns()
        assert (await client.error("toy_echo"))[1]["code"] == "SHUTTING_DOWN"
        toys.free.set()
        assert await asked == 5
        await reader.read()
        writer.close()
    await rpc.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", client.port)


async def test_a_stop_waits_for_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RPC_CLOSING_SECONDS_MAX", 0.05)
    toys = Toys()
    rpc = RpcServer(toys.methods(), "127.0.0.1", 0, GENEROUS)
    url = await rpc.start()
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        running = asyncio.ensure_future(rpc.run())
        asked = asyncio.ensure_future(Client(url, session, rpc).call("toy_hold", 5))
        await until(lambda: toys.waiting == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(aiohttp.ClientConnectionError):
            await asked
    assert toys.given_up == 1


async def test_a_port_that_is_taken_is_told() -> None:
    async with serving(Toys()) as client:
        other = RpcServer({}, "127.0.0.1", client.port)
        with pytest.raises(OSError, match="in use"):
            await other.start()
        await other.close()


async def test_what_comes_before_the_server_runs_is_answered_when_it_does() -> None:
    rpc = RpcServer(Toys().methods(), "127.0.0.1", 0, GENEROUS)
    url = await rpc.start()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        asked = group.create_task(Client(url, session, rpc).post(ASK))
        await until(lambda: rpc.traffic().connections == 1)
        await turns()
        running = group.create_task(rpc.run())
        assert json.loads(await asked) == GIVEN
        running.cancel()


async def test_broken_json_has_its_code() -> None:
    async with serving(Toys()) as client:
        for sent in (b"", b"{", b"\xff\xfe", b"[1,]", b'{"a":NaN}'):
            assert code_of(await client.raw(head(len(sent), "Connection: close\r\n") + sent)) == (
                PARSE_ERROR
            )
