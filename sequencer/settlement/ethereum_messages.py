"""Messages from Ethereum to the settlement contract, as its chain has them and takes them.

Promises
- What is there is read from the chain each time that the contract's deposits have changed: a
  settlement chain that went back has the less, and one that was begun anew has nothing.
- A message is only handed over where the chain does not have it, not even in the block that is
  being made; whether the contract would take it is asked first.

Laws
- The postman hands over one message by its number. Its other way, to flush, hands over everything
  that Ethereum has, whether confirmed or not and whether handed over before or not, and a devnet
  carries out a message as often as it is handed over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import msgspec
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import Call, TransactionExecutionStatus
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient, ServerError

from sequencer.model.limits import SETTLEMENT_READ_MS_MAX, SETTLEMENT_SEND_MS_MAX
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import Rejected
from sequencer.settlement.ethereum_lock import EthereumDeposit
from sequencer.settlement.refusals import refusal_of_revert
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import L1Handler, transaction_hash

HANDLER = "deposit_from_l1"

_Answer = TypeVar("_Answer")

_EVENT = "LogDeposit"
_EVENT_FELTS = 4
_EVENTS_TOGETHER = 1_000
_MONEY_FELTS = 6
_CONTRACT_NOT_FOUND, _ENTRY_POINT_NOT_FOUND = 20, 21
_TRANSACTION_NOT_FOUND = 29
_CONTRACT_ERROR = 40
_METHOD_NOT_FOUND = -32_601
_PAUSED = "DEPOSITS_PAUSED"
_NOT_OURS = frozenset({_CONTRACT_NOT_FOUND, _ENTRY_POINT_NOT_FOUND, _CONTRACT_ERROR})
# No connection, one that broke, a time-out, or an answer that is none.
_NO_ANSWER = (aiohttp.ClientError, OSError, ServerError, ValueError, LookupError, TypeError)


class HandedMessage(msgspec.Struct, frozen=True):
    """A message that the settlement contract took; `nonce` is the message's, not the deposit's."""

    transaction_hash: int
    nonce: int
    account: int
    amount: int


class _Handler(msgspec.Struct, frozen=True):
    """What is read of the transaction of a message."""

    nonce: str
    calldata: list[str]


class SettlementMessages:
    """The handler of one settlement contract for one lock, on a devnet."""

    def __init__(self, url: str, contract: int, lock: int) -> None:
        self._url, self._contract, self._lock = url, contract, lock
        self._session: aiohttp.ClientSession | None = None
        self._chain_id = 0
        self._transactions: dict[tuple[int, int, int], int] = {}
        self._known: tuple[int, tuple[HandedMessage, ...]] | None = None

    async def handed(self) -> tuple[HandedMessage, ...]:
        """List the messages of the lock that the contract took. SettlementError."""
        deposit_hash, _ = await self._deposits()
        if self._known is None or self._known[0] != deposit_hash:
            self._known = (deposit_hash, await self._read_handed())
        return self._known[1]

    async def refusal(self, deposit: EthereumDeposit) -> str:
        """Return the code with which the contract would refuse a message now, "" if it takes it.

        A node that cannot try a message is only asked for a pause. SettlementError: no answer.
        """
        _, is_paused = await self._deposits()
        if is_paused:
            return _PAUSED
        message = {
            "from_address": f"{self._lock:#042x}",
            "to_address": hex(self._contract),
            "entry_point_selector": hex(selector(HANDLER)),
            "payload": [hex(deposit.account), hex(deposit.amount)],
        }
        try:
            await self._call("estimateMessageFee", {"message": message, "block_id": "latest"})
        except Rejected as rejected:
            if rejected.code == _METHOD_NOT_FOUND:
                return ""
            if rejected.code != _CONTRACT_ERROR:
                raise _unreachable(rejected) from None
            # The library prints what the node says as Python does, with its quotes escaped.
            return refusal_of_revert(str(rejected).replace("\\'", "'")).code
        return ""

    async def hand_over(self, deposit: EthereumDeposit) -> int:
        """Have a message carried out, unless it was; returns its transaction's hash.

        SettlementError. OUTCOME_UNKNOWN: look before anything else; `hand_over` does.
        """
        await self._connect()
        hash_ = self.transaction_of(deposit)
        if await self._stands(hash_):
            return hash_
        message = {
            "l2_contract_address": hex(self._contract),
            "entry_point_selector": hex(selector(HANDLER)),
            "l1_contract_address": hex(self._lock),
            "payload": [hex(deposit.account), hex(deposit.amount)],
            "paid_fee_on_l1": hex(deposit.fee_wei),
            "nonce": hex(deposit.nonce),
        }
        postman = RpcHttpClient(self._url, self._session, method_prefix="devnet")
        try:
            async with asyncio.timeout(SETTLEMENT_SEND_MS_MAX / 1000):
                await postman.call("postmanSendMessageToL2", message)
        except ClientError as error:
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, error.message) from None
        except _NO_ANSWER as error:
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, _words(error)) from None
        return hash_

    def transaction_of(self, deposit: EthereumDeposit) -> int:
        """Return the hash of the transaction that a message makes, once the chain was asked."""
        said = (deposit.nonce, deposit.account, deposit.amount)
        if said not in self._transactions:
            calldata = (self._lock, deposit.account, deposit.amount)
            handler = L1Handler(self._contract, selector(HANDLER), calldata, deposit.nonce)
            self._transactions[said] = transaction_hash(handler, self._chain_id)
        return self._transactions[said]

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _deposits(self) -> tuple[int, bool]:
        """Return the hash of all deposits, and whether more are taken only later."""
        call = Call(self._contract, selector("get_money"), [])
        try:
            felts = await self._ask(
                lambda client: client.call_contract(call, block_number="latest")
            )
        except Rejected as rejected:
            if rejected.code in _NOT_OURS:
                raise self._absent(str(rejected)) from None
            raise _unreachable(rejected) from None
        if len(felts) != _MONEY_FELTS:
            raise self._absent(f"get_money answers {len(felts)} felts")
        _, deposit_hash, _, _, is_paused, _ = felts
        return deposit_hash, is_paused != 0

    async def _read_handed(self) -> tuple[HandedMessage, ...]:
        """Read the events of the lock's deposits, and what message each came from."""
        keys: list[list[int | str]] = [[selector(_EVENT)]]
        try:
            told = await self._ask(
                lambda client: client.get_events(
                    self._contract,
                    keys,
                    from_block_number=0,
                    to_block_number="latest",
                    follow_continuation_token=True,
                    chunk_size=_EVENTS_TOGETHER,
                )
            )
            # A devnet lists a message that was refused and then taken once for either block.
            hashes = dict.fromkeys(
                int(event.transaction_hash)
                for event in told.events
                if len(event.data) == _EVENT_FELTS and event.data[0] == self._lock
            )
            return tuple([await self._message(hash_) for hash_ in hashes])
        except Rejected as rejected:
            raise _unreachable(rejected) from None

    async def _message(self, hash_: int) -> HandedMessage:
        try:
            told = await self._call("getTransactionByHash", {"transaction_hash": hex(hash_)})
            found = msgspec.convert(told, type=_Handler)
            _, account, amount = (int(felt, 16) for felt in found.calldata)
            return HandedMessage(hash_, int(found.nonce, 16), account, amount)
        except ValueError:
            raise self._absent(f"transaction {hash_:#x} is no message from Ethereum") from None

    async def _stands(self, hash_: int) -> bool:
        """Say whether a message was carried out, also in the block that is being made."""
        try:
            receipt = await self._ask(lambda client: client.get_transaction_receipt(hash_))
        except Rejected as rejected:
            if rejected.code == _TRANSACTION_NOT_FOUND:
                return False
            raise _unreachable(rejected) from None
        return receipt.execution_status is not TransactionExecutionStatus.REVERTED

    async def _call(self, method: str, parameters: dict[str, object]) -> object:
        """Ask in the protocol's own words, where the library loses some of the answer."""

        async def ask(_: FullNodeClient) -> object:
            answer: object = await RpcHttpClient(self._url, self._session).call(method, parameters)
            return answer

        return await self._ask(ask)

    async def _ask(self, ask: Callable[[FullNodeClient], Awaitable[_Answer]]) -> _Answer:
        """Ask the node. UNREACHABLE, or Rejected by the node."""
        try:
            async with asyncio.timeout(SETTLEMENT_READ_MS_MAX / 1000):
                return await ask(await self._connect())
        except ClientError as error:
            # The library hands on the number of an RPC error as one, a status of HTTP as a text.
            if isinstance(error.code, int):
                raise Rejected(error.code, error.message) from None
            raise SettlementError(SettlementProblem.UNREACHABLE, _words(error)) from None
        except _NO_ANSWER as error:
            raise SettlementError(SettlementProblem.UNREACHABLE, _words(error)) from None

    async def _connect(self) -> FullNodeClient:
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector)
        client = FullNodeClient(self._url, self._session)
        if self._chain_id == 0:
            self._chain_id = int(await client.get_chain_id(), 16)
        return client

    def _absent(self, words: str) -> SettlementError:
        detail = f"{self._contract:#x}: {words}"
        return SettlementError(SettlementProblem.CONTRACT_ABSENT, detail)


def _unreachable(rejected: Rejected) -> SettlementError:
    return SettlementError(SettlementProblem.UNREACHABLE, str(rejected))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
