"""The public server among the slow, the rude and the many: an honest client is answered."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from sequencer.api import bodies, connections, server
from sequencer.api.json_rpc import INVALID_REQUEST, PARSE_ERROR
from sequencer.model.api_limits import (
    RPC_HEADER_BYTES_MAX,
    RPC_HEADERS_MAX,
    RPC_LARGE_BODY_BYTES_MAX,
    ServerLimits,
)
from tests.unit.api.test_admin_crowded import nothing_unexpected
from tests.unit.api.test_server import ASK, GIVEN, body_of, code_of, head
from tests.unit.api.toys import GENEROUS, Client, Toys, serving
from tests.unit.engine.builders import turns, until

LAST = "Connection: close\r\n"
IDLE_CONNECTIONS = 2_000
FILES_BESIDE = 200
READ_AT_ONCE_BYTES = 65_536
"""Who has sent more than the server reads may hear of the end of the connection alone."""

BEGINNINGS = [b"", b"POST / HT", head()[:-2], head() + ASK[:10]]


async def is_served(client: Client) -> bool:
    return bool(json.loads(await client.post(ASK)) == GIVEN)


@pytest.mark.parametrize("sent", BEGINNINGS[:3])
async def test_a_head_that_does_not_come_ends_the_connection(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "RPC_HEAD_SECONDS_MAX", 0.05)
    async with serving(Toys()) as client:
        assert await client.raw(sent) == b""
        assert await is_served(client)


async def test_a_second_head_that_does_not_come_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "RPC_IDLE_SECONDS_MAX", 0.05)
    async with serving(Toys()) as client:
        assert json.loads(body_of(await client.raw(head() + ASK))) == GIVEN
        assert json.loads(body_of(await client.raw(head() + ASK, b"POST / HT"))) == GIVEN


async def test_a_slow_body_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "RPC_BODY_SECONDS_MAX", 0.05)
    monkeypatch.setattr(connections, "RPC_CLOSING_SECONDS_MAX", 0.05)
    async with serving(Toys()) as client:
        answer = await client.raw(head(100) + ASK[:10])
        assert code_of(answer) == INVALID_REQUEST
        assert b"took over" in answer
        assert client.server.traffic().bytes_held == 0


@pytest.mark.parametrize("sent", [b"", b"POST / HT", head(), head() + ASK[:10], head() + ASK])
async def test_a_half_closed_connection_ends(sent: bytes) -> None:
    async with serving(Toys()) as client:
        with nothing_unexpected():
            answer = await client.raw(sent, half_close=True)
            assert answer == b"" or json.loads(body_of(answer))
            await until(lambda: client.server.traffic().connections == 0)
            assert await is_served(client)


LINE = b"POST / HTTP/1.1\r\n"
CHUNKED = LINE + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n",
    "zeros": b"\x00" * 5_000,
    "binary": bytes(range(256)) * 40,
    "an end of line": b"\r\n" * 3 + b"x\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a blank in a name": LINE + b"Host : x\r\n\r\n",
    "a name with a control character": LINE + b"Ho\x01st: x\r\n\r\n",
    "a folded header": LINE + b"Host: x\r\n folded\r\n\r\n",
    "a long line": b"POST /" + b"x" * RPC_HEADER_BYTES_MAX + b" HTTP/1.1\r\n\r\n",
    "a long header": LINE + b"X: " + b"x" * (RPC_HEADER_BYTES_MAX + 1) + b"\r\n\r\n",
    "a header without end": LINE + b"X: " + b"x" * 500_000,
    "many headers": LINE + b"X: x\r\n" * (RPC_HEADERS_MAX + 1) + b"\r\n",
    "two lengths": LINE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length and chunks": LINE
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": LINE + b"Content-Length: -5\r\n\r\n",
    "a length that is none": LINE + b"Content-Length: 0x5\r\n\r\n",
    "a huge length": LINE + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "an encoding that is none": LINE + b"Transfer-Encoding: chunked, none\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_http_is_turned_away(
    sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(Toys()) as client:
        with nothing_unexpected():
            for half_close in (False, True):
                answer = await client.raw(sent, half_close=half_close)
                assert answer[9:10] == b"4" or answer == b"", answer
                assert answer or half_close or len(sent) > READ_AT_ONCE_BYTES
                assert b"aiohttp" not in answer
                assert b"Traceback" not in answer
            assert await is_served(client)
    assert capfd.readouterr() == ("", "")


CHUNKS = {
    "no size": (b"x\r\n", None),
    "a negative size": (b"-1\r\nx\r\n", None),
    "a huge size": (b"f" * 20 + b"\r\nx\r\n", None),
    "too little": (b"2\r\n{}\r\nz\r\n", None),
    "too much": (b"2\r\n{}{}\r\n0\r\n\r\n", None),
    "nothing": (b"0\r\n\r\n", PARSE_ERROR),
    "too long": ((b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 5, INVALID_REQUEST),
}
"""Each with the code of its answer, None where it is no HTTP."""


@pytest.mark.parametrize(("sent", "code"), CHUNKS.values(), ids=CHUNKS.keys())
async def test_chunks_that_make_no_sense_are_told_so(
    sent: bytes, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "RPC_IDLE_SECONDS_MAX", 0.05)
    monkeypatch.setattr(connections, "RPC_CLOSING_SECONDS_MAX", 0.05)
    async with serving(Toys()) as client:
        with nothing_unexpected():
            answer = await client.raw(CHUNKED + sent)
            if code is None:
                assert answer.startswith(b"HTTP/1.0 400 ")
            else:
                assert code_of(answer) == code
            half = await client.raw(CHUNKED + sent[:-1], half_close=True)
            assert half == b"" or code_of(half) == code
            assert await is_served(client)
            assert client.server.traffic().bytes_held == 0


async def test_a_body_in_chunks_is_read() -> None:
    pieces = [ASK[at : at + 7] for at in range(0, len(ASK), 7)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    async with serving(Toys()) as client:
        ending = b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await client.raw(CHUNKED, chunks, b"0\r\n\r\n", ending)
        assert json.dumps(GIVEN, separators=(",", ":")).encode() in answer


@asynccontextmanager
async def standing(client: Client, count: int, sent: bytes) -> AsyncIterator[list[socket.socket]]:
    """Hold connections on which no whole request comes."""
    held: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    try:
        for _ in range(count):
            each = socket.socket()
            held.append(each)
            each.setblocking(False)
            await loop.sock_connect(each, ("127.0.0.1", client.port))
            await loop.sock_sendall(each, sent)
        yield held
    finally:
        for each in held:
            each.close()


def idle_count() -> int:
    # A connection has two ends here, and each is a file of this process.
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(IDLE_CONNECTIONS, (files - FILES_BESIDE) // 2)


@pytest.mark.parametrize("sent", BEGINNINGS)
@pytest.mark.parametrize("limits", [GENEROUS, ServerLimits()], ids=["generous", "usual"])
async def test_two_thousand_idle_connections_stop_nobody(sent: bytes, limits: ServerLimits) -> None:
    async with serving(Toys(), limits) as client:
        with nothing_unexpected():
            async with standing(client, idle_count(), sent):
                for _ in range(20):
                    assert await is_served(client)
                each_max = limits.connections_per_address_max
                most = min(each_max, idle_count() + 1)
                await until(lambda: client.server.traffic().connections == most)
                await turns()
                assert await is_served(client)
                assert json.loads(body_of(await client.raw(head(more=LAST) + ASK))) == GIVEN
            await until(lambda: client.server.traffic().connections <= 1)


async def test_the_oldest_connection_without_a_request_goes_first() -> None:
    limits = msgspec.structs.replace(GENEROUS, connections_per_address_max=3)
    async with serving(Toys(), limits) as client:
        assert await is_served(client)
        first = asyncio.open_connection("127.0.0.1", client.port)
        (reader, writer), other = (
            await first,
            await asyncio.open_connection("127.0.0.1", client.port),
        )
        await until(lambda: client.server.traffic().connections == 3)
        third = await asyncio.open_connection("127.0.0.1", client.port)
        assert await reader.read() == b""
        for stranger in (other, third):
            stranger[1].write(head() + ASK)
            assert b" 200 " in await stranger[0].readline()
        # All have asked: now the one goes that has been idle for longest, which is the client's.
        fourth = await asyncio.open_connection("127.0.0.1", client.port)
        await until(lambda: client.server.traffic().requests_total == 3)
        fourth[1].write(head() + ASK)
        assert b" 200 " in await fourth[0].readline()
        assert await is_served(client)
        for each in (writer, other[1], third[1], fourth[1]):
            each.transport.abort()


async def test_one_more_than_all_that_are_busy_is_told_so() -> None:
    toys = Toys()
    limits = msgspec.structs.replace(GENEROUS, connections_max=2)
    async with serving(toys, limits) as client, asyncio.TaskGroup() as group:
        asked = [group.create_task(client.result("toy_hold", number)) for number in range(2)]
        await until(lambda: toys.waiting == 2)
        told = json.loads(await client.post(ASK))["error"]
        assert (told["code"], told["data"]["code"]) == (-32005, "BUSY")
        assert b" 429 " in await client.raw(b"GET /is_alive HTTP/1.1\r\nHost: x\r\n\r\n")
        toys.free.set()
        assert [await each for each in asked] == [0, 1]
        assert await is_served(client)


async def test_who_does_not_read_the_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RPC_SENDING_SECONDS_MAX", 0.05)
    ask = ASK.replace(b"toy_echo", b"toy_blob").replace(b'"x"', b"30000000")
    async with serving(Toys()) as client:
        with nothing_unexpected():
            async with standing(client, 5, head(len(ask)) + ask):
                await until(lambda: client.server.traffic().bytes_held > 0)
                await until(lambda: client.server.traffic().connections == 0)
                await until(lambda: client.server.traffic().bytes_held == 0)
                assert await is_served(client)


async def test_bodies_that_are_not_whole_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "RPC_CLOSING_SECONDS_MAX", 0.05)
    limits = msgspec.structs.replace(GENEROUS, bytes_max=1_000_000)
    sent = head(RPC_LARGE_BODY_BYTES_MAX) + b"x" * 300_000
    async with serving(Toys(), limits) as client:
        async with standing(client, 3, sent):
            await until(lambda: client.server.traffic().bytes_held >= 890_000)
            answer = await client.raw(sent)
            assert json.loads(body_of(answer))["error"]["data"]["code"] == "BUSY"
            assert await is_served(client)
        await until(lambda: client.server.traffic().bytes_held == 0)
        await turns()


async def test_who_floods_is_refused_and_keeps_no_other_address_from_being_answered() -> None:
    limits = ServerLimits(tokens_per_second=0, tokens_max=50)
    async with serving(Toys(), limits) as client:
        try:
            flooding = await asyncio.open_connection(
                "127.0.0.1", client.port, local_addr=("127.0.0.2", 0)
            )
        except OSError:
            pytest.skip("this machine has one loopback address")
        flooding[1].write((head() + ASK) * 1_000)
        for number in range(52):
            told = await flooding[0].readuntil(b"\r\n\r\n")
            size = int(told.partition(b"Content-Length: ")[2].partition(b"\r")[0])
            is_served_ = b'"result"' in await flooding[0].readexactly(size)
            assert is_served_ == (number < 50)
            if number > 48:
                assert await is_served(client)
        flooding[1].transport.abort()
