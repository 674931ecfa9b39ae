"""What a rollback would do, and every reason for which there is no plan."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from sequencer.chain.stored import TABLES, decode_header
from sequencer.cli.plans import describe
from sequencer.engine.plan import LOCAL, Plan, PostedRoot, make_plan, renewed, resolve_live
from sequencer.engine.rollback import resume
from sequencer.engine.settling import Settled, plan_felt
from sequencer.exchange.state import Table
from sequencer.model.commands import AddSubkey, OrderPolicy, RevokeSubkey
from sequencer.model.orders import OrderType, Side
from sequencer.model.records import Cursor, History
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import (
    Post,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)
from sequencer.model.units import ONE
from sequencer.storage import keys
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import copy_of
from tests.unit.engine.damage import planted, tear
from tests.unit.engine.rolling import Chain, post_at, refused
from tests.unit.storage.builders import rollback

ALICE = address_of("alice")
KEY = 55


@cache
def _disk() -> SimulatedDisk:
    chain = Chain()
    chain.act(("alice", AddSubkey(ALICE, KEY)), chain.rig.bid(1))
    chain.act(chain.rig.order("alice", Side.BUY, client_id=2), chain.rig.order("bob", Side.SELL))
    chain.act(("alice", RevokeSubkey(ALICE, KEY)))
    chain.blocks(1)
    return chain.disk


@pytest.fixture
def chain() -> Chain:
    """A chain at block 8: a subkey comes in block 5 and goes in 7, a trade is in 6."""
    return Chain(copy_of(_disk()))


def test_a_plan_says_what_stays_and_what_it_was_made_for(chain: Chain) -> None:
    plan, head = chain.plan(6), chain.head
    target = chain.store.view.block(6)
    assert target is not None
    assert plan.planned == head.mark
    assert (plan.head_height, plan.target_height) == (8, 6)
    assert plan.target_hash.to_bytes(32, "big") == target.block_hash
    assert plan.target_root.to_bytes(32, "big") == target.state_root
    assert plan.head_root.to_bytes(32, "big") == head.state_root
    assert plan.head_time_seconds - plan.target_time_seconds == 2
    assert plan.target_time_seconds == decode_header(target.header).timestamp
    assert plan.oldest_height == 0
    assert (plan.zone, plan.impact.blocks, len(plan.plan_id)) == (LOCAL, 2, 32)


def test_planning_writes_nothing_and_gives_the_same_id_twice(chain: Chain) -> None:
    before, writes = chain.contents(), chain.disk.writes
    ids = {chain.plan(6).plan_id for _ in range(3)}
    assert (chain.contents(), chain.disk.writes) == (before, writes)
    chain.load()
    assert {chain.plan(6).plan_id} == ids


def test_whatever_differs_gives_another_id(chain: Chain) -> None:
    plan = chain.plan(6)
    assert plan.security == (RevokeSubkey(ALICE, KEY),)
    others = [chain.plan(5), chain.plan(6, OrderPolicy.CANCEL_ALL), chain.plan(6, deselected=(0,))]
    for name in ("epoch", "sequence", "head_hash", "target_root", "orders_kept"):
        others.append(msgspec.structs.replace(plan, **{name: getattr(plan, name) + 1}))
    impact = msgspec.structs.replace(plan.impact, fills=plan.impact.fills + 1)
    others.append(msgspec.structs.replace(plan, impact=impact))
    chain.blocks(1)
    others.append(chain.plan(6))
    ids = [plan.plan_id, *(other.plan_id for other in others)]
    assert len(set(ids)) == len(ids)


def test_a_target_is_named_by_height_hash_and_label(chain: Chain) -> None:
    chain.store.create_checkpoint(5, "before trading", "olga")
    chain.store.create_checkpoint(6, "twice", "olga")
    chain.store.create_checkpoint(4, "twice", "olga")
    fifth = chain.plan(5)
    assert chain.plan(hex(fifth.target_hash)) == fifth
    assert chain.plan("before trading") == fifth
    assert chain.plan("twice").target_height == 6
    chain.back(5)
    assert chain.plan("twice").target_height == 4


def test_a_number_is_a_height_whatever_labels_there_are(chain: Chain) -> None:
    for height, label in ((4, "6"), (5, "latest"), (3, "99")):
        chain.store.create_checkpoint(height, label, "olga")
    assert chain.plan(6).target_height == 6
    with refused(Reason.TARGET_ABOVE_HEAD, chain.disk):
        chain.plan(99)
    with refused(Reason.TARGET_IS_HEAD, chain.disk):
        chain.plan("latest")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("9", Reason.TARGET_ABOVE_HEAD),
        ("9" * 19, Reason.TARGET_ABOVE_HEAD),
        ("8", Reason.TARGET_IS_HEAD),
        ("latest", Reason.TARGET_IS_HEAD),
        ("-1", Reason.BLOCK_UNKNOWN),
        ("", Reason.BLOCK_UNKNOWN),
        ("0x99", Reason.BLOCK_UNKNOWN),
        ("no such label", Reason.BLOCK_UNKNOWN),
        ("\u00b2", Reason.BLOCK_UNKNOWN),
        ("\u0663", Reason.BLOCK_UNKNOWN),
        ("0" * 30 + "6", Reason.BLOCK_UNKNOWN),
        ("9" * 9_999, Reason.BLOCK_UNKNOWN),
    ],
)
def test_what_names_no_block_below_the_head(chain: Chain, reference: str, reason: Reason) -> None:
    with refused(reason, chain.disk):
        chain.plan(reference)


def test_the_heads_own_hash_is_no_target(chain: Chain) -> None:
    with refused(Reason.TARGET_IS_HEAD, chain.disk):
        chain.plan("0x" + chain.head.block_hash.hex())


def test_orphans_are_no_targets(chain: Chain) -> None:
    orphan = hex(chain.plan(7).target_hash)
    chain.back(5)
    chain.reopen()
    chain.blocks(2)
    with refused(Reason.TARGET_ORPHANED, chain.disk, "reorg 1"):
        chain.plan(orphan)
    with refused(Reason.TARGET_ORPHANED, chain.disk):
        resolve_live(chain.store.view, orphan)


@pytest.mark.parametrize("histories", [(History.NODES,), (History.NODES, History.ROWS)])
def test_what_is_pruned_is_no_target(chain: Chain, histories: Sequence[History]) -> None:
    for checkpoint in chain.store.view.checkpoints():
        chain.store.drop_checkpoint(checkpoint.sequence)
    for history in histories:
        while not chain.store.prune(history, 6, chain.head.height, 500).done:
            pass
    with refused(Reason.TARGET_PRUNED, chain.disk, "block 5"):
        chain.plan(5)
    assert (chain.plan(6).target_height, chain.plan(6).oldest_height) == (6, 6)


def test_a_state_that_is_not_its_headers_is_no_target(chain: Chain) -> None:
    planted(chain.disk, Table.ACCOUNT, 6)
    with refused(Reason.TARGET_ROOT_DIFFERS, chain.disk, "block 6"):
        chain.plan(6)
    assert chain.plan(5).target_height == 5


def test_while_one_is_prepared_there_is_no_other(chain: Chain) -> None:
    chain.store.prepare(rollback(chain.store, 5))
    with refused(Reason.ROLLBACK_OPEN, chain.disk):
        chain.plan(6)
    resume(chain.store)
    assert chain.plan(6).target_height == 6
    # One that was carried out and has readers to tell is in nobody's way.
    chain.store.advance_cursor("slow", Cursor(1, 1, bytes(32)))
    chain.back(6)
    assert resume(chain.store)
    assert chain.plan(5).epoch == 1


@pytest.mark.parametrize("number", [1, 99, -1])
def test_what_cannot_be_deselected_is_refused(chain: Chain, number: int) -> None:
    with refused(Reason.PARAMETER_INVALID, chain.disk):
        chain.plan(6, deselected=(0, number))


def test_policies_count_the_orders_at_the_target() -> None:
    chain = Chain()
    side = chain.rig.order("alice", Side.BUY, client_id=2), chain.rig.order("bob", Side.SELL)
    chain.act(*side, chain.rig.bid(3), chain.rig.bid(4))
    stop = chain.rig.order(
        "alice",
        Side.SELL,
        50_000,
        client_id=5,
        type=OrderType.STOP_LOSS_LIMIT,
        trigger_price=51_000 * ONE,
        reduce_only=True,
    )
    chain.act(stop)
    chain.act(chain.rig.bid(6))
    assert len(chain.rig.state.orders) == 4
    counted = {policy: _counts(chain.plan(6, policy)) for policy in OrderPolicy}
    assert counted == {
        OrderPolicy.KEEP: (3, 0),
        OrderPolicy.CANCEL_ALL: (0, 3),
        OrderPolicy.CANCEL_ALL_BUT_TPSL: (1, 2),
    }
    for policy, (kept, _) in counted.items():
        other = Chain(copy_of(chain.disk))
        other.back(6, policy)
        other.reopen()
        assert len(other.rig.state.orders) == kept


def _counts(plan: Plan) -> tuple[int, int]:
    return plan.orders_kept, plan.orders_cancelled


def test_a_plan_is_made_from_a_view_alone(chain: Chain) -> None:
    with pytest.raises(Refused, match="TARGET_IS_HEAD"):
        make_plan(chain.store.view, "8", OrderPolicy.KEEP)
    assert make_plan(chain.store.view, "0", OrderPolicy.KEEP).impact.blocks == 8


def test_damage_above_the_target_is_what_one_goes_back_from(chain: Chain) -> None:
    """A body and a row that nobody can read any more, in the block that is to go."""
    sound = chain.plan(6).impact
    tear(chain.disk, keys.BODY.key(8, chain.head.block_sequence))
    impact = chain.plan(6).impact
    assert (impact.blocks, impact.unread, impact.is_compared) == (2, 1, True)
    assert impact.accounts == sound.accounts
    prices, _ = keys.ROW.range(TABLES[Table.PRICE].number)
    tear(chain.disk, next(key for key in chain.disk.contents.order if key.startswith(prices)))
    assert not chain.plan(6).impact.is_compared


def _settled(chain: Chain, final: int, *posts: int) -> Settled:
    """What is read for a rollback to block 6 where these blocks are posted."""
    made = [post_at(chain, height) for height in (final, *posts)]
    standing = Standing(3, made[-1], made[0], 0, 0, 3_600, 1_000)
    above = [TimedPost(post, 500) for post in made if post.height > 6]
    at_or_below = [post for post in made if post.height <= 6]
    return Settled(standing, at_or_below[-1] if at_or_below else None, above[0] if above else None)


def _zoned(chain: Chain, settled: Settled | SettlementError) -> Plan:
    return make_plan(chain.store.view, "6", OrderPolicy.KEEP, settled=settled)


@pytest.mark.parametrize(
    ("posts", "name", "post_height", "root"),
    [
        ((5,), "LOCAL", 5, PostedRoot.NOT_POSTED),
        ((5, 6), "LOCAL", 6, PostedRoot.EQUAL),
        ((5, 7), "ABOVE_FINALIZED", 5, PostedRoot.NOT_POSTED),
        ((5, 6, 8), "ABOVE_FINALIZED", 6, PostedRoot.EQUAL),
        ((7, 8), "ABOVE_FINALIZED", 2, PostedRoot.NOT_POSTED),
        ((), "LOCAL", 2, PostedRoot.NOT_POSTED),
    ],
)
def test_a_plan_says_where_the_target_lies(
    chain: Chain, posts: Sequence[int], name: str, post_height: int, root: PostedRoot
) -> None:
    zone = _zoned(chain, _settled(chain, 2, *posts)).zone
    assert (zone.name, zone.post_height, zone.posted_root) == (name, post_height, root)
    assert zone.post_root == post_at(chain, post_height).state_root
    assert (zone.settled_height, zone.finalized_height) == ((2, *posts)[-1], 2)
    told = "finality is held" if name == "ABOVE_FINALIZED" else "the contract's epoch is raised"
    assert told in zone.action


def test_a_plan_is_another_one_where_the_contract_stands_elsewhere(chain: Chain) -> None:
    settled = [_settled(chain, 2, 5), _settled(chain, 2, 6), _settled(chain, 2, 7)]
    settled += [_settled(chain, 3, 5), _settled(chain, 2, 5, 7)]
    plans = [_zoned(chain, each) for each in settled] + [chain.plan(6)]
    assert len({plan.plan_id for plan in plans}) == len(plans)
    assert _zoned(chain, settled[0]) == plans[0]
    assert renewed(chain.store.view, plans[0], settled[0]) == plans[0]


def test_what_is_final_is_no_target(chain: Chain) -> None:
    with refused(Reason.TARGET_BELOW_FINALIZED, chain.disk, "block 7"):
        _zoned(chain, _settled(chain, 7, 8))
    assert _zoned(chain, _settled(chain, 6, 8)).zone.posted_root is PostedRoot.EQUAL


@pytest.mark.parametrize("name", ["finalized", "newest"])
@pytest.mark.parametrize("height", [0, 8, 99])
def test_another_chains_contract_says_nothing_about_this_one(
    chain: Chain, name: str, height: int
) -> None:
    settled = _settled(chain, 2, 5)
    standing = msgspec.structs.replace(settled.standing, **{name: Post(height, 0xDEAD, 0xBEEF)})
    with refused(Reason.SETTLEMENT_DIFFERS, chain.disk, "0xbeef"):
        _zoned(chain, msgspec.structs.replace(settled, standing=standing))


def test_a_root_over_there_that_is_not_the_targets_is_shown(chain: Chain) -> None:
    settled = _settled(chain, 2, 6, 8)
    assert settled.post is not None
    strange = msgspec.structs.replace(settled.post, state_root=settled.post.state_root ^ 1)
    zone = _zoned(chain, msgspec.structs.replace(settled, post=strange)).zone
    assert zone.posted_root is PostedRoot.DIFFERS


def test_a_plan_is_made_without_an_answer_from_over_there(chain: Chain) -> None:
    error = SettlementError(SettlementProblem.UNREACHABLE, "nobody is there")
    zone = _zoned(chain, error).zone
    assert (zone.name, zone.posted_root) == ("UNKNOWN", PostedRoot.UNKNOWN)
    assert "will be refused: SETTLEMENT_UNREACHABLE: nobody is there" in zone.action


def test_the_page_shows_the_settlement(chain: Chain, tmp_path: Path) -> None:
    plans = (chain.plan(6), _zoned(chain, _settled(chain, 2, 6, 8)))
    local, above = ("\n".join(describe(plan, tmp_path)) for plan in plans)
    told = "WHAT THE SETTLEMENT CHAIN WILL BE TOLD\n  zone"
    assert f"{told} LOCAL: none: this chain posts to no settlement chain\n\nKEYS" in local
    assert f"{told} ABOVE_FINALIZED: finality is held, then the contract goes back to" in above
    assert "  revert_state_to: every post above block 6 is taken back\n" in above
    assert f"      height  6\n      root    {plans[1].target_root:#x}\n" in above
    assert f"      {plan_felt(plans[1].plan_id):#x}\n" in above
    words = "the newest post is block 8, the newest final one block 2; the"
    assert words in " ".join(above.split())
    assert "the contract's root at the target: equal" in " ".join(above.split())
