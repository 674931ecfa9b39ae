"""starknet-py's WebSocket client: every coroutine, and two clients through two rollbacks."""

import asyncio
from inspect import getmembers, iscoroutinefunction
from itertools import pairwise
from typing import Any

import pytest
from starknet_py.net.client_models import (
    TransactionFinalityStatusWithoutL1,
    TransactionStatus,
    TransactionStatusWithoutL1,
)
from starknet_py.net.websockets.errors import WebsocketClientError
from starknet_py.net.websockets.models import ReorgData, ReorgNotification
from starknet_py.net.websockets.websocket_client import WebsocketClient

from tests.e2e.devnet_process import (
    CHECK_SECONDS,
    NO_FEES,
    ClientDevnet,
)
from tests.e2e.listening import Heard, connected
from tests.strategies import Unchecked

ONE = 1_000_000
PRE_CONFIRMED = TransactionFinalityStatusWithoutL1.PRE_CONFIRMED


async def pay(devnet: ClientDevnet, tip: int = 0) -> int:
    call = devnet.transfer(devnet.address(1), ONE)
    sent = await devnet.account(0).execute_v3(call, tip=tip, resource_bounds=NO_FEES)
    client = devnet.client()
    await client.wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)
    return sent.transaction_hash


def test_every_coroutine_of_the_client_is_known() -> None:
    """These are called below; a new one of the client is a new test here."""
    names = {name for name, _ in getmembers(WebsocketClient, iscoroutinefunction)}
    assert {name for name in names if not name.startswith("_")} == {
        "connect",
        "disconnect",
        "subscribe_events",
        "subscribe_new_heads",
        "subscribe_new_transaction_receipts",
        "subscribe_new_transactions",
        "subscribe_transaction_status",
        "unsubscribe",
        "wait_closed_or_failed",
    }


async def test_a_payment_reaches_every_subscription(devnet: ClientDevnet) -> None:
    sender = devnet.address(0)
    async with connected(devnet) as heard:
        client, statuses = heard.client, list(TransactionStatusWithoutL1)
        heads = await client.subscribe_new_heads(heard.take, block_number=0)
        every = await client.subscribe_events(
            heard.take, devnet.exchange, block_number=0, finality_status=PRE_CONFIRMED
        )
        sent = await client.subscribe_new_transactions(heard.take, [sender], statuses)
        receipts = await client.subscribe_new_transaction_receipts(
            heard.take, list(TransactionFinalityStatusWithoutL1), [sender]
        )
        hash_ = await pay(devnet)
        status = await client.subscribe_transaction_status(heard.take, hash_)
        (now,) = await heard.until(1, status)
        assert now.result.status.finality_status is TransactionStatus.ACCEPTED_ON_L2
        receipt = await devnet.client().get_transaction_receipt(hash_)
        assert receipt.block_number is not None
        found = await heard.until(receipt.block_number + 1, heads)
        require_linked([each.result for each in found])
        assert found[0].result.block_number == 0
        told = await heard.accepted(sent)
        assert {each.transaction.hash for each in told} == {hash_}
        told = await heard.accepted(receipts)
        assert {each.transaction_hash for each in told} == {hash_}
        assert told[-1].block_hash == receipt.block_hash
        events = [each.result for each in heard.of(every)]
        assert hash_ in {each.transaction_hash for each in events}
        for topic in (heads, every, sent, receipts, status):
            assert await client.unsubscribe(topic)
        assert not await client.unsubscribe(heads)


async def test_what_cannot_be_subscribed_to_has_its_number(devnet: ClientDevnet) -> None:
    async with connected(devnet) as heard:
        client = heard.client
        many: Unchecked = [[1] * 2_000]
        for asked, code in (
            (client.subscribe_new_heads(heard.take, block_number=10**6), 24),
            (client.subscribe_events(heard.take, list(range(1, 5_000))), 67),
            (client.subscribe_events(heard.take, keys=many), 34),
        ):
            with pytest.raises(WebsocketClientError) as caught:
                await asked
            assert str(caught.value.code) == str(code)
        subscription = await client.subscribe_new_heads(heard.take)
        assert (await heard.until(1, subscription))[0].result.block_number >= 0


