"""What a client learns of rollbacks that it did not see: the records, and the fate of a hash."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from sequencer.chain.calls import exchange_call
from sequencer.engine.lookup import find_block
from sequencer.model.orders import Side
from sequencer.model.rows import Mode
from sequencer.starknet.felt import format_felt, format_hash, parse_felt
from tests.unit.api.perp_rpc.world import World, trading
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import until
from tests.unit.engine.desks import ORDER


def named(world: World, height: int) -> dict[str, Any]:
    record = find_block(world.service.views.view, str(height))
    return {"height": height, "block_hash": format_hash(record.block_hash)}


async def test_a_client_that_was_away_learns_all_of_it(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        assert (await world.call("reorgs"))["reorgs"] == []
        target = await world.tick()
        for _ in range(3):
            await world.tick()
        old, kept = named(world, target + 3), named(world, target)
        first_removed = named(world, target + 1)
        one = await world.back(target)
        await world.node.desk.undo(one, ORDER)
        three = await world.back(target + 1)
        await world.mode(Mode.CANCEL_ONLY)
        again = named(world, target + 2)
        four = await world.back(target)
        told = (await world.call("reorgs"))["reorgs"]
        assert [each["kind"] for each in told] == ["ROLLBACK", "UNDO", "ROLLBACK", "ROLLBACK"]
        assert [each["reorg_id"] for each in told] == [one, one + 1, three, four] == [1, 2, 3, 4]
        rollback, undo, again_back, last = told
        assert (rollback["old_head"], rollback["new_head"]) == (old, kept)
        removed = {"first": first_removed, "last": old, "blocks": 3}
        assert (rollback["removed"], rollback["restored"]) == (removed, None)
        assert (rollback["reason"], rollback["by"]) == (ORDER.reason, ORDER.who)
        assert rollback["time_ms"] == ORDER.at_ms
        assert (rollback["epoch_before"], rollback["epoch_after"]) == (0, 1)
        assert (undo["undoes"], undo["restored"], undo["removed"]) == (one, removed, None)
        assert (undo["old_head"], undo["new_head"]) == (kept, old)
        assert undo["plan_hash"] == rollback["plan_hash"]
        assert again_back["removed"]["blocks"] == 2
        assert last["removed"] == {"first": first_removed, "last": again, "blocks": 2}
        heads = [(each["epoch_before"], each["epoch_after"]) for each in told]
        assert heads == [(0, 1), (1, 2), (2, 3), (3, 4)]


async def test_reorgs_are_read_by_cursor(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        target = await world.tick()
        await world.tick()
        for _ in range(2):
            await world.node.desk.undo(await world.back(target), ORDER)
        cursor, found = 0, []
        while page := (await world.call("reorgs", cursor=cursor, limit=1))["reorgs"]:
            found += page
            cursor = page[-1]["cursor"]
        assert found == (await world.call("reorgs"))["reorgs"]
        assert len(found) == 4
        assert (await world.call("reorgs", cursor=cursor))["cursor"] == cursor


async def test_an_order_is_followed_through_a_rollback_and_its_undo(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        order = world.order("alice", Side.BUY, 59_000)
        given = world.signed(order, "alice")
        hash_ = format_felt(world.order_id(order, "alice"))
        unknown = await world.call("orphaned", hash=hash_)
        assert (unknown["status"], unknown["kind"], unknown["reorgs"]) == ("UNKNOWN", None, [])
        target = world.service.views.view.head.height
        placed = await world.call("placeOrder", **given)
        told = await world.call("orphaned", hash=hash_)
        assert (told["status"], told["kind"], told["undone_by"]) == ("APPLIED", "ORDER", 0)
        assert told["applied_in"] == named(world, placed["height"])
        assert told["transaction"]["transaction_hash"] == placed["transaction_hash"]
        assert told["order"]["status"] == told["open_order"]["status"] == "OPEN"
        applied_in = told["applied_in"]
        for _ in range(3):
            await world.tick()
        reorg_id = await world.back(target)
        told = await world.call("orphaned", hash=hash_)
        assert (told["status"], told["undone_by"], told["reason"]) == (
            "UNDONE",
            reorg_id,
            ORDER.reason,
        )
        assert (told["applied_in"], told["open_order"]) == (applied_in, None)
        assert [each["kind"] for each in told["reorgs"]] == ["ROLLBACK"]
        await world.node.desk.undo(reorg_id, ORDER)
        told = await world.call("orphaned", hash=hash_)
        assert (told["status"], told["undone_by"], told["applied_in"]) == ("APPLIED", 0, applied_in)
        assert [each["kind"] for each in told["reorgs"]] == ["ROLLBACK", "UNDO"]
        again = await world.back(target)
        await world.reopen()
        told = await world.call("orphaned", hash=hash_)
        assert (told["status"], told["undone_by"]) == ("UNDONE", again)
        assert [each["kind"] for each in told["reorgs"]] == ["ROLLBACK", "UNDO", "ROLLBACK"]
        data = await world.refused("placeOrder", **given)
        assert data["code"] == "ORPHANED_COMMAND"


async def test_a_transaction_is_followed(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        alice, bob = address_of("alice"), address_of("bob")
        values = {"sender": alice, "receiver": bob, "amount": 5}
        target = world.service.views.view.head.height
        done = await world.invoke("alice", exchange_call("transfer", values))
        hash_ = format_felt(done.receipt.transaction_hash)
        told = await world.call("orphaned", hash=hash_)
        assert (told["status"], told["kind"], told["order"]) == ("APPLIED", "TRANSACTION", None)
        assert told["transaction"]["revert_reason"] is None
        # A block between the two rollbacks: the first orphan lies in two dead intervals.
        reorg_id = await world.back(target)
        await world.reopen()
        await world.back(target - 1)
        told = await world.call("orphaned", hash=hash_)
        assert (told["status"], told["undone_by"]) == ("UNDONE", reorg_id)
        assert told["applied_in"]["height"] == done.height


async def test_what_carries_orders_is_found_while_it_is_live(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        placed = await world.place("alice", Side.BUY, 59_000)
        told = await world.call("orphaned", hash=placed["transaction_hash"])
        assert (told["status"], told["kind"]) == ("APPLIED", "TRANSACTION")


async def test_an_order_that_waits_is_known(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        # Whatever seals holds the block, and the order in it.
        free = threading.Event()
        order = world.order("alice", Side.BUY, 59_000)
        hash_ = format_felt(world.order_id(order, "alice"))
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.wait_for(world.node.node.worker.run(free.wait), None))
            await asyncio.sleep(0)
            group.create_task(world.call("placeOrder", **world.signed(order, "alice")))
            await until(lambda: world.service.admission.find(parse_felt(hash_)) is not None)
            told = await world.call("orphaned", hash=hash_)
            free.set()
        assert told["status"] == "WAITING"
        assert (await world.call("orphaned", hash=hash_))["status"] == "APPLIED"


async def test_an_open_order_is_known_when_its_mark_is_forgotten(tmp_path: Path) -> None:
    async with trading(tmp_path) as world:
        placed = await world.place("alice", Side.BUY, 59_000)
        worker, store = world.node.node.worker, world.node.node.store
        assert await worker.run(lambda: store.forget_seen(10**15, 10_000))
        await world.tick()
        told = await world.call("orphaned", hash=placed["order_id"])
        assert (told["status"], told["kind"], told["applied_in"]) == ("APPLIED", "ORDER", None)
        assert told["open_order"]["order_id"] == placed["order_id"]
