"""Deposits on the settlement contract, and their pause: every refusal, on both backends."""

from itertools import pairwise

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.starknet.deposits import deposit_message, next_chain_hash
from sequencer.starknet.transactions import transaction_hash
from tests.contracts.contract_world import CHAIN_ID, L1_BRIDGE, World, event

ACCOUNT, ACCOUNT_MAX = 0xACC0, 2**251 - 257
DEPOSIT_MAX = 10**15
U128_MAX = 2**128 - 1
PLENTY = 10**13


def message_hash(world: World, nonce: int, account: int, amount: int) -> int:
    """Work out the hash of the appchain's transaction that credits a deposit."""
    message = deposit_message(EXCHANGE_ADDRESS, world.contract, nonce, account, amount)
    return transaction_hash(message, CHAIN_ID)


def told(world: World, nonce: int, account: int, amount: int, before: int) -> tuple[int, int]:
    """Return a deposit's two hashes, where the one before it has the hash `before`."""
    hash_ = message_hash(world, nonce, account, amount)
    return hash_, next_chain_hash(before, hash_)


async def money(world: World) -> tuple[int, int, int, int]:
    """Return the counters: deposits, their hash, what came in and what was paid."""
    deposits, hash_, deposited, paid, *_ = await world.view("get_money")
    return deposits, hash_, deposited, paid


async def test_deposits_are_counted_kept_and_chained(world: World) -> None:
    await world.deploy()
    payer = world.stranger
    assert await money(world) == (0, 0, 0, 0)
    assert await world.view("get_deposits", 0, 9) == [0]
    await world.fund(payer, PLENTY)
    kept: list[int] = []
    deposited = chain_hash = 0
    for nonce, (account, amount) in enumerate([(ACCOUNT, 1), (ACCOUNT_MAX, 2_000_000), (1, 77)]):
        events = await world.done(payer, "deposit", account, amount)
        hash_, chain_hash = told(world, nonce, account, amount, chain_hash)
        logged = (nonce, account, payer.address, amount, hash_, chain_hash)
        assert events == [event("LogDeposit", *logged)]
        kept += [account, amount, hash_, chain_hash]
        deposited += amount
        assert await money(world) == (nonce + 1, chain_hash, deposited, 0)
    assert await world.balance(world.contract) == deposited
    assert await world.view("get_deposits", 0, 300) == [3, *kept]
    assert await world.view("get_deposits", 1, 1) == [1, *kept[4:8]]
    assert await world.view("get_deposits", 2, 300) == [1, *kept[8:]]
    assert await world.view("get_deposits", 3, 1) == [0]


async def test_what_the_bridge_sends_is_a_deposit_too(world: World) -> None:
    await world.deploy()
    hash_, chain_hash = told(world, 0, ACCOUNT, 7_000_000, 0)
    events, refusal = await world.message(L1_BRIDGE, ACCOUNT, 7_000_000)
    logged = (0, ACCOUNT, L1_BRIDGE, 7_000_000, hash_, chain_hash)
    assert (events, refusal) == ([event("LogDeposit", *logged)], "")
    assert await world.balance(world.contract) == 7_000_000
    for code, sender, account, amount in (
        ("NOT_L1_BRIDGE", L1_BRIDGE + 1, ACCOUNT, 1),
        ("NOT_L1_BRIDGE", 0, ACCOUNT, 1),
        ("ACCOUNT_INVALID", L1_BRIDGE, 0, 1),
        ("AMOUNT_INVALID", L1_BRIDGE, ACCOUNT, 0),
        ("AMOUNT_INVALID", L1_BRIDGE, ACCOUNT, DEPOSIT_MAX + 1),
    ):
        assert await world.message(sender, account, amount) == ([], code)
    await world.done(world.owner, "pause_deposits")
    assert await world.message(L1_BRIDGE, ACCOUNT, 1) == ([], "DEPOSITS_PAUSED")
    assert await money(world) == (1, chain_hash, 7_000_000, 0)


