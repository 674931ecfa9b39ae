"""Credited deposits that the settlement chain has lost: the halt, and the two ways out of it."""

from pathlib import Path

import pytest

from sequencer.cli.plans import describe
from sequencer.engine.deposit_facts import content_of, stored_deposits
from sequencer.engine.money_law import money_difference
from sequencer.engine.plan import make_plan
from sequencer.engine.recovery import recover
from sequencer.engine.rollback import PlanStale, apply_plan
from sequencer.exchange.invariants import check_laws, recount
from sequencer.model.commands import OrderPolicy, SetMode
from sequencer.model.halts import HaltCause
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from sequencer.settlement.contract_rules import Deposit
from tests.strategies import Unchecked, reason_of
from tests.unit.chain.network import address_of, exchange_call
from tests.unit.engine.builders import answer, applied, causes, running, turns, until
from tests.unit.engine.deposit_world import ALICE, BOB, PAYER, USD, DepositWorld
from tests.unit.engine.desks import (
    ORDER,
    Operated,
    desk_beside,
    operated,
)

LOST = HaltCause.DEPOSIT_UNMADE.value
INSURANCE = address_of("ins")


async def lost(world: DepositWorld, *amounts: int, count: int) -> None:
    """Credit deposits, and have the settlement chain lose the last of them; the rig runs."""
    await world.credit(*amounts)
    await world.rig.block()
    world.contract.reorg(count)
    await world.look()


def unmaking(world: DepositWorld, *nonces: int, name: str = "ins") -> Unchecked:
    calls = [exchange_call("unmake_deposit", nonce=nonce) for nonce in nonces]
    return world.rig.invoke(name, *calls)


def refusal(world: DepositWorld, *nonces: int, name: str = "ins") -> Reason | None:
    """Return why admission does not take it."""
    return reason_of(lambda: world.rig.send(unmaking(world, *nonces, name=name)))


def require_money(world: DepositWorld) -> None:
    """Hold contract and chain against each other; nothing is under way."""
    state, facts = world.state, world.rig.writer.deposits
    check_laws(state)
    recount(state)
    rest = [content_of(each) for each in facts.due(state.deposits)]
    money = world.contract.ledger.state.money()
    assert money_difference(money, state.totals, state.withdrawals, (), rest) == 0


async def test_a_lost_deposit_halts_and_names_nonce_and_block() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, 6, 7, count=2)
        (halt,) = world.halted
        height = world.credits[1][0]
        assert halt.cause is HaltCause.DEPOSIT_UNMADE
        assert f"deposit 1 of block {height}, deposit 2 of block" in halt.detail
        assert not halt.is_final
        head = world.height
        world.send(9)
        await world.look()
        await turns(200)
        assert world.height <= head + 1
        assert len(world.state.deposits) == 3
    assert causes(recover(world.rig.store).halts) == [LOST]


async def test_it_comes_up_halted_again_and_makes_blocks_once_acknowledged() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, 6, count=1)
    world.restart()
    assert causes(world.rig.gate.halts) == [LOST]
    assert world.rig.note.written == []
    async with running(world.rig):
        await world.mode(Mode.CANCEL_ONLY)
        assert not world.rig.gate.halts
        await world.rig.block()
        await world.mode(Mode.POST_ONLY)
        opening = world.rig.writer.operate(SetMode(Mode.OPEN))
        assert await answer(opening) is Reason.DEPOSIT_UNMADE
        await world.rig.block()
        assert world.state.system.mode is Mode.POST_ONLY
        # What follows over there waits: it stands on another deposit than here.
        world.send(8)
        world.send(9)
        await world.look()
        await world.rig.block()
        status = world.rig.writer.deposits.status(world.state.deposits)
        assert (status.next_nonce, status.pending, status.unmade) == (2, 2, (1,))
    world.restart()
    assert causes(world.rig.gate.halts) == [LOST]


async def test_a_mode_that_stands_is_no_way_past_it() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, count=1)
        assert world.state.system.mode is Mode.OPEN
        again = world.rig.writer.operate(SetMode(Mode.OPEN))
        assert await answer(again) is Reason.DEPOSIT_UNMADE
        assert causes(world.rig.gate.halts) == [LOST]


