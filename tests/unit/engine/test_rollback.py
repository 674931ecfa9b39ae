"""Going back and taking it back: every refusal, what stays on record, and what is left open."""

from itertools import pairwise

import msgspec
import pytest

from sequencer.engine.rollback import (
    Order,
    PlanStale,
    apply_plan,
    read_details,
    read_notice,
    reopening,
    resume,
    undo,
)
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.model.commands import (
    AddSubkey,
    OrderPolicy,
    Reopen,
    RevokeSubkey,
    SetMode,
    SetOperator,
)
from sequencer.model.halts import HaltCause
from sequencer.model.limits import NAME_CHARACTERS_MAX, REASON_CHARACTERS_MAX
from sequencer.model.orders import Side
from sequencer.model.records import (
    EffectKind,
    IncidentKind,
    Latch,
    Stage,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode, ModeCause
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.storage.rollback import incident_hash
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import Rig, answer, applied, causes, copy_of, running, until
from tests.unit.engine.rolling import ORDER, WHEN_MS, WHO, WHY, Chain, place, refused, stages
from tests.unit.storage.builders import rollback

ALICE, BOB = address_of("alice"), address_of("bob")


@pytest.fixture
def chain() -> Chain:
    """A chain at block 7."""
    chain = Chain()
    chain.act(chain.rig.bid(1), ("alice", AddSubkey(ALICE, 55)))
    chain.act(chain.rig.order("alice", Side.BUY, client_id=2), chain.rig.order("bob", Side.SELL))
    chain.act(("alice", RevokeSubkey(ALICE, 55)))
    return chain


def test_going_back_puts_the_head_on_the_target_and_halts(chain: Chain) -> None:
    target = chain.store.view.block(5)
    assert target is not None
    head = chain.back(5, OrderPolicy.CANCEL_ALL)
    assert place(head) == (5, 6, target.block_hash, target.state_root, target.digest)
    assert (head.epoch, head.latch) == (1, Latch(1, OrderPolicy.CANCEL_ALL))
    assert head.guards_forced_on
    assert causes(chain.rig.gate.halts) == ["LATCH"]
    assert not chain.rig.recovered.was_planned


def test_going_back_is_two_batches_and_a_witness(chain: Chain) -> None:
    plan, writes = chain.plan(5), chain.disk.writes
    apply_plan(chain.store, plan, ORDER)
    assert chain.disk.writes == writes + 3


def test_a_plan_whose_head_moved_does_nothing_but_halt(chain: Chain) -> None:
    plan = chain.plan(5, OrderPolicy.CANCEL_ALL)
    chain.blocks(1)
    before = chain.head
    with pytest.raises(Refused, match="PLAN_STALE") as caught:
        apply_plan(chain.store, plan, ORDER)
    chain.load()
    assert chain.head == msgspec.structs.replace(before, latch=Latch(0, OrderPolicy.CANCEL_ALL))
    again = chain.plan(5, OrderPolicy.CANCEL_ALL)
    assert isinstance(caught.value, PlanStale)
    assert caught.value.plan == again
    assert again.plan_id.hex() in caught.value.detail
    assert "block 8" in caught.value.detail
    assert causes(chain.rig.gate.halts) == ["LATCH"]
    assert chain.apply(again).height == 5


def test_a_plan_whose_target_is_gone_only_halts(chain: Chain) -> None:
    plan = chain.plan(6)
    chain.back(4)
    with pytest.raises(Refused, match="TARGET_ORPHANED"):
        apply_plan(chain.store, plan, ORDER)
    assert chain.head.latch == Latch(1, OrderPolicy.KEEP)
    assert chain.head.height == 4


def test_a_halt_that_only_a_stale_plan_made_ends_with_an_ordinary_change(chain: Chain) -> None:
    plan = chain.plan(5)
    chain.blocks(1)
    with pytest.raises(Refused):
        apply_plan(chain.store, plan, ORDER)
    assert reopening(chain.store.view) is None


def test_a_plan_is_carried_out_once(chain: Chain) -> None:
    plan = chain.plan(5)
    chain.apply(plan)
    with refused(Reason.PLAN_APPLIED, chain.disk, "reorg 1; COMMITTED"):
        apply_plan(chain.store, plan, ORDER)
    chain.undo(1)
    with refused(Reason.PLAN_APPLIED, chain.disk, "reorg 1; UNDONE"):
        apply_plan(chain.store, plan, ORDER)


def test_an_interrupted_plan_is_resumed_before_it_is_carried_out(chain: Chain) -> None:
    plan = chain.plan(5)
    prepared = rollback(chain.store, 5, plan_id=plan.plan_id)
    chain.store.prepare(prepared)
    with pytest.raises(StoreRefused) as caught:
        apply_plan(chain.store, plan, ORDER)
    assert caught.value.problem is StoreProblem.JOURNAL_ORDER
    assert resume(chain.store) == []
    assert stages(chain) == [Stage.ABORTED]
    assert chain.apply(plan).height == 5


@pytest.mark.parametrize("reason", ["", " \n", "x" * (REASON_CHARACTERS_MAX + 1)])
def test_without_a_reason_nothing_is_done(chain: Chain, reason: str) -> None:
    plan, order = chain.plan(5), Order(WHO, reason, WHEN_MS)
    with refused(Reason.REASON_MISSING, chain.disk):
        apply_plan(chain.store, plan, order)
    chain.apply(plan)
    with refused(Reason.REASON_MISSING, chain.disk):
        undo(chain.store, 1, order)


@pytest.mark.parametrize("policy", OrderPolicy)
def test_an_undo_restores_head_rows_and_root_exactly(chain: Chain, policy: OrderPolicy) -> None:
    before, rows = chain.head, chain.rows()
    chain.back(4, policy)
    assert chain.rows() != rows
    head = chain.undo(1)
    assert place(head) == place(before)
    assert chain.rows() == rows
    assert (head.epoch, head.latch) == (2, Latch(2, OrderPolicy.KEEP))
    assert not [halt for halt in chain.rig.gate.halts if halt.is_final]
    assert reopening(chain.store.view) == Reopen(2, OrderPolicy.KEEP, ())
    assert chain.reopen().reorg_id == 2


def test_apply_undo_and_apply_again(chain: Chain) -> None:
    for reorg_id in (1, 3, 5):
        assert chain.back(5).epoch == reorg_id
        assert chain.undo(reorg_id).height == 7
    assert chain.back(6).height == 6
    assert [each.kind for each in chain.store.view.incidents()] == [
        IncidentKind.ROLLBACK,
        IncidentKind.UNDO,
    ] * 3 + [IncidentKind.ROLLBACK]


def test_an_undo_ends_with_the_first_new_block(chain: Chain) -> None:
    chain.back(5)
    chain.reopen()
    with refused(Reason.UNDO_IMPOSSIBLE, chain.disk, "a block was made"):
        undo(chain.store, 1, ORDER)


@pytest.mark.parametrize("reorg_id", [-1, 0, 2, 99])
def test_what_was_never_rolled_back_is_not_undone(chain: Chain, reorg_id: int) -> None:
    with refused(Reason.UNDO_IMPOSSIBLE, chain.disk, "no reorg"):
        undo(chain.store, reorg_id, ORDER)
    chain.back(5)
    with refused(Reason.UNDO_IMPOSSIBLE, chain.disk, "no reorg"):
        undo(chain.store, reorg_id, ORDER)


def test_nothing_is_undone_twice_nor_an_undo(chain: Chain) -> None:
    chain.back(5)
    chain.undo(1)
    for reorg_id in (1, 2):
        with refused(Reason.UNDO_IMPOSSIBLE, chain.disk):
            undo(chain.store, reorg_id, ORDER)


def test_nested_rollbacks_are_undone_newest_first(chain: Chain) -> None:
    heads, rows = [chain.head], [chain.rows()]
    policies = {6: OrderPolicy.CANCEL_ALL, 5: OrderPolicy.KEEP, 2: OrderPolicy.KEEP}
    for target, policy in policies.items():
        chain.back(target, policy)
        heads.append(chain.head)
        rows.append(chain.rows())
    with refused(Reason.UNDO_IMPOSSIBLE, chain.disk, "not the last"):
        undo(chain.store, 2, ORDER)
    for reorg_id in (3, 2, 1):
        head = chain.undo(reorg_id)
        assert place(head) == place(heads[reorg_id - 1])
        assert chain.rows() == rows[reorg_id - 1]
        before = reorg_id - 1
        if before:
            # The one before is in force again, with its own policy.
            security = (RevokeSubkey(ALICE, 55),)
            needed = Reopen(before, [*policies.values()][before - 1], security)
            assert reopening(chain.store.view) == needed
    assert chain.head.latch == Latch(6, OrderPolicy.KEEP)


def test_what_a_rollback_has_to_do_again_outlives_another_one(chain: Chain) -> None:
    chain.act(SetOperator(BOB))
    for target in (7, 6, 5):
        chain.back(target)
    assert (ALICE, 55) in chain.rig.state.subkeys
    command = reopening(chain.store.view)
    assert command == Reopen(3, OrderPolicy.KEEP, (RevokeSubkey(ALICE, 55), SetOperator(BOB)))
    assert chain.rig.producer.operate(command).revert_reason is None
    assert (ALICE, 55) not in chain.rig.state.subkeys
    assert chain.rig.state.system.operator == BOB


def test_what_was_done_again_is_not_done_twice(chain: Chain) -> None:
    chain.back(6)
    chain.reopen()
    chain.act(("alice", AddSubkey(ALICE, 55)))
    chain.back(7)
    # Block 7 has revoked it, and nothing has done so since.
    assert chain.reopen().security == ()
    chain.back(6)
    assert chain.reopen().security == (RevokeSubkey(ALICE, 55),)


def test_records_say_who_why_when_and_what_and_are_a_chain(chain: Chain) -> None:
    roots = [int.from_bytes(chain.head.state_root, "big")]
    plan = chain.plan(5, OrderPolicy.CANCEL_ALL)
    chain.apply(plan)
    roots.append(int.from_bytes(chain.head.state_root, "big"))
    chain.undo(1, Order("otto", "0x12 was the wrong block", WHEN_MS + 1))
    one, two = chain.store.view.incidents()
    assert (one.number, one.kind, one.plan_id) == (1, IncidentKind.ROLLBACK, plan.plan_id)
    assert (one.height_before, one.height_after) == (7, 5)
    assert (two.height_before, two.height_after) == (5, 7)
    details = read_details(one)
    assert (details.who, details.reason, details.at_ms) == (WHO, WHY, WHEN_MS)
    assert [details.root_before, details.root_after] == roots
    assert details.policy is OrderPolicy.CANCEL_ALL
    assert tuple(details.security) == (RevokeSubkey(ALICE, 55),)
    details = read_details(two)
    assert (details.who, details.reason) == ("otto", "0x12 was the wrong block")
    assert [details.root_after, details.root_before] == roots
    for before, after in pairwise((one, two)):
        assert after.previous == incident_hash(before)
    assert chain.head.incident_hash == incident_hash(two)


@pytest.mark.parametrize(
    "reason", ["0x12", "=", "\u00fc \u4e16", '"}', "x" * REASON_CHARACTERS_MAX]
)
def test_whatever_reason_is_given_is_read_back(chain: Chain, reason: str) -> None:
    who = reason[:NAME_CHARACTERS_MAX]
    chain.apply(chain.plan(5), Order(who, reason, 0))
    (record,) = chain.store.view.incidents()
    assert (read_details(record).who, read_details(record).reason) == (who, reason)
    (effect,) = [
        each for each in chain.store.view.effects(0, 99) if each.kind is EffectKind.ROLLBACK
    ]
    assert read_notice(effect.payload).reason == reason


def test_readers_are_told_what_is_undone_and_what_is_back(chain: Chain) -> None:
    old, plan = chain.head, chain.plan(5)
    chain.apply(plan)
    chain.undo(1)
    told = [each for each in chain.store.view.effects(0, 99) if each.kind is not EffectKind.BLOCK]
    assert [(each.kind, each.epoch) for each in told] == [
        (EffectKind.ROLLBACK, 1),
        (EffectKind.UNDO, 2),
    ]
    rolled, back = (read_notice(each.payload) for each in told)
    assert (
        (rolled.first_height, rolled.last_height) == (6, 7) == (back.first_height, back.last_height)
    )
    assert rolled.target_hash == back.target_hash == plan.target_hash
    assert rolled.head_hash == back.head_hash == int.from_bytes(old.block_hash, "big")


async def test_a_node_goes_on_with_the_recorded_command(chain: Chain) -> None:
    chain.back(5, OrderPolicy.CANCEL_ALL)
    rig = Rig(chain.disk)
    async with running(rig):
        for early in (SetMode(Mode.POST_ONLY), SetMode(Mode.OPEN), Reopen(9, OrderPolicy.KEEP)):
            assert await answer(rig.writer.operate(early)) is Reason.MODE_ORDER
        rig.clock.ms += 5_000
        assert (await applied(rig.writer.operate(SetMode(Mode.CANCEL_ONLY)))).height == 6
    assert rig.store.head.latch is None
    assert rig.state.orders == {}
    assert (rig.state.system.mode, rig.state.system.cause) == (
        Mode.CANCEL_ONLY,
        ModeCause.ROLLBACK,
    )
    assert (ALICE, 55) not in rig.state.subkeys


async def test_an_operator_who_was_handed_over_to_is_in_force_before_the_tick() -> None:
    chain = Chain()
    chain.act(SetOperator(BOB))
    chain.back(4)
    rig = Rig(chain.disk)
    async with running(rig):
        assert (await applied(rig.writer.operate(SetMode(Mode.CANCEL_ONLY)))).height == 5
        await until(lambda: rig.gate.final() is not None)
    assert causes(rig.gate.halts) == [HaltCause.TICK_REFUSED.value]
    assert rig.store.head.latch is None
    assert rig.state.system.operator == BOB
    again = Rig(rig.disk)
    assert again.recovered.halts == []
    assert again.state.system.operator == BOB


def test_orphans_are_collected_and_an_undo_is_then_impossible(chain: Chain) -> None:
    chain.back(5)
    resume(chain.store)
    chain.reopen()
    disk: SimulatedDisk = copy_of(chain.disk)
    other = Chain(disk)
    other.blocks(3)
    keep_up(other.store, other.rig.state.system.time_ms, Keeping())
    with refused(Reason.UNDO_IMPOSSIBLE, disk):
        undo(other.store, 1, ORDER)
