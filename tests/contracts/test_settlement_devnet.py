"""The settlement contract, executed by a real starknet-devnet: every function, every refusal."""

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from starknet_py.contract import Contract
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call
from starknet_py.transaction_errors import TransactionRevertedError

from contracts.artifacts import load_artifact
from tests.contracts.devnet import (
    BOUNDS,
    NEEDS_DEVNET,
    Devnet,
    declare,
    is_done,
    running,
    send,
)

pytestmark = NEEDS_DEVNET

DELAY = 3_600
DAY = 86_400
DELAY_MAX = 2_592_000
ROOT, HASH, GENESIS = 0xA005, 0xB005, 5
PLAN, REASON = 0x91A4, 0x4EA5


def root(block: int) -> int:
    return 0xA000 + block


def block_hash(block: int) -> int:
    return 0xB000 + block


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("devnet") / "log") as address:
        artifact = load_artifact("settlement")
        declared = asyncio.run(_declare(address))
        assert hex(declared) == artifact.entry.class_hash
        yield address


async def _declare(address: str) -> int:
    accounts = await Devnet(address).accounts()
    return await declare(accounts[0], load_artifact("settlement"))


class World:
    """One deployed contract and the three accounts that call it."""

    devnet: Devnet
    owner: Account
    operator: Account
    stranger: Account
    contract: Contract

    async def deploy(self, delay: int = DELAY, *, drill: bool = False) -> None:
        artifact = load_artifact("settlement")
        deployed = await Contract.deploy_contract_v3(
            self.stranger,
            int(artifact.entry.class_hash, 16),
            json.loads(artifact.sierra)["abi"],
            self.genesis(delay, drill=drill),
            resource_bounds=BOUNDS,
        )
        await deployed.wait_for_acceptance(check_interval=0.05)
        self.contract = deployed.deployed_contract

    def genesis(self, delay: int, *, drill: bool) -> dict[str, int]:
        return {
            "owner": self.owner.address,
            "operator": self.operator.address,
            "state_root": ROOT,
            "block_number": GENESIS,
            "block_hash": HASH,
            "finality_delay": delay,
            "drill": drill,
        }

    def _call(self, function: str, *arguments: int) -> Call:
        return self.contract.functions[function].prepare_invoke_v3(*arguments)

    async def done(self, by: Account, function: str, *arguments: int) -> list[list[int]]:
        """Send a call that is accepted; returns its events, each as keys and data in one list."""
        receipt = await send(by, self._call(function, *arguments))
        assert is_done(receipt), receipt.revert_reason
        return [
            event.keys + event.data
            for event in receipt.events
            if event.from_address == self.contract.address
        ]

    async def refused(self, code: str, by: Account, function: str, *arguments: int) -> None:
        receipt = await send(by, self._call(function, *arguments))
        assert not is_done(receipt), f"{function} was accepted"
        assert f"('{code}')" in str(receipt.revert_reason), receipt.revert_reason

    async def view(self, function: str, *arguments: int) -> object:
        (value,) = await self.contract.functions[function].call(*arguments)
        return value

    async def status(self, block: int) -> str:
        (state,) = await self.contract.functions["state_at"].call(block)
        return str(state[3][0])

    async def hold_expires_at(self) -> int:
        (hold,) = await self.contract.functions["get_hold"].call()
        return int(hold[1])

    async def found(self, function: str, block: int) -> tuple[int, int, int] | None:
        """Call a view that finds a post; returns its number, root and hash."""
        post = await self.view(function, block)
        if post is None:
            return None
        assert isinstance(post, dict)
        return post["block_number"], post["state_root"], post["block_hash"]

    async def post(self, epoch: int, *blocks: int) -> None:
        for before, block in pairwise(blocks):
            await self.done(self.operator, "update_state", *posting(epoch, before, block))


def posting(epoch: int, before: int, block: int) -> tuple[int, ...]:
    return epoch, before, root(before), block, root(block), block_hash(block)


def event(name: str, *felts: int) -> list[int]:
    return [get_selector_from_name(name), *felts]


@pytest.fixture
async def world(url: str) -> World:
    made = World()
    made.devnet = Devnet(url)
    made.owner, made.operator, made.stranger = await made.devnet.accounts()
    return made


async def test_posts_and_finality(world: World) -> None:
    await world.deploy()
    operator, stranger = world.operator, world.stranger
    assert await world.view("get_state") == (ROOT, GENESIS, HASH)
    posted = await world.done(operator, "update_state", *posting(0, GENESIS, 10))
    assert posted == [event("LogStateUpdate", 0, root(10), 10, block_hash(10))]
    await world.post(0, 10, 20)
    assert await world.view("get_state") == (root(20), 20, block_hash(20))
    assert await world.view("finalized_state") == (ROOT, GENESIS, HASH)

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
    assert await world.view("finalized_state") == (root(10), 10, block_hash(10))
    assert [await world.status(block) for block in (10, 15, 20)] == [
        "Finalized",
        "NotPosted",
        "Live",
    ]


async def test_reverts(world: World) -> None:
    await world.deploy(delay=0, drill=True)
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
    assert await world.view("get_epoch") == 1
    assert await world.view("get_state") == (root(20), 20, block_hash(20))
    await refused("EPOCH_DIFFERS", operator, revert, 0, 20, root(20), REASON)
    await refused("EPOCH_DIFFERS", operator, "update_state", *posting(0, 20, 30))

    same = await world.done(world.owner, revert, 1, 20, root(20), REASON)
    assert same == [event("LogStateReverted", 2, 20, 20, root(20), REASON)]
    await world.post(2, 20, 30)
    assert await world.view("get_state") == (root(30), 30, block_hash(30))


