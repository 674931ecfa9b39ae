"""WebSockets over real connections: answers, what is pushed, slow readers, and the end."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from sequencer.api import connections, websocket
from sequencer.api.json_rpc import INVALID_REQUEST, PARSE_ERROR
from sequencer.api.server import RpcServer
from sequencer.model.api_limits import STREAM_CALLS_MAX, STREAM_MESSAGE_BYTES_MAX
from tests.strategies import Unchecked
from tests.unit.api.test_admin_crowded import nothing_unexpected
from tests.unit.api.toys import GENEROUS, Bug, Client, Toys, serving
from tests.unit.engine.builders import until

Socket = aiohttp.ClientWebSocketResponse


def asked(method: str, *values: object, number: object = 7) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": values})


async def received(socket: Socket) -> Unchecked:
    message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return json.loads(message.data)


async def reply(socket: Socket, sent: str) -> Unchecked:
    await socket.send_str(sent)
    return await received(socket)


async def ending(socket: Socket) -> tuple[object, object]:
    """Read to the end; returns the code and the reason."""
    while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
        pass
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
    return message.data, message.extra


@pytest.mark.parametrize("path", ["/ws", "/", "/rpc"])
async def test_every_method_is_there(path: str) -> None:
    async with serving(Toys()) as client, client.session.ws_connect(client.url + path) as socket:
        assert await reply(socket, asked("toy_echo", "x")) == {
            "jsonrpc": "2.0",
            "id": 7,
            "result": "x",
        }
        assert (await reply(socket, asked("toy_fail")))["error"]["code"] == 20
        batch = f"[{asked('toy_echo', 1, number=1)},{asked('none', number=2)}]"
        assert [each["id"] for each in await reply(socket, batch)] == [1, 2]
        await socket.send_bytes(asked("toy_echo", "bytes").encode())
        assert (await received(socket))["result"] == "bytes"
        assert (await reply(socket, "{"))["error"]["code"] == PARSE_ERROR
        assert (await reply(socket, "[]"))["error"]["code"] == INVALID_REQUEST
        await socket.send_bytes(b"\xff")
        assert (await received(socket))["error"]["code"] == PARSE_ERROR
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "method": "toy_echo"}))
        await socket.ping(b"there?")
        assert (await reply(socket, asked("toy_echo", "last")))["result"] == "last"
        traffic = client.server.traffic()
        assert (traffic.streams, traffic.calls, traffic.bytes_held) == (1, 0, 0)


async def test_who_waits_holds_nobody_up() -> None:
    toys = Toys()
    async with serving(toys) as client, client.session.ws_connect(client.url + "/ws") as socket:
        for number in range(50):
            await socket.send_str(asked("toy_hold", number, number=number))
        assert (await reply(socket, asked("toy_echo", "x")))["result"] == "x"
        assert toys.begun == [*range(50)]
        toys.free.set()
        assert [(await received(socket))["id"] for _ in range(50)] == [*range(50)]


async def test_many_requests_at_once_are_all_answered() -> None:
    async with serving(Toys()) as client, client.session.ws_connect(client.url + "/ws") as socket:
        count = 4 * STREAM_CALLS_MAX
        for number in range(count):
            await socket.send_str(asked("toy_echo", number, number=number))
        assert [(await received(socket))["result"] for _ in range(count)] == [*range(count)]


async def test_more_requests_than_are_carried_out_together_wait_and_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "STREAM_CALLS_MAX", 2)
    monkeypatch.setattr(websocket, "RPC_BUSY_PAUSE_MS", 1)
    monkeypatch.setattr(websocket, "STREAM_CALLS_WAIT_SECONDS_MAX", 0.05)
    toys = Toys()
    async with serving(toys) as client, client.session.ws_connect(client.url + "/ws") as socket:
        for number in range(3):
            await socket.send_str(asked("toy_hold", number))
        error = (await received(socket))["error"]
        assert (error["code"], error["data"]["code"]) == (-32005, "BUSY")
        monkeypatch.setattr(websocket, "STREAM_CALLS_WAIT_SECONDS_MAX", 60)
        await socket.send_str(asked("toy_echo", "waited"))
        toys.free.set()
        assert [(await received(socket))["result"] for _ in range(3)] == [0, 1, "waited"]


async def test_what_an_answer_announces_comes_after_it() -> None:
    async with serving(Toys()) as client, client.session.ws_connect(client.url + "/ws") as socket:
        for _ in range(20):
            await socket.send_str(asked("toy_push", 3))
        for _ in range(20):
            assert (await received(socket))["result"] == "pushing"
            assert [await received(socket) for _ in range(3)] == [{"pushed": n} for n in range(3)]
        batch = f"[{asked('toy_push', 1, number=1)},{asked('toy_push', 1, number=2)}]"
        assert [each["result"] for each in await reply(socket, batch)] == ["pushing"] * 2
        assert [await received(socket) for _ in range(2)] == [{"pushed": 0}] * 2


async def test_the_end_of_a_connection_is_told_once() -> None:
    toys = Toys()
    async with serving(toys) as client:
        async with client.session.ws_connect(client.url + "/ws") as socket:
            await reply(socket, asked("toy_push", 0))
            await reply(socket, asked("toy_push", 0))
            await socket.send_str(asked("toy_hold", 1))
            await until(lambda: toys.waiting == 1)
        await until(lambda: client.server.traffic().streams == 0)
        assert toys.closed == ["closed"] * 2
        assert toys.given_up == 0
        toys.free.set()
        await until(lambda: client.server.traffic().calls == 0)
        assert client.server.traffic().bytes_held == 0


@asynccontextmanager
async def upgraded(client: Client) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.Transport]]:
    """A connection by hand: a client that reads only when told to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    key = base64.b64encode(bytes(16)).decode()
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
    )
    assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer.transport  # type: ignore[misc]
    finally:
        writer.transport.abort()


