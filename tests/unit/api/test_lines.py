"""A node over two pipes: each line gets one answer, in whatever way it ends."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from sequencer.api import lines as lines_module
from sequencer.api.lines import LinePipes, Lines
from sequencer.engine import admission as admission_module
from sequencer.engine.outbox import Outbox
from sequencer.model.limits import LINE_BYTES_MAX
from sequencer.model.refusals import Reason
from tests.strategies import Unchecked
from tests.unit.engine.builders import InlineWorker, Rig, report, running, turns, until

PATIENCE_SECONDS = 20


class Written:
    """What a node has written, line by line. `closed`: nobody reads any more."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.closed = False

    def write(self, line: bytes) -> None:
        if self.closed:
            raise BrokenPipeError
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.lines.append(msgspec.json.decode(line))

    def answer(self, number: int) -> dict[str, Any]:
        (only,) = [line for line in self.lines if line.get("line") == number]
        return only

    def answers(self) -> list[int]:
        return [line["line"] for line in self.lines if "line" in line]


@asynccontextmanager
async def a_node(rig: Rig | None = None) -> AsyncIterator[tuple[Rig, Lines, Written]]:
    written = Written()
    async with running(rig or Rig()) as started:
        await until(lambda: started.views.view.head.height >= 5 or bool(started.gate.halts))
        yield started, Lines(lambda: started, written.write), written


def line_of(**content: Unchecked) -> bytes:
    return msgspec.json.encode(content)


def in_hexadecimal(signed: Unchecked) -> Any:  # noqa: ANN401
    """Write what was signed as a client does: whole felts as text."""
    value = msgspec.to_builtins(signed)
    return _hexadecimal(value)


def _hexadecimal(value: Unchecked) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {name: _hexadecimal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_hexadecimal(item) for item in value]
    large = isinstance(value, int) and not isinstance(value, bool) and value > 2**53
    return hex(value) if large else value


async def test_every_kind_of_line_gets_an_answer() -> None:
    async with a_node() as (rig, lines, written):
        rig.clock.ms += 1_000
        bid = rig.bid(1)
        cancel = rig.cancel("alice", rig.item(bid).hash)
        sent = [
            line_of(order=in_hexadecimal(bid)),
            line_of(cancel=in_hexadecimal(cancel)),
            line_of(transaction=in_hexadecimal(rig.transfer())),
            line_of(report=in_hexadecimal(report(second=6))),
            line_of(operate={"type": "SetMode", "mode": "CANCEL_ONLY", "reason": "x"}),
            line_of(operate={"type": "RemovePublisher", "name": "Delta"}),
        ]
        for line in sent:
            await lines.take(line)
            await answered(written, sent.index(line) + 1)
    assert sorted(written.answers()) == [1, 2, 3, 4, 5, 6]
    statuses = [written.answer(number)["status"] for number in range(1, 7)]
    assert statuses == ["applied", "applied", "applied", "kept", "applied", "refused"]
    applied = written.answer(1)
    block = rig.store.view.block(applied["height"])
    assert block is not None
    assert int(applied["block"], 16).to_bytes(32, "big") == block.block_hash
    assert rig.store.view.transaction(int(applied["transaction"], 16).to_bytes(32, "big"))
    assert written.answer(6)["code"] == "PUBLISHER_UNKNOWN"
    assert written.answer(6)["detail"].startswith("PUBLISHER_UNKNOWN: ")


async def answered(written: Written, count: int) -> None:
    await until(lambda: len(written.answers()) == count)


BAD = {
    "no JSON": (b"x", Reason.JSON_MALFORMED),
    "a list": (b"[1]", Reason.JSON_MALFORMED),
    "no name": (b"{}", Reason.JSON_MALFORMED),
    "two names": (b'{"order":1,"cancel":2}', Reason.JSON_MALFORMED),
    "no such kind": (b'{"orders":{}}', Reason.JSON_MALFORMED),
    "no such kind, half a pair": (b'{"\\ud800":{}}', Reason.JSON_MALFORMED),
    "a value of half a pair": (b'{"transaction":{"type":"\\ud800"}}', Reason.JSON_MALFORMED),
    "no order": (b'{"order":{}}', Reason.JSON_MALFORMED),
    "order of null": (b'{"order":null}', Reason.JSON_MALFORMED),
    "no transaction": (b'{"transaction":{"type":"Nothing"}}', Reason.JSON_MALFORMED),
    "no type": (b'{"transaction":{}}', Reason.JSON_MALFORMED),
    "no operation": (b'{"operate":{"type":"Nothing"}}', Reason.JSON_MALFORMED),
    "a tick": (b'{"operate":{"type":"Tick","time_ms":5}}', Reason.JSON_MALFORMED),
    "a deposit": (b'{"operate":{"type":"Deposit"}}', Reason.JSON_MALFORMED),
    "operate a list": (b'{"operate":[]}', Reason.JSON_MALFORMED),
    "a mode that is none": (b'{"operate":{"type":"SetMode","mode":"X"}}', Reason.JSON_MALFORMED),
    "a name too long": (
        line_of(operate={"type": "RemovePublisher", "name": "x" * 40}),
        Reason.SHORT_STRING_MALFORMED,
    ),
    "an old kind": (
        line_of(
            transaction={
                "type": "L1Handler",
                "contract": 1,
                "selector": 2,
                "calldata": [3],
                "nonce": 4,
            }
        ),
        Reason.TRANSACTION_UNSUPPORTED,
    ),
    "too long": (
        b'{"operate":{"type":"SetMode","mode":"CANCEL_ONLY"}}' + b" " * LINE_BYTES_MAX,
        Reason.JSON_MALFORMED,
    ),
}


