"""What must stop the chain, an impossible deposit or a full disk, and what must not."""

import msgspec

from sequencer.chain.exchange_contract import read_event
from sequencer.engine.deposit_facts import Content, payload_of
from sequencer.engine.filling import Filling
from sequencer.exchange.state import ONLY, Journal, Table
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.records import InboxFact
from sequencer.model.rows import Mode, ModeCause
from sequencer.ports import StoreFailed, StoreProblem
from tests.unit.engine.builders import causes, running, turns, until
from tests.unit.engine.deposit_world import DepositWorld


async def test_a_deposit_that_the_exchange_refuses_is_a_broken_law_by_name() -> None:
    world = DepositWorld()
    malformed = InboxFact(0, bytes(31) + b"\x01", bytes(32), payload_of(Content(5, 6, 0)))
    world.rig.store.record_inbox([malformed])
    world.restart()
    head = world.height
    async with running(world.rig):
        await until(lambda: world.rig.gate.final() is not None)
        await turns()
    (halt,) = world.rig.gate.halts
    assert halt.cause is HaltCause.LAW_BROKEN
    assert halt.detail.startswith("DEPOSIT: deposit 0 is refused: AMOUNT_INVALID")
    assert world.height == head
    assert not world.state.deposits


async def test_a_disk_that_takes_no_facts_halts_and_nothing_is_credited() -> None:
    world = DepositWorld()

    class Full:
        async def run(self, work: object) -> None:
            raise StoreFailed(StoreProblem.WRITE_FAILED, "no room")

    full = msgspec.structs.replace(world.collector._around, worker=Full())
    world.collector._around = full
    async with running(world.rig):
        world.send(5)
        await world.look()
        await turns()
    assert causes(world.halted) == [HaltCause.WRITE_FAILED.value]
    assert world.rig.writer.deposits.count == 0
    assert not world.state.deposits
    # It has given up: the store is not to be written any more.
    await world.collector.run()
    assert not world.slept


async def test_a_store_that_nobody_acknowledged_takes_no_facts() -> None:
    world = DepositWorld()
    world.send(5)
    world.rig.store.acknowledged = False
    await world.look()
    assert (world.facts, world.halted) == ([], [])
    world.rig.store.acknowledged = True
    await world.look()
    assert world.facts == [(0, True)]


async def test_a_chain_that_reopens_by_itself_does_not_while_a_credited_deposit_is_lost() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.credit(5)
        world.contract.reorg(1)
        await world.look()
    world.rig.gate.end([*world.rig.gate.halts])
    # As after a gap: POST_ONLY because of it, prices in a row, and OPEN comes next by itself.
    system = msgspec.structs.replace(
        world.state.system, mode=Mode.POST_ONLY, cause=ModeCause.GAP, reopen_automatic=True
    )
    Journal(world.state).put(Table.SYSTEM, ONLY, system)
    world.rig.clock.ms += 1_000
    world.rig.price(60_000)
    happened = _opened(world)
    assert world.state.system.mode is Mode.CANCEL_ONLY
    assert happened.count("ModeChanged") == 2
    assert world.rig.writer.deposits.unmade(world.state.deposits) == [0]


def _opened(world: DepositWorld) -> list[str]:
    """Open a block; returns the names of what happened in it."""
    filling = Filling(world.rig.producer)
    opened = world.rig.writer._opener.open(filling, world.rig.clock.ms, world.rig.reports)
    assert opened.stands
    receipts = world.rig.producer.open_block().receipts
    found = [read_event(event) for receipt in receipts for event in receipt.events]
    return [type(event).__name__ for event in found]


async def test_a_halt_that_is_not_final_keeps_deposits_pending() -> None:
    world = DepositWorld()
    async with running(world.rig):
        world.rig.gate.halt(Halt(HaltCause.BLOCK_DIFFERS, "a look"))
        world.send(5)
        await world.look()
        await turns(200)
        assert not world.state.deposits
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(1)