def require_linked(headers: list[Any]) -> None:
    """Expect one header for each height, each the child of the one before."""
    for parent, child in pairwise(headers):
        assert child.parent_hash == parent.block_hash
        assert child.block_number == parent.block_number + 1


class Follower:
    """A client that follows everything, and what it then believes to be the chain."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.topics: list[str] = []

    async def subscribe(self, sender: int, hash_: int) -> None:
        client, take = self.heard.client, self.heard.take
        self.topics = [
            await client.subscribe_new_heads(take),
            await client.subscribe_events(take),
            await client.subscribe_transaction_status(take, hash_),
            await client.subscribe_new_transactions(take, [sender]),
            await client.subscribe_new_transaction_receipts(take, sender_address=[sender]),
        ]

    def reorgs(self, topic: str) -> list[ReorgData]:
        told = self.heard.of(topic)
        return [each.result for each in told if isinstance(each, ReorgNotification)]

    def chain(self) -> list[Any]:
        """Return the headers that are left when each reorg has removed its range."""
        kept: dict[int, Any] = {}
        for each in self.heard.of(self.topics[0]):
            if isinstance(each, ReorgNotification):
                gone = each.result
                assert kept.pop(gone.ending_block_number).block_hash == gone.ending_block_hash
                for height in range(gone.starting_block_number, gone.ending_block_number):
                    kept.pop(height)
            else:
                kept[each.result.block_number] = each.result
        return list(kept.values())

    async def reach(self, height: int) -> None:
        """Wait until the chain has grown to a height."""
        count = 0
        while not count or self.chain()[-1].block_number < height:
            count = len(await self.heard.until(count + 1, self.topics[0]))


async def test_two_clients_through_rollback_undo_rollback(devnet: ClientDevnet) -> None:
    perp, hash_ = devnet.perp(), await pay(devnet, tip=7)
    cursor = (await perp.call("reorgs"))["cursor"]
    async with connected(devnet) as one, connected(devnet) as two:
        followers = Follower(one), Follower(two)
        for follower in followers:
            await follower.subscribe(devnet.address(0), hash_)
        kept = await back_and_forth(devnet)
        await asyncio.gather(*[follower.reach(kept + 2) for follower in followers])
        # A client that was away learns the same.
        listed = (await perp.call("reorgs", {"cursor": cursor}))["reorgs"]
        removed = [removed_by(each) for each in listed if each["removed"]]
        assert [each["kind"] for each in listed] == ["ROLLBACK", "UNDO", "ROLLBACK"]
        assert removed[0] == removed[1]
        assert removed[0].starting_block_number == kept + 1
        for follower in followers:
            for topic in follower.topics:
                assert follower.reorgs(topic) == removed
            require_linked(follower.chain())
            await require_live(devnet, follower.chain())


async def back_and_forth(devnet: ClientDevnet) -> int:
    """Roll back, undo it, roll back again and go on; returns the height that was gone back to."""
    node = devnet.client()
    await pay(devnet, tip=8)
    kept = await node.get_block_number()
    undone = await pay(devnet, tip=9)
    first = await devnet.roll_back(kept)
    assert await node.get_block_number() == kept
    await devnet.undo(first["halted_by_reorg"])
    status = await node.get_transaction_status(undone)
    assert status.finality_status is TransactionStatus.ACCEPTED_ON_L2
    await devnet.roll_back(kept, is_halted=True)
    await devnet.mode("cancel-only", "--reason", "reviewed")
    return kept


def removed_by(reorg: dict[str, Any]) -> ReorgData:
    first, last = reorg["removed"]["first"], reorg["removed"]["last"]
    return ReorgData(
        int(first["block_hash"], 16), first["height"], int(last["block_hash"], 16), last["height"]
    )


async def require_live(devnet: ClientDevnet, headers: list[Any]) -> None:
    """Expect that the node's own chain has these blocks."""
    for header in headers:
        block: Any = await devnet.client().get_block(block_number=header.block_number)
        assert block.block_hash == header.block_hash
