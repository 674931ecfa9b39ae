"""How a follower ends: stopped, refused, at a plugin that fails, at a node that is away."""

import asyncio
import sqlite3
from pathlib import Path
from threading import Event, Thread

import pytest

from sequencer.chain.block import Block
from sequencer.model.refusals import Reason
from sequencer.plugins.follow import calls, patience, store
from sequencer.plugins.follow.follower import Follower
from sequencer.plugins.protocol import Classes, Context, Key
from sequencer.starknet.published import StateUpdate
from tests.ledger_plugin import LINES_FILE, last_key
from tests.unit.plugins.fake_node import FakeNode, Fields, RpcFault, served
from tests.unit.plugins.follow_world import (
    PATIENCE_SECONDS,
    Lines,
    MatchingLedger,
    follow_once,
    following,
    kept_blocks,
    plan_of,
    refusal_of,
    until,
    until_same,
)


async def test_a_cut_call_comes_again_before_its_block_is_taken_back(
    node: FakeNode, tmp_path: Path
) -> None:
    await follow_once(node, tmp_path)
    node.grow(1, transactions=2)
    refused = await refusal_of(node, tmp_path, options={"fail_at": "21"})
    assert refused.reason is Reason.PLUGIN_RAISED
    assert refused.detail.startswith("ledger, new_block: AssertionError: told to fail (ledger_plu")
    node.replace(21, 3, transactions=1)
    summary = await follow_once(node, tmp_path)
    assert (summary.blocks, summary.reverts, summary.reorgs) == (4, 1, 1)


async def test_a_plugin_that_fails_is_called_again_with_the_same_key(
    node: FakeNode, tmp_path: Path
) -> None:
    for _ in range(2):
        refused = await refusal_of(node, tmp_path, options={"fail_at": "13"})
        assert refused.reason is Reason.PLUGIN_RAISED
        assert last_key((tmp_path / "plugin" / LINES_FILE).read_text()) == Key(12)
    assert (await follow_once(node, tmp_path)).key == "20.0"


async def test_a_missing_block_stops_it_by_name(
    node: FakeNode, tmp_path: Path, impatient: None
) -> None:
    def missing(method: str, params: Fields) -> None:
        if method == "getBlockWithReceipts" and params["block_id"]["block_number"] == 14:
            raise RpcFault(24)

    node.before = missing
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_NODE_UNUSABLE
    assert refused.detail == "block 14: the node has none at that height"
    node.before = lambda _method, _params: None
    assert (await follow_once(node, tmp_path)).blocks == 13


