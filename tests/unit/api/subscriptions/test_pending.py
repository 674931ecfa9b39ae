"""What is told of transactions before their block is on the disk, and of one from end to end."""

import asyncio

import pytest

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import format_felt
from tests.unit.api.starknet_rpc.reading import ALICE
from tests.unit.api.subscriptions.world import Connection, telling

BOTH = ["PRE_CONFIRMED", "ACCEPTED_ON_L2"]
MINE = {"sender_address": [format_felt(ALICE)]}


def statuses(stream: Connection, id_: str) -> list[str]:
    told = zip(stream.methods(id_), stream.results(id_), strict=True)
    return [
        "REORG" if method == "Reorg" else result["status"]["finality_status"]
        for method, result in told
    ]


async def test_each_status_that_was_asked_for_is_told_once() -> None:
    async with telling() as world:
        stream = Connection()
        wanted = {
            "both": await world.begin(
                stream,
                "NewTransactions",
                finality_status=BOTH,
                **MINE,
                tags=["INCLUDE_PROOF_FACTS"],
            ),
            "first": await world.begin(
                stream, "NewTransactionReceipts", finality_status=BOTH[:1], **MINE
            ),
            "second": await world.begin(stream, "NewTransactionReceipts", **MINE),
        }
        transfers = [world.transfer(nonce=nonce) for nonce in range(2)]
        world.open(transfers[0])
        await world.rest()
        world.open(transfers[1])
        world.wake()
        await world.rest()
        assert not stream.results(wanted["second"])
        world.seal()
        await world.rest()
        hashes = [world.hash_of(transfer) for transfer in transfers]
        told = {name: stream.results(id_) for name, id_ in wanted.items()}
        assert [(each["transaction_hash"], each["finality_status"]) for each in told["both"]] == [
            (hash_, status) for status in BOTH for hash_ in hashes
        ]
        assert [each["transaction_hash"] for each in told["first"]] == hashes
        assert [each["transaction_hash"] for each in told["second"]] == hashes
        assert all("block_hash" not in each for each in told["first"])
        assert all(each["block_hash"] == world.hash_at(6) for each in told["second"])
        assert all(each["proof_facts"] == [] for each in told["both"])


async def test_events_of_open_blocks_have_the_places_that_they_keep() -> None:
    async with telling() as world:
        stream = Connection()
        id_ = await world.begin(stream, "Events", finality_status="PRE_CONFIRMED")
        del stream.messages[:]
        for nonce in range(3):
            world.open(world.transfer(nonce=nonce))
            await world.rest()
        early = stream.results(id_)
        del stream.messages[:]
        world.seal()
        await world.rest()
        late = stream.results(id_)
        assert early
        assert [
            {**each, "finality_status": BOTH[1], "block_hash": world.hash_at(6)} for each in early
        ] == late


async def test_much_at_once_in_an_open_block_comes_in_pieces_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("feed", "subscription"):
        name = f"sequencer.api.subscriptions.{module}.SUBSCRIPTION_MESSAGES_TOGETHER_MAX"
        monkeypatch.setattr(name, 2)
    async with telling() as world:
        streams = [Connection(), Connection()]
        wanted = {"finality_status": BOTH, "tags": []}
        ids = [await world.begin(stream, "NewTransactions", **wanted) for stream in streams]
        for first in (0, 4):
            world.open(*(world.transfer(nonce=nonce) for nonce in range(first, first + 4)))
            await world.rest()
        world.seal()
        await world.rest()
        hashes = [hex(each.transaction_hash) for each in world.live_blocks(6)[0].receipts]
        assert len(hashes) == 9
        for stream, id_ in zip(streams, ids, strict=True):
            told = [each["transaction_hash"] for each in stream.results(id_)]
            assert told == [*hashes, *hashes]
            assert stream.unsent_max <= 4


async def test_whoever_comes_late_is_told_what_is_open_and_once() -> None:
    async with telling() as world:
        early, late = Connection(), Connection()
        world.open(world.transfer(nonce=0))
        first = await world.begin(early, "NewTransactions", finality_status=BOTH, **MINE)
        world.open(world.transfer(nonce=1))
        second = await world.begin(late, "NewTransactions", finality_status=BOTH, **MINE)
        world.open(world.transfer(nonce=2))
        world.seal()
        await world.rest()
        told = early.results(first)
        assert [each["finality_status"] for each in told] in (
            [*BOTH[:1] * 3, *BOTH[1:] * 3],
            [*BOTH[:1] * 2, *BOTH[1:] * 3],
        )
        assert late.results(second) == told


