"""The moment in which an operator decides: what waits is answered once, nothing happens twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from sequencer.model.orders import Side
from sequencer.starknet.felt import format_felt
from tests.simulation.api_world import Client, Failed, Kept, answering, go_back
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.executing import ALICE, sent
from tests.unit.api.starknet_rpc.executing import World as Signing
from tests.unit.engine.builders import until
from tests.unit.engine.desks import ORDER

ALICE_AT = format_felt(ALICE)
ADD = "starknet_addInvokeTransaction"


@asynccontextmanager
async def between(kept: Kept, patch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """Keep the node from coming up again after a decision until it is let go."""
    node, free = kept.world.node.node, asyncio.Event()
    run = node.worker.run

    async def run_held(work: Unchecked) -> Unchecked:
        if node.engine.writer.decided:
            await free.wait()
        return await run(work)

    with patch.context() as patched:
        patched.setattr(node.worker, "run", run_held)
        try:
            yield free
        finally:
            free.set()


async def refusal(client: Client, method: str, **params: Unchecked) -> Failed:
    """Call a method that must answer with an error."""
    with pytest.raises(Failed) as caught:
        await client.call(method, **params)
    return caught.value


async def nonce_of(client: Client, block: str = "pre_confirmed") -> int:
    told = await client.call("starknet_getNonce", block_id=block, contract_address=ALICE_AT)
    return int(told, 16)


async def test_between_the_batch_and_the_next_engine_the_old_head_is_read_and_nothing_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(tmp_path) as (kept, session, url):
        client, listener = Client(kept, session, url), await Client(kept, session, url).connect()
        world, signing = kept.world, Signing(kept.world.node)
        await client.call(ADD, invoke_transaction=sent(signing.transfer(nonce=0)))
        await world.node.blocks(3)
        old, account = kept.head, await client.call("perp_getAccount", account=ALICE_AT)
        plan = await world.node.plan(old[0] - 2)
        async with between(kept, monkeypatch) as free:
            deciding = asyncio.ensure_future(world.node.desk.apply(plan.plan_id.hex(), ORDER))
            await until(lambda: world.service.engine.writer.decided)
            assert world.node.node.store.head.epoch == 1
            assert await client.call("perp_getAccount", account=ALICE_AT) == account
            for method in ("perp_getMarkets", "perp_getPrices", "perp_chainInfo", "perp_reorgs"):
                told = await client.call(method, epoch=0)
                assert (told["height"], told["block_hash"], told["epoch"]) == old
            mode = await client.call("perp_getMode")
            assert (mode["mode"], mode["recorded_mode"], mode["epoch"]) == ("HALTED", "OPEN", 0)
            newest = await client.call("starknet_blockHashAndNumber")
            assert (newest["block_number"], newest["block_hash"]) == old[:2]
            pending = await client.call("starknet_getBlockWithTxs", block_id="pre_confirmed")
            assert (pending["block_number"], pending["transactions"]) == (old[0] + 1, [])
            assert await nonce_of(client) == await nonce_of(client, "latest") == 1
            proof = await client.call("perp_accountProof", account=ALICE_AT)
            assert proof["header"]["block_hash"] == old[1]
            order = world.signed(world.order("alice", Side.BUY, 59_000), "alice")
            failed = await refusal(client, "perp_placeOrder", **order)
            assert (failed.code, failed.reason) == (-32_000, "HALTED")
            failed = await refusal(client, "perp_getPrices", epoch=1)
            assert (failed.reason, failed.data["epoch"]) == ("EPOCH_CONFLICT", 0)
            failed = await refusal(client, ADD, invoke_transaction=sent(signing.transfer(nonce=1)))
            assert (failed.code, failed.data.split(":")[0]) == (63, "HALTED")
            heads = await listener.call("starknet_subscribeNewHeads")
            assert (await listener.notified())["params"]["result"]["block_hash"] == old[1]
            assert not deciding.done()
            free.set()
            await deciding
        assert kept.head[::2] == (old[0] - 2, 1)
        reorg = await listener.notified()
        assert reorg["method"] == "starknet_subscriptionReorg"
        assert reorg["params"]["subscription_id"] == heads
        assert reorg["params"]["result"]["ending_block_hash"] == old[1]
        failed = await refusal(client, "perp_getPrices", epoch=0)
        assert [each["reorg_id"] for each in failed.data["reorgs"]] == [1]
        assert (await client.call("perp_getMode", epoch=1))["halted_by_reorg"] == 1


async def test_what_the_operator_undid_is_59_and_another_tip_is_new(tmp_path: Path) -> None:
    async with answering(tmp_path) as (kept, session, url):
        client, world = Client(kept, session, url), kept.world
        signing = Signing(world.node)
        target, undone = kept.head[0], sent(signing.transfer(nonce=0))
        hash_ = (await client.call(ADD, invoke_transaction=undone))["transaction_hash"]
        await signing.in_block(hash_)
        await world.node.halt()
        for times in (1, 3):
            await world.back(target)
            assert await nonce_of(client) == await nonce_of(client, "latest") == 0
            failed = await refusal(client, "starknet_getTransactionStatus", transaction_hash=hash_)
            assert failed.code == 29
            fate = await client.call("perp_orphaned", hash=hash_)
            assert (fate["status"], fate["undone_by"]) == ("UNDONE", times)
            if times == 1:
                await world.node.desk.undo(1, ORDER)
                assert await nonce_of(client) == 1
                status = await client.call("starknet_getTransactionStatus", transaction_hash=hash_)
                assert status["finality_status"] == "ACCEPTED_ON_L2"
        await world.reopen()
        failed = await refusal(client, ADD, invoke_transaction=undone)
        assert failed.code == 59
        assert "undone by reorg 3" in failed.data
        again = sent(signing.transfer(nonce=0, tip=1))
        other = (await client.call(ADD, invoke_transaction=again))["transaction_hash"]
        await signing.in_block(other)
        receipt = await client.call("starknet_getTransactionReceipt", transaction_hash=other)
        assert (receipt["execution_status"], await nonce_of(client)) == ("SUCCEEDED", 1)
        failed = await refusal(client, ADD, invoke_transaction=again)
        assert failed.code == 59
        assert "undone" not in failed.data


class Sender:
    """Sends one transfer after the other, each with the nonce that it reads."""

    def __init__(self, kept: Kept, client: Client, tip: int) -> None:
        self._client, self._signing = client, Signing(kept.world.node)
        self._tip = tip
        self.admitted: list[str] = []
        self.refused: Counter[tuple[int, str]] = Counter()

    async def send(self, ended: asyncio.Event) -> None:
        """Send all the time."""
        while not ended.is_set():
            try:
                await self.send_once()
            except Failed as failed:
                self.refused[failed.code, str(failed.data).split(":")[0]] += 1
                await asyncio.sleep(0.001)

    async def send_once(self) -> None:
        """Send one transfer."""
        self._tip += 1
        transfer = self._signing.transfer(nonce=await nonce_of(self._client), tip=self._tip)
        told = await self._client.call(ADD, invoke_transaction=sent(transfer))
        self.admitted.append(told["transaction_hash"])


async def grown(kept: Kept, blocks: int) -> None:
    """Wait for so many more blocks."""
    height = kept.head[0] + blocks
    await until(lambda: kept.head[0] >= height)


async def executed(client: Client) -> Counter[str]:
    """Count the transactions of the live chain by their hashes."""
    found: Counter[str] = Counter()
    for height in range(await client.call("starknet_blockNumber") + 1):
        block = await client.call(
            "starknet_getBlockWithTxHashes", block_id={"block_number": height}
        )
        found.update(block["transactions"])
    return found


@pytest.mark.parametrize("seed", range(1, 4))
async def test_what_is_in_flight_at_a_decision_is_in_one_named_block_or_in_none(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    async with answering(tmp_path) as (kept, session, url):
        client, world = Client(kept, session, url), kept.world
        senders = [Sender(kept, Client(kept, session, url), 10**6 * n) for n in range(3)]
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sender.send(ended)) for sender in senders]
            for _ in range(2):
                await grown(kept, random.randint(2, 8))
                reorg_id = await go_back(kept, random.randint(1, 5))
                if random.random() < 0.5:
                    await world.node.desk.undo(reorg_id, ORDER)
                await world.reopen()
            await grown(kept, 3)
            ended.set()
            await asyncio.wait(tasks)
        hashes = [each for sender in senders for each in sender.admitted]
        await until(lambda: not any(world.service.admission.find(int(each, 16)) for each in hashes))
        live, told = await executed(client), Counter[str]()
        assert set(live.values()) == {1}
        for hash_ in hashes:
            fate = await client.call("perp_orphaned", hash=hash_)
            told[fate["status"]] += 1
            assert (fate["status"] == "APPLIED") == (hash_ in live), fate
            if fate["status"] == "UNDONE":
                assert fate["applied_in"]["block_hash"] in {each for _, each in kept.blocks}
                assert 1 <= fate["undone_by"] <= kept.head[2]
        assert told["APPLIED"] > 3
        for sender in senders:
            assert {code for code, _ in sender.refused} <= {52, 63}, sender.refused
        await senders[0].send_once()
        (last,) = senders[0].admitted[-1:]
        await until(lambda: world.service.admission.find(int(last, 16)) is None)
        assert (await client.call("perp_orphaned", hash=last))["status"] == "APPLIED"
