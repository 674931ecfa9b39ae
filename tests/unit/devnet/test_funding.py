"""Deposits of a run on an embedded devnet: each once, whatever became of a transaction."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import msgspec
import pytest

import devnet.funding
import sequencer.settlement.money
from contracts.artifacts import load_artifact
from contracts.natives import NATIVES
from devnet.embedded.chain import Chain
from devnet.embedded.faults import Faults
from devnet.embedded.node import all_methods, open_chain
from devnet.embedded.predeployed import ACCOUNTS
from devnet.embedded.server import EmbeddedServer
from devnet.funding import Funding
from devnet.market_genesis import PlannedDeposit
from devnet.waiting import Interrupted
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import DepositRow
from sequencer.model.secret import Secret
from sequencer.model.settlement import SentDeposit, SettlementError, SettlementProblem
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.settlement.connection import Patience, StarknetAccess
from sequencer.settlement.deployment import (
    SettlementClasses,
    SettlementConstructor,
    deploy_settlement,
)
from sequencer.settlement.money import Payment, Purse
from sequencer.settlement.starknet import StarknetSettlement
from tests.unit.devnet.embedded_world import declare_settlement

TOGETHER = 4
PLANNED = [PlannedDeposit(1_000 + number, 10**6 * (number + 1)) for number in range(10)]
SALTS = count(1)
PATIENCE = Patience(receipt_ms=300, poll_ms=20)


class World(msgspec.Struct, frozen=True):
    """A devnet with a contract, its faults, and somebody who pays."""

    faults: Faults
    settlement: StarknetSettlement
    purse: Purse

    def funding(self) -> Funding:
        return Funding(self.settlement, self.purse, PLANNED)

    async def require_each_once(self) -> None:
        """Compare the contract with what was planned: nothing more, nothing less."""
        sent = await self.settlement.deposits(0, 2 * len(PLANNED))
        assert [(each.account, each.amount) for each in sent] == [
            (each.account, each.amount) for each in PLANNED
        ]
        money, contract = await self.settlement.money(), self.settlement.contract
        assert money.deposited == sum(each.amount for each in PLANNED)
        assert await self.purse.balance(contract) == money.deposited


def ready() -> None:
    """Nothing is in the way."""


def unheard(_: str) -> None:
    """Nobody listens."""


def access(url: str, number: int) -> StarknetAccess:
    return StarknetAccess(url, ACCOUNTS[number].address, Secret(ACCOUNTS[number].private_key))


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """Give a chain for all tests here, so that classes are declared once."""
    chain = open_chain(NATIVES, None, len(ACCOUNTS), lambda: 1_000_000)
    declare_settlement(chain)
    yield chain
    chain.close()


@pytest.fixture
async def world(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Give a contract of its own."""
    for module in (devnet.funding, sequencer.settlement.money):
        monkeypatch.setattr(module, "DEPOSITS_TOGETHER", TOGETHER)
    faults = Faults()
    server = EmbeddedServer(all_methods(chain, faults), faults, "127.0.0.1", 0)
    url = f"http://{await server.start()}"
    owner, operator = ACCOUNTS[0].address, ACCOUNTS[1].address
    constructor = SettlementConstructor(owner, operator, 5, 0, 6, 3_600, exchange=7, chain_id=8)
    classes = SettlementClasses(load_artifact("settlement"), load_artifact("usdc"))
    contract = await deploy_settlement(access(url, 0), classes, constructor, next(SALTS))
    settlement = StarknetSettlement(access(url, 1), contract)
    purse = Purse(access(url, 2), contract, PATIENCE)
    try:
        yield World(faults, settlement, purse)
    finally:
        await purse.close()
        await settlement.close()
        await server.close()


async def test_everybody_gets_what_was_planned_and_nothing_is_sent_twice(world: World) -> None:
    sent = await world.funding().complete(ready, unheard)
    assert [each.nonce for each in sent] == list(range(len(PLANNED)))
    await world.require_each_once()
    assert await world.funding().complete(ready, unheard) == sent
    await world.require_each_once()


async def test_only_what_is_missing_is_sent(world: World) -> None:
    await world.purse.mint(world.purse.account, 10**9)
    await world.purse.deposit([Payment(each.account, each.amount) for each in PLANNED[:7]])
    await world.funding().complete(ready, unheard)
    await world.require_each_once()


@pytest.mark.parametrize("fault", ["lose", "drop"])
async def test_an_unknown_outcome_is_read_before_anything_is_sent_again(
    world: World, fault: str
) -> None:
    lines: list[str] = []
    checks = 0

    def strike() -> None:
        # Once before the faucet is asked, then before each transaction with deposits.
        nonlocal checks
        checks += 1
        if checks == 3:
            world.faults.put(**{fault: 1})

    await world.funding().complete(strike, lines.append)
    assert world.faults.standing == Faults().standing
    await world.require_each_once()
    (line,) = lines
    assert line.startswith("funding: looking what became of a transaction: SETTLEMENT_OUTCOME_UNK")


async def test_it_gives_up_where_nothing_ever_arrives(world: World) -> None:
    world.faults.put(drop=100)
    lines: list[str] = []
    with pytest.raises(SettlementError) as caught:
        await world.funding().complete(ready, lines.append)
    assert caught.value.problem is SettlementProblem.OUTCOME_UNKNOWN
    assert len(lines) == 3
    world.faults.put(drop=0)
    await world.funding().complete(ready, unheard)
    await world.require_each_once()


async def test_it_ends_between_two_transactions_and_goes_on(world: World) -> None:
    def interrupted_after(checks: int) -> Callable[[], None]:
        left = checks

        def require_whole() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Interrupted

        return require_whole

    for checks in range(3):
        with pytest.raises(Interrupted):
            await world.funding().complete(interrupted_after(checks), unheard)
    assert len(await world.settlement.deposits(0, len(PLANNED))) == TOGETHER
    await world.funding().complete(ready, unheard)
    await world.require_each_once()


def credited(sent: list[SentDeposit]) -> dict[int, DepositRow]:
    """Return the rows of a chain that has credited some deposits."""
    return {
        each.nonce: DepositRow(each.account, each.amount * QUOTE_PER_TOKEN, each.message_hash)
        for each in sent
    }


async def test_a_chain_that_has_credited_what_is_lost_is_refused(world: World) -> None:
    funding = world.funding()
    await funding.require_kept({})
    sent = [*await funding.complete(ready, unheard)]
    await funding.require_kept(credited(sent))
    await funding.require_kept(credited(sent[:3]))
    other = msgspec.structs.replace(sent[5], message_hash=sent[5].message_hash + 1)
    beyond = msgspec.structs.replace(sent[0], nonce=len(PLANNED))
    for rows, nonce in (([*sent[:5], other, *sent[6:]], 5), ([*sent, beyond], len(PLANNED))):
        with pytest.raises(Refused, match=f"deposit {nonce} is credited here") as caught:
            await funding.require_kept(credited(rows))
        assert caught.value.reason is Reason.DEPOSIT_UNMADE
    await world.require_each_once()
