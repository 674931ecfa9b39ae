"""Deposits of an Ethereum in memory, handed over to the contract on a devnet, through reorgs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from devnet.starknet_devnet import predeployed_accounts
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.deployment import SettlementConstructor, deploy_settlement
from sequencer.settlement.ethereum_messages import SettlementMessages
from sequencer.settlement.ethereum_relay import L1_DEPOSIT_UNMADE, DepositRelay, DepositUnmade
from sequencer.settlement.ethereum_watcher import DepositWatcher
from sequencer.settlement.money import Payment, Purse
from tests.contracts.devnet import NEEDS_DEVNET, REAL
from tests.contracts.settlement_world import CHAIN_ID, SALTS, access, classes
from tests.unit.settlement.ethereum_world import EthereumWorld, ethereum_world

DEPTH = 3
ACCOUNT = 0xACC


class Leg:
    """An Ethereum, the settlement contract's owner, and relays that begin anew."""

    def __init__(self, ethereum: EthereumWorld, access: StarknetAccess, contract: int) -> None:
        self.ethereum = ethereum
        self.contract = contract
        self.owner = Purse(access, contract)
        self.messages = SettlementMessages(access.url, contract, ethereum.lock.address)

    def relay(self) -> DepositRelay:
        return DepositRelay(DepositWatcher(self.ethereum.lock, 0, DEPTH), self.messages)

    async def amounts(self) -> list[int]:
        """Read what the contract was told of, and that it holds as much."""
        found = [message.amount for message in await self.messages.handed()]
        assert await self.owner.balance(self.contract) == sum(found)
        return found


@asynccontextmanager
async def ethereum_leg(url: str) -> AsyncIterator[Leg]:
    """Deploy a lock and a contract that name one another."""
    world = await ethereum_world(settlement=0)
    owner, operator, *_ = await predeployed_accounts(url)
    constructor = SettlementConstructor(
        owner=owner.address,
        operator=operator.address,
        state_root=1,
        block_number=0,
        block_hash=2,
        finality_delay=0,
        exchange=EXCHANGE_ADDRESS,
        chain_id=CHAIN_ID,
        drill=True,
        l1_bridge=world.lock.address,
    )
    purse_access = access(url, owner)
    contract = await deploy_settlement(purse_access, classes(), constructor, next(SALTS))
    await world.deployer.call(world.contract.functions.setSettlement(contract))
    leg = Leg(world, purse_access, contract)
    try:
        yield leg
    finally:
        await leg.messages.close()
        await leg.owner.close()


async def test_a_deposit_goes_over_once_at_its_depth(url: str) -> None:
    async with ethereum_leg(url) as leg:
        relay = leg.relay()
        deposit = await leg.ethereum.deposit(250, ACCOUNT)
        leg.ethereum.mine(DEPTH - 1)
        assert (await relay.step()).handed == ()
        leg.ethereum.mine(1)
        assert (await relay.step()).handed == (deposit,)
        assert (await relay.step()).handed == ()
        # As after a restart: the settlement chain says what it has.
        assert (await leg.relay().step()).handed == ()
        hash_ = leg.messages.transaction_of(deposit)
        assert await leg.messages.hand_over(deposit) == hash_
        (message,) = await leg.messages.handed()
        assert message.transaction_hash == hash_
        assert (message.nonce, message.account, message.amount) == (deposit.nonce, ACCOUNT, 250)
        assert await leg.amounts() == [250]