@pytest.mark.parametrize(("line", "reason"), BAD.values(), ids=BAD.keys())
async def test_a_bad_line_is_refused_by_code(line: bytes, reason: Reason) -> None:
    async with a_node() as (_, lines, written):
        await lines.take(line)
        await lines.take(line)
    assert [each["code"] for each in written.lines] == [reason.value] * 2
    assert written.answers() == [1, 2]
    assert all(len(each["detail"]) < 1_000 for each in written.lines)


async def test_a_refusal_in_a_batch_is_that_of_its_own_line() -> None:
    async with a_node() as (rig, lines, written):
        small = msgspec.structs.replace(rig.bid(2).order, size=1)
        bad = rig._signing.signed("alice", small)
        for each in (rig.bid(1), bad, rig.bid(3)):
            await lines.take(line_of(order=in_hexadecimal(each)))
        await until(lambda: len(written.answers()) == 3)
    assert [written.answer(number)["status"] for number in (1, 2, 3)] == [
        "applied",
        "refused",
        "applied",
    ]
    told = written.answer(2)
    assert (told["code"], told["detail"]) == ("ORDER_SIZE_INVALID", "")


async def test_a_line_waits_where_the_node_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_PATIENCE_SECONDS", 0)
    async with a_node() as (rig, lines, written):
        monkeypatch.setattr(admission_module, "PENDING_COMMANDS_MAX", 0)
        async with asyncio.TaskGroup() as group:
            group.create_task(lines.take(line_of(order=in_hexadecimal(rig.bid(1)))))
            await turns()
            assert not written.lines
            monkeypatch.undo()
        await until(lambda: len(written.lines) == 1)
    assert written.answer(1)["status"] == "applied"


async def test_a_halted_node_answers_at_once_and_takes_the_change_that_ends_it() -> None:
    async with a_node(Rig(note="of yesterday")) as (rig, lines, written):
        await lines.take(line_of(order=in_hexadecimal(rig.bid(1))))
        await lines.take(line_of(operate={"type": "SetMode", "mode": "CANCEL_ONLY"}))
        await until(lambda: len(written.lines) == 2)
    assert written.answer(1)["code"] == "HALTED"
    assert written.answer(2)["status"] == "applied"


async def test_whoever_asked_may_be_gone_and_the_command_stands() -> None:
    async with a_node() as (rig, lines, written):
        bid = rig.bid(1)
        await lines.take(line_of(order=in_hexadecimal(bid)))
        written.closed = True
        await lines.take(b"x")
        await until(lambda: rig.views.view.head.height >= 6)
        await turns()
    assert rig.item(bid).hash in rig.state.orders
    assert not written.lines


async def test_blocks_are_announced_in_order_until_nobody_reads() -> None:
    async with a_node() as (rig, lines, written):
        outbox = Outbox(rig.store, InlineWorker(), rig.views, lines)
        rig.writer.listen(outbox.wake)
        async with asyncio.TaskGroup() as group:
            group.create_task(outbox.run())
            await until(lambda: len(written.lines) == 6)
            written.closed = True
            await rig.block()
    assert [(line["effect"], line["height"]) for line in written.lines] == [
        (number, number - 1) for number in range(1, 7)
    ]
    assert written.lines[0].keys() == {"effect", "kind", "epoch", "height", "hash"}
    cursor = rig.store.view.cursor("lines")
    assert cursor is not None
    assert (cursor.effect, cursor.parked) == (6, True)


