"""Deposits collected and credited: once each, in order, whatever happens over there or here."""

import asyncio
from itertools import pairwise

import msgspec
import pytest

from sequencer.chain.genesis import read_genesis
from sequencer.chain.replay import replay_chain
from sequencer.engine.lookup import find_block, live_blocks, rows_at
from sequencer.engine.recovery import genesis_of
from sequencer.engine.writer import Pace
from sequencer.model.bridge_limits import DEPOSITS_PAGE_MAX, DEPOSITS_PER_BLOCK_MAX
from sequencer.model.halts import HaltCause
from sequencer.model.rows import Account, Mode
from sequencer.model.settlement import SentDeposit
from sequencer.model.units import ONE
from sequencer.settlement.simulated import SimulatedSettlement
from sequencer.starknet.transactions import L1Handler
from tests.unit.engine.builders import Rig, causes, running, turns, until
from tests.unit.engine.deposit_world import ALICE, BOB, NEWCOMER, DepositWorld


async def test_deposits_are_collected_and_credited_in_order() -> None:
    world = DepositWorld()
    async with running(world.rig):
        world.send(5, 7)
        world.send(9, account=NEWCOMER)
        await world.look()
        await world.credited(3)
        before = world.state.accounts[ALICE].cash
        await world.credit(1)
    assert world.state.accounts[NEWCOMER] == Account(9 * ONE)
    assert world.state.accounts[ALICE].cash == before + ONE
    assert [nonce for _, nonce in world.credits] == [0, 1, 2, 3]
    assert world.facts == [(0, True), (1, True), (2, True), (3, True)]
    assert not world.rig.gate.halts


async def test_a_credit_is_a_transaction_with_the_hash_that_the_contract_gave() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.credit(5)
    (sent,) = world.contract.ledger.state.deposits
    place = world.rig.store.view.transaction(sent.message_hash.to_bytes(32, "big"))
    assert place is not None
    (block,) = live_blocks(world.rig.store.view, place.height)
    message = block.transactions[place.index]
    assert isinstance(message, L1Handler)
    assert message.calldata == (world.settlement.contract, 0, ALICE, 5_000_000)
    assert block.receipts[place.index].transaction_hash == sent.message_hash
    # Behind the tick, and in no seen set: after a rollback it comes again.
    assert place.index == 1
    assert world.rig.store.view.seen(sent.message_hash.to_bytes(32, "big")) is None


async def test_blocks_with_deposits_are_executed_again_to_the_same() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.credit(5, 7, 11)
    view = world.rig.store.view
    replayed = replay_chain(read_genesis(genesis_of(view).encode()), live_blocks(view, 1))
    assert replayed.state.rows == rows_at(view, find_block(view, "latest"))
    assert len(replayed.state.deposits) == 3


async def test_more_than_a_block_takes_waits_for_the_next() -> None:
    world = DepositWorld()
    count = DEPOSITS_PAGE_MAX + DEPOSITS_PER_BLOCK_MAX // 2
    world.send(*[1] * count)
    await world.look()
    assert world.rig.writer.deposits.count == count
    async with running(world.rig):
        await world.credited(count)
    heights = [height for height, _ in world.credits]
    most = max(heights.count(height) for height in heights)
    assert most == DEPOSITS_PER_BLOCK_MAX
    assert [nonce for _, nonce in world.credits] == [*range(count)]


async def test_a_chain_that_is_called_credits_what_waits_with_each_block() -> None:
    world = DepositWorld()
    world.rig = Rig(world.disk, pace=Pace(on_call=True))
    world._wire()
    async with running(world.rig):
        world.send(5)
        await world.look()
        await turns()
        assert not world.state.deposits
        await world.rig.writer.call()
        assert [*world.state.deposits] == [0]
        world.send(6)
        await world.look()
        await world.rig.writer.call()
        await world.credited(2)


async def test_deposits_wait_while_halted() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.mode(Mode.HALTED)
        world.send(5)
        await world.look()
        await turns(100)
        assert world.rig.writer.deposits.status(world.state.deposits).pending == 1
        assert not world.state.deposits
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(1)


async def test_after_a_restart_what_was_collected_is_credited_without_the_settlement_chain() -> (
    None
):
    world = DepositWorld()
    world.send(5, 6)
    await world.look()
    world.settlement.faults.unreachable = True
    world.restart()
    assert world.rig.writer.deposits.count == 2
    async with running(world.rig):
        await world.credited(2)


async def test_a_rollback_makes_deposits_wait_again_with_the_same_hash() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.credit(5)
        kept = world.height
        await world.credit(6, 7)
    hashes = {nonce: row.message_hash for nonce, row in world.state.deposits.items()}
    world.back(kept)
    assert [*world.state.deposits] == [0]
    assert world.rig.writer.deposits.status(world.state.deposits).pending == 2
    async with running(world.rig):
        await turns()
        assert [*world.state.deposits] == [0]
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(3)
    again = {nonce: row.message_hash for nonce, row in world.state.deposits.items()}
    assert again == hashes
    assert [nonce for _, nonce in world.credits] == [0, 1, 2]


