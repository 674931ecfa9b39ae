"""Putting the settlement contract on a Starknet chain.

Promises
- It can be repeated: a class that is declared is not declared again, and a contract with the same
  class, constructor and salt is found where it stands, with all that was posted since.
- Another salt gives another contract.
"""

from typing import Protocol

import msgspec
from starknet_py.constants import DEFAULT_DEPLOYER_ADDRESS
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.models.transaction import DeclareV3, InvokeV3

from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import Connection, Patience, Rejected, StarknetAccess
from sequencer.settlement.refusals import CLASS_DECLARED
from sequencer.settlement.starknet import CALL_BOUNDS
from sequencer.starknet.names import contract_address, selector

_DECLARE_BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(1_000, 10**14),
    l2_gas=ResourceBounds(800_000_000, 10**11),
    l1_data_gas=ResourceBounds(100_000, 10**13),
)
_CONTRACT_NOT_FOUND = 20
_CLASS_NOT_FOUND = 28
_DEPLOYER = int(DEFAULT_DEPLOYER_ADDRESS, 16)
_FROM_ZERO = 0


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


class SettlementConstructor(msgspec.Struct, frozen=True):
    """The constructor's arguments, in its order; `finality_delay` in seconds."""

    owner: int
    operator: int
    state_root: int
    block_number: int
    block_hash: int
    finality_delay: int
    drill: bool = False


async def deploy_settlement(
    access: StarknetAccess,
    artifact: DeclarableClass,
    constructor: SettlementConstructor,
    salt: int,
    patience: Patience | None = None,
) -> int:
    """Declare the class where it is not, deploy, and return the contract's address.

    Fails with SettlementError; what the constructor refuses is REFUSED with its code.
    """
    connection = Connection(access, patience)
    try:
        return await _deploy(connection, artifact, constructor, salt)
    except Rejected as rejected:
        raise SettlementError(SettlementProblem.UNREACHABLE, str(rejected)) from None
    finally:
        await connection.close()


async def _deploy(
    connection: Connection,
    artifact: DeclarableClass,
    constructor: SettlementConstructor,
    salt: int,
) -> int:
    arguments = [int(argument) for argument in msgspec.structs.astuple(constructor)]
    address = contract_address(salt, artifact.class_hash, arguments, _FROM_ZERO)
    if await _stands(connection, address):
        return address
    if not await _is_declared(connection, artifact.class_hash):
        await _declare(connection, artifact)
    calldata = [artifact.class_hash, salt, _FROM_ZERO, len(arguments), *arguments]
    call = Call(_DEPLOYER, selector("deployContract"), calldata)

    async def sign(account: Account, nonce: int) -> InvokeV3:
        return await account.sign_invoke_v3(call, nonce=nonce, resource_bounds=CALL_BOUNDS)

    await connection.transact(sign)
    return address


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
        if rejected.code != _CONTRACT_NOT_FOUND:
            raise
        return False
    return True


async def _is_declared(connection: Connection, class_hash: int) -> bool:
    try:
        await connection.read(lambda client: client.get_class_by_hash(class_hash))
    except Rejected as rejected:
        if rejected.code != _CLASS_NOT_FOUND:
            raise
        return False
    return True
