"""Deploying contract and token, on both devnets: repeated, and what genesis deposits paid once."""

import random

import pytest

from devnet.starknet_devnet import predeployed_accounts
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.bridge_limits import FAUCET_MAX, GENESIS_MINTS_MAX
from sequencer.model.refusals import Reason
from sequencer.model.settlement import Post, SettlementError
from sequencer.settlement.claiming import require_payable
from sequencer.settlement.deployment import SettlementConstructor, deploy_settlement
from sequencer.settlement.money import Bridge, Payment, Purse
from tests.contracts.settlement_world import (
    CHAIN_ID,
    DELAY,
    SALTS,
    access,
    classes,
    deployed,
)
from tests.contracts.withdrawals import OwingState, Withdrawn
from tests.strategies import refused

QUOTE = 100
OWED = Withdrawn(0x1D, 0x5E5E, 4_000_000)


@pytest.fixture
def state() -> OwingState:
    return OwingState(random.Random(1), [OWED])


async def purse_of(url: str, contract: int) -> Purse:
    *_, stranger = await predeployed_accounts(url)
    return Purse(access(url, stranger), contract)


async def test_what_genesis_deposits_is_paid_once(url: str, state: OwingState) -> None:
    """Through deposits and payments, and from wherever the first try got to."""
    salt, genesis = next(SALTS), Post(state.height, state.root, 7)
    contract = await deployed(url, DELAY, salt, genesis, 3 * FAUCET_MAX * QUOTE)
    purse = await purse_of(url, contract)
    try:
        assert await purse.balance(contract) == 3 * FAUCET_MAX
        # More than there is, as if the first try had been interrupted: only the rest is paid.
        whole = (3 * FAUCET_MAX + 9_000_000) * QUOTE
        assert await deployed(url, DELAY, salt, genesis, whole) == contract
        assert await purse.balance(contract) == 3 * FAUCET_MAX + 9_000_000
        await purse.mint(purse.account, 5_000_000)
        await purse.deposit([Payment(0x77, 5_000_000)])
        claim = state.claim(OWED, contract)
        await require_payable(purse, claim)
        await purse.withdraw(claim)
        with refused(Reason.ALREADY_PAID):
            await require_payable(purse, claim)
        assert await deployed(url, DELAY, salt, genesis, whole) == contract
        assert await purse.balance(contract) == 3 * FAUCET_MAX + 9_000_000 + 1_000_000
        assert await purse.balance(OWED.recipient) == OWED.amount
    finally:
        await purse.close()


async def test_contracts_of_one_chain_share_its_token(url: str) -> None:
    first, second = [await deployed(url, DELAY, next(SALTS)) for _ in range(2)]
    assert first != second
    bridges = []
    for contract in (first, second):
        purse = await purse_of(url, contract)
        bridges.append(await purse.bridge())
        await purse.close()
    assert bridges[0] == bridges[1]
    assert bridges[0] == Bridge(bridges[0].token, EXCHANGE_ADDRESS, CHAIN_ID, 0)


async def test_a_claim_is_checked_against_the_contract(url: str, state: OwingState) -> None:
    elsewhere = Post(state.height, state.root ^ 1, 7)
    absent = Post(state.height + 1, state.root, 7)
    for genesis, reason in ((elsewhere, Reason.ROOT_DIFFERS), (absent, Reason.NOT_FINALIZED)):
        contract = await deployed(url, DELAY, next(SALTS), genesis)
        purse = await purse_of(url, contract)
        try:
            with refused(reason):
                await require_payable(purse, state.claim(OWED, contract))
        finally:
            await purse.close()


async def test_more_than_the_faucet_may_pay_is_refused_before_anything(url: str) -> None:
    with refused(Reason.AMOUNT_INVALID):
        too_much = (GENESIS_MINTS_MAX * FAUCET_MAX + 1) * QUOTE
        await deployed(url, DELAY, next(SALTS), genesis_deposited=too_much)


async def test_a_deployment_is_repeated_and_salted(url: str) -> None:
    salt = next(SALTS)
    first = await deployed(url, DELAY, salt)
    assert await deployed(url, DELAY, salt) == first
    assert await deployed(url, DELAY, next(SALTS)) not in {0, first}


@pytest.mark.parametrize(
    ("delay", "exchange", "chain_id", "code"),
    [
        (DELAY, 0, CHAIN_ID, "EXCHANGE_ZERO"),
        (DELAY, 5, 0, "CHAIN_ID_ZERO"),
        (5, 5, CHAIN_ID, "DELAY_TOO_SHORT"),
    ],
)
async def test_what_the_constructor_refuses_is_said(
    url: str, delay: int, exchange: int, chain_id: int, code: str
) -> None:
    owner, operator, _ = await predeployed_accounts(url)
    constructor = SettlementConstructor(
        owner.address, operator.address, 1, 1, 1, delay, exchange, chain_id
    )
    with pytest.raises(SettlementError) as caught:
        await deploy_settlement(access(url, owner), classes(), constructor, next(SALTS))
    assert caught.value.code == code