async def test_a_rollback_before_the_block_lets_the_new_deposit_in() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.rig.block()
        kept = world.height
        await lost(world, 5, 6, count=1)
        world.send(9)
        await world.look()
        await turns()
    plan = make_plan(world.rig.store.view, str(kept), OrderPolicy.KEEP)
    assert [(each.nonce, each.is_gone) for each in plan.impact.deposits] == [(0, False), (1, True)]
    assert plan.impact.lost == ()
    later = make_plan(world.rig.store.view, str(world.credits[1][0]), OrderPolicy.KEEP)
    assert later.impact.lost == (1,)
    page = [*describe(plan, Path("CHAIN"))]
    assert any(line.startswith("  AGAIN  deposit nonce 0 ") for line in page)
    assert any(line.startswith("  GONE   deposit nonce 1 ") for line in page)
    assert any(
        line.startswith("  LOST   deposit nonce 1 ") for line in describe(later, Path("CHAIN"))
    )
    world.back(kept)
    assert causes(world.rig.gate.halts) == [HaltCause.LATCH.value]
    async with running(world.rig):
        await world.mode(Mode.CANCEL_ONLY)
        await world.credited(2)
        await world.mode(Mode.POST_ONLY)
    assert [row.amount for row in world.state.deposits.values()] == [5 * ONE, 9 * ONE]
    require_money(world)


async def test_insurance_unmakes_it_and_the_new_deposit_is_credited() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, 6, 7, count=2)
        await world.mode(Mode.CANCEL_ONLY)
        world.send(20, account=BOB)
        await world.look()
        cash = world.state.accounts[INSURANCE].cash
        kept = world.state.accounts[ALICE].cash
        assert refusal(world, 0) is Reason.DEPOSIT_STANDS
        assert refusal(world, 1) is Reason.DEPOSIT_STANDS
        assert refusal(world, 1, 2) is Reason.DEPOSIT_STANDS
        await applied(world.rig.send(unmaking(world, 2)))
        await applied(world.rig.send(unmaking(world, 1)))
        await until(lambda: 1 in stored_deposits(world.rig.views.view.state()))
        assert world.state.deposits[1].account == BOB
        assert world.state.accounts[INSURANCE].cash == cash - 13 * ONE
        assert world.state.accounts[ALICE].cash == kept
        require_money(world)
        await world.mode(Mode.POST_ONLY)
        await applied(world.rig.writer.operate(SetMode(Mode.OPEN, accept=9)))
    assert causes(recover(world.rig.store, full=True).halts) == []


async def test_insurance_that_has_too_little_is_given_money_while_only_cancels_pass() -> None:
    world = DepositWorld()
    async with running(world.rig):
        before = world.state.accounts[INSURANCE].cash // ONE
        await lost(world, before + 7, count=1)
        await world.mode(Mode.CANCEL_ONLY)
        told = await answer(world.rig.send(unmaking(world, 0)))
        assert not isinstance(told, Reason)
        assert told.refusal == Reason.CASH_INSUFFICIENT.value
        opening = world.rig.writer.operate(SetMode(Mode.OPEN))
        assert await answer(opening) is Reason.DEPOSIT_UNMADE
        gift = exchange_call("transfer", sender=ALICE, receiver=INSURANCE, amount=8 * ONE)
        await applied(world.rig.send(world.rig.invoke("alice", gift)))
        await applied(world.rig.send(unmaking(world, 0)))
        assert world.state.accounts[INSURANCE].cash == ONE
        assert not world.state.deposits
        require_money(world)
        await world.mode(Mode.POST_ONLY)
    assert causes(recover(world.rig.store, full=True).halts) == []


async def test_a_plan_that_did_not_show_what_is_lost_is_stale() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await world.credit(5)
        await world.rig.block()
        kept = world.height
        await world.credit(6)
    store = world.rig.store
    plan = make_plan(store.view, str(kept), OrderPolicy.KEEP)
    assert plan.impact.lost == ()
    world.contract.reorg(2)
    await world.look()
    before = store.head
    with pytest.raises(PlanStale, match="PLAN_STALE: other deposits than it says") as caught:
        apply_plan(store, plan, ORDER)
    assert (store.head.height, store.head.epoch) == (before.height, before.epoch)
    # What waits above the target is no part of it: only deposit 0 stays credited.
    assert caught.value.plan.impact.lost == (0,)
    # It comes back over there: what was planned first holds again, and the new plan does not.
    world.send(5, 6)
    await world.look()
    with pytest.raises(PlanStale):
        apply_plan(store, caught.value.plan, ORDER)
    assert apply_plan(store, plan, ORDER).height == kept