def frame(payload: bytes, opcode: int = 1, *, is_last: bool = True) -> bytes:
    # Masked with zeros, as a client has to.
    first = bytes([opcode | (0x80 if is_last else 0)])
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return first + length + bytes(4) + payload


async def test_a_slow_reader_is_closed_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "RPC_CLOSING_SECONDS_MAX", 0.2)
    toys = Toys()
    async with serving(toys) as client, client.session.ws_connect(client.url + "/ws") as honest:
        with nothing_unexpected():
            async with upgraded(client) as (_, transport):
                transport.write(frame(asked("toy_push", 0).encode()))
                for _ in range(60):
                    transport.write(frame(asked("toy_blob", 500_000).encode()))
                await until(lambda: client.server.traffic().streams == 1)
                assert toys.closed == ["closed"]
            assert (await reply(honest, asked("toy_echo", "x")))["result"] == "x"
            await until(lambda: client.server.traffic().bytes_held == 0)


async def test_a_slow_reader_that_reads_again_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "STREAM_BYTES_MAX", 1_000_000)
    monkeypatch.setattr(connections, "RPC_CLOSING_SECONDS_MAX", 20)
    async with serving(Toys()) as client, upgraded(client) as (reader, transport):
        for _ in range(40):
            transport.write(frame(asked("toy_blob", 500_000).encode()))
        held = 0

        def is_dropped() -> bool:
            nonlocal held
            before, held = held, client.server.traffic().bytes_held
            return held < before

        await until(is_dropped)
        last = b""
        while chunk := await reader.read(1_000_000):
            last = (last + chunk)[-100:]
        assert last.endswith((1008).to_bytes(2, "big") + b"SLOW_READER")


async def test_one_message_alone_may_have_any_length() -> None:
    async with serving(Toys()) as client:
        url = client.url + "/ws"
        async with client.session.ws_connect(url, max_msg_size=0) as socket:
            assert len((await reply(socket, asked("toy_blob", 20_000_000)))["result"]) == 20_000_000


async def test_a_message_too_long_ends_the_connection() -> None:
    async with serving(Toys()) as client, client.session.ws_connect(client.url + "/ws") as socket:
        fits = "x" * (STREAM_MESSAGE_BYTES_MAX - 100)
        assert (await reply(socket, asked("toy_echo", fits)))["result"] == fits
        await socket.send_str("x" * (STREAM_MESSAGE_BYTES_MAX + 1))
        assert (await ending(socket))[0] == 1009


async def test_tokens_are_paid_for_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "RPC_BUSY_PAUSE_MS", 1)
    limits = msgspec.structs.replace(GENEROUS, tokens_per_second=0, tokens_max=10)
    toys = Toys()
    async with serving(toys, limits) as client:
        async with client.session.ws_connect(client.url + "/ws") as socket:
            codes = [(await reply(socket, asked("toy_echo"))).keys() for _ in range(12)]
            assert sum("result" in each for each in codes) == 9
            assert (await reply(socket, "{"))["error"]["code"] == -32005
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect(client.url + "/ws")
        assert caught.value.status == 429


