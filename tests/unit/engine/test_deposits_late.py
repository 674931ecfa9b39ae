"""A settlement chain that answers late, changes meanwhile, or lies: what is retracted, and when."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

import sequencer.engine.deposits
from sequencer.model.bridge_limits import DEPOSITS_PAGE_MAX, DEPOSITS_PER_BLOCK_MAX
from sequencer.model.halts import HaltCause
from sequencer.model.rows import Mode
from sequencer.model.settlement import Money, SentDeposit
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from tests.unit.engine.builders import HeldWorker, ManualClock, causes, running, turns, until
from tests.unit.engine.deposit_world import BOB, DepositWorld

LOST = HaltCause.DEPOSIT_UNMADE.value
DIFFERS = HaltCause.SETTLEMENT_DIFFERS.value


class Replicas(SimulatedSettlement):
    """Answers from this chain or, where there is one, from a copy of its past.

    `past_pages` answers for more deposits than one. `changes` are made to each deposit; `before` is
    called before each answer, and `asked` counts them.
    """

    past_money: SimulatedSettlement | None = None
    past_deposits: SimulatedSettlement | None = None
    past_pages: SimulatedSettlement | None = None
    asked = 0

    def __init__(self, chain: SimulatedChain) -> None:
        super().__init__(chain, 2)
        self.changes: dict[str, int] = {}
        self.before: Callable[[], None] = lambda: None
        self.free = asyncio.Event()
        self.free.set()

    async def money(self) -> Money:
        past = self.past_money
        return await (super().money() if past is None else past.money())

    async def deposits(self, first: int, count: int) -> tuple[SentDeposit, ...]:
        self.asked += 1
        self.before()
        await self.free.wait()
        past, ask = self.past_pages if count > 1 else None, super().deposits
        past = past or self.past_deposits
        made = await (ask if past is None else past.deposits)(first, count)
        return tuple(msgspec.structs.replace(each, **self.changes) for each in made)

    def past(self) -> SimulatedSettlement:
        """Return what a replica answers that gets no further than now."""
        ledger = self.chain.ledger
        copy = SimulatedChain(ledger.genesis, ManualClock())
        copy._ledger = ledger
        return SimulatedSettlement(copy, 2)

    def be_late(self, past: SimulatedSettlement | None) -> None:
        self.past_money = self.past_deposits = past


class LateWorld(DepositWorld):
    """A world whose settlement chain has replicas."""

    def __init__(self) -> None:
        super().__init__()
        self.replicas = Replicas(self.contract)
        self.settlement = self.replicas
        self._wire()

    @property
    def credited_now(self) -> int:
        return len(self.state.deposits)


async def test_a_page_that_contradicts_the_counters_retracts_nothing_and_is_asked_again() -> None:
    world = LateWorld()
    async with running(world.rig):
        world.send(5)
        past = world.replicas.past()
        await world.credit(6)
        for count in (0, 1):
            world.send(*[7] * count)
            world.replicas.past_deposits = past
            facts, said = world.facts, len(world.said)
            # The counters tell of what the pages do not have yet; or, next, of another last one.
            world.contract.reorg(count + 1)
            world.send(*[8] * (count + 1), account=BOB)
            for _ in range(4):
                await world.look_once()
            assert (world.facts, world.halted) == (facts, [])
            (words,) = world.said[said:]
            assert "its answers do not agree" in words
            assert world.collector.problem
            world.contract.reorg(count + 1)
            world.send(*[6, 7][: count + 1])
            world.replicas.past_deposits = None
            await world.look_once()
            assert world.said[-1] == "deposits: it goes on"
        await world.credited(3)
    assert world.halted == []


def turn_pages_of(monkeypatch: pytest.MonkeyPatch, deposits: int) -> None:
    """Have pages be small: the last deposit is not on the first one."""
    monkeypatch.setattr(sequencer.engine.deposits, "DEPOSITS_PAGE_MAX", deposits)


@pytest.mark.parametrize("deposits", [2, DEPOSITS_PAGE_MAX])
async def test_pages_of_another_fork_than_the_counters_retract_nothing(
    monkeypatch: pytest.MonkeyPatch, deposits: int
) -> None:
    turn_pages_of(monkeypatch, deposits)
    world = LateWorld()
    async with running(world.rig):
        await world.credit(5, 6, 7, 8)
        honest = world.replicas.past()
        world.contract.reorg(3)
        world.send(9, 9, 9, account=BOB)
        fork = world.replicas.past()
        # The counters are a third chain's, as many deposits as on the second.
        world.contract.reorg(1)
        world.send(4)
        world.replicas.past_deposits = fork
        for _ in range(3):
            await world.look_once()
        assert (world.facts, world.halted) == ([(each, True) for each in range(4)], [])
        world.replicas.be_late(honest)
        await world.look_once()
    assert not world.collector.problem


async def test_new_deposits_of_another_fork_than_the_counters_are_not_taken() -> None:
    world = LateWorld()
    world.send(5)
    await world.look()
    world.send(9, account=BOB)
    fork = world.replicas.past()
    world.contract.reorg(1)
    world.send(6)
    world.replicas.past_deposits = fork
    await world.look_once()
    assert "its answers do not agree" in world.collector.problem
    assert (world.facts, world.halted) == ([(0, True)], [])


@pytest.mark.parametrize("amounts", [(5, 6, 7, 8), (4, 4, 4, 4)], ids=str)
async def test_a_page_of_another_moment_than_the_search_retracts_nothing(
    monkeypatch: pytest.MonkeyPatch, amounts: tuple[int, ...]
) -> None:
    turn_pages_of(monkeypatch, 2)
    world = LateWorld()
    world.send(*amounts)
    other = world.replicas.past()
    world.contract.reorg(4)
    world.send(5, 6, 7, 8)
    for _ in range(3):
        await world.look()
    assert len(world.facts) == 4
    world.contract.reorg(3)
    world.send(9, 9, 9, account=BOB)
    world.replicas.past_pages = other
    for _ in range(3):
        await world.look_once()
        assert "its answers do not agree" in world.collector.problem
    assert (world.facts, world.halted) == ([(each, True) for each in range(4)], [])


async def test_one_late_look_is_no_loss_and_until_the_next_nothing_is_credited() -> None:
    world = LateWorld()
    async with running(world.rig):
        world.send(5)
        past = world.replicas.past()
        await world.credit(6)
        await world.mode(Mode.HALTED)
        world.send(7)
        await world.look()
        world.replicas.be_late(past)
        await world.look_once()
        await world.mode(Mode.CANCEL_ONLY)
        await world.rig.block()
        assert world.facts == [(0, True), (1, True), (2, True)]
        assert (world.credited_now, world.rig.writer.deposits.waits(world.state.deposits)) == (
            2,
            False,
        )
        world.replicas.be_late(None)
        await world.look_once()
        await world.credited(3)
    assert (world.halted, world.collector.problem) == ([], "")


async def test_a_replica_that_catches_up_is_late_however_often_it_is_asked() -> None:
    world = LateWorld()
    async with running(world.rig):
        pasts = []
        for _ in range(4):
            pasts.append(world.replicas.past())
            world.send(5)
        await world.look()
        await world.credited(4)
        for past in pasts:
            world.replicas.be_late(past)
            await world.look_once()
        assert world.halted == []
        assert all(is_live for _, is_live in world.facts)
        # Another first one in the same place is another finding, too.
        world.replicas.be_late(None)
        world.contract.reorg(1)
        world.send(8, account=BOB)
        await world.look_once()
        assert world.halted == []
        await world.look_once()
        assert causes(world.halted) == [LOST]


async def test_a_look_that_fails_comes_between_two_that_would_retract() -> None:
    world = LateWorld()
    async with running(world.rig):
        await world.credit(5)
        world.contract.reorg(1)
        await world.look_once()
        world.replicas.faults.unreachable = True
        await world.look_once()
        world.replicas.faults.unreachable = False
        await world.look_once()
        assert world.halted == []
        await world.look_once()
        assert causes(world.halted) == [LOST]


async def test_the_look_at_the_start_and_the_next_one_are_a_look_apart() -> None:
    world = LateWorld()
    async with running(world.rig):
        await world.credit(5)
        world.contract.reorg(1)
        await world.collector.check_start()
        seen = []

        async def sleep(seconds: float) -> None:
            seen.append((seconds, len(world.halted)))
            await asyncio.sleep(0)

        around = msgspec.structs.replace(world.collector._around, sleep=sleep)
        world.collector._around = around
        task = asyncio.ensure_future(world.collector.run())
        await until(lambda: len(seen) > 1)
        task.cancel()
    assert seen[:2] == [(1, 0), (1, 1)]
    assert world.facts == [(0, False)]


@pytest.mark.parametrize(
    "changes",
    [{"amount": 1}, {"chain_hash": 2**256}, {"chain_hash": -5}, {"account": -1}, {"nonce": 7}],
    ids=str,
)
async def test_garbage_takes_no_fact_s_place(changes: dict[str, int]) -> None:
    world = LateWorld()
    async with running(world.rig):
        await world.credit(5, 6)
        world.contract.reorg(1)
        world.send(9, account=BOB)
        world.replicas.changes = changes
        await world.look()
    assert causes(world.halted) == [DIFFERS]
    assert world.facts == [(0, True), (1, True)]


async def test_what_may_be_lost_is_not_credited_while_it_is_searched_by_halves() -> None:
    world = LateWorld()
    kept, count = 40, 3 * DEPOSITS_PAGE_MAX
    world.send(*[1] * count)
    await world.look()
    world.contract.reorg(count - kept)
    world.send(2)
    world.replicas.asked = 0
    world.replicas.free.clear()
    looking = asyncio.ensure_future(world.look())
    await until(lambda: world.replicas.asked == 1)
    async with running(world.rig):
        await world.rig.block()
        await world.rig.block()
        assert world.credited_now == 0
        world.replicas.free.set()
        await looking
        await world.credited(kept + 1)
    # Twice: each step is one deposit, and then what is there instead.
    assert world.replicas.asked <= 2 * (count.bit_length() + 2) + 1
    assert world.halted == []


async def test_a_contract_that_changes_while_it_is_searched_is_asked_again() -> None:
    world = LateWorld()
    async with running(world.rig):
        await world.credit(5, 6, 7, 8)
        world.contract.reorg(2)
        world.send(9, 9)

        def come_back() -> None:
            world.replicas.before = lambda: None
            world.contract.reorg(2)
            world.send(7, 8)

        world.replicas.before = come_back
        await world.look_once()
        assert "its answers do not agree" in world.collector.problem
        await world.look_once()
    assert (world.halted, world.collector.problem) == ([], "")
    assert all(is_live for _, is_live in world.facts)


async def test_a_node_that_loses_and_finds_it_adds_one_halt_until_that_is_ended() -> None:
    world = LateWorld()
    async with running(world.rig):
        world.send(5)
        empty, there = None, world.replicas.past()
        await world.look()
        await world.credited(1)
        world.contract.reorg(1)
        for _ in range(3):
            world.replicas.be_late(empty)
            await world.look()
            world.replicas.be_late(there)
            await world.look()
        assert causes(world.rig.gate.halts) == [LOST]
        await world.mode(Mode.CANCEL_ONLY)
        assert world.rig.gate.halts == []
        world.replicas.be_late(empty)
        await world.look()
        assert causes(world.rig.gate.halts) == [LOST]


async def test_a_page_is_checked_by_the_worker() -> None:
    world = LateWorld()
    held = HeldWorker()
    held.free.clear()
    world.collector._around = msgspec.structs.replace(world.collector._around, worker=held)
    world.send(5)
    world.replicas.changes = {"message_hash": 3}
    looking = asyncio.ensure_future(world.look_once())
    await turns(50)
    assert world.halted == []
    held.free.set()
    await looking
    assert causes(world.halted) == [DIFFERS]


async def test_the_look_at_the_start_leaves_what_is_much_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sequencer.engine.deposits, "DEPOSIT_PAGES_AT_START_MAX", 1)
    world = LateWorld()
    count = DEPOSITS_PAGE_MAX + DEPOSITS_PER_BLOCK_MAX
    world.send(*[1] * count)
    await world.collector.check_start()
    assert DEPOSITS_PAGE_MAX <= world.rig.writer.deposits.count < count
    await world.look_once()
    assert world.rig.writer.deposits.count == count
