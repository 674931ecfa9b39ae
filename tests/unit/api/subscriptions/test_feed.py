"""The feed through rollback, undo, rollback: every kind of subscription, on two connections."""

from collections.abc import Sequence

import pytest

from sequencer.api.json_rpc import LIMIT_EXCEEDED
from sequencer.api.subscriptions import feed, press
from sequencer.api.subscriptions.beginnings import begin_with_nothing
from sequencer.api.subscriptions.subscription import CLOSE_TOO_FAR
from sequencer.api.subscriptions.topics import Heads
from sequencer.chain.block import Block
from sequencer.ports import StoreFailed, StoreProblem
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.reading import ALICE
from tests.unit.api.subscriptions.world import Connection, World, telling
from tests.unit.engine.builders import turns, until

KINDS = ("NewHeads", "Events", "NewTransactions", "NewTransactionReceipts")


def numbers(told: Sequence[Unchecked]) -> list[int]:
    return [each["block_number"] for each in told if "block_number" in each]


def hashes(blocks: Sequence[Block]) -> list[str]:
    return [hex(block.hash) for block in blocks]


def reorg_of(removed: Sequence[Block]) -> dict[str, Unchecked]:
    first, last = removed[0], removed[-1]
    return {
        "starting_block_hash": hex(first.hash),
        "starting_block_number": first.header.number,
        "ending_block_hash": hex(last.hash),
        "ending_block_number": last.header.number,
    }


def without_reorgs(stream: Connection, id_: str) -> list[Unchecked]:
    told = zip(stream.methods(id_), stream.results(id_), strict=True)
    return [result for method, result in told if method != "Reorg"]


async def everything(world: World, stream: Connection) -> dict[str, str]:
    """Subscribe to all that Starknet has."""
    ids = {kind: await world.begin(stream, kind) for kind in KINDS}
    (first, *_) = world.live_blocks(5)[0].receipts
    hash_ = hex(first.transaction_hash)
    ids["TransactionStatus"] = await world.begin(
        stream, "TransactionStatus", transaction_hash=hash_
    )
    return ids


async def test_heads_begin_with_the_newest_and_go_on() -> None:
    async with telling() as world:
        stream = Connection()
        id_ = await world.begin(stream, "NewHeads")
        assert numbers(stream.results(id_)) == [5]
        world.blocks(2)
        world.serve()
        await world.rest()
        told = stream.results(id_)
        assert numbers(told) == [5, 6, 7]
        live = hashes(world.live_blocks(5))
        assert [head["block_hash"] for head in told] == live
        assert [head["parent_hash"] for head in told[1:]] == live[:-1]


async def test_every_subscription_is_told_once_of_each_rollback_and_of_no_undo() -> None:
    async with telling() as world:
        streams = [Connection(), Connection()]
        ids = [await everything(world, stream) for stream in streams]
        world.acted(*world.trade(1))
        world.acted(*world.trade(2))
        first_branch = world.live_blocks(6)
        world.back(5)
        await world.rest()
        await require_reorgs(streams, ids, [reorg_of(first_branch)], is_last=True)
        world.undo(1)
        await world.rest()
        await require_reorgs(streams, ids, [reorg_of(first_branch)])
        world.back(6)
        await world.rest()
        both = [reorg_of(first_branch), reorg_of(first_branch[1:])]
        await require_reorgs(streams, ids, both, is_last=True)
        world.reopen()
        await world.rest()
        await require_reorgs(streams, ids, both)
        for stream, mine in zip(streams, ids, strict=True):
            heads = without_reorgs(stream, mine["NewHeads"])
            assert numbers(heads) == [5, 6, 7, 6, 7, 7]
            assert heads[1:3] == heads[3:5]
            assert heads[5]["parent_hash"] == heads[3]["block_hash"]


async def require_reorgs(
    streams: Sequence[Connection],
    ids: Sequence[dict[str, str]],
    reorgs: Sequence[Unchecked],
    *,
    is_last: bool = False,
) -> None:
    for stream, mine in zip(streams, ids, strict=True):
        for id_ in mine.values():
            told = zip(stream.methods(id_), stream.results(id_), strict=True)
            assert [result for method, result in told if method == "Reorg"] == reorgs
            assert not is_last or stream.methods(id_)[-1] == "Reorg"