async def test_both_go_in_one_transaction_newest_first() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, 6, count=2)
        await world.mode(Mode.CANCEL_ONLY)
        await applied(world.rig.send(unmaking(world, 1, 0)))
        assert not world.state.deposits
        require_money(world)


async def test_a_live_deposit_above_a_lost_one_is_left_where_it_is() -> None:
    world = DepositWorld()
    async with running(world.rig):
        world.send(5)
        await world.credit(6, 7)
        world.contract.reorg(2)
        # The same content under the same nonce is the same message: only nonce 1 is another one.
        world.send(8, account=BOB)
        world.send(7)
        await world.look()
        assert world.rig.writer.deposits.unmade(world.state.deposits) == [1]
        await world.mode(Mode.CANCEL_ONLY)
        assert refusal(world, 2) is Reason.DEPOSIT_STANDS
        await applied(world.rig.send(unmaking(world, 1)))
        await world.credited(3)
        await world.credit(1)
        require_money(world)
    assert [nonce for _, nonce in world.credits] == [0, 1, 2, 1, 3]


async def test_a_deposit_that_came_back_cannot_be_unmade_any_more() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, 6, count=1)
        await world.mode(Mode.CANCEL_ONLY)
        item = world.rig.item(unmaking(world, 1))
        world.send(6)
        await world.look()
        # Past admission, as where it came back in between.
        world.rig.writer.queue.put(item)
        assert await answer(item) is Reason.DEPOSIT_STANDS
        assert refusal(world, 1) is Reason.DEPOSIT_STANDS
        await world.mode(Mode.POST_ONLY)
        require_money(world)


async def test_nobody_else_unmakes_anything() -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, count=1)
        await world.mode(Mode.CANCEL_ONLY)
        item = world.rig.send(unmaking(world, 0, name="alice"))
        told = await answer(item)
        assert not isinstance(told, Reason)
        assert told.refusal == Reason.NOT_AUTHORIZED.value
    assert 0 in world.state.deposits


async def test_a_stopped_node_s_status_says_so_too(tmp_path: Path) -> None:
    world = DepositWorld()
    async with running(world.rig):
        await lost(world, 5, 6, count=1)
    world.send(9)
    await world.look()
    status = await desk_beside(world.rig.store, tmp_path).status()
    names = ("deposits_next", "deposits_pending", "deposits_unmade")
    assert [status[name] for name in names] == [2, 1, "1"]
    halts = status["halts"]
    assert isinstance(halts, list)
    assert [each.partition(":")[0] for each in halts] == [LOST]


async def deposited(rig: Operated, *amounts: int) -> None:
    """Deposit over there, and wait until a node has credited it."""
    count = len(rig.node.engine.writer.state.deposits) + len(amounts)
    for amount in amounts:
        rig.contract.chain.carry_out(Deposit(ALICE, amount * USD), PAYER)
    await until(lambda: len(stored_deposits(rig.node.views.view.state())) == count)


async def test_a_node_tells_what_its_inbox_holds_and_goes_back_over_a_lost_deposit(
    tmp_path: Path,
) -> None:
    async with operated(tmp_path, settled=True) as rig:
        kept = await rig.block()
        await deposited(rig, 5, 6)
        status = await rig.desk.status()
        assert (status["deposits_next"], status["deposits_pending"]) == (2, 0)
        assert status["deposits_unmade"] == "none"
        there = rig.contract.chain
        there.reorg(len(there.ledger.live))
        await until(lambda: LOST in causes(rig.node.engine.gate.halts))
        status = await rig.desk.status()
        assert status["deposits_unmade"] == "0, 1"
        figures = rig.desk.figures()
        assert figures is not None
        assert figures.inbox is not None
        assert figures.inbox.unmade == (0, 1)
        await rig.idle()
        await rig.desk.apply((await rig.plan(kept)).plan_id.hex(), ORDER)
        assert LOST not in causes(rig.node.engine.gate.halts)
        await rig.desk.mode(Mode.CANCEL_ONLY, "gone back", 0, 60_000)
        await deposited(rig, 9)
        assert rig.service.inbox.next_nonce == 1
