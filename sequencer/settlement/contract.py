"""One contract on a Starknet chain: its views, and calls with bounds instead of estimates.

Laws
- Nothing is estimated: a call that the contract will refuse is executed and refused there.
- Calls that go in one transaction are carried out all, or not at all.
- What a view answers are felts, or it is no answer: UNREACHABLE.
"""

from collections.abc import Sequence

from starknet_py.net.account.account import Account
from starknet_py.net.client_models import (
    Call,
    ResourceBounds,
    ResourceBoundsMapping,
    TransactionReceiptWithBlockInfo,
)
from starknet_py.net.models.transaction import InvokeV3

from sequencer.model.settlement import Sent, SettlementError, SettlementProblem
from sequencer.settlement.connection import Connection, Rejected
from sequencer.settlement.refusals import RpcCode
from sequencer.starknet.felt import is_felt
from sequencer.starknet.names import selector

# Three times what the dearest call takes, at a hundred times the price of a quiet day; the account
# must hold what the bounds allow: about two STRK, and half a one for each further call.
_L2_GAS, _L2_GAS_MORE, _L2_GAS_PRICE_MAX = 20_000_000, 5_000_000, 10**11
_DATA_GAS, _DATA_GAS_MORE, _DATA_GAS_PRICE_MAX = 10_000, 2_000, 10**13

_NOT_OURS = (RpcCode.CONTRACT_NOT_FOUND, RpcCode.ENTRY_POINT_NOT_FOUND, RpcCode.CONTRACT_ERROR)


def call_bounds(calls: int = 1) -> ResourceBoundsMapping:
    """Return what a transaction with so many calls may take."""
    more = calls - 1
    return ResourceBoundsMapping(
        l1_gas=ResourceBounds(1_000, 10**14),
        l2_gas=ResourceBounds(_L2_GAS + more * _L2_GAS_MORE, _L2_GAS_PRICE_MAX),
        l1_data_gas=ResourceBounds(_DATA_GAS + more * _DATA_GAS_MORE, _DATA_GAS_PRICE_MAX),
    )


def sent_of(receipt: TransactionReceiptWithBlockInfo) -> Sent:
    """Return what a receipt says of the transaction itself."""
    return Sent(receipt.transaction_hash, receipt.execution_resources.l2_gas)


class Contract:
    """One contract, seen and called through a connection."""

    def __init__(self, connection: Connection, address: int) -> None:
        self.address = address
        self._connection = connection

    def call(self, name: str, *arguments: int) -> Call:
        """Return a call of one of its functions."""
        return Call(self.address, selector(name), list(arguments))

    async def view(self, name: str, *arguments: int) -> list[int]:
        """Ask one of its views at the latest block."""
        call = self.call(name, *arguments)
        try:
            felts = await self._connection.read(
                lambda client: client.call_contract(call, block_number="latest")
            )
        except Rejected as rejected:
            raise self._no_view(rejected) from None
        if not all(map(is_felt, felts)):
            words = f"{name} answers what is no felt: no sense in it"
            raise SettlementError(SettlementProblem.UNREACHABLE, words)
        return felts

    async def view_of(self, felts: int, name: str, *arguments: int) -> list[int]:
        """Ask a view that answers so many felts; CONTRACT_ABSENT where it does not."""
        answer = await self.view(name, *arguments)
        if len(answer) != felts:
            raise self.absent(f"{name} answers {len(answer)} felts")
        return answer

    async def invoke(self, name: str, *arguments: int) -> Sent:
        """Call one of its functions."""
        return sent_of(await self.invoke_all([self.call(name, *arguments)]))

    async def invoke_all(self, calls: Sequence[Call]) -> TransactionReceiptWithBlockInfo:
        """Send calls, of this contract and of others, in one transaction."""
        await self._require_contract()
        bounds = call_bounds(len(calls))

        async def sign(account: Account, nonce: int) -> InvokeV3:
            return await account.sign_invoke_v3(calls, nonce=nonce, resource_bounds=bounds)

        return await self._connection.transact(sign)

    def absent(self, words: str) -> SettlementError:
        """Return the failure of a chain on which something else stands at the address."""
        detail = f"{self.address:#x}: {words}"
        return SettlementError(SettlementProblem.CONTRACT_ABSENT, detail)

    async def _require_contract(self) -> None:
        """Look before sending: a call to nobody costs a fee, and its refusal has no code."""
        try:
            await self._connection.read(
                lambda client: client.get_class_hash_at(self.address, block_number="latest")
            )
        except Rejected as rejected:
            raise self._no_view(rejected) from None

    def _no_view(self, rejected: Rejected) -> SettlementError:
        if rejected.code in _NOT_OURS:
            return self.absent(str(rejected))
        return SettlementError(SettlementProblem.UNREACHABLE, str(rejected))