async def test_a_dropped_block_is_not_confirmed_and_told_again_when_it_is_executed_again() -> None:
    async with telling() as world:
        stream = Connection()
        transfer = world.transfer(nonce=0)
        id_ = await world.begin(
            stream, "TransactionStatus", transaction_hash=world.hash_of(transfer)
        )
        assert not stream.messages
        world.open(transfer)
        await world.rest()
        world.rig.producer.drop()
        world.open()
        await world.rest()
        assert statuses(stream, id_) == BOTH[:1]
        late = await world.begin(
            stream, "TransactionStatus", transaction_hash=world.hash_of(transfer)
        )
        assert not stream.results(late)
        world.open(transfer)
        await world.rest()
        world.seal()
        await world.rest()
        assert statuses(stream, id_) == [*BOTH[:1] * 2, BOTH[1]]
        assert statuses(stream, late) == BOTH


async def test_a_status_goes_through_reorg_and_undo_to_finality() -> None:
    async with telling() as world:
        stream, other = Connection(), Connection()
        good, bad = world.transfer(nonce=0), world.transfer(amount=10**29, nonce=1)
        world.block(good, bad)
        ids = [
            await world.begin(
                stream, "TransactionStatus", transaction_hash=world.hash_of(each), block_id="latest"
            )
            for each in (good, bad)
        ]
        first = stream.results(ids[0])[0]["status"]
        assert first == {"finality_status": BOTH[1], "execution_status": "SUCCEEDED"}
        second = stream.results(ids[1])[0]["status"]
        assert second["execution_status"] == "REVERTED"
        assert second["failure_reason"]
        world.back(5)
        await world.rest()
        world.undo(1)
        await world.rest()
        world.finalized = 5
        world.wake()
        await world.rest()
        world.finalized = 6
        world.wake()
        await world.rest()
        for id_ in ids:
            assert statuses(stream, id_) == [BOTH[1], "REORG", BOTH[1], "ACCEPTED_ON_L1"]
        late = await world.begin(other, "TransactionStatus", transaction_hash=world.hash_of(bad))
        assert statuses(other, late) == ["ACCEPTED_ON_L1"]


async def test_a_status_that_became_final_while_its_reader_slept_is_told() -> None:
    async with telling() as world:
        slow = Connection()
        transfer = world.transfer(nonce=0)
        hash_ = world.hash_of(transfer)
        slow.held = True
        id_ = await world.ask(slow, "starknet_subscribeTransactionStatus", transaction_hash=hash_)
        world.block(transfer)
        await world.rest()
        world.finalized = 6
        world.wake()
        await world.rest()
        slow.release()
        await world.rest()
        assert statuses(slow, id_) == [BOTH[1], "ACCEPTED_ON_L1"]


async def test_a_transaction_that_waits_for_a_block_is_received() -> None:
    async with telling() as world, asyncio.TaskGroup() as group:
        stream = Connection()
        checking = group.create_task(world.rig.admission.verify_all())
        transfer = world.transfer(nonce=0)
        hash_ = world.hash_of(transfer)
        kinds = {"finality_status": ["RECEIVED", "ACCEPTED_ON_L2"]}
        both = await world.begin(stream, "NewTransactions", **kinds)
        mine = await world.begin(stream, "NewTransactions", **kinds, sender_address=["0x5"])
        early = await world.begin(stream, "TransactionStatus", transaction_hash=hash_)
        item = world.rig.send(transfer)
        await world.rig.admission.accepted(item)
        assert statuses(stream, early) == ["RECEIVED"]
        id_ = await world.begin(stream, "TransactionStatus", transaction_hash=hash_)
        assert statuses(stream, id_) == ["RECEIVED"]
        world.open(transfer)
        await world.rest()
        late = await world.begin(stream, "TransactionStatus", transaction_hash=hash_)
        assert statuses(stream, late) == BOTH[:1]
        world.seal()
        await world.rest()
        assert statuses(stream, id_) == statuses(stream, early) == ["RECEIVED", *BOTH]
        told = [
            each["finality_status"]
            for each in stream.results(both)
            if each["transaction_hash"] == hash_
        ]
        assert told == ["RECEIVED", "ACCEPTED_ON_L2"]
        assert not stream.results(mine)
        item.refuse(Reason.SHUTTING_DOWN, "the test is over")
        checking.cancel()
