"""The lock contract and its token, on a chain in memory."""

from collections.abc import Awaitable
from hashlib import sha256

import pytest
from Crypto.Hash import keccak

from contracts.ethereum import FOLDER, artifact_path, load_ethereum_artifact, source_path
from scripts.build_ethereum import CONTRACTS, solc_version
from sequencer.model.bridge_limits import DEPOSIT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.settlement.ethereum import (
    EthereumAccount,
    EthereumError,
    EthereumProblem,
    connect_ethereum,
    disconnect_ethereum,
)
from sequencer.settlement.ethereum_lock import EthereumLock
from sequencer.settlement.ethereum_messages import HANDLER
from sequencer.starknet.felt import ADDRESS_BOUND
from sequencer.starknet.names import selector
from tests.unit.settlement.ethereum_world import FEE_WEI, MONEY, SETTLEMENT, ethereum_world

ACCOUNT_MAX = ADDRESS_BOUND - 1


async def refused(code: str, call: Awaitable[object]) -> None:
    with pytest.raises(EthereumError) as caught:
        await call
    assert caught.value.problem is EthereumProblem.REFUSED
    assert caught.value.code == code


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_artifacts_come_from_these_sources(name: str) -> None:
    artifact = load_ethereum_artifact(name)
    found = sha256(source_path(name).read_text("utf-8").encode()).hexdigest()
    assert found == artifact.source_sha256, "run python scripts/build_ethereum.py build"
    assert artifact.compiler.startswith(f"solc {solc_version()}, ")


def test_the_folder_holds_these_contracts_and_no_others() -> None:
    assert {path.stem for path in FOLDER.glob("*.sol")} == set(CONTRACTS)
    assert set(artifact_path("x").parent.iterdir()) == {artifact_path(name) for name in CONTRACTS}


async def test_the_bounds_are_those_of_the_settlement_contract() -> None:
    world = await ethereum_world()
    functions = world.contract.functions
    assert await functions.ACCOUNT_MAX().call() == ACCOUNT_MAX
    assert await functions.AMOUNT_MAX().call() == DEPOSIT_MAX
    assert await functions.SELECTOR().call() == selector(HANDLER)
    assert await functions.settlement().call() == SETTLEMENT


async def test_a_deposit_locks_tokens_and_sends_a_message() -> None:
    world = await ethereum_world()
    first = await world.deposit(250, ACCOUNT_MAX)
    second = await world.deposit(1, 1)
    head = await world.lock.head()
    assert [first, second] == await world.lock.deposits(0, head.number)
    assert (first.nonce, first.account, first.amount) == (0, ACCOUNT_MAX, 250)
    assert (second.nonce, second.account, second.amount) == (1, 1, 1)
    assert (first.payer, first.fee_wei) == (world.deployer.address, FEE_WEI)
    assert second.block.hash == head.hash
    assert await world.contract.functions.locked().call() == 251
    assert await world.token.balance(world.contract.address) == 251
    assert await world.token.balance(world.deployer.address) == MONEY - 251
    assert await world.web3.eth.get_balance(world.messaging.address) == 2 * FEE_WEI


async def test_the_message_says_what_was_deposited_and_its_hash_is_starknets() -> None:
    world = await ethereum_world()
    deposit = await world.deposit(250, 99)
    (log,) = await world.messaging.events.LogMessageToL2().get_logs(from_block=0)
    said = log["args"]
    assert int(said["fromAddress"], 16) == world.lock.address
    assert (said["toAddress"], said["selector"]) == (SETTLEMENT, selector(HANDLER))
    assert (list(said["payload"]), said["nonce"], said["fee"]) == ([99, 250], 0, FEE_WEI)
    words = (world.lock.address, SETTLEMENT, 0, selector(HANDLER), 2, 99, 250)
    data = b"".join(word.to_bytes(32, "big") for word in words)
    assert deposit.message_hash == keccak.new(digest_bits=256, data=data).digest()


@pytest.mark.parametrize(
    ("amount", "account", "code"),
    [
        (1, 0, "ACCOUNT_INVALID"),
        (1, ACCOUNT_MAX + 1, "ACCOUNT_INVALID"),
        (0, 1, "AMOUNT_INVALID"),
        (DEPOSIT_MAX + 1, 1, "AMOUNT_INVALID"),
        (MONEY + 1, 1, "ALLOWANCE_INSUFFICIENT"),
    ],
)
async def test_what_the_settlement_contract_would_refuse_is_not_locked(
    amount: int, account: int, code: str
) -> None:
    world = await ethereum_world()
    await refused(code, world.deposit(amount, account))
    assert await world.contract.functions.locked().call() == 0
    assert await world.token.balance(world.deployer.address) == MONEY


