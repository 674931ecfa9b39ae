"""Posts, reverts, finality, holds and roles: each call, each refusal, and the simulation's view."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from contracts.settlement_types import CURRENT_HOLD, BlockStatus
from contracts.twin import Reverted
from sequencer.model.limits import ADDRESS_MAX
from sequencer.model.settlement import Post, SettlementError, TimedPost
from sequencer.settlement.contract_rules import (
    ContractCall,
    ContractState,
    Finalize,
    HoldFinality,
    ReleaseFinality,
    RevertState,
    UpdateState,
    carried_out,
)
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from tests.unit.contracts.machine import START
from tests.unit.contracts.world import (
    CHAIN_ID,
    DAY,
    DELAY,
    GENESIS,
    OPERATOR,
    OWNER,
    STRANGER,
    World,
    hash_of,
    root_of,
)

PLAN = 0x91A4
DELAY_MAX = 2_592_000


def event(name: str, *felts: Felt) -> tuple[Felt, ...]:
    return (selector(name), *felts)


def update(world: World, **changes: int) -> list[Felt]:
    """Return the arguments of the post that comes next, with some of them wrong."""
    root, newest, _ = world.view("get_state")
    fields = {
        "epoch": world.view("get_epoch")[0],
        "number": newest,
        "root": root,
        "new_number": newest + 1,
        "new_root": root_of(newest + 1),
        "new_hash": hash_of(newest + 1),
    }
    return list((fields | changes).values())


def test_the_constructor_posts_genesis_and_fixes_the_rest() -> None:
    world = World()
    told = [keys + data for at, keys, data in world.machine.events if at == world.contract]
    assert told == [
        event("OwnershipTransferred", 0, OWNER),
        event("OperatorRegistered", OPERATOR),
        event("LogStateUpdate", 0, root_of(GENESIS), GENESIS, hash_of(GENESIS)),
    ]
    genesis_post = [GENESIS, root_of(GENESIS), hash_of(GENESIS), START]
    assert world.view("get_standing") == [0, *genesis_post, *genesis_post, 0, 0, DELAY, START]
    assert world.view("state_at", GENESIS)[3] == BlockStatus.FINALIZED
    assert world.view("owner") == [OWNER]
    assert world.view("is_operator", OPERATOR) == [1]
    assert world.view("is_drill") == [0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"owner": 0, "finality_delay": 1}, "ADDRESS_ZERO"),
        ({"finality_delay": 3_599, "operator": OWNER}, "DELAY_TOO_SHORT"),
        ({"finality_delay": DELAY_MAX + 1, "drill": 1}, "DELAY_TOO_LONG"),
        ({"operator": OWNER, "token": 0}, "OWNER_NEVER_POSTS"),
        ({"token": 0, "exchange": 0}, "ADDRESS_ZERO"),
        ({"exchange": 0, "chain_id": 0}, "EXCHANGE_ZERO"),
        ({"exchange": ADDRESS_MAX + 1, "chain_id": 0}, "EXCHANGE_INVALID"),
        ({"chain_id": 0, "l1_bridge": 2**160}, "CHAIN_ID_ZERO"),
        ({"l1_bridge": 2**160}, "L1_BRIDGE_INVALID"),
        ({"owner": 2**251}, "Failed to deserialize param #1"),
        ({"block_number": 2**64}, "Failed to deserialize param #4"),
    ],
)
def test_the_constructor_refuses_in_order(changes: dict[str, int], code: str) -> None:
    with pytest.raises(Reverted) as refused:
        World(**changes)
    assert refused.value.code == code


def test_addresses_are_taken_up_to_the_highest() -> None:
    world = World(exchange=ADDRESS_MAX, l1_bridge=2**160 - 1)
    _, *kept = world.view("get_bridge")
    assert kept == [ADDRESS_MAX, CHAIN_ID, 2**160 - 1]


def test_a_drill_has_any_delay_and_nobody_has_to_operate() -> None:
    world = World(finality_delay=0, drill=7, operator=0)
    assert world.view("is_drill") == [1]
    assert world.view("is_operator", 0) == [0]
    assert world.refused(OPERATOR, "update_state", *update(world)) == "NOT_OPERATOR"


def test_a_post_is_refused_for_the_first_thing_that_is_wrong() -> None:
    world = World()
    wrong = {"epoch": 1, "number": 4, "root": 1, "new_number": GENESIS}
    order = ["EPOCH_DIFFERS", "PREV_BLOCK_DIFFERS", "PREV_ROOT_DIFFERS", "BLOCK_NOT_NEWER"]
    assert world.refused(OWNER, "update_state", *update(world, **wrong)) == "NOT_OPERATOR"
    for code in order:
        assert world.refused(OPERATOR, "update_state", *update(world, **wrong)) == code
        del wrong[next(iter(wrong))]
    told = world.send(OPERATOR, "update_state", *update(world))
    assert told == [event("LogStateUpdate", 0, root_of(6), 6, hash_of(6))]


def test_a_revert_takes_posts_back_and_raises_the_epoch() -> None:
    world = World()
    for block in (7, 9, 12):
        world.post(block)
    revert = "revert_state_to"
    assert world.refused(STRANGER, revert, 9, 1, 0, 0) == "NOT_OPERATOR_OR_OWNER"
    assert world.refused(OWNER, revert, 9, 1, 0, 0) == "EPOCH_DIFFERS"
    assert world.refused(OWNER, revert, 0, 1, 0, 0) == "BELOW_FINALIZED"
    assert world.refused(OWNER, revert, 0, 8, 0, 0) == "BLOCK_NOT_POSTED"
    assert world.refused(OWNER, revert, 0, 7, 0, 0) == "ROOT_DIFFERS"
    told = world.send(OPERATOR, revert, 0, 7, root_of(7), 0xEA)
    assert told == [event("LogStateReverted", 1, 12, 7, root_of(7), 0xEA)]
    assert world.view("get_state") == [root_of(7), 7, hash_of(7)]
    assert world.view("state_at", 9) == [0, 0, 0, BlockStatus.NOT_POSTED]
    assert world.refused(OPERATOR, revert, 1, 9, root_of(9), 0) == "BLOCK_NOT_POSTED"
    world.post(8)
    assert world.view("state_at", 12)[3] == BlockStatus.NOT_POSTED
    assert world.view("state_at", 8)[3] == BlockStatus.LIVE


def test_finality_waits_for_the_delay_and_moves_forward_only() -> None:
    world = World()
    world.post(6)
    world.post(8)
    assert world.refused(STRANGER, "finalize", 7) == "BLOCK_NOT_POSTED"
    assert world.refused(STRANGER, "finalize", GENESIS) == "ALREADY_FINALIZED"
    world.pass_time(DELAY - 1)
    assert world.refused(STRANGER, "finalize", 8) == "FINALITY_TOO_EARLY"
    world.pass_time(1)
    told = world.send(STRANGER, "finalize", 8)
    assert told == [event("LogStateFinalized", root_of(8), 8, hash_of(8))]
    assert world.refused(STRANGER, "finalize", 6) == "ALREADY_FINALIZED"
    assert world.view("finalized_state") == [root_of(8), 8, hash_of(8)]
    assert world.view("state_at", 6)[3] == BlockStatus.FINALIZED
    assert world.refused(OWNER, "revert_state_to", 0, 6, root_of(6), 0) == "BELOW_FINALIZED"


def test_a_clock_that_goes_back_makes_no_post_old() -> None:
    world = World()
    world.post(6)
    world.pass_time(-10)
    assert world.refused(STRANGER, "finalize", 6) == "FINALITY_TOO_EARLY"


def test_a_hold_stops_finality_and_an_operator_cannot_renew_it() -> None:
    world = World()
    world.post(6)
    until = START + DAY
    assert world.refused(STRANGER, "hold", 0) == "NOT_OPERATOR_OR_OWNER"
    assert world.refused(OPERATOR, "hold", 0) == "PLAN_HASH_ZERO"
    assert world.send(OPERATOR, "hold", PLAN) == [event("LogHold", PLAN, OPERATOR, until)]
    assert world.view("get_hold") == [PLAN, until]
    assert world.refused(OPERATOR, "hold", PLAN) == "HELD"
    world.pass_time(DAY - 1)
    assert world.refused(STRANGER, "finalize", 7) == "HELD"
    world.pass_time(1)
    assert world.view("get_hold") == [0, 0]
    assert world.refused(OPERATOR, "hold", PLAN) == "HOLD_LAPSED"
    assert world.refused(OPERATOR, "release") == "NOT_HELD"
    assert world.send(OWNER, "hold", PLAN + 1) == [event("LogHold", PLAN + 1, OWNER, until + DAY)]
    assert world.send(OWNER, "release") == [event("LogRelease", PLAN + 1, OWNER)]
    world.send(STRANGER, "finalize", 6)


def test_a_hold_that_an_operator_ended_and_takes_again_ends_with_the_first() -> None:
    world = World()
    world.send(OPERATOR, "hold", PLAN)
    world.pass_time(100)
    assert world.send(OPERATOR, "release") == [event("LogRelease", PLAN, OPERATOR)]
    told = world.send(OPERATOR, "hold", PLAN + 1)
    assert told == [event("LogHold", PLAN + 1, OPERATOR, START + DAY)]
    revert = world.send(OPERATOR, "revert_state_to", 0, GENESIS, root_of(GENESIS), 0)
    assert revert[1:] == [event("LogRelease", PLAN + 1, OPERATOR)]
    assert world.send(OPERATOR, "hold", PLAN)[0][-1] == START + 100 + DAY


def test_the_owners_hold_binds_an_operator() -> None:
    world = World()
    world.post(6)
    world.post(8)
    world.send(OWNER, "hold", PLAN)
    assert world.refused(STRANGER, "release") == "NOT_OPERATOR_OR_OWNER"
    for number, block in enumerate((8, 6)):
        assert world.refused(OPERATOR, "release") == "HELD_BY_OWNER"
        told = world.send(OPERATOR, "revert_state_to", number, block, root_of(block), 0)
        assert [name for name, *_ in told] == [selector("LogStateReverted")]
        assert world.view("get_hold") == [PLAN, START + DAY]
    world.pass_time(DAY - 1)
    assert world.refused(STRANGER, "finalize", 6) == "HELD"
    assert world.send(OWNER, "release") == [event("LogRelease", PLAN, OWNER)]
    world.send(OPERATOR, "hold", PLAN)
    world.send(OPERATOR, "release")
    world.send(STRANGER, "finalize", 6)


def test_a_hold_that_the_owner_renewed_is_the_owners_until_it_ends() -> None:
    world = World()
    revert = ("revert_state_to", GENESIS, root_of(GENESIS), 0)
    world.send(OPERATOR, "hold", PLAN)
    world.send(OWNER, "hold", PLAN)
    assert world.refused(OPERATOR, "release") == "HELD_BY_OWNER"
    told = world.send(OWNER, revert[0], 0, *revert[1:])
    assert told[1:] == [event("LogRelease", PLAN, OWNER)]
    world.send(OWNER, "hold", PLAN)
    world.pass_time(DAY)
    assert world.refused(OPERATOR, "release") == "NOT_HELD"
    assert world.refused(OPERATOR, "hold", PLAN) == "HOLD_LAPSED"
    assert len(world.send(OPERATOR, revert[0], 1, *revert[1:])) == 1
    world.send(OPERATOR, "hold", PLAN)
    world.send(OPERATOR, "release")


def test_finality_that_moves_forgets_whose_the_hold_was() -> None:
    world = World()
    world.post(6)
    world.send(OWNER, "hold", PLAN)
    world.pass_time(DAY)
    world.send(STRANGER, "finalize", 6)
    assert [world.machine.read(world.contract, CURRENT_HOLD.slot + at) for at in range(3)] == [
        0
    ] * 3
    world.send(OPERATOR, "hold", PLAN)
    world.send(OPERATOR, "release")


def test_a_hold_handed_over_with_the_contract_is_the_new_owners() -> None:
    world = World()
    world.send(OWNER, "hold", PLAN)
    world.send(OWNER, "transfer_ownership", STRANGER)
    world.send(STRANGER, "accept_ownership")
    assert world.refused(OWNER, "release") == "NOT_OPERATOR_OR_OWNER"
    assert world.refused(OPERATOR, "release") == "HELD_BY_OWNER"
    assert world.send(STRANGER, "release") == [event("LogRelease", PLAN, STRANGER)]


def test_the_delay_is_raised_only() -> None:
    world = World()
    raise_delay = "raise_finality_delay"
    assert world.refused(OPERATOR, raise_delay, DELAY + 1) == "NOT_OWNER"
    assert world.refused(OWNER, raise_delay, DELAY) == "DELAY_NOT_RAISED"
    assert world.refused(OWNER, raise_delay, DELAY_MAX + 1) == "DELAY_TOO_LONG"
    told = world.send(OWNER, raise_delay, DELAY_MAX)
    assert told == [event("FinalityDelayRaised", DELAY, DELAY_MAX)]
    assert world.view("get_finality_delay") == [DELAY_MAX]


def test_roles_are_given_taken_and_handed_over() -> None:
    world = World()
    assert world.refused(OPERATOR, "register_operator", 0) == "NOT_OWNER"
    assert world.refused(OWNER, "register_operator", 0) == "ADDRESS_ZERO"
    assert world.refused(OWNER, "register_operator", OWNER) == "OWNER_NEVER_POSTS"
    assert world.refused(OWNER, "register_operator", OPERATOR) == "OPERATOR_KNOWN"
    assert world.refused(OWNER, "unregister_operator", STRANGER) == "OPERATOR_UNKNOWN"
    assert world.refused(STRANGER, "accept_ownership") == "NOT_PENDING_OWNER"
    assert world.refused(0, "accept_ownership") == "NOT_PENDING_OWNER"
    told = world.send(OWNER, "transfer_ownership", OPERATOR)
    assert told == [event("OwnershipTransferStarted", OWNER, OPERATOR)]
    assert world.refused(OPERATOR, "accept_ownership") == "OWNER_NEVER_POSTS"
    told = world.send(OWNER, "unregister_operator", OPERATOR)
    assert told == [event("OperatorUnregistered", OPERATOR)]
    told = world.send(OPERATOR, "accept_ownership")
    assert told == [event("OwnershipTransferred", OWNER, OPERATOR)]
    assert (world.view("owner"), world.view("pending_owner")) == ([OPERATOR], [0])


def test_views_find_the_posts_around_a_number() -> None:
    world = World()
    for block in (7, 9, 12):
        world.post(block)
    numbers = {
        (name, block): world.view(name, block)[:2]
        for name in ("newest_post_up_to", "oldest_post_above")
        for block in (4, 5, 8, 9, 12, 2**64 - 1)
    }
    newest = [numbers["newest_post_up_to", block] for block in (4, 5, 8, 9, 12, 2**64 - 1)]
    oldest = [numbers["oldest_post_above", block] for block in (4, 5, 8, 9, 12, 2**64 - 1)]
    assert newest == [[1], [0, 5], [0, 7], [0, 9], [0, 12], [0, 12]]
    assert oldest == [[0, 5], [0, 7], [0, 9], [0, 12], [1], [1]]


CALLS = 250


def post_of(block: int, wrong: int = 0) -> Post:
    return Post(block, root_of(block) + wrong, hash_of(block))


def random_call(choose: random.Random, state: ContractState) -> ContractCall:
    """Mostly a call that may be accepted, with one argument wrong now and then."""
    newest, final = state.posts[-1].post, state.posts[state.final].post
    block = choose.choice((choose.randint(final.height - 1, newest.height + 1), newest.height))
    epoch = state.epoch + choose.choice((0, 0, 0, 0, 1))
    previous = choose.choice((newest, newest, newest, post_of(block)))
    calls: Sequence[Callable[[], ContractCall]] = (
        lambda: UpdateState(epoch, previous, post_of(newest.height + choose.randint(0, 3))),
        lambda: UpdateState(state.epoch, newest, post_of(newest.height + 1)),
        lambda: RevertState(epoch, post_of(block, choose.choice((0, 0, 1))), 7),
        lambda: Finalize(block),
        lambda: HoldFinality(choose.choice((0, PLAN, PLAN + 1))),
        ReleaseFinality,
    )
    return choose.choice(calls)()


def as_sent(call: ContractCall) -> tuple[str, Sequence[Felt]]:
    match call:
        case UpdateState():
            old, new = call.previous, call.new
            felts = (call.epoch, old.height, old.state_root)
            return "update_state", (*felts, new.height, new.state_root, new.block_hash)
        case RevertState():
            target = call.post
            epoch, reason = call.epoch, call.reason_hash
            return "revert_state_to", (epoch, target.height, target.state_root, reason)
        case Finalize():
            return "finalize", (call.height,)
        case HoldFinality():
            return "hold", (call.plan_hash,)
        case ReleaseFinality():
            return "release", ()
        case _:
            raise AssertionError(call)


def seen_by(world: World) -> tuple[object, ...]:
    return (*world.view("get_standing"), *world.view("get_hold"))


def expected_of(state: ContractState, now: int) -> tuple[object, ...]:
    standing = state.standing(now)
    posts = [
        felt
        for timed in (state.posts[-1], state.posts[state.final])
        for felt in (
            timed.post.height,
            timed.post.state_root,
            timed.post.block_hash,
            timed.posted_at,
        )
    ]
    held = (standing.hold, standing.hold_until)
    return (state.epoch, *posts, *held, state.finality_delay, now, *held)


@pytest.mark.parametrize("seed", range(6))
def test_the_twin_and_the_simulation_answer_alike(seed: int) -> None:
    choose = random.Random(seed)
    world = World()
    state = ContractState(OWNER, OPERATOR, DELAY, (TimedPost(post_of(GENESIS), START),))
    seen: Counter[str] = Counter()
    for _ in range(CALLS):
        if choose.random() < 0.3:
            world.pass_time(choose.choice((1, DELAY - 1, DELAY, DAY // 2, DAY)))
        caller = choose.choice((OWNER, OPERATOR, OPERATOR, STRANGER))
        call, now = random_call(choose, state), world.machine.timestamp
        try:
            state, expected = carried_out(state, call, caller, now), "done"
        except SettlementError as error:
            expected = error.code
        name, felts = as_sent(call)
        seen[expected] += 1
        if expected == "done":
            world.send(caller, name, *felts)
        else:
            assert world.refused(caller, name, *felts) == expected
        assert seen_by(world) == expected_of(state, now)
    assert seen["done"] > CALLS // 8
    assert len(seen) > 8