async def test_two_rollbacks_without_a_block_between_are_undone_newest_first() -> None:
    async with telling() as world:
        stream = Connection()
        world.blocks(4)
        world.serve()
        id_ = await world.begin(stream, "NewHeads")
        live = world.live_blocks(6)
        world.back(8)
        world.back(6)
        await world.rest()
        assert stream.methods(id_) == ["NewHeads", "Reorg", "Reorg"]
        assert stream.results(id_)[1:] == [reorg_of(live[3:]), reorg_of(live[1:3])]
        world.undo(2)
        world.undo(1)
        await world.rest()
        assert numbers(stream.results(id_)[3:]) == [7, 8, 9]


async def test_who_subscribes_between_a_rollback_and_its_undo_gets_heads_that_link() -> None:
    async with telling() as world:
        stream = Connection()
        world.blocks(2)
        world.back(6)
        id_ = await world.begin(stream, "NewHeads", block_id={"block_number": 4})
        assert numbers(stream.results(id_)) == [4, 5, 6]
        world.undo(1)
        await world.rest()
        told = stream.results(id_)
        assert [head["block_hash"] for head in told] == hashes(world.live_blocks(4))


async def test_a_rollback_before_the_first_message_is_told_behind_what_was_asked_for() -> None:
    async with telling() as world:
        stream = Connection()
        world.blocks(3)
        world.serve()
        before = world.live_blocks(6)
        id_ = await world.ask(stream, "starknet_subscribeNewHeads", block_id={"block_number": 6})
        world.back(5)
        world.reopen()
        await world.rest()
        assert stream.methods(id_) == [*["NewHeads"] * 3, "Reorg", "NewHeads"]
        told = stream.results(id_)
        assert [head["block_hash"] for head in told[:3]] == hashes(before)
        assert told[3] == reorg_of(before)
        assert told[4]["block_hash"] == hashes(world.live_blocks(6))[0]


async def test_a_slow_reader_of_a_replay_sees_the_rollback_after_the_branch_it_read() -> None:
    async with telling() as world:
        slow, quick = Connection(), Connection()
        world.blocks(3)
        world.serve()
        other = await world.begin(quick, "NewHeads")
        slow.held = True
        id_ = await world.ask(slow, "starknet_subscribeNewHeads", block_id={"block_number": 0})
        await world.rest()
        assert numbers(slow.results(id_)) == [0]
        before = world.live_blocks()
        world.back(2)
        world.reopen()
        await world.rest()
        assert quick.methods(other) == ["NewHeads", "Reorg", "NewHeads"]
        slow.release()
        await world.rest()
        assert slow.methods(id_) == [*["NewHeads"] * 9, "Reorg", "NewHeads"]
        assert slow.results(id_)[9] == reorg_of(before[3:])
        assert slow.results(id_)[10] == quick.results(other)[2]


async def test_an_undo_of_too_much_ends_the_connections_that_follow_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(press, "SUBSCRIPTION_BLOCKS_BACK_MAX", 2)
    async with telling() as world:
        streams = [Connection() for _ in range(3)]
        world.blocks(3)
        world.serve()
        await world.begin(streams[0], "Events")
        reorgs = await world.perp(streams[1], "Reorgs")
        book = await world.perp(streams[2], "Book", market="BTC-USD-PERP")
        world.back(5)
        await world.rest()
        world.undo(1)
        await world.rest()
        assert streams[0].closed == (CLOSE_TOO_FAR, b"68: Cannot go back more than 1024 blocks")
        assert not streams[0].subscriptions
        assert streams[1].closed is streams[2].closed is None
        assert [each["type"] for each in streams[1].results(reorgs)] == ["START", "REORG", "REORG"]
        assert [each["type"] for each in streams[2].results(book)] == ["SNAPSHOT"] * 3
        world.back(6)
        world.undo(3)
        await world.rest()
        assert streams[1].closed is None


async def test_who_lags_too_far_behind_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SUBSCRIPTION_BLOCKS_BACK_MAX", 2)
    async with telling() as world:
        slow = Connection()
        slow.held = True
        id_ = await world.ask(slow, "starknet_subscribeNewHeads")
        await world.rest()
        world.blocks(3)
        world.serve()
        await world.rest()
        slow.release()
        await world.rest()
        assert numbers(slow.results(id_)) == [5]
        assert slow.closed is not None
        assert slow.closed[0] == CLOSE_TOO_FAR


async def test_nothing_is_told_before_the_answer_is_out_nor_in_the_same_moment() -> None:
    async with telling() as world:
        stream, other = Connection(), Connection()
        id_ = world.feed.subscribe(stream, Heads(), begin_with_nothing)
        world.blocks(1)
        world.serve()
        await turns(100)
        assert not stream.messages
        stream.answered(id_)
        assert not stream.messages
        await world.rest()
        assert numbers(stream.results(id_)) == [6]
        world.feed._pause_seconds = 3_600
        await world.ask(other, "starknet_subscribeNewHeads")
        world.blocks(1)
        world.serve()
        await turns(100)
        assert numbers(stream.results(id_)) == [6, 7]
        assert not other.messages


