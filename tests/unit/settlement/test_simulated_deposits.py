"""Deposits of the simulated contract: counters, hashes, refusals, reorgs, faults."""

from pathlib import Path

import msgspec
import pytest

from sequencer.model.bridge_limits import DEPOSIT_MAX, DEPOSITED_MAX, DEPOSITS_PAGE_MAX
from sequencer.model.limits import ADDRESS_MAX
from sequencer.model.settlement import Money, SettlementError, SettlementProblem
from sequencer.settlement.contract_rules import Deposit
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.felt_hash import pedersen_array, poseidon_array
from sequencer.starknet.names import selector
from tests.contracts.settlement_world import (
    STRANGER,
    SettableClock,
    refused,
    simulated_genesis,
)

ACCOUNT, EXCHANGE, CHAIN_ID, CONTRACT = 0xA11CE, 0xE8C, 0xC41, 0xC04


def chain_at(file: Path | None = None) -> SimulatedChain:
    clock = SettableClock()
    state = msgspec.structs.replace(
        simulated_genesis(clock),
        exchange=EXCHANGE,
        chain_id=CHAIN_ID,
        contract=CONTRACT,
    )
    return SimulatedChain(state, clock, file)


@pytest.fixture(params=["memory", "file"])
def settlement(request: pytest.FixtureRequest, tmp_path: Path) -> SimulatedSettlement:
    chain = chain_at(tmp_path / "settlement.json" if request.param == "file" else None)
    return SimulatedSettlement(chain, STRANGER)


async def test_deposits_are_counted_and_chained(settlement: SimulatedSettlement) -> None:
    assert await settlement.money() == Money(0, 0, 0, 0)
    assert await settlement.deposits(0, 5) == ()
    for amount in (5, 7):
        await settlement.deposit(ACCOUNT, amount)
    first, second = await settlement.deposits(0, 5)
    calldata = pedersen_array((CONTRACT, 1, ACCOUNT, 7))
    message = (EXCHANGE, selector("deposit"), calldata, 0, CHAIN_ID, 1)
    expected = pedersen_array((encode_short_string("l1_handler"), 0, *message))
    assert (second.nonce, second.account, second.amount) == (1, ACCOUNT, 7)
    assert second.message_hash == expected
    assert first.chain_hash == poseidon_array((0, first.message_hash))
    assert second.chain_hash == poseidon_array((first.chain_hash, expected))
    assert await settlement.money() == Money(2, second.chain_hash, 12, 0)
    assert settlement.contract == CONTRACT


async def test_a_page_is_clipped() -> None:
    chain = chain_at()
    settlement = SimulatedSettlement(chain, STRANGER)
    for _ in range(DEPOSITS_PAGE_MAX + 5):
        chain.carry_out(Deposit(ACCOUNT, 1), STRANGER)
    assert len(await settlement.deposits(0, 10_000)) == DEPOSITS_PAGE_MAX
    page = await settlement.deposits(DEPOSITS_PAGE_MAX, 10_000)
    assert [each.nonce for each in page] == [*range(DEPOSITS_PAGE_MAX, DEPOSITS_PAGE_MAX + 5)]


@pytest.mark.parametrize(
    ("account", "amount", "code"),
    [
        (0, 0, "ACCOUNT_INVALID"),
        (ADDRESS_MAX + 1, 1, "ACCOUNT_INVALID"),
        (ADDRESS_MAX, 0, "AMOUNT_INVALID"),
        (ADDRESS_MAX, DEPOSIT_MAX + 1, "AMOUNT_INVALID"),
    ],
)
async def test_what_is_malformed_is_refused(
    settlement: SimulatedSettlement, account: int, amount: int, code: str
) -> None:
    await refused(code, settlement.deposit(account, amount))
    assert (await settlement.money()).deposits == 0
    await settlement.deposit(ADDRESS_MAX, DEPOSIT_MAX)


async def test_more_than_it_ever_takes_is_refused() -> None:
    chain = chain_at()
    settlement = SimulatedSettlement(chain, STRANGER)
    state = msgspec.structs.replace(chain.ledger.state, deposited=DEPOSITED_MAX - 5)
    chain._ledger = msgspec.structs.replace(chain.ledger, state=state)
    await refused("DEPOSITS_FULL", settlement.deposit(ACCOUNT, 6))
    await settlement.deposit(ACCOUNT, 5)


async def test_a_reorg_removes_deposits_and_the_nonce_is_free(
    settlement: SimulatedSettlement,
) -> None:
    for amount in (5, 7, 9):
        await settlement.deposit(ACCOUNT, amount)
    before = await settlement.deposits(0, 9)
    settlement.chain.reorg(2)
    assert await settlement.money() == Money(1, before[0].chain_hash, 5, 0)
    await settlement.deposit(ACCOUNT, 9)
    await settlement.deposit(ACCOUNT, 9)
    after = await settlement.deposits(0, 9)
    assert after[1].message_hash != before[1].message_hash
    # The same content under the same nonce is the same message, on top of another chain.
    assert after[2].message_hash == before[2].message_hash
    assert after[2].chain_hash != before[2].chain_hash


async def test_its_faults_are_those_of_every_call(settlement: SimulatedSettlement) -> None:
    for fault, count in (("receipts_lost", 1), ("calls_lost", 0)):
        before = (await settlement.money()).deposits
        setattr(settlement.faults, fault, 1)
        with pytest.raises(SettlementError) as caught:
            await settlement.deposit(ACCOUNT, 5)
        assert caught.value.problem is SettlementProblem.OUTCOME_UNKNOWN
        assert (await settlement.money()).deposits == before + count
    settlement.faults.doubled = 1
    await settlement.deposit(ACCOUNT, 5)
    assert (await settlement.money()).deposits == 3
    settlement.faults.absent = True
    for asked in (settlement.money(), settlement.deposits(0, 1)):
        with pytest.raises(SettlementError) as caught:
            await asked
        assert caught.value.problem is SettlementProblem.CONTRACT_ABSENT


async def test_a_file_keeps_them_for_the_next_process(tmp_path: Path) -> None:
    file = tmp_path / "settlement.json"
    await SimulatedSettlement(chain_at(file), STRANGER).deposit(ACCOUNT, 5)
    again = SimulatedSettlement(chain_at(file), STRANGER)
    assert (await again.money()).deposited == 5
    assert len(await again.deposits(0, 9)) == 1
