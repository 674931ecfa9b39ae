"""The settlement contract's roots on a chain: every function, every refusal, on both backends."""

from sequencer.model.limits import ADDRESS_MAX
from tests.contracts.contract_world import (
    DAY,
    DELAY,
    GENESIS,
    HASH,
    PLAN,
    REASON,
    ROOT,
    World,
    block_hash,
    event,
    posting,
    root,
)

DELAY_MAX = 2_592_000
NOT_POSTED, LIVE, FINALIZED = 0, 1, 2
SOME, NONE = 0, 1


async def found(world: World, name: str, block: int) -> tuple[int, ...] | None:
    """Ask a view that finds a post; returns its number, root and hash."""
    option, *felts = await world.view(name, block)
    assert option in {SOME, NONE}
    return None if option == NONE else tuple(felts[:3])


async def test_posts_and_finality(world: World) -> None:
    await world.deploy()
    operator, stranger = world.operator, world.stranger
    assert await world.view("get_state") == [ROOT, GENESIS, HASH]
    posted = await world.done(operator, "update_state", *posting(0, GENESIS, 10))
    assert posted == [event("LogStateUpdate", 0, root(10), 10, block_hash(10))]
    await world.post(0, 10, 20)
    assert await world.view("get_state") == [root(20), 20, block_hash(20)]
    assert await world.view("finalized_state") == [ROOT, GENESIS, HASH]

    refused = world.refused
    await refused("NOT_OPERATOR", world.owner, "update_state", *posting(0, 20, 30))
    await refused("EPOCH_DIFFERS", operator, "update_state", *posting(1, 20, 30))
    await refused("PREV_BLOCK_DIFFERS", operator, "update_state", *posting(0, 10, 30))
    fork = (0, 20, root(21), 30, root(30), block_hash(30))
    await refused("PREV_ROOT_DIFFERS", operator, "update_state", *fork)
    await refused("BLOCK_NOT_NEWER", operator, "update_state", *posting(0, 20, 20))

    await refused("FINALITY_TOO_EARLY", stranger, "finalize", 10)
    await world.devnet.wait(DELAY)
    await refused("BLOCK_NOT_POSTED", stranger, "finalize", 15)
    finalized = await world.done(stranger, "finalize", 10)
    assert finalized == [event("LogStateFinalized", root(10), 10, block_hash(10))]
    await refused("ALREADY_FINALIZED", stranger, "finalize", 10)
    assert await world.view("finalized_state") == [root(10), 10, block_hash(10)]
    assert [await world.status(block) for block in (10, 15, 20)] == [FINALIZED, NOT_POSTED, LIVE]


async def test_reverts(world: World) -> None:
    await world.deploy(finality_delay=0, drill=1)
    operator = world.operator
    await world.post(0, GENESIS, 10, 20, 30)
    await world.done(operator, "finalize", 10)
    refused = world.refused
    revert = "revert_state_to"
    await refused("NOT_OPERATOR_OR_OWNER", world.stranger, revert, 0, 20, root(20), REASON)
    await refused("EPOCH_DIFFERS", operator, revert, 1, 20, root(20), REASON)
    await refused("BELOW_FINALIZED", operator, revert, 0, GENESIS, ROOT, REASON)
    await refused("BLOCK_NOT_POSTED", operator, revert, 0, 25, root(25), REASON)
    await refused("ROOT_DIFFERS", operator, revert, 0, 20, root(21), REASON)

    done = await world.done(operator, revert, 0, 20, root(20), REASON)
    assert done == [event("LogStateReverted", 1, 30, 20, root(20), REASON)]
    assert await world.view("get_epoch") == [1]
    assert await world.view("get_state") == [root(20), 20, block_hash(20)]
    await refused("EPOCH_DIFFERS", operator, revert, 0, 20, root(20), REASON)
    await refused("EPOCH_DIFFERS", operator, "update_state", *posting(0, 20, 30))

    same = await world.done(world.owner, revert, 1, 20, root(20), REASON)
    assert same == [event("LogStateReverted", 2, 20, 20, root(20), REASON)]
    await world.post(2, 20, 30)
    assert await world.view("get_state") == [root(30), 30, block_hash(30)]


async def test_views_of_live_posts(world: World) -> None:
    await world.deploy(finality_delay=0, drill=1)
    await world.post(0, GENESIS, 10, 20, 30)
    await world.done(world.operator, "finalize", 10)
    await world.done(world.operator, "revert_state_to", 0, 20, root(20), REASON)
    assert await found(world, "newest_post_up_to", GENESIS - 1) is None
    assert await found(world, "newest_post_up_to", GENESIS) == (GENESIS, ROOT, HASH)
    assert await found(world, "newest_post_up_to", 19) == (10, root(10), block_hash(10))
    assert await found(world, "newest_post_up_to", 40) == (20, root(20), block_hash(20))
    assert await found(world, "oldest_post_above", 0) == (GENESIS, ROOT, HASH)
    assert await found(world, "oldest_post_above", 10) == (20, root(20), block_hash(20))
    assert await found(world, "oldest_post_above", 20) is None

    await world.done(world.operator, "hold", PLAN)
    epoch, *rest = await world.view("get_standing")
    newest, finalized, (hold, hold_until, delay, time) = rest[:4], rest[4:8], rest[8:]
    assert (newest[0], finalized[0]) == (20, 10)
    assert (epoch, hold, delay) == (1, PLAN, 0)
    assert hold_until == (await world.view("get_hold"))[1]
    # The library reads the newest block; the chain's time may have gone on by then.
    assert 0 <= time + DAY - hold_until < DAY