async def test_an_undo_takes_them_back_into_their_blocks() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.rig.block()
        kept = world.height
        await world.credit(5, 6)
    credits_before = world.credits
    world.back(kept)
    assert world.credits == []
    world.undo(world.rig.store.head.epoch)
    assert world.credits == credits_before
    assert world.rig.writer.deposits.status(world.state.deposits).pending == 0
    async with running(world.rig):
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(2)
    assert world.credits == credits_before


async def test_what_nobody_credited_is_dropped_when_a_reorg_removes_it() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.mode(Mode.HALTED)
        world.send(5, 6, 7)
        await world.look()
        world.contract.reorg(2)
        world.send(8, account=BOB)
        await world.look()
        assert not world.halted
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(2)
    assert sorted(world.facts) == [(0, True), (1, False), (1, True), (2, False)]
    assert [row.account for row in world.state.deposits.values()] == [ALICE, BOB]
    assert "1 to 2 are not on the settlement chain any more; 0 of them" in " ".join(world.said)


async def test_a_deposit_that_comes_back_after_a_reorg_is_the_same_fact() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.mode(Mode.HALTED)
        world.send(5, 6)
        await world.look()
        world.contract.reorg(1)
        await world.look()
        assert world.facts == [(0, True), (1, False)]
        world.send(6)
        await world.look()
        assert world.facts == [(0, True), (1, True)]
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(2)
    assert not world.halted


async def test_a_reorg_deeper_than_a_page_is_found_by_the_chain_of_hashes() -> None:
    world = DepositWorld()
    count = 2 * DEPOSITS_PAGE_MAX + 10
    world.send(*[1] * count)
    await world.look()
    world.contract.reorg(count - 3)
    world.send(*[2] * (count + 5))
    await world.look()
    facts = world.rig.writer.deposits
    assert facts.count == count + 8
    assert facts.chain_hash == world.contract.ledger.state.money().chain_hash
    live = [nonce for nonce, is_live in world.facts if is_live]
    assert live == [*range(count + 8)]
    assert len(world.facts) - len(live) == count - 3


@pytest.mark.parametrize("fault", ["unreachable", "absent"])
async def test_a_settlement_chain_that_is_down_or_empty_changes_nothing_and_is_said_once(
    fault: str,
) -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.credit(5)
        setattr(world.settlement.faults, fault, True)
        facts, said = world.facts, len(world.said)
        # A minute of it: looks become rare.
        looking = asyncio.ensure_future(world.collector.run())
        await until(lambda: sum(world.slept) >= 60)
        looking.cancel()
        assert (world.facts, world.halted) == (facts, [])
        (words,) = world.said[said:]
        assert words.startswith("deposits: SETTLEMENT_")
        assert world.collector.problem
        setattr(world.settlement.faults, fault, False)
        world.send(6)
        await world.look()
        assert world.said[-1] == "deposits: it goes on"
        assert not world.collector.problem
        await world.credited(2)


async def test_looks_become_rare_while_the_settlement_chain_is_down() -> None:
    world = DepositWorld()
    world.settlement.faults.unreachable = True
    async with running(world.rig):
        task = asyncio.ensure_future(world.collector.run())
        await until(lambda: len(world.slept) > 8)
        task.cancel()
    assert all(one <= other for one, other in pairwise(world.slept))
    assert max(world.slept) == 60


class Lying(SimulatedSettlement):
    """Changes one field of every deposit that it tells of."""

    changes: dict[str, int]

    async def deposits(self, first: int, count: int) -> tuple[SentDeposit, ...]:
        made = await super().deposits(first, count)
        return tuple(msgspec.structs.replace(each, **self.changes) for each in made)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1},
        {"account": BOB},
        {"message_hash": 3},
        {"chain_hash": 3},
        {"nonce": 3},
        {"amount": 0},
        {"account": 2**251 - 256},
    ],
    ids=str,
)
async def test_a_deposit_that_is_not_what_its_hash_says_is_a_halt_and_no_credit(
    changes: dict[str, int],
) -> None:
    world = DepositWorld()
    lying = Lying(world.contract, 2)
    lying.changes = changes
    world.settlement = lying
    world._wire()
    async with running(world.rig):
        world.send(5)
        await world.look()
        await turns()
    assert causes(world.halted) == [HaltCause.SETTLEMENT_DIFFERS.value]
    assert "deposit 0" in world.halted[0].detail
    assert (world.facts, [*world.state.deposits]) == ([], [])


async def test_another_contract_or_chain_is_a_halt() -> None:
    world = DepositWorld()
    state = world.contract.ledger.state
    world.contract._ledger = msgspec.structs.replace(
        world.contract.ledger, state=msgspec.structs.replace(state, chain_id=1)
    )
    world.send(5)
    await world.look()
    assert causes(world.halted) == [HaltCause.SETTLEMENT_DIFFERS.value]
