"""A follower at a node whose chain moves at the worst moments: it ends with the chain that is."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from sequencer.model.plugin_limits import FOLLOW_TOGETHER_MAX
from sequencer.model.refusals import Reason
from sequencer.plugins.follow import follower, look
from sequencer.plugins.follow.follower import Follower
from tests.ledger_plugin import LINES_FILE
from tests.unit.plugins.fake_node import FakeNode, Fields, served
from tests.unit.plugins.follow_world import (
    PATIENCE_SECONDS,
    Lines,
    follow_once,
    following,
    kept_blocks,
    plan_of,
    refusal_of,
    require_same,
    until,
    until_same,
)


@pytest.fixture
async def devnet() -> AsyncIterator[FakeNode]:
    """A node that gives different blocks the same hash."""
    async with served(FakeNode(has_true_hashes=False)) as node:
        node.grow(20)
        yield node


async def test_follows_and_goes_on_where_it_stopped(node: FakeNode, tmp_path: Path) -> None:
    first = await follow_once(node, tmp_path)
    assert (first.blocks, first.reverts, first.height, first.key) == (21, 0, 20, "20.0")
    again = await follow_once(node, tmp_path)
    assert (again.blocks, again.key) == (0, "20.0")
    node.grow(5)
    more = await follow_once(node, tmp_path)
    assert (more.blocks, more.height, more.block_hash) == (5, 25, node.chain[-1].hash)


async def test_is_told_of_blocks_and_reorgs_while_it_listens(
    node: FakeNode, tmp_path: Path
) -> None:
    async with following(node, tmp_path):
        await until_same(node, tmp_path)
        await until(lambda: bool(node.sockets))
        for height in (15, 18, 3):
            node.replace(height, 24 - height)
            await node.tell_reorg()
            await until_same(node, tmp_path)
    require_same(node, tmp_path)


async def test_finds_a_reorg_that_nobody_told_of(node: FakeNode, tmp_path: Path) -> None:
    async with following(node, tmp_path, is_told=False):
        await until_same(node, tmp_path)
        node.replace(18, 6, transactions=2)
        await until_same(node, tmp_path)
    require_same(node, tmp_path)


async def test_finds_a_reorg_of_while_it_was_away(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    node.replace(7, 20, transactions=1)
    summary = await follow_once(node, tmp_path)
    assert (summary.blocks, summary.reorgs) == (20, 1)
    assert "=1 6 " in (tmp_path / "plugin" / LINES_FILE).read_text()


async def test_finds_other_blocks_under_equal_ones(devnet: FakeNode, tmp_path: Path) -> None:
    devnet.replace(5, 4, transactions=2)
    devnet.grow(10, transactions=0)
    await follow_once(devnet, tmp_path)
    hashes = [block.hash for block in devnet.chain]
    devnet.replace(5, 4, transactions=2)
    devnet.grow(10, transactions=0)
    assert [block.hash for block in devnet.chain] == hashes
    summary = await follow_once(devnet, tmp_path)
    assert (summary.blocks, summary.reverts) == (14, 14)


async def test_a_notice_makes_it_look_under_equal_blocks(
    devnet: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "FOLLOW_COMPARE_SECONDS", 10 * PATIENCE_SECONDS)
    monkeypatch.setattr(follower, "FOLLOW_TOLD_POLL_MS", 20)
    devnet.grow(1, transactions=2)
    devnet.grow(40, transactions=0)

    def asked(method: str) -> int:
        return [name for name, _ in devnet.asked].count(method)

    async with following(devnet, tmp_path):
        await until_same(devnet, tmp_path)
        await until(lambda: bool(devnet.sockets))
        # That it is told at all makes it look, too: that has to be over.
        chains = asked("chainId")
        await devnet.tell_reorg()
        await until(lambda: asked("chainId") > chains)
        looks = asked("blockNumber")
        await until(lambda: asked("blockNumber") > looks + 9)
        devnet.replace(21, 1, transactions=2)
        devnet.grow(40, transactions=0)
        await devnet.tell_reorg()
        await until_same(devnet, tmp_path)
    require_same(devnet, tmp_path)


async def test_a_failure_makes_it_look_under_equal_blocks(
    devnet: FakeNode, tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "FOLLOW_COMPARE_SECONDS", 10 * PATIENCE_SECONDS)
    devnet.grow(1, transactions=2)
    devnet.grow(40, transactions=0)
    is_away = False

    def away(_method: str, _params: Fields) -> bytes | None:
        return b"" if is_away else None

    devnet.before = away
    async with following(devnet, tmp_path, is_told=False):
        await until_same(devnet, tmp_path)
        is_away, asked = True, len(devnet.asked)
        await until(lambda: len(devnet.asked) > asked)
        devnet.replace(21, 1, transactions=2)
        devnet.grow(40, transactions=0)
        is_away = False
        await until_same(devnet, tmp_path)
    require_same(devnet, tmp_path)


async def test_a_head_that_is_lower_is_a_reorg(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    node.cut(12)
    summary = await follow_once(node, tmp_path)
    assert (summary.blocks, summary.reverts, summary.height) == (0, 9, 11)


async def test_a_head_that_is_lower_for_a_moment_is_none(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    whole, looks = list(node.chain), 0

    def behind(method: str, _: Fields) -> None:
        nonlocal looks
        if method == "blockNumber":
            looks += 1
            # Two are for making sure which chain it is, one is for the first look.
            node.chain = whole[:12] if looks <= 3 else list(whole)

    node.before = behind
    summary = await follow_once(node, tmp_path)
    assert looks > 3
    assert (summary.blocks, summary.reverts) == (0, 0)


@pytest.mark.parametrize("method", ["getBlockWithReceipts", "getStateUpdate", "getClass"])
async def test_a_reorg_between_two_answers(node: FakeNode, tmp_path: Path, method: str) -> None:
    node.replace(1, 40, transactions=2)
    times = 0

    def move(asked: str, params: Fields) -> None:
        nonlocal times
        if asked == method and params["block_id"]["block_number"] > 10 and times < 3:
            times += 1
            node.replace(9 + times, 40 - times, transactions=2)

    node.before = move
    await follow_once(node, tmp_path)
    assert times == 3


async def test_a_reorg_below_what_is_about_to_be_read(node: FakeNode, tmp_path: Path) -> None:
    node.replace(1, 40, transactions=2)
    is_moved = False

    def move(method: str, params: Fields) -> None:
        nonlocal is_moved
        if method == "getBlockWithReceipts" and not is_moved:
            # The first one above those that were told.
            is_moved = params["block_id"]["block_number"] == FOLLOW_TOGETHER_MAX
            if is_moved:
                node.replace(FOLLOW_TOGETHER_MAX - 3, 40, transactions=2)

    node.before = move
    await follow_once(node, tmp_path)
    assert is_moved


@pytest.mark.parametrize("method", ["getStorageAt", "getNonce", "getClassHashAt"])
async def test_a_reorg_while_old_values_are_asked(
    node: FakeNode, tmp_path: Path, method: str
) -> None:
    node.replace(1, 40, transactions=2)
    await follow_once(node, tmp_path)
    times = 0

    def move(asked: str, _: Fields) -> None:
        nonlocal times
        if asked == method and times < 3:
            times += 1
            node.replace(30 - 2 * times, 15, transactions=2)

    node.replace(32, 20, transactions=2)
    node.before = move
    await follow_once(node, tmp_path)
    assert times > 0


async def test_an_unreadable_answer_is_asked_for_again(
    node: FakeNode, tmp_path: Path, impatient: None
) -> None:
    bodies = [b"", b"<html>", b"null", b"[]", b"{}", b'{"result":5}', b'{"result":{}}', b"\xff"]
    bodies += [b'{"error":5}', b'{"error":{"code":"x","message":"y"}}', b'{"result":null}']
    random, left = Random(4), bodies * 6

    def garble(method: str, _: Fields) -> bytes | None:
        is_hit = method != "specVersion" and left and random.random() < 0.4
        return left.pop() if is_hit else None

    node.before = garble
    while left:
        await follow_once(node, tmp_path)
        node.replace(len(node.chain) - 3, 5, transactions=1)
    await follow_once(node, tmp_path)


async def test_begins_where_it_is_told(node: FakeNode, tmp_path: Path) -> None:
    assert (await follow_once(node, tmp_path / "a", start=12)).blocks == 9
    assert (await follow_once(node, tmp_path / "b", start=None)).blocks == 1
    assert (await follow_once(node, tmp_path / "c", start=25)).blocks == 0
    node.grow(10)
    assert (await follow_once(node, tmp_path / "c", start=3)).blocks == 6


async def test_the_start_goes_down_with_a_reorg_below_it(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path, start=15)
    node.replace(8, 4, transactions=1)
    summary = await follow_once(node, tmp_path, start=15)
    assert (summary.blocks, summary.reverts, summary.height) == (0, 6, -1)
    node.grow(3)
    assert (await follow_once(node, tmp_path, start=15)).blocks == 3
    assert min(kept_blocks(tmp_path)) == 12


async def test_the_start_stays_where_the_new_chain_is_longer(
    node: FakeNode, tmp_path: Path
) -> None:
    await follow_once(node, tmp_path, start=15)
    node.replace(8, 14, transactions=1)
    summary = await follow_once(node, tmp_path, start=15)
    assert (summary.blocks, summary.reverts) == (7, 6)


async def test_old_values_come_from_kept_blocks_where_the_node_forgot_them(
    node: FakeNode, tmp_path: Path, impatient: None
) -> None:
    await follow_once(node, tmp_path)
    node.replace(15, 9, transactions=1)
    node.first_state = 100
    refused = await refusal_of(node, tmp_path)
    assert refused.reason is Reason.FOLLOW_NODE_UNUSABLE
    assert "state of block 14" in refused.detail
    node.first_state = 14
    assert (await follow_once(node, tmp_path)).reverts == 6


async def test_the_reason_is_told_where_the_node_knows_it(node: FakeNode, tmp_path: Path) -> None:
    await follow_once(node, tmp_path)
    removed = {"first": {"height": 11}, "last": {"height": 20}}
    node.reorgs = [
        {"removed": removed, "reason": "an old one"},
        {"removed": removed, "reason": "a price that was none"},
        {"removed": {"first": {"height": 5}}, "reason": "another"},
        {"removed": None, "reason": "an undo"},
    ]
    node.replace(11, 5, transactions=1)
    await follow_once(node, tmp_path)
    assert "=1 10 a price that was none" in (tmp_path / "plugin" / LINES_FILE).read_text()


@pytest.mark.parametrize("seed", range(6))
async def test_any_reorgs_failures_and_ends(
    node: FakeNode, tmp_path: Path, impatient: None, seed: int
) -> None:
    """Move the chain at any answer, cut answers off, and stop the follower anywhere."""
    random = Random(seed)
    followers: list[Follower] = []

    def happen(method: str, _: Fields) -> bytes | None:
        draw = random.random()
        if draw < 0.03:
            height = max(1, len(node.chain) - random.randrange(1, 12))
            node.replace(height, random.randrange(8))
        elif draw < 0.06:
            node.grow(random.randrange(1, 4))
        elif draw < 0.10:
            return random.choice((b"", b"<html>", b'{"result":{}}'))
        elif draw < 0.12:
            followers[-1].stop()
        return None

    for _ in range(15):
        node.before = happen
        followers.append(Follower(plan_of(node, tmp_path, is_once=False), Lines()))
        await followers[-1].run()
        blocks_until_now = kept_blocks(tmp_path)
        assert not blocks_until_now or min(blocks_until_now) == 0
    node.before = lambda _method, _params: None
    await follow_once(node, tmp_path)
