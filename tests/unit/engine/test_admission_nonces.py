"""Nonces at the gate: the next one behind those that wait, and an answer at once for any other."""

import asyncio

import msgspec
import pytest

from sequencer.model.refusals import Reason, Refused
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import HeldWorker, Rig, answer, applied, running, until

ALICE = address_of("alice")


async def test_transactions_follow_one_another_without_a_block_in_between() -> None:
    async with running(Rig(worker=HeldWorker())) as rig:
        items = []
        for nonce in range(5):
            assert rig.admission.next_nonce(ALICE) == nonce
            items.append(rig.admission.transaction(rig.transfer(nonce)))
            await rig.admission.accepted(items[-1])
            assert rig.admission.find(items[-1].hash) is items[-1]
        for item in items:
            await applied(item)
        assert rig.admission.next_nonce(ALICE) == 5
        await until(lambda: rig.admission.find(items[-1].hash) is None)


@pytest.mark.parametrize("nonce", [1, 7])
async def test_a_gap_is_refused_at_once(nonce: int) -> None:
    async with running(Rig()) as rig:
        item = rig.admission.transaction(rig.transfer(nonce))
        with pytest.raises(Refused) as refused:
            await rig.admission.accepted(item)
        assert refused.value.reason is Reason.NONCE_INVALID
        assert rig.admission.next_nonce(ALICE) == 0


async def test_of_many_with_one_nonce_one_wins_and_the_rest_get_one_reason() -> None:
    async with running(Rig()) as rig:
        sent = [rig.admission.transaction(rig.transfer(0, amount)) for amount in range(1, 21)]
        told = await asyncio.gather(*(answer(item) for item in sent))
        assert told.count(Reason.NONCE_INVALID) == len(sent) - 1


async def test_a_forged_transaction_takes_no_nonce() -> None:
    async with running(Rig()) as rig:
        forged = msgspec.structs.replace(rig.transfer(0, 2), signature=(1, 2))
        item = rig.admission.transaction(forged)
        own = rig.admission.transaction(rig.transfer(0))
        assert await answer(item) is Reason.SIGNATURE_INVALID
        await applied(own)


async def test_what_never_came_into_a_block_leaves_its_nonce() -> None:
    rig = Rig()
    item = rig.admission.transaction(rig.transfer(0))
    async with asyncio.TaskGroup() as group:
        checking = group.create_task(rig.admission.verify_all())
        await rig.admission.accepted(item)
        assert rig.admission.next_nonce(ALICE) == 1
        rig.admission.refuse_all(Reason.HALTED, "the block was dropped")
        await until(lambda: rig.admission.next_nonce(ALICE) == 0)
        checking.cancel()
