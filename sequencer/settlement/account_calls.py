"""An account of the appchain at some node of it: its key, and the calls that it signs.

Promises
- A call is sent once. OUTCOME_UNKNOWN says that it went out and nobody knows: look for it before
  another one is sent.
- What a rollback undid is signed anew when it is asked for again: with the next tip, for the same
  signature is refused for ever. Execution is free, so that a tip costs nothing.
"""

import re
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import msgspec
from starknet_py.net.account.account import Account
from starknet_py.net.client import Client
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.models.transaction import InvokeV3

from sequencer.model.bridge_limits import ORPHANED_TIPS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import Connection, Patience, Rejected, StarknetAccess
from sequencer.settlement.refusals import ACCOUNT_ABSENT, REVERTED, RpcCode
from sequencer.starknet.felt import Felt, parse_felt
from sequencer.starknet.names import selector

_Answer = TypeVar("_Answer")

_NO_FEES = ResourceBoundsMapping(*[ResourceBounds(0, 0)] * 3)
_NO_ACCOUNT = (RpcCode.CONTRACT_NOT_FOUND, RpcCode.ENTRY_POINT_NOT_FOUND)
# How a node of ours begins its words, in a receipt or in the data of an error.
_CODED = re.compile(r"(?:^|Data: )([A-Z][A-Z0-9_]+): ")


class Called(msgspec.Struct, frozen=True):
    """A call that a block holds."""

    height: int
    transaction_hash: Felt


class AccountCalls:
    """The account of an access. Refusal of all: NODE_UNREACHABLE."""

    def __init__(self, access: StarknetAccess, patience: Patience | None = None) -> None:
        self._address = access.account_address
        self._connection = Connection(access, patience)

    async def chain_id(self) -> Felt:
        """Return the chain's id."""
        return parse_felt(await asked(self._connection.read(lambda client: client.get_chain_id())))

    async def public_key(self) -> Felt:
        """Return the key that signs for the account. Refusal: ACCOUNT_UNKNOWN."""
        call = Call(self._address, selector("get_public_key"), [])

        async def ask(client: Client) -> list[int]:
            return await client.call_contract(call, block_number="latest")

        try:
            (key,) = await self._connection.read(ask)
        except Rejected as rejected:
            if rejected.code not in _NO_ACCOUNT:
                raise Refused(Reason.NODE_UNREACHABLE, str(rejected)) from None
            raise _no_account(self._address) from None
        except SettlementError as error:
            raise Refused(Reason.NODE_UNREACHABLE, error.detail) from None
        except ValueError:
            raise Refused(Reason.NODE_UNREACHABLE, "this is no node of a perpchain") from None
        return key

    async def call(self, contract: Felt, entry_point: Felt, calldata: Sequence[Felt]) -> Called:
        """Send a call, and wait until a block on the disk holds it.

        Refusals: those of the contract and the node, by their codes; OUTCOME_UNKNOWN;
        ORPHANED_COMMAND where rollbacks undid it with every tip up to the limit.
        """
        call = Call(contract, entry_point, list(calldata))
        for tip in range(ORPHANED_TIPS_MAX):
            try:
                return await self._call(call, tip)
            except Refused as refused:
                if refused.reason is not Reason.ORPHANED_COMMAND:
                    raise
        return await self._call(call, ORPHANED_TIPS_MAX)

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        await self._connection.close()

    async def _call(self, call: Call, tip: int) -> Called:
        async def sign(account: Account, nonce: int) -> InvokeV3:
            return await account.sign_invoke_v3(
                call, nonce=nonce, resource_bounds=_NO_FEES, tip=tip
            )

        try:
            receipt = await self._connection.transact(sign)
        except SettlementError as error:
            if error.code == ACCOUNT_ABSENT:
                raise _no_account(self._address) from None
            raise _refusal(error) from None
        return Called(receipt.block_number, receipt.transaction_hash)


async def asked(answer: Awaitable[_Answer]) -> _Answer:
    """Wait for a node's answer. Refusal: NODE_UNREACHABLE."""
    try:
        return await answer
    except Rejected as rejected:
        raise Refused(Reason.NODE_UNREACHABLE, f"the node: {rejected}") from None
    except SettlementError as error:
        raise Refused(Reason.NODE_UNREACHABLE, error.detail) from None


def _no_account(address: Felt) -> Refused:
    words = f"{address:#x} is no account there; an account has to be deployed first"
    return Refused(Reason.ACCOUNT_UNKNOWN, words)


def _refusal(error: SettlementError) -> Refused:
    """Say in the appchain's own words what became of a call."""
    words = error.detail.removeprefix(f"{REVERTED}: ")
    # The first may be a name of Starknet's own; ours is in its data then.
    for coded in _CODED.finditer(words):
        if coded[1] in Reason.__members__:
            return Refused(Reason(coded[1]), words[coded.end() :])
    match error.problem:
        case SettlementProblem.UNREACHABLE:
            return Refused(Reason.NODE_UNREACHABLE, words)
        case SettlementProblem.OUTCOME_UNKNOWN:
            return Refused(Reason.OUTCOME_UNKNOWN, words)
        case _:
            return Refused(Reason.REVERTED, words)