async def test_another_chain_is_refused_and_nothing_is_told(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    before = kept_blocks(tmp_path)
    node.chain_id = "0x41"
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_CHAIN_OTHER
    async with served(FakeNode(has_true_hashes=False, seed=2)) as other:
        other.chain[0].block["timestamp"] += 1
        other.grow(30)
        refused = await refusal_of(other, tmp_path)
        assert refused.reason is Reason.FOLLOW_CHAIN_OTHER
        assert kept_blocks(tmp_path) == before
        summary = await follow_once(other, tmp_path, rebuild=True)
        assert (summary.blocks, summary.key) == (31, "30.0")


async def test_a_reorg_below_all_that_is_kept_stops_it(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FOLLOW_KEPT_BLOCKS", 6)
    node.replace(1, 30, transactions=1)
    await follow_once(node, tmp_path)
    node.replace(27, 6, transactions=1)
    await follow_once(node, tmp_path)
    node.replace(26, 9, transactions=1)
    before = kept_blocks(tmp_path)
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_REORG_TOO_DEEP
    assert kept_blocks(tmp_path) == before
    assert (await follow_once(node, tmp_path, rebuild=True)).blocks == 35


async def test_two_do_not_follow_in_one_folder(node: FakeNode, tmp_path: Path) -> None:
    async with following(node, tmp_path):
        await until_same(node, tmp_path)
        refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_FOLDER_LOCKED


async def test_a_folder_belongs_to_one_plugin(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    refused = await refusal_of(node, tmp_path, name="another")
    assert refused.reason is Reason.FOLLOW_FOLDER_UNUSABLE


async def test_a_broken_file_is_refused(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "follow.sqlite").write_bytes(b"no database" * 500)
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_FOLDER_UNUSABLE
    assert (await follow_once(node, tmp_path, rebuild=True)).blocks == 21


async def test_a_broken_row_is_refused(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    database = sqlite3.connect(tmp_path / "follow.sqlite")
    with database:
        database.execute("UPDATE blocks SET told = ? WHERE height = 20", (b"nothing",))
    database.close()
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_FOLDER_UNUSABLE


async def test_a_stop_waits_for_the_call_under_way(node: FakeNode, tmp_path: Path) -> None:
    loop, stopped = asyncio.get_running_loop(), Event()
    followers: list[Follower] = []

    def stop() -> None:
        followers[0].stop()
        stopped.set()

    class Stopping(MatchingLedger):
        def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
            if block.header.number == 5:
                loop.call_soon_threadsafe(stop)
                assert stopped.wait(PATIENCE_SECONDS)
            super().new_block(block, state_update, new_classes)

    followers.append(Follower(plan_of(node, tmp_path, factory=Stopping, is_once=False), Lines()))
    await followers[0].run()
    assert followers[0].summary.height == 5
    assert max(kept_blocks(tmp_path)) == 5


async def test_a_shutdown_that_takes_too_long_is_cut_off(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PLUGIN_CLOSING_SECONDS_MAX", 0.01)
    freed, ended = Event(), Event()

    class Staying(MatchingLedger):
        def shutdown(self) -> None:
            freed.wait(PATIENCE_SECONDS)
            super().shutdown()
            ended.set()

    try:
        await follow_once(node, tmp_path, factory=Staying)
        assert not ended.is_set()
    finally:
        freed.set()
        # Its file is closed by then: nobody else would.
        assert await asyncio.to_thread(ended.wait, PATIENCE_SECONDS)


@pytest.mark.parametrize("words", ["answer", "raise"])
async def test_a_plugin_that_does_not_begin_is_told_nothing(
    node: FakeNode, tmp_path: Path, words: str
) -> None:
    class Refusing(MatchingLedger):
        def init(self, context: Context) -> None:
            context.bucket.put(b"x", b"y")
            if words == "raise":
                raise ValueError("no such option")
            return "an answer"  # type: ignore[return-value]

    refused = await refusal_of(node, tmp_path, factory=Refusing)
    assert refused.reason is Reason.PLUGIN_RAISED
    assert refused.detail.startswith("ledger, init: ")
    assert (await follow_once(node, tmp_path)).blocks == 21


async def test_a_dry_run_leaves_nothing(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path, is_dry=True)
    assert not (tmp_path / "follow.sqlite").exists()
    assert kept_blocks(tmp_path) == {}


async def test_waits_for_a_node_that_is_away(
    node: FakeNode, tmp_path: Path, impatient: None
) -> None:
    is_away = True

    def away(_method: str, _params: Fields) -> bytes | None:
        return b"" if is_away else None

    node.before = away
    async with following(node, tmp_path) as lines:
        await until(lambda: len(node.asked) > 20)
        is_away = False
        await until_same(node, tmp_path)
    told = [line for line in lines.lines if "the node is" in line]
    assert len(told) == 2
    assert told[0].startswith("the node is away")


async def test_a_node_that_stays_away_is_given_up_where_there_is_an_end(
    node: FakeNode, tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FOLLOW_AWAY_SECONDS_MAX", 0)
    node.before = lambda _method, _params: b""
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_NODE_UNUSABLE
    assert refused.detail.startswith("the node is away: ")


class _Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no words")


class _Returning(MatchingLedger):
    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> object:  # type: ignore[override]
        return _Unprintable()


async def test_whatever_a_plugin_returns_is_named_by_its_kind(
    node: FakeNode, tmp_path: Path
) -> None:
    refused = await refusal_of(node, tmp_path, factory=_Returning)
    assert refused.reason is Reason.PLUGIN_RAISED
    assert "new_block: returned a value of type _Unprintable instead of nothing" in refused.detail


class _Outside(MatchingLedger):
    """It writes in a thread of its own."""

    said: str = ""

    def init(self, context: Context) -> None:
        super().init(context)
        thread = Thread(target=self._write_outside, args=(context,))
        thread.start()
        thread.join()

    def _write_outside(self, context: Context) -> None:
        try:
            context.bucket.put(b"outside", b"1")
        except RuntimeError as error:
            type(self).said = str(error)


async def test_a_thread_of_a_plugin_writes_nothing(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path, factory=_Outside)
    assert "in its own thread" in _Outside.said
