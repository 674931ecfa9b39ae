"""Putting the settlement contract, and the test token that it is paid in, on a Starknet chain.

Promises
- It can be repeated: a class that is declared is not declared again, and a contract with the same
  class, constructor and salt is found where it stands, with all that was posted since.
- Another salt gives another contract. The token is one for all contracts of a chain.
- What the appchain's genesis deposits is paid into the contract once, outside its counters: what
  is there beyond deposits and payments is never topped up again.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from starknet_py.constants import DEFAULT_DEPLOYER_ADDRESS
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.models.transaction import DeclareV3, InvokeV3

from sequencer.model.bridge_limits import COUNTER_READS_MAX, FAUCET_MAX, GENESIS_MINTS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.model.units import ONE, QUOTE_PER_TOKEN
from sequencer.settlement.connection import Connection, Patience, Rejected, StarknetAccess
from sequencer.settlement.contract import call_bounds
from sequencer.settlement.money import Purse
from sequencer.settlement.refusals import CLASS_DECLARED, RpcCode
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.names import contract_address, selector

_DECLARE_BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(1_000, 10**14),
    l2_gas=ResourceBounds(2_000_000_000, 10**11),
    l1_data_gas=ResourceBounds(100_000, 10**13),
)
_DEPLOYER = int(DEFAULT_DEPLOYER_ADDRESS, 16)
_FROM_ZERO = 0
_TOKEN_SALT = 0
_TOKEN = ONE // QUOTE_PER_TOKEN


class DeclarableClass(Protocol):
    """A compiled contract: its Sierra class as JSON, and its two hashes."""

    @property
    def sierra(self) -> str:
        """The class as it is declared."""

    @property
    def class_hash(self) -> int:
        """The hash of the Sierra class."""

    @property
    def compiled_class_hash(self) -> int:
        """The hash of the class that the chain's own compiler will make of it."""


class SettlementClasses(msgspec.Struct, frozen=True):
    """The two contracts that are deployed."""

    settlement: DeclarableClass
    token: DeclarableClass


class SettlementConstructor(msgspec.Struct, frozen=True):
    """What the contract is built with; `finality_delay` in seconds.

    `exchange` and `chain_id` are the appchain's; `l1_bridge` 0 is no L1. The token is deployed with
    the contract.
    """

    owner: int
    operator: int
    state_root: int
    block_number: int
    block_hash: int
    finality_delay: int
    exchange: int
    chain_id: int
    drill: bool = False
    l1_bridge: int = 0


async def deploy_settlement(
    access: StarknetAccess,
    classes: SettlementClasses,
    constructor: SettlementConstructor,
    salt: int,
    genesis_deposited: int = 0,
    patience: Patience | None = None,
) -> int:
    """Declare and deploy what is not there, pay `genesis_deposited`, return the contract's address.

    `genesis_deposited` is what the appchain's genesis deposits, in 1e-8 quote. Fails with
    SettlementError; what the constructor refuses is REFUSED with its code. Refusal:
    AMOUNT_INVALID for more than the token's faucet may be asked for.
    """
    missing = genesis_deposited // QUOTE_PER_TOKEN
    most = GENESIS_MINTS_MAX * FAUCET_MAX
    if missing > most:
        words = f"genesis deposits {missing // _TOKEN} USDC, {most // _TOKEN} can be paid there"
        raise Refused(Reason.AMOUNT_INVALID, words)
    connection = Connection(access, patience)
    try:
        token = await _deploy(connection, classes.token, (), _TOKEN_SALT)
        arguments = _arguments(constructor, token)
        contract = await _deploy(connection, classes.settlement, arguments, salt)
    except Rejected as rejected:
        raise SettlementError(SettlementProblem.UNREACHABLE, str(rejected)) from None
    finally:
        await connection.close()
    await _pay_genesis(access, contract, missing, patience)
    return contract


def _arguments(constructor: SettlementConstructor, token: int) -> Sequence[int]:
    """Return the constructor's calldata."""
    return (
        constructor.owner,
        constructor.operator,
        constructor.state_root,
        constructor.block_number,
        constructor.block_hash,
        constructor.finality_delay,
        int(constructor.drill),
        token,
        constructor.exchange,
        constructor.chain_id,
        constructor.l1_bridge,
    )


async def _deploy(
    connection: Connection, artifact: DeclarableClass, arguments: Sequence[int], salt: int
) -> int:
    address = contract_address(salt, artifact.class_hash, arguments, _FROM_ZERO)
    if await _stands(connection, address):
        return address
    if not await _is_declared(connection, artifact.class_hash):
        await _declare(connection, artifact)
    calldata = [artifact.class_hash, salt, _FROM_ZERO, len(arguments), *arguments]
    call = Call(_DEPLOYER, selector("deployContract"), calldata)

    async def sign(account: Account, nonce: int) -> InvokeV3:
        return await account.sign_invoke_v3(call, nonce=nonce, resource_bounds=call_bounds())

    await connection.transact(sign)
    return address


async def _pay_genesis(
    access: StarknetAccess, contract: int, amount: int, patience: Patience | None
) -> None:
    """Have the faucet pay what is not there yet of what genesis deposits."""
    purse = Purse(access, contract, patience)
    counters = StarknetSettlement(access, contract, patience)
    try:
        if amount and (missing := amount - await _unaccounted(purse, counters)) > 0:
            await purse.mint(contract, missing)
    finally:
        await purse.close()
        await counters.close()


async def _unaccounted(purse: Purse, counters: StarknetSettlement) -> int:
    """Return what the contract has beyond what its counters say, in 1e-6 of the token."""
    money = await counters.money()
    for _ in range(COUNTER_READS_MAX):
        balance = await purse.balance(counters.contract)
        before, money = money, await counters.money()
        if (before.deposited, before.paid) == (money.deposited, money.paid):
            return balance - money.deposited + money.paid
    raise SettlementError(
        SettlementProblem.UNREACHABLE, "the contract's money does not stand still"
    )


async def _declare(connection: Connection, artifact: DeclarableClass) -> None:
    async def sign(account: Account, nonce: int) -> DeclareV3:
        return await account.sign_declare_v3(
            artifact.sierra,
            artifact.compiled_class_hash,
            nonce=nonce,
            resource_bounds=_DECLARE_BOUNDS,
        )

    try:
        await connection.transact(sign)
    except SettlementError as error:
        if error.code != CLASS_DECLARED:
            raise


async def _stands(connection: Connection, address: int) -> bool:
    try:
        await connection.read(
            lambda client: client.get_class_hash_at(address, block_number="latest")
        )
    except Rejected as rejected:
        if rejected.code != RpcCode.CONTRACT_NOT_FOUND:
            raise
        return False
    return True


async def _is_declared(connection: Connection, class_hash: int) -> bool:
    try:
        await connection.read(lambda client: client.get_class_by_hash(class_hash))
    except Rejected as rejected:
        if rejected.code != RpcCode.CLASS_NOT_FOUND:
            raise
        return False
    return True