async def test_views_of_live_posts(world: World) -> None:
    await world.deploy(delay=0, drill=True)
    await world.post(0, GENESIS, 10, 20, 30)
    await world.done(world.operator, "finalize", 10)
    await world.done(world.operator, "revert_state_to", 0, 20, root(20), REASON)
    assert await world.found("newest_post_up_to", GENESIS - 1) is None
    assert await world.found("newest_post_up_to", GENESIS) == (GENESIS, ROOT, HASH)
    assert await world.found("newest_post_up_to", 19) == (10, root(10), block_hash(10))
    assert await world.found("newest_post_up_to", 40) == (20, root(20), block_hash(20))
    assert await world.found("oldest_post_above", 0) == (GENESIS, ROOT, HASH)
    assert await world.found("oldest_post_above", 10) == (20, root(20), block_hash(20))
    assert await world.found("oldest_post_above", 20) is None

    await world.done(world.operator, "hold", PLAN)
    standing = await world.view("get_standing")
    assert isinstance(standing, dict)
    newest, finalized = standing["newest"], standing["finalized"]
    assert (newest["block_number"], finalized["block_number"]) == (20, 10)
    assert (standing["epoch"], standing["hold"], standing["finality_delay"]) == (1, PLAN, 0)
    assert standing["hold_until"] == await world.hold_expires_at()
    # The library reads the block that is being made, whose time goes on.
    assert 0 <= standing["time"] + DAY - standing["hold_until"] < DAY


async def test_holds(world: World) -> None:
    await world.deploy(delay=0, drill=True)
    owner, operator, stranger = world.owner, world.operator, world.stranger
    await world.post(0, GENESIS, 10, 20)
    refused = world.refused
    await refused("PLAN_HASH_ZERO", operator, "hold", 0)
    await refused("NOT_OPERATOR_OR_OWNER", stranger, "hold", PLAN)
    await refused("NOT_HELD", operator, "release")
    (held,) = await world.done(operator, "hold", PLAN)
    expires_at = await world.hold_expires_at()
    assert await world.view("get_hold") == (PLAN, expires_at)
    assert held == event("LogHold", PLAN, operator.address, expires_at)
    await refused("HELD", stranger, "finalize", 10)
    await refused("HELD", operator, "hold", PLAN)
    await refused("NOT_OPERATOR_OR_OWNER", stranger, "release")
    released = await world.done(operator, "release")
    assert released == [event("LogRelease", PLAN, operator.address)]

    await world.done(operator, "hold", PLAN)
    assert await world.hold_expires_at() == expires_at
    await world.devnet.wait(DAY)
    assert await world.view("get_hold") == (0, 0)
    await refused("HOLD_LAPSED", operator, "hold", PLAN)
    await world.done(owner, "hold", PLAN)
    done = await world.done(operator, "revert_state_to", 0, 10, root(10), REASON)
    assert done[1] == event("LogRelease", PLAN, operator.address)
    await world.done(stranger, "finalize", 10)


async def test_roles_and_the_delay(world: World) -> None:
    await world.deploy()
    owner, operator, stranger = world.owner, world.operator, world.stranger
    refused = world.refused
    assert await world.view("owner") == owner.address
    await refused("NOT_OWNER", operator, "register_operator", stranger.address)
    await refused("ADDRESS_ZERO", owner, "register_operator", 0)
    await refused("OPERATOR_KNOWN", owner, "register_operator", operator.address)
    await refused("OPERATOR_UNKNOWN", owner, "unregister_operator", stranger.address)
    removed = await world.done(owner, "unregister_operator", operator.address)
    assert removed == [event("OperatorUnregistered", operator.address)]
    assert await world.view("is_operator", operator.address) is False
    await refused("NOT_OPERATOR", operator, "update_state", *posting(0, GENESIS, 10))
    await refused("OWNER_NEVER_POSTS", owner, "register_operator", owner.address)
    added = await world.done(owner, "register_operator", operator.address)
    assert added == [event("OperatorRegistered", operator.address)]

    await refused("DELAY_NOT_RAISED", owner, "raise_finality_delay", DELAY)
    await refused("DELAY_TOO_LONG", owner, "raise_finality_delay", DELAY_MAX + 1)
    raised = await world.done(owner, "raise_finality_delay", 2 * DELAY)
    assert raised == [event("FinalityDelayRaised", DELAY, 2 * DELAY)]
    assert await world.view("get_finality_delay") == 2 * DELAY
    assert await world.view("is_drill") is False

    offered = await world.done(owner, "transfer_ownership", stranger.address)
    assert offered == [event("OwnershipTransferStarted", owner.address, stranger.address)]
    assert await world.view("pending_owner") == stranger.address
    await refused("NOT_PENDING_OWNER", operator, "accept_ownership")
    taken = await world.done(stranger, "accept_ownership")
    assert taken == [event("OwnershipTransferred", owner.address, stranger.address)]
    await refused("NOT_OWNER", owner, "raise_finality_delay", 3 * DELAY)


async def test_the_constructor_refuses_a_delay(world: World) -> None:
    for delay, code in ((DELAY - 1, "DELAY_TOO_SHORT"), (DELAY_MAX + 1, "DELAY_TOO_LONG")):
        with pytest.raises(TransactionRevertedError, match=code):
            await world.deploy(delay)
