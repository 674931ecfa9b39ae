"""Clients that come, go and stall while the chain goes on, back, and back again.

The test keeps its own account of what happened, in order. Whatever a subscription was told must be
the part of it that it asked for: without gap, duplicate or another order, however things overlap.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.exchange_contract import read_event
from sequencer.engine.rollback import reopening, unfollowed
from sequencer.model.events import Fill
from sequencer.model.orders import Side
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.reading import ALICE
from tests.unit.api.subscriptions.world import Connection, World, telling
from tests.unit.engine.builders import DelayedWorker, turns

SEEDS, STEPS = 6, 100
PRE_CONFIRMED = "PRE_CONFIRMED"
BOTH = [PRE_CONFIRMED, "ACCEPTED_ON_L2"]


class Happened(msgspec.Struct):
    """Blocks that came, or that a rollback took away, or that an undo gave back."""

    kind: str
    blocks: Sequence[Block]


class Asked(msgspec.Struct):
    """A subscription: of what, on which connection, and what it must be told."""

    kind: str
    stream: Connection
    id: str
    told_first: Sequence[Block]
    behind: int
    hash: int = 0


class Story:
    """The chain as the test knows it."""

    def __init__(self, world: World, random: Random) -> None:
        self.world, self.random = world, random
        self.live: list[Block] = list(world.live_blocks())
        self.log: list[Happened] = []
        self.undone: list[Sequence[Block]] = []
        self.streams = [Connection(validates=False) for _ in range(3)]
        self.asked: list[Asked] = []
        self.number = 0

    def came(self) -> None:
        fresh = self.world.live_blocks(len(self.live))
        for block in fresh:
            self.log.append(Happened("block", (block,)))
        if fresh:
            self.undone.clear()
        self.live += fresh

    async def step(self) -> None:
        acts = {
            self.make: 5,
            self.open: 2,
            self.go_back: 2,
            self.take_back: 2,
            self.ask: 5,
            self.unsubscribe: 1,
            self.stall: 1,
            self.leave: 1,
        }
        (act,) = self.random.choices(list(acts), list(acts.values()))
        await act()
        self.came()
        await turns(self.random.randrange(12))

    async def make(self) -> None:
        world, rig = self.world, self.world.rig
        self.number += 1
        if reopening(world.store.view) is not None:
            world.reopen()
            return
        if self.random.random() < 0.3:
            world.block(world.transfer(self.random.choice(("alice", "bob"))))
            return
        orders = [
            rig.order(name, self.random.choice(list(Side)), 60_000, self.number)
            for name in ("alice", "bob")
        ]
        world.acted(*orders)

    async def open(self) -> None:
        if reopening(self.world.store.view) is None:
            self.world.open(self.world.transfer("bob"))

    async def go_back(self) -> None:
        height = len(self.live) - 1
        if height < 2:
            return
        target = self.random.randrange(max(1, height - 4), height)
        self.world.back(target)
        removed = self.live[target + 1 :]
        del self.live[target + 1 :]
        self.undone.append(removed)
        self.log.append(Happened("reorg", removed))

    async def take_back(self) -> None:
        newest = next(unfollowed(self.world.store.view), None)
        if newest is None:
            return
        self.world.undo(newest.after.epoch)
        restored = self.undone.pop()
        self.live += restored
        self.log.append(Happened("undo", restored))

    async def ask(self) -> None:
        stream = self.random.choice(self.streams)
        kind = self.random.choice(list(READ))
        given, first, hash_ = self.parameters(kind)
        prefix = "perp" if kind in ("Trades", "Orders") else "starknet"
        id_ = await self.world.ask(stream, f"{prefix}_subscribe{kind}", **given)
        self.asked.append(Asked(kind, stream, id_, first, len(self.log), hash_))

    def parameters(self, kind: str) -> tuple[dict[str, Unchecked], Sequence[Block], int]:
        first = self.random.randrange(len(self.live))
        block = {"block_id": {"block_number": first}}
        match kind:
            case "NewHeads":
                return block, self.live[first:], 0
            case "Events":
                finality = {"finality_status": self.random.choice(BOTH)}
                return block | finality, self.live[first:], 0
            case "NewTransactions" | "NewTransactionReceipts":
                return {"finality_status": self.random.choice((BOTH, BOTH[1:]))}, (), 0
            case "TransactionStatus":
                receipt = self.random.choice(self.live[max(first, 1)].receipts)
                hash_ = receipt.transaction_hash
                return {"transaction_hash": hex(hash_)}, tuple(self.live), hash_
            case "Orders":
                return {"account": hex(ALICE)}, (), 0
        return {}, (), 0

    async def unsubscribe(self) -> None:
        for each in self.random.sample(self.asked, min(1, len(self.asked))):
            if each.id in each.stream.subscriptions:
                await self.world.ask(each.stream, "starknet_unsubscribe", subscription_id=each.id)

    async def stall(self) -> None:
        stream = self.random.choice(self.streams)
        if stream.held:
            stream.release()
        else:
            stream.held = True

    async def leave(self) -> None:
        if self.random.random() < 0.3:
            index = self.random.randrange(len(self.streams))
            self.streams[index].close()
            self.streams[index] = Connection(validates=False)

    def expected(self, asked: Asked) -> Iterator[Unchecked]:
        """Yield what a subscription must be told by now."""
        for block in asked.told_first:
            yield from READ[asked.kind](block, asked.hash)
        if asked.kind in ("Trades", "Orders"):
            yield ("START",)
        for happened in self.log[asked.behind :]:
            is_told = happened.kind == "undo" and asked.kind in ("Trades", "Orders")
            if happened.kind == "reorg" or is_told:
                yield ("REORG", *(hex(happened.blocks[at].hash) for at in (0, -1)))
            if happened.kind != "reorg":
                for block in happened.blocks:
                    yield from READ[asked.kind](block, asked.hash)

    def check(self, counts: Counter[str]) -> None:
        for asked in self.asked:
            got = [heard(each) for each in asked.stream.told(asked.id) if not is_early(each)]
            expected = list(self.expected(asked))
            if asked.id not in asked.stream.subscriptions:
                expected = expected[: len(got)]
            assert got == expected, (asked.kind, asked.id)
            counts[asked.kind] += len(got)
            counts["reorgs"] += sum(each[0] == "REORG" for each in got)
            counts["early"] += require_early_first(asked.stream.told(asked.id))
        counts["restored"] += sum(each.kind == "undo" for each in self.log)
        counts["closed"] += sum(each.stream.closed is not None for each in self.asked)


def of_head(block: Block, _: int) -> Iterator[Unchecked]:
    yield hex(block.hash), hex(block.header.parent_hash)


def of_events(block: Block, _: int) -> Iterator[Unchecked]:
    for receipt in block.receipts:
        for index in range(len(receipt.events)):
            yield hex(block.hash), hex(receipt.transaction_hash), index


def of_transactions(block: Block, _: int) -> Iterator[Unchecked]:
    for receipt in block.receipts:
        yield (hex(receipt.transaction_hash),)


def of_receipts(block: Block, _: int) -> Iterator[Unchecked]:
    for receipt in block.receipts:
        yield hex(block.hash), hex(receipt.transaction_hash)


def of_status(block: Block, hash_: int) -> Iterator[Unchecked]:
    if any(receipt.transaction_hash == hash_ for receipt in block.receipts):
        yield hex(hash_), "ACCEPTED_ON_L2"


def said(block: Block) -> list[Any]:
    return [read_event(event) for receipt in block.receipts for event in receipt.events]


def of_trades(block: Block, _: int) -> Iterator[Unchecked]:
    count = sum(isinstance(event, Fill) for event in said(block))
    if count:
        yield "TRADES", hex(block.hash), count


def of_orders(block: Block, _: int) -> Iterator[Unchecked]:
    names = ("account", "taker", "maker")
    about = [
        event for event in said(block) if hasattr(event, "order_id") or isinstance(event, Fill)
    ]
    count = sum(getattr(event, name, 0) == ALICE for event in about for name in names)
    if count:
        yield "ORDERS", hex(block.hash), count


READ = {
    "NewHeads": of_head,
    "Events": of_events,
    "NewTransactions": of_transactions,
    "NewTransactionReceipts": of_receipts,
    "TransactionStatus": of_status,
    "Trades": of_trades,
    "Orders": of_orders,
}


def is_early(told: dict[str, Any]) -> bool:
    result = told["params"]["result"]
    status = result.get("status", result)
    return isinstance(status, dict) and status.get("finality_status") == PRE_CONFIRMED


def heard(told: dict[str, Any]) -> Unchecked:
    """Return what a client takes from a message, as `READ` writes it."""
    result = told["params"]["result"]
    match told["method"].removeprefix("starknet_subscription"):
        case "Reorg":
            return "REORG", result["starting_block_hash"], result["ending_block_hash"]
        case "NewHeads":
            return result["block_hash"], result["parent_hash"]
        case "Events":
            return result["block_hash"], result["transaction_hash"], result["event_index"]
        case "NewTransaction":
            return (result["transaction_hash"],)
        case "NewTransactionReceipts":
            return result["block_hash"], result["transaction_hash"]
        case "TransactionStatus":
            return result["transaction_hash"], result["status"]["finality_status"]
    match result["type"]:
        case "START":
            return ("START",)
        case "REORG":
            blocks = result["reorg"].get("removed") or result["reorg"]["restored"]
            return "REORG", blocks["first"]["block_hash"], blocks["last"]["block_hash"]
        case "TRADES":
            return "TRADES", result["block_hash"], len(result["trades"])
    return "ORDERS", result["block_hash"], len(result["orders"])


def require_early_first(told: list[dict[str, Any]]) -> int:
    """Check that nothing is called pre-confirmed once it is confirmed; count what was."""
    confirmed: set[str] = set()
    count = 0
    for each in told:
        result = each["params"]["result"]
        hash_ = result.get("transaction_hash", "")
        if is_early(each):
            assert hash_ not in confirmed
            count += 1
        elif each["method"].endswith("Reorg"):
            confirmed.clear()
        else:
            confirmed.add(hash_)
    return count


async def test_everybody_hears_the_story_that_they_asked_for() -> None:
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        async with telling(worker=DelayedWorker(seed)) as world:
            story = Story(world, Random(seed))
            for _ in range(STEPS):
                await story.step()
            for stream in story.streams:
                stream.release()
            await world.rest()
            story.check(counts)
    reached = [*READ, "reorgs", "early", "restored", "closed"]
    assert min(counts[name] for name in reached) > SEEDS, counts