async def test_a_contract_without_a_bridge_takes_no_message(world: World) -> None:
    await world.deploy(l1_bridge=0)
    for sender in (0, L1_BRIDGE):
        assert await world.message(sender, ACCOUNT, 1) == ([], "NOT_L1_BRIDGE")
    assert await world.view("get_bridge") == [world.token, EXCHANGE_ADDRESS, CHAIN_ID, 0]


async def test_deposits_that_are_refused_leave_nothing(world: World) -> None:
    await world.deploy()
    payer = world.stranger
    await world.refused("BALANCE_INSUFFICIENT", payer, "deposit", ACCOUNT, 1)
    await world.token_done(payer, "mint", payer.address, 10, 0)
    await world.refused("ALLOWANCE_INSUFFICIENT", payer, "deposit", ACCOUNT, 1)
    await world.token_done(payer, "approve", world.contract, 5, 0)
    await world.refused("ALLOWANCE_INSUFFICIENT", payer, "deposit", ACCOUNT, 6)
    await world.refused("BALANCE_INSUFFICIENT", payer, "deposit", ACCOUNT, DEPOSIT_MAX)
    for account in (0, ACCOUNT_MAX + 1, 2**251):
        await world.refused("ACCOUNT_INVALID", payer, "deposit", account, 0)
    for amount in (0, DEPOSIT_MAX + 1, U128_MAX):
        await world.refused("AMOUNT_INVALID", payer, "deposit", ACCOUNT, amount)
    assert await money(world) == (0, 0, 0, 0)
    assert (await world.balance(payer.address), await world.balance(world.contract)) == (10, 0)
    await world.done(payer, "deposit", ACCOUNT, 5)
    await world.refused("ALLOWANCE_INSUFFICIENT", payer, "deposit", ACCOUNT, 1)
    assert await world.balance(payer.address) == 5


async def test_the_owner_pauses_deposits(world: World) -> None:
    await world.deploy()
    owner, payer = world.owner, world.stranger
    await world.fund(payer, PLENTY)
    await world.refused("DEPOSITS_NOT_PAUSED", owner, "resume_deposits")
    for other in (world.operator, world.stranger):
        await world.refused("NOT_OWNER", other, "pause_deposits")
    assert await world.done(owner, "pause_deposits") == [event("LogDepositsPaused")]
    assert (await world.view("get_money"))[4] == 1
    await world.refused("DEPOSITS_PAUSED", owner, "pause_deposits")
    # The pause comes first, whatever else is wrong.
    await world.refused("DEPOSITS_PAUSED", payer, "deposit", 0, 0)
    await world.refused("NOT_OWNER", world.operator, "resume_deposits")
    assert await world.done(owner, "resume_deposits") == [event("LogDepositsResumed")]
    await world.done(payer, "deposit", ACCOUNT, 1)
    assert (await money(world))[0] == 1


async def test_deposits_of_one_transaction_come_in_its_order(world: World) -> None:
    await world.deploy()
    payer = world.stranger
    await world.fund(payer, PLENTY)
    amounts = (9, 8, 7)
    events = await world.together(payer, [("deposit", ACCOUNT, amount) for amount in amounts])
    assert [each[4] for each in events if each[0] == event("LogDeposit")[0]] == [*amounts]
    deposits = (await world.view("get_deposits", 0, 9))[1:]
    chain = [0, *deposits[3::4]]
    for nonce, (before, after) in enumerate(pairwise(chain)):
        assert told(world, nonce, ACCOUNT, amounts[nonce], before)[1] == after
    # All of a transaction, or none of it.
    await world.token_done(payer, "approve", world.contract, 5, 0)
    assert await world.together(payer, [("deposit", ACCOUNT, 5), ("deposit", ACCOUNT, 1)]) == []
    assert (await money(world))[0] == len(amounts)
