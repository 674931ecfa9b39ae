"""A settlement chain with a fresh contract and its callers: simulated, embedded, or a real devnet.

Law: a test that takes a World runs on all three, and all must say the same.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import count, pairwise

import pytest

from contracts.artifacts import load_artifact
from devnet.starknet_devnet import DevnetAccount, predeployed_accounts
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.settlement import (
    Post,
    Sent,
    SettlementError,
    SettlementProblem,
    TimedPost,
)
from sequencer.ports import Settlement
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.contract_rules import ContractState
from sequencer.settlement.deployment import (
    SettlementClasses,
    SettlementConstructor,
    deploy_settlement,
)
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import encode_short_string

DELAY = 3_600
DAY = 86_400
PLAN, REASON = 0x91A4, 0x4EA5
GENESIS = Post(5, 0xA005, 0xB005)
OWNER, OPERATOR, STRANGER = 0x0A, 0x0B, 0x0C
CHAIN_ID = encode_short_string("PERPCHAIN_TEST")

SALTS = count(1)


def post(height: int) -> Post:
    """Return what is posted at a height, the same in every test."""
    return GENESIS if height == GENESIS.height else Post(height, 0xA000 + height, 0xB000 + height)


class World:
    """One contract seen by its owner, its operator and somebody else."""

    def __init__(
        self,
        owner: SimulatedSettlement | StarknetSettlement,
        operator: SimulatedSettlement | StarknetSettlement,
        stranger: SimulatedSettlement | StarknetSettlement,
    ) -> None:
        self.owner: Settlement = owner
        self.operator: Settlement = operator
        self.stranger: Settlement = stranger
        self.pass_time = owner.advance_time

    async def post_all(self, epoch: int, *heights: int) -> None:
        """Post blocks, each on top of the one before; the first is there already."""
        for before, height in pairwise(heights):
            await self.operator.update_state(epoch, post(before), post(height))

    async def live(self) -> list[int]:
        """Walk the live posts with one of the views, from below."""
        heights: list[int] = []
        found: TimedPost | None = await self.stranger.oldest_post_above(0)
        while found is not None:
            assert found.post == post(found.post.height)
            assert await self.stranger.newest_post(found.post.height) == found.post
            heights.append(found.post.height)
            found = await self.stranger.oldest_post_above(found.post.height)
        return heights


async def refused(code: str, call: Awaitable[Sent]) -> None:
    """Await a call that the contract refuses with a code."""
    with pytest.raises(SettlementError) as caught:
        await call
    assert (caught.value.problem, caught.value.code) == (SettlementProblem.REFUSED, code)


class SettableClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.milliseconds = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.milliseconds


def simulated_genesis(clock: SettableClock) -> ContractState:
    posts = (TimedPost(GENESIS, clock.now_ms() // 1000),)
    return ContractState(owner=OWNER, operator=OPERATOR, finality_delay=DELAY, posts=posts)


def simulated_world() -> World:
    clock = SettableClock()
    chain = SimulatedChain(simulated_genesis(clock), clock)
    owner, operator, stranger = (
        SimulatedSettlement(chain, caller) for caller in (OWNER, OPERATOR, STRANGER)
    )
    return World(owner, operator, stranger)


def access(url: str, account: DevnetAccount) -> StarknetAccess:
    return StarknetAccess(url, account.address, account.private_key)


def classes() -> SettlementClasses:
    """Return what is deployed: the contract and its token."""
    return SettlementClasses(load_artifact("settlement"), load_artifact("usdc"))


async def deployed(
    url: str, delay: int, salt: int, genesis: Post = GENESIS, genesis_deposited: int = 0
) -> int:
    """Deploy a contract of the predeployed accounts: owner, operator, and one who only deploys.

    It stands at `genesis`; what its appchain began with is in 1e-8 quote.
    """
    owner, operator, stranger = await predeployed_accounts(url)
    constructor = SettlementConstructor(
        owner=owner.address,
        operator=operator.address,
        state_root=genesis.state_root,
        block_number=genesis.height,
        block_hash=genesis.block_hash,
        finality_delay=delay,
        exchange=EXCHANGE_ADDRESS,
        chain_id=CHAIN_ID,
        drill=True,
    )
    who = access(url, stranger)
    return await deploy_settlement(who, classes(), constructor, salt, genesis_deposited)


@asynccontextmanager
async def real_world(url: str) -> AsyncIterator[World]:
    address = await deployed(url, DELAY, next(SALTS))
    accounts = await predeployed_accounts(url)
    clients = [StarknetSettlement(access(url, account), address) for account in accounts]
    owner, operator, stranger = clients
    try:
        yield World(owner, operator, stranger)
    finally:
        for client in clients:
            await client.close()