async def test_deposits_of_others_are_none_of_the_locks(url: str) -> None:
    async with ethereum_leg(url) as leg:
        await leg.owner.mint(leg.owner.account, 9)
        await leg.owner.deposit([Payment(ACCOUNT, 9)])
        await leg.ethereum.deposit(1, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        assert len((await leg.relay().step()).handed) == 1
        assert (await leg.relay().step()).handed == ()
        assert [message.amount for message in await leg.messages.handed()] == [1]
        assert await leg.owner.balance(leg.contract) == 10


async def test_deposits_that_are_paused_wait_in_their_order(url: str) -> None:
    async with ethereum_leg(url) as leg:
        relay = leg.relay()
        await leg.owner.pause_deposits()
        for amount in (1, 2):
            await leg.ethereum.deposit(amount, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        step = await relay.step()
        assert (step.refused, step.handed, len(step.waiting)) == ("DEPOSITS_PAUSED", (), 2)
        assert await leg.amounts() == []
        await leg.owner.resume_deposits()
        assert len((await relay.step()).handed) == 2
        assert await leg.amounts() == [1, 2]


@pytest.mark.parametrize("url", [pytest.param(REAL, marks=NEEDS_DEVNET)], indirect=True)
async def test_a_message_refused_over_there_is_taken_later_and_once(url: str) -> None:
    """The pause comes between the question and the message.

    The embedded devnet takes no message twice, also not one that was refused.
    """
    async with ethereum_leg(url) as leg:
        deposit = await leg.ethereum.deposit(5, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        assert await leg.messages.handed() == ()
        await leg.owner.pause_deposits()
        await leg.messages.hand_over(deposit)
        assert await leg.amounts() == []
        await leg.owner.resume_deposits()
        relay = leg.relay()
        assert (await relay.step()).handed == (deposit,)
        assert (await relay.step()).handed == (await leg.relay().step()).handed == ()
        assert await leg.amounts() == [5]


async def test_a_deposit_lost_before_its_depth_is_never_handed_over(url: str) -> None:
    async with ethereum_leg(url) as leg:
        relay = leg.relay()
        await leg.ethereum.deposit(1, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        before = leg.ethereum.snapshot()
        await leg.ethereum.deposit(2, ACCOUNT)
        leg.ethereum.mine(DEPTH - 1)
        assert [each.amount for each in (await relay.step()).handed] == [1]
        leg.ethereum.revert(before)
        leg.ethereum.mine(2 * DEPTH)
        assert [each.amount for each in (await relay.step()).lost] == [2]
        await leg.ethereum.deposit(3, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        await relay.step()
        assert await leg.amounts() == [1, 3]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_deposit_unmade_after_its_depth_is_named_and_stops_the_relay(
    url: str, *, restarted: bool
) -> None:
    async with ethereum_leg(url) as leg:
        relay = leg.relay()
        before = leg.ethereum.snapshot()
        deposit = await leg.ethereum.deposit(7, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        await relay.step()
        leg.ethereum.revert(before)
        later = await leg.ethereum.deposit(9, 0xBAD)
        assert later.nonce == deposit.nonce
        leg.ethereum.mine(DEPTH)
        relay = leg.relay() if restarted else relay
        with pytest.raises(DepositUnmade) as caught:
            await relay.step()
        words = f"{L1_DEPOSIT_UNMADE}: Ethereum has lost message {deposit.nonce}: 7 (1e-6)"
        assert str(caught.value).startswith(words)
        assert hex(leg.messages.transaction_of(deposit)) in str(caught.value)
        assert await leg.amounts() == [7]


async def test_a_settlement_chain_that_went_back_is_told_again(url: str) -> None:
    async with ethereum_leg(url) as leg:
        relay = leg.relay()
        for amount in (1, 2):
            await leg.ethereum.deposit(amount, ACCOUNT)
        leg.ethereum.mine(DEPTH)
        await relay.step()
        newest = await FullNodeClient(url).get_block_number()
        devnet = RpcHttpClient(url, method_prefix="devnet")
        await devnet.call("abortBlocks", {"starting_block_id": {"block_number": newest}})
        assert await leg.amounts() == [1]
        assert [each.amount for each in (await relay.step()).handed] == [2]
        assert await leg.amounts() == [1, 2]


async def test_a_contract_that_is_not_there_is_named(url: str) -> None:
    world = await ethereum_world()
    messages = SettlementMessages(url, 0x404, world.lock.address)
    try:
        with pytest.raises(SettlementError) as caught:
            await messages.handed()
        assert caught.value.problem is SettlementProblem.CONTRACT_ABSENT
    finally:
        await messages.close()


async def test_nobody_there_is_unreachable(unused_tcp_port: int) -> None:
    messages = SettlementMessages(f"http://127.0.0.1:{unused_tcp_port}", 1, 2)
    try:
        with pytest.raises(SettlementError) as caught:
            await messages.handed()
        assert caught.value.problem is SettlementProblem.UNREACHABLE
    finally:
        await messages.close()
