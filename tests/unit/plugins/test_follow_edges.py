"""A follower and what nobody should send, type or print: one line each, and nothing is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from sequencer.chain.block import Block
from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.follow import patience
from sequencer.plugins.follow.follower import Follower
from sequencer.plugins.follow.heads import Heads, websocket_urls
from sequencer.plugins.follow.node import NodeAway, RemoteNode
from sequencer.plugins.follow.store import FollowStore
from sequencer.plugins.protocol import Classes
from sequencer.plugins.shipped.feed import Feed
from sequencer.starknet.published import StateUpdate
from tests.unit.plugins.fake_node import FakeNode, Fields, served
from tests.unit.plugins.follow_world import (
    PATIENCE_SECONDS,
    Lines,
    MatchingLedger,
    follow_once,
    plan_of,
    refusal_of,
    until,
)

DEEP = 100_000
SECRET = "v3_somebodys_key"


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    async with served(FakeNode(has_true_hashes=True)) as node:
        node.grow(20)
        yield node


@asynccontextmanager
async def answering(answer: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[str]:
    """Serve the same answer to everybody."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(request)

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "http://127.0.0.1:99999", "http://h:port", "http://h:0"]
)
def test_an_address_that_is_none_is_refused_and_not_waited_for(tmp_path: Path, url: str) -> None:
    plan = plan_of(FakeNode(has_true_hashes=True), tmp_path, url=url)
    with pytest.raises(Refused) as caught:
        Follower(plan, Lines())
    assert caught.value.reason is Reason.PARAMETER_INVALID
    with pytest.raises(Refused, match=r"is no address"):
        websocket_urls(url)
    sockets = msgspec.structs.replace(plan, url="http://127.0.0.1:1", socket_urls=(url,))
    with pytest.raises(Refused, match=r"is no address"):
        Follower(sockets, Lines())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * DEEP, "its answer is no JSON-RPC (RecursionError: "),
        (b"<html></html>", "its answer is no JSON-RPC (JSONDecodeError: "),
        (b'{"error": "none"}', "its answer is no JSON-RPC (KeyError: "),
    ],
)
async def test_an_answer_that_is_none_is_said_to_be_none(body: bytes, words: str) -> None:
    async with answering(lambda _: web.Response(body=body)) as url, RemoteNode(url) as node:
        with pytest.raises(NodeAway) as caught:
            await node.chain_id()
    assert str(caught.value).startswith(words)


async def test_the_rest_of_an_address_is_not_said() -> None:
    def around(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": request.path})

    async with answering(around) as url, RemoteNode(url) as node:
        with pytest.raises(NodeAway) as caught:
            await node.chain_id()
    assert SECRET not in str(caught.value)


async def test_a_notice_that_nobody_can_read_is_passed_over() -> None:
    heard: list[bool] = []
    sockets: list[web.WebSocketResponse] = []

    async def listen(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.send_str('{"params":' + "[" * DEEP)
        await socket.send_str(json.dumps({"id": 1, "result": "7"}))
        sockets.append(socket)
        await socket.receive()
        return socket

    application = web.Application()
    application.router.add_get("/", listen)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    heads = Heads([url], heard.append, lambda _: None)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(heads.run())
        await until(lambda: heads.is_told)
        task.cancel()
    await runner.cleanup()
    assert heard[0] is True
    assert len(sockets) == 1


async def test_a_class_that_cannot_be_kept_is_refused_by_its_name(
    node: FakeNode, tmp_path: Path
) -> None:
    names = []

    def strange(method: str, params: Fields) -> bytes | None:
        if method != "getClass":
            return None
        names.append(params["class_hash"])
        return json.dumps({"jsonrpc": "2.0", "id": 0, "result": {"abi": "\ud800"}}).encode()

    node.before = strange
    node.grow(40, transactions=2)
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_NODE_UNUSABLE
    assert names[0] in refused.detail
    node.before = lambda _method, _params: None
    await follow_once(node, tmp_path)


async def test_a_rebuild_of_one_plugin_does_not_forget_another(
    node: FakeNode, tmp_path: Path
) -> None:
    told = await follow_once(node, tmp_path)
    refused = await refusal_of(node, tmp_path, name="another", rebuild=True)
    assert refused.reason is Reason.FOLLOW_FOLDER_UNUSABLE
    assert refused.detail == f"{tmp_path} is that of plugin ledger"
    store = FollowStore(tmp_path)
    assert store.begun().tip == told.height
    store.close()
    assert (await follow_once(node, tmp_path)).blocks == 0


async def test_a_stop_before_it_begins_is_not_forgotten(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FOLLOW_WAIT_MS_MAX", 5)
    node.before = lambda _method, _params: b""
    follower = Follower(plan_of(node, tmp_path, is_once=False), Lines())
    follower.stop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await follower.run()
    assert follower.summary.blocks == 0


async def test_what_a_plugin_prints_is_not_in_the_way_of_the_summary(
    node: FakeNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Talking(MatchingLedger):
        def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
            print("a block")  # noqa: T201
            super().new_block(block, state_update, new_classes)

    await follow_once(node, tmp_path, factory=Talking)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("a block\n") == 21


@pytest.mark.parametrize("is_dry", [True, False])
async def test_a_feed_says_what_it_would_have_got_in_a_dry_run_alone(
    node: FakeNode, tmp_path: Path, is_dry: bool
) -> None:
    lines, options = Lines(), {} if is_dry else {"path": str(tmp_path)}
    follower = Follower(
        plan_of(node, tmp_path, factory=Feed, options=options, is_dry=is_dry), lines
    )
    if is_dry:
        await follower.run()
    else:
        with pytest.raises(Refused, match=r"ledger, init: .*Is a directory"):
            await follower.run()
    assert any("would have got" in line for line in lines.lines) == is_dry


@pytest.mark.parametrize("told", [7, 10])
@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_read_of_a_chain_that_moved_under_an_equal_block(
    tmp_path: Path, told: int, seed: int
) -> None:
    """Block 7 is empty: made again it is the same, on another block 6 than the one that is kept.

    That happens when the next block is read, or the state under blocks that are to be taken back.
    """
    moved: list[str] = []
    async with served(FakeNode(has_true_hashes=False, seed=seed)) as devnet:
        devnet.grow(5)
        devnet.grow(1, transactions=2)
        devnet.grow(1, transactions=0)
        devnet.grow(told - 7, transactions=2)
        await follow_once(devnet, tmp_path)
        devnet.replace(8, 2, transactions=2)

        def move(method: str, params: Fields) -> None:
            is_next = told == 7 and params.get("block_id") == {"block_number": 8}
            if not moved and (is_next or method == "getNonce"):
                moved.append(method)
                devnet.replace(6, 1, transactions=2)
                devnet.grow(1, transactions=0)
                devnet.grow(2, transactions=2)

        devnet.before = move
        await follow_once(devnet, tmp_path)
    assert moved == ["getBlockWithReceipts" if told == 7 else "getNonce"]