async def test_holds(world: World) -> None:
    await world.deploy(finality_delay=0, drill=1)
    owner, operator, stranger = world.owner, world.operator, world.stranger
    await world.post(0, GENESIS, 10, 20)
    refused = world.refused
    await refused("PLAN_HASH_ZERO", operator, "hold", 0)
    await refused("NOT_OPERATOR_OR_OWNER", stranger, "hold", PLAN)
    await refused("NOT_HELD", operator, "release")
    (held,) = await world.done(operator, "hold", PLAN)
    expires_at = (await world.view("get_hold"))[1]
    assert await world.view("get_hold") == [PLAN, expires_at]
    assert held == event("LogHold", PLAN, operator.address, expires_at)
    await refused("HELD", stranger, "finalize", 10)
    await refused("HELD", operator, "hold", PLAN)
    await refused("NOT_OPERATOR_OR_OWNER", stranger, "release")
    released = await world.done(operator, "release")
    assert released == [event("LogRelease", PLAN, operator.address)]

    await world.done(operator, "hold", PLAN)
    assert (await world.view("get_hold"))[1] == expires_at
    await world.devnet.wait(DAY)
    assert await world.view("get_hold") == [0, 0]
    await refused("HOLD_LAPSED", operator, "hold", PLAN)
    await world.done(owner, "hold", PLAN)
    await refused("HELD_BY_OWNER", operator, "release")
    done = await world.done(operator, "revert_state_to", 0, 20, root(20), REASON)
    assert done == [event("LogStateReverted", 1, 20, 20, root(20), REASON)]
    assert (await world.view("get_hold"))[0] == PLAN
    done = await world.done(owner, "revert_state_to", 1, 10, root(10), REASON)
    assert done[1] == event("LogRelease", PLAN, owner.address)
    await world.done(stranger, "finalize", 10)


async def test_roles_and_the_delay(world: World) -> None:
    await world.deploy()
    owner, operator, stranger = world.owner, world.operator, world.stranger
    refused = world.refused
    assert await world.view("owner") == [owner.address]
    await refused("NOT_OWNER", operator, "register_operator", stranger.address)
    await refused("ADDRESS_ZERO", owner, "register_operator", 0)
    await refused("OPERATOR_KNOWN", owner, "register_operator", operator.address)
    await refused("OPERATOR_UNKNOWN", owner, "unregister_operator", stranger.address)
    removed = await world.done(owner, "unregister_operator", operator.address)
    assert removed == [event("OperatorUnregistered", operator.address)]
    assert await world.view("is_operator", operator.address) == [0]
    await refused("NOT_OPERATOR", operator, "update_state", *posting(0, GENESIS, 10))
    await refused("OWNER_NEVER_POSTS", owner, "register_operator", owner.address)
    added = await world.done(owner, "register_operator", operator.address)
    assert added == [event("OperatorRegistered", operator.address)]

    await refused("DELAY_NOT_RAISED", owner, "raise_finality_delay", DELAY)
    await refused("DELAY_TOO_LONG", owner, "raise_finality_delay", DELAY_MAX + 1)
    raised = await world.done(owner, "raise_finality_delay", 2 * DELAY)
    assert raised == [event("FinalityDelayRaised", DELAY, 2 * DELAY)]
    assert await world.view("get_finality_delay") == [2 * DELAY]
    assert await world.view("is_drill") == [0]

    offered = await world.done(owner, "transfer_ownership", stranger.address)
    assert offered == [event("OwnershipTransferStarted", owner.address, stranger.address)]
    assert await world.view("pending_owner") == [stranger.address]
    await refused("NOT_PENDING_OWNER", operator, "accept_ownership")
    taken = await world.done(stranger, "accept_ownership")
    assert taken == [event("OwnershipTransferred", owner.address, stranger.address)]
    await refused("NOT_OWNER", owner, "raise_finality_delay", 3 * DELAY)


async def test_the_constructor_refuses(world: World) -> None:
    await world.deploy()
    owner = world.owner.address
    for code, changes in (
        ("ADDRESS_ZERO", {"owner": 0}),
        ("DELAY_TOO_SHORT", {"finality_delay": DELAY - 1}),
        ("DELAY_TOO_LONG", {"finality_delay": DELAY_MAX + 1}),
        ("DELAY_TOO_LONG", {"finality_delay": DELAY_MAX + 1, "drill": 1}),
        ("OWNER_NEVER_POSTS", {"operator": owner}),
        ("ADDRESS_ZERO", {"token": 0}),
        ("EXCHANGE_ZERO", {"exchange": 0}),
        ("EXCHANGE_INVALID", {"exchange": ADDRESS_MAX + 1}),
        ("CHAIN_ID_ZERO", {"chain_id": 0}),
        ("L1_BRIDGE_INVALID", {"l1_bridge": 2**160}),
    ):
        _, refusal = await world.create("settlement", world.genesis(**changes))
        assert refusal == code, changes