async def test_what_is_much_comes_in_pieces_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sequencer.api.subscriptions.feed.SUBSCRIPTION_MESSAGES_TOGETHER_MAX", 2)
    monkeypatch.setattr(
        "sequencer.api.subscriptions.subscription.SUBSCRIPTION_MESSAGES_TOGETHER_MAX", 2
    )
    async with telling() as world:
        streams = [Connection(), Connection()]
        ids = [await world.begin(stream, "Events") for stream in streams]
        for number in range(4):
            world.acted(*world.trade(number + 1))
        world.back(7)
        world.undo(1)
        await world.rest()
        events = [
            (block.header.number, receipt.transaction_hash, index)
            for block in world.live_blocks(5)
            for receipt in block.receipts
            for index in range(len(receipt.events))
        ]
        again = [each for each in events if each[0] > 7]
        for stream, id_ in zip(streams, ids, strict=True):
            told = [
                (each["block_number"], int(each["transaction_hash"], 16), each["event_index"])
                for each in without_reorgs(stream, id_)
            ]
            assert told == [*events, *again]
            assert stream.unsent_max <= 4


async def test_unsubscribing_ends_one_and_closing_all() -> None:
    async with telling() as world:
        stream, other = Connection(), Connection()
        ids = [await world.begin(stream, kind) for kind in KINDS]
        kept = await world.begin(other, "NewHeads")
        assert await world.ask(stream, "starknet_unsubscribe", subscription_id=ids[0]) is True
        assert await world.refused(stream, "starknet_unsubscribe", subscription_id=ids[0]) == 66
        assert await world.refused(other, "starknet_unsubscribe", subscription_id=ids[1]) == 66
        before = len(stream.messages)
        world.blocks(1)
        world.serve()
        await world.rest()
        assert stream.methods(ids[0]) == ["NewHeads"]
        assert len(stream.messages) > before
        stream.close()
        world.blocks(1)
        world.serve()
        await world.rest()
        assert numbers(other.results(kept)) == [5, 6, 7]
        assert not stream.subscriptions
        assert len(world.feed._live) == len(world.feed._streams) == 1


async def test_a_filter_lets_through_what_it_names_alone() -> None:
    async with telling() as world:
        stream = Connection()
        mine = {"sender_address": [hex(ALICE)]}
        sent = await world.begin(stream, "NewTransactions", **mine)
        receipts = await world.begin(stream, "NewTransactionReceipts", **mine)
        transfer = world.transfer("alice")
        world.block(transfer, world.transfer("bob"))
        await world.rest()
        hash_ = world.hash_of(transfer)
        assert [each["transaction_hash"] for each in stream.results(sent)] == [hash_]
        assert [each["transaction_hash"] for each in stream.results(receipts)] == [hash_]
        key = stream.results(receipts)[0]["events"][0]["keys"][0]
        events = await world.begin(stream, "Events", keys=[[key]], from_address="0x1")
        exactly = await world.begin(stream, "Events", keys=[[key]])
        assert not stream.results(events)
        assert {each["keys"][0] for each in stream.results(exactly)} == {key}


async def test_a_block_that_cannot_be_read_ends_one_connection_and_a_deaf_feed_all() -> None:
    async with telling() as world:
        streams = [Connection(), Connection()]
        kept = await world.begin(streams[0], "NewHeads")
        unreadable = StoreFailed(StoreProblem.STORE_CORRUPT, "a test")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(press, "ancestor_at", _raising(unreadable))
            named = {"block_id": {"block_number": 0}}
            await world.begin(streams[1], "NewHeads", **named)
        assert [each.closed for each in streams] == [None, (1_011, b"STORE_CORRUPT")]
        world.blocks(1)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(press, "read_block", _raising(unreadable))
            world.serve()
            await until(lambda: not world.feed._is_running)
        assert [each.closed for each in streams] == [(1_011, b"STORE_CORRUPT")] * 2
        assert streams[0].methods(kept) == ["NewHeads"]
        assert await world.refused(Connection(), "starknet_subscribeNewHeads") == LIMIT_EXCEEDED


def _raising(error: Exception) -> Unchecked:
    def fail(*_: Unchecked) -> None:
        raise error

    return fail