async def test_one_stream_too_many_is_closed_with_a_code() -> None:
    limits = msgspec.structs.replace(GENEROUS, streams_per_address_max=2)
    async with serving(Toys(), limits) as client:
        url = client.url + "/ws"
        async with client.session.ws_connect(url) as one, client.session.ws_connect(url):
            async with client.session.ws_connect(url) as third:
                assert await ending(third) == (1013, "BUSY")
            assert (await reply(one, asked("toy_echo", "x")))["result"] == "x"
            await until(lambda: client.server.traffic().streams == 2)


async def test_who_answers_no_ping_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "STREAM_PING_SECONDS", 0.05)
    async with serving(Toys()) as client:
        lively = await client.session.ws_connect(client.url + "/ws")
        async with upgraded(client) as (reader, _):
            reading = asyncio.ensure_future(lively.receive())
            assert (await reader.read())[0] == 0x89
        await until(lambda: client.server.traffic().streams == 1)
        await lively.send_str(asked("toy_echo", "x"))
        assert json.loads((await reading).data)["result"] == "x"
        await lively.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00" * 100,
        b"\xff" * 100,
        frame(b"x" * 200, 9),
        frame(b"", 3),
        frame(b"x", 0),
        frame(b"x", 1, is_last=False) + frame(b"x", 1),
        b"\x81\xff" + b"\xff" * 8,
        frame(b"\x00", 8),
        frame((5).to_bytes(2, "big"), 8),
        frame(b"\xc1", 0x41),
    ],
)
async def test_what_is_no_websocket_ends_with_a_code(
    sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(Toys()) as client:
        with nothing_unexpected():
            async with upgraded(client) as (reader, transport):
                transport.write(sent)
                told = await reader.read()
                assert told == b"" or told[0] == 0x88
            await until(lambda: client.server.traffic().streams == 0)
    assert capfd.readouterr() == ("", "")


async def test_a_message_in_pieces_is_one_message() -> None:
    async with serving(Toys()) as client, upgraded(client) as (reader, transport):
        sent = asked("toy_echo", "x").encode()
        transport.write(frame(sent[:9], is_last=False) + frame(b"", 9))
        transport.write(frame(sent[9:20], 0, is_last=False) + frame(sent[20:], 0))
        assert await reader.readexactly(2) == b"\x8a\x00"
        assert (await reader.readexactly(39))[2:] == b'{"jsonrpc":"2.0","id":7,"result":"x"}'


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "!"},
        {"Connection": "close"},
    ],
)
async def test_a_handshake_that_is_none_is_refused(headers: dict[str, str]) -> None:
    sound = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in (sound | headers).items())
    async with serving(Toys()) as client:
        last = b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await client.raw(f"GET /ws HTTP/1.1\r\n{lines}\r\n".encode(), last)
        assert answer[:7] == b"HTTP/1."
        assert answer[8:10] == b" 4"
        assert (b" 404 " in answer) == ("Connection" not in headers)


async def test_whichever_subprotocol_is_asked_for_is_confirmed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with serving(Toys()) as client:
        url = client.url + "/ws"
        async with client.session.ws_connect(url, protocols=("json", "other")) as socket:
            assert socket.protocol == "json"
    assert capfd.readouterr() == ("", "")


async def test_a_bug_ends_the_server() -> None:
    with pytest.RaisesGroup(Bug, flatten_subgroups=True):
        async with serving(Toys()) as client:
            socket = await client.session.ws_connect(client.url + "/ws")
            await socket.send_str(asked("toy_bug"))
            assert (await ending(socket))[0] is None


async def test_a_stop_tells_every_connection() -> None:
    rpc = RpcServer(Toys().methods(), "127.0.0.1", 0, GENEROUS)
    url = await rpc.start()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        running = group.create_task(rpc.run())
        sockets = [await session.ws_connect(url + "/ws") for _ in range(20)]
        await sockets[0].send_str(asked("toy_push", 3))
        running.cancel()
        for socket in sockets:
            assert await ending(socket) == (1001, "SHUTTING_DOWN")