async def test_the_end_answers_what_was_admitted() -> None:
    async with a_node() as (rig, lines, written):
        for number in range(5):
            await lines.take(line_of(order=in_hexadecimal(rig.bid(number))))
        rig.writer.stop()
        await lines.take(line_of(order=in_hexadecimal(rig.bid(9))))
        await lines.take(line_of(operate={"type": "SetMode", "mode": "HALTED"}))
    await turns()
    assert sorted(written.answers()) == [1, 2, 3, 4, 5, 6, 7]
    assert {written.answer(6)["code"], written.answer(7)["code"]} == {"SHUTTING_DOWN"}
    for number in range(1, 6):
        assert written.answer(number).get("code", "SHUTTING_DOWN") == "SHUTTING_DOWN"


@pytest.fixture
def pipes() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


async def pumped(reading: int, writing: int, *chunks: bytes) -> list[bytes]:
    """Return the lines that come out of a pipe into which chunks are written."""
    taken: list[bytes] = []
    done = asyncio.Event()

    async def take(line: bytes) -> None:
        taken.append(line)
        if line.startswith(b"end"):
            done.set()

    LinePipes(reading, writing).pump(asyncio.get_running_loop(), take)

    def write() -> None:
        for chunk in (*chunks, b"\nend"):
            os.write(writing, chunk)
        os.close(writing)

    await asyncio.to_thread(write)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await done.wait()
    return taken[:-1]


async def test_lines_are_put_together_from_what_the_pipe_brings(pipes: tuple[int, int]) -> None:
    assert await pumped(*pipes, b"on", b"e\ntwo\n", b"\n  \n", b"three\nfo", b"ur") == [
        b"one",
        b"two",
        b"three",
        b"four",
    ]


async def test_a_line_that_is_too_long_comes_cut_and_the_next_one_whole(
    pipes: tuple[int, int],
) -> None:
    long = b"x" * (LINE_BYTES_MAX * 4)
    first, second = await pumped(*pipes, long, b"\nnext\n")
    assert LINE_BYTES_MAX < len(first) <= 2 * LINE_BYTES_MAX + 1
    assert second == b"next"


def test_the_end_of_the_loop_is_no_failure_of_the_thread_that_reads(
    pipes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    before, reading = {*threading.enumerate()}, list[threading.Thread]()

    async def node() -> None:
        begun = asyncio.Event()

        async def take(_: bytes) -> None:
            begun.set()
            await asyncio.Event().wait()

        LinePipes(*pipes).pump(asyncio.get_running_loop(), take)
        reading.extend(each for each in threading.enumerate() if each not in before)
        await asyncio.to_thread(os.write, pipes[1], b"one\ntwo\n")
        await begun.wait()

    asyncio.run(node())
    (thread,) = [each for each in reading if each.name == "lines"]
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert not failures


def test_a_line_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[bytes] = []

    def write_little(_: int, data: bytes) -> int:
        parts.append(bytes(data[:3]))
        return min(3, len(data))

    monkeypatch.setattr(os, "write", write_little)
    pipes = LinePipes(0, 1)
    pipes.write(b"12345678\n")
    pipes.close()
    assert b"".join(parts) == b"12345678\n"


def test_a_pipe_whose_reader_has_gone_is_an_error_of_the_system(pipes: tuple[int, int]) -> None:
    reading, writing = pipes
    os.close(reading)
    out = LinePipes(0, writing)
    out.write(b"x\n")
    out.close()
    with pytest.raises(BrokenPipeError):
        out.write(b"y\n")


async def test_a_reader_who_is_slow_holds_back_the_lines_and_loses_none(
    pipes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "LINES_WAITING_MAX", 4)
    source, drain = os.pipe(), pipes
    out = LinePipes(source[0], drain[1])
    answer, taken = b"x" * 30_000 + b"\n", 0

    async def take(_: bytes) -> None:
        nonlocal taken
        taken += 1
        out.write(answer)

    out.pump(asyncio.get_running_loop(), take)
    await asyncio.to_thread(os.write, source[1], b"line\n" * 40)
    await until(lambda: taken > 4)
    await turns()
    assert taken < 20
    os.close(source[1])
    read = await asyncio.to_thread(_read_exactly, drain[0], 40 * len(answer))
    assert read == answer * 40
    await asyncio.to_thread(out.close)
    os.close(source[0])


def test_a_reader_who_reads_nothing_is_given_up(
    pipes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "LINES_WAITING_MAX", 4)
    monkeypatch.setattr(lines_module, "LINES_CLOSING_SECONDS_MAX", 0.01)
    out = LinePipes(0, pipes[1])

    def write_on() -> None:
        for _ in range(30):
            out.write(b"x" * 60_000 + b"\n")

    with pytest.raises(BlockingIOError):
        write_on()
    out.close()
    _read_exactly(pipes[0], 60_000)


def _read_exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(descriptor, 65_536)
    return data