async def test_the_largest_deposit_is_taken() -> None:
    world = await ethereum_world()
    await world.token.mint(DEPOSIT_MAX)
    await world.token.approve(world.lock.address, DEPOSIT_MAX)
    assert (await world.deposit(DEPOSIT_MAX)).amount == DEPOSIT_MAX


async def test_tokens_and_message_go_together_or_not_at_all() -> None:
    world = await ethereum_world()
    await refused("FEE_ZERO", world.lock.deposit(world.deployer, 5, 7, 0))
    await refused("FEE_TOO_LARGE", world.lock.deposit(world.deployer, 5, 7, 2 * 10**18))
    await world.token.approve(world.lock.address, 10**12)
    await refused("BALANCE_INSUFFICIENT", world.deposit(MONEY + 1))
    assert await world.token.balance(world.deployer.address) == MONEY
    assert await world.lock.deposits(0, (await world.lock.head()).number) == []


async def test_the_settlement_is_set_once_by_the_deployer() -> None:
    world = await ethereum_world(settlement=0)
    set_settlement = world.contract.functions.setSettlement
    await refused("SETTLEMENT_UNSET", world.deposit(1))
    await refused("NOT_DEPLOYER", world.other.call(set_settlement(SETTLEMENT)))
    await refused("SETTLEMENT_INVALID", world.deployer.call(set_settlement(0)))
    await refused("SETTLEMENT_INVALID", world.deployer.call(set_settlement(ACCOUNT_MAX + 1)))
    await world.deployer.call(set_settlement(SETTLEMENT))
    await refused("SETTLEMENT_SET", world.deployer.call(set_settlement(SETTLEMENT)))
    assert (await world.deposit(1)).nonce == 0


async def test_the_token_moves_what_was_allowed() -> None:
    world = await ethereum_world()
    functions = world.deployer.contract(
        await world.contract.functions.token().call(), load_ethereum_artifact("TestUsdc").abi
    ).functions
    owner, other = world.deployer.address, world.other.address
    assert await functions.decimals().call() == 6
    await refused("AMOUNT_TOO_LARGE", world.token.mint(10**15 + 1))
    await world.deployer.call(functions.approve(other, 10))
    move = functions.transferFrom
    await refused("ALLOWANCE_INSUFFICIENT", world.other.call(move(owner, other, 11)))
    await world.other.call(move(owner, other, 4))
    assert await functions.allowance(owner, other).call() == 6
    await world.deployer.call(functions.approve(other, 2**256 - 1))
    await world.other.call(move(owner, other, 1))
    assert await functions.allowance(owner, other).call() == 2**256 - 1
    await refused("BALANCE_INSUFFICIENT", world.other.call(functions.transfer(owner, 6)))
    await world.other.call(functions.transfer(owner, 5))
    assert await functions.totalSupply().call() == MONEY
    assert await world.token.balance(owner) == MONEY


@pytest.mark.parametrize(
    "key", [0, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141]
)
async def test_a_key_that_is_none_is_refused(key: int) -> None:
    with pytest.raises(Refused) as caught:
        EthereumAccount(connect_ethereum("http://127.0.0.1:1"), Secret(key))
    assert caught.value.reason is Reason.PRIVATE_KEY_OUT_OF_RANGE


async def test_nobody_there_is_unreachable_and_nothing_was_sent(unused_tcp_port: int) -> None:
    node = connect_ethereum(f"http://127.0.0.1:{unused_tcp_port}")
    lock = EthereumLock(node, "0x" + "11" * 20, load_ethereum_artifact("PerpchainLock").abi)
    try:
        for question in (
            lock.head(),
            lock.block_hash(1),
            lock.deposits(0, 1),
            lock.deposit(EthereumAccount(node, Secret(1)), 1, 1, 1),
        ):
            with pytest.raises(EthereumError) as caught:
                await question
            assert caught.value.problem is EthereumProblem.UNREACHABLE
    finally:
        await disconnect_ethereum(node)


async def test_what_is_no_lock_says_nothing_of_deposits() -> None:
    world = await ethereum_world()
    other = EthereumLock(
        world.web3, world.other.address, load_ethereum_artifact("PerpchainLock").abi
    )
    assert await other.deposits(0, (await other.head()).number) == []
    with pytest.raises(EthereumError):
        await other.token()
