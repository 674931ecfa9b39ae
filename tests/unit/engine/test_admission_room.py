"""Room for commands: how many may wait in all and for each signer, and who uses it up."""

import msgspec
import pytest

from sequencer.engine import admission as admission_module
from sequencer.model.refusals import Reason
from sequencer.ports import StoreFailed, StoreProblem
from tests.strategies import refused
from tests.unit.engine.builders import (
    HeldWorker,
    Rig,
    answer,
    applied,
    causes,
    pending,
    running,
    settled,
    turns,
    until,
)


async def test_one_too_many_is_busy_and_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "PENDING_COMMANDS_MAX", 3)
    rig = Rig()
    items = [rig.send(rig.bid(number)) for number in range(2)]
    items.append(rig.send(rig.bid(9, "bob")))
    for extra in (rig.bid(3), rig.cancel("bob", 5), rig.transfer()):
        with refused(Reason.BUSY):
            rig.send(extra)
    items[0].refuse(Reason.HALTED, "")
    await turns()
    assert pending(rig) == (2, 0)
    rig.send(rig.bid(3))


async def test_one_too_many_of_one_signer_is_busy_for_that_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "PENDING_COMMANDS_PER_ACCOUNT_MAX", 2)
    worker = HeldWorker()
    async with running(Rig(worker=worker)) as rig:
        await rig.at_height(5)
        worker.free.clear()
        # At once, before any signature is checked: the third is told when its own is.
        items = [rig.send(rig.bid(number)) for number in range(3)]
        assert await answer(items.pop()) is Reason.ACCOUNT_BUSY
        await until(lambda: pending(rig) == (2, 1))
        for extra in (rig.bid(3), rig.cancel("alice", 5), rig.transfer()):
            with refused(Reason.ACCOUNT_BUSY):
                rig.send(extra)
        other = rig.send(rig.bid(9, "bob"))
        worker.free.set()
        await settled(*items, other)
        await until(lambda: pending(rig) == (0, 0))
        await applied(rig.send(rig.bid(3)))


async def test_a_forged_message_costs_its_signer_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the one place for the message, nor places that only its signer may use up."""
    monkeypatch.setattr(admission_module, "PENDING_COMMANDS_PER_ACCOUNT_MAX", 1)
    async with running(Rig()) as rig:
        good = rig.bid(1)
        forged = [rig.send(msgspec.structs.replace(good, r=r, s=1)) for r in range(1, 6)]
        item = rig.send(good)
        assert await settled(*forged) == [Reason.SIGNATURE_INVALID] * 5
        assert (await applied(item)).refusal == ""
    stranger = Rig()
    with refused(Reason.NOT_AUTHORIZED):
        stranger.send(msgspec.structs.replace(stranger.cancel("alice", 5), key=77))


async def test_a_store_that_cannot_be_read_halts_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def unreadable(*_: object) -> None:
        raise StoreFailed(StoreProblem.STORE_CORRUPT, "a block of the disk")

    monkeypatch.setattr(type(rig.views.view), "seen", unreadable)
    with refused(Reason.HALTED):
        rig.send(rig.bid(1))
    assert causes(rig.gate.halts) == ["READ_FAILED"]
