"""A Starknet node and an account on it: questions, and transactions with a known outcome.

Promises
- A failure says what became of the transaction. UNREACHABLE: none was sent. OUTCOME_UNKNOWN: one
  was, and what became of it is to be read from the chain. REFUSED: it changed nothing.
- Every wait has a limit.

Laws
- The nonce is read from the chain for each transaction, and no memory of it is kept.
- A connection is used once: a kept one may be closed from the other side just when a transaction
  goes out, and its outcome would be unknown for nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import (
    TransactionExecutionStatus,
    TransactionFinalityStatus,
    TransactionReceiptWithBlockInfo,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient, ServerError
from starknet_py.net.models.transaction import DeclareV3, InvokeV3

from sequencer.model.limits import (
    SETTLEMENT_POLL_MS,
    SETTLEMENT_READ_MS_MAX,
    SETTLEMENT_RECEIPT_MS_MAX,
    SETTLEMENT_SEND_MS_MAX,
)
from sequencer.model.secret import Secret
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.model.units import MS_PER_SECOND
from sequencer.settlement.refusals import (
    RpcCode,
    refusal_before_sending,
    refusal_of_node,
    refusal_of_revert,
)
from sequencer.settlement.signer import StarkSigner
from sequencer.starknet.felt_hash import public_key

Sign = Callable[[Account, int], Awaitable[InvokeV3 | DeclareV3]]
"""Makes a signed transaction with the nonce that it is given."""

_Answer = TypeVar("_Answer")

_NOBODY = 1
_NONCE_MOVED = (RpcCode.NONCE_INVALID, RpcCode.NONCE_WAITING)
_ATTEMPTS = 2
ACCEPTED = frozenset(
    {TransactionFinalityStatus.ACCEPTED_ON_L2, TransactionFinalityStatus.ACCEPTED_ON_L1}
)
"""Of a transaction whose block is made; one that is pre-confirmed may still not come to be."""

# No connection, one that broke, a time-out, or an answer that is none.
_NO_ANSWER = (aiohttp.ClientError, OSError, ServerError, ValueError, LookupError, TypeError)


class StarknetAccess(msgspec.Struct, frozen=True):
    """Where a Starknet node answers, and the account that sends from there."""

    url: str
    account_address: int
    private_key: Secret


def reader_of(url: str) -> StarknetAccess:
    """Return the access of somebody who only reads: no account has this address."""
    return StarknetAccess(url, _NOBODY, Secret(_NOBODY))


async def is_devnet_at(url: str) -> bool:
    """Say whether a chain's time can be let pass; not of one that does not answer."""
    connection = Connection(reader_of(url))
    try:
        await connection.read(lambda client: client.get_chain_id())
    except (Rejected, SettlementError):
        return False
    finally:
        await connection.close()
    return connection.is_devnet


class Patience(msgspec.Struct, frozen=True):
    """How long to wait: for an answer, for acceptance, for a receipt, between two looks for it."""

    read_ms: int = SETTLEMENT_READ_MS_MAX
    send_ms: int = SETTLEMENT_SEND_MS_MAX
    receipt_ms: int = SETTLEMENT_RECEIPT_MS_MAX
    poll_ms: int = SETTLEMENT_POLL_MS


class Rejected(Exception):
    """The node's own no to a request, by the number of its RPC error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class Connection:
    """One node, one account; it connects when it is first needed.

    What kind of chain it is stands in `is_devnet` and `is_embedded` once it `is_known`.
    Refusal on construction: PRIVATE_KEY_OUT_OF_RANGE.
    """

    def __init__(self, access: StarknetAccess, patience: Patience | None = None) -> None:
        public_key(access.private_key.value)
        self.is_known = self.is_devnet = self.is_embedded = False
        self._access = access
        self._patience = patience or Patience()
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._account: Account | None = None

    async def read(self, ask: Callable[[FullNodeClient], Awaitable[_Answer]]) -> _Answer:
        """Ask the node. UNREACHABLE, or Rejected by the node."""

        async def of_node(_: Account) -> _Answer:
            return await ask(FullNodeClient(self._access.url, self._session))

        return await self._ask(of_node, self._patience.read_ms, SettlementProblem.UNREACHABLE)

    async def read_json(self, method: str, parameters: dict[str, object]) -> object:
        """Ask by a method's own name, without `starknet_`. UNREACHABLE, or Rejected by the node."""

        async def call(_: FullNodeClient) -> object:
            client = RpcHttpClient(self._access.url, self._session)
            answer: object = await client.call(method, parameters)
            return answer

        return await self.read(call)

    async def transact(self, sign: Sign) -> TransactionReceiptWithBlockInfo:
        """Send a transaction and return its receipt once it is accepted and not reverted."""
        async with self._turn:
            receipt = await self._receipt(await self._send(sign))
        if receipt.execution_status is TransactionExecutionStatus.REVERTED:
            raise refusal_of_revert(receipt.revert_reason or "")
        return receipt

    async def advance_time(self, seconds: int) -> None:
        """Let a devnet's time pass, which makes a block. REFUSED as NOT_A_DEVNET elsewhere."""

        async def pass_time(_: FullNodeClient) -> None:
            await self._devnet().call("increaseTime", {"time": seconds})

        try:
            await self.read(pass_time)
        except Rejected as rejected:
            words = f"the node has no time of its own: {rejected}"
            raise SettlementError(SettlementProblem.REFUSED, words, "NOT_A_DEVNET") from None

    async def send_devnet(self, method: str, parameters: dict[str, object]) -> None:
        """Have a devnet do something, by a method's own name, without `devnet_`.

        UNREACHABLE, OUTCOME_UNKNOWN, or Rejected by the node.
        """

        async def send(_: Account) -> None:
            await self._devnet().call(method, parameters)

        await self._ask(send, self._patience.send_ms, SettlementProblem.OUTCOME_UNKNOWN)

    async def close(self) -> None:
        """Let go of the session. Can be repeated."""
        session, self._session, self._account = self._session, None, None
        if session is not None:
            await session.close()

    async def _send(self, sign: Sign) -> int:
        for _ in range(_ATTEMPTS):
            try:
                return await self._submit(await self._signed(sign))
            except Rejected as rejected:
                if rejected.code not in _NONCE_MOVED:
                    raise refusal_of_node(rejected.code, str(rejected)) from None
        words = f"the account's nonce moved {_ATTEMPTS} times under our hands"
        raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, words)

    async def _signed(self, sign: Sign) -> InvokeV3 | DeclareV3:
        async def make(account: Account) -> InvokeV3 | DeclareV3:
            nonce = await account.get_nonce(block_number="pre_confirmed")
            return await sign(account, nonce)

        try:
            return await self._ask(make, self._patience.read_ms, SettlementProblem.UNREACHABLE)
        except Rejected as rejected:
            raise refusal_before_sending(rejected.code, str(rejected)) from None

    async def _submit(self, transaction: InvokeV3 | DeclareV3) -> int:
        async def submit(account: Account) -> int:
            client = account.client
            if isinstance(transaction, DeclareV3):
                return int((await client.declare(transaction)).transaction_hash)
            return int((await client.send_transaction(transaction)).transaction_hash)

        return await self._ask(submit, self._patience.send_ms, SettlementProblem.OUTCOME_UNKNOWN)

    async def _receipt(self, transaction_hash: int) -> TransactionReceiptWithBlockInfo:
        try:
            async with asyncio.timeout(self._patience.receipt_ms / MS_PER_SECOND):
                while True:
                    receipt = await self._look(transaction_hash)
                    if receipt is not None and receipt.finality_status in ACCEPTED:
                        return receipt
                    await asyncio.sleep(self._patience.poll_ms / MS_PER_SECOND)
        except TimeoutError:
            words = f"no receipt of {transaction_hash:#x} in {self._patience.receipt_ms} ms"
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, words) from None

    async def _look(self, transaction_hash: int) -> TransactionReceiptWithBlockInfo | None:
        """Return the receipt that there is; a node that does not answer may do so later."""
        try:
            return await self.read(lambda client: client.get_transaction_receipt(transaction_hash))
        except (Rejected, SettlementError):
            return None

    async def _ask(
        self,
        ask: Callable[[Account], Awaitable[_Answer]],
        milliseconds: int,
        problem: SettlementProblem,
    ) -> _Answer:
        """Ask within a time; `problem` is what no answer means once we are connected."""
        try:
            async with asyncio.timeout(milliseconds / MS_PER_SECOND):
                return await ask(await self._open())
        except aiohttp.ClientConnectorError:
            words = f"nobody answers at {_host_of(self._access.url)}"
            raise SettlementError(SettlementProblem.UNREACHABLE, words) from None
        except ClientError as error:
            # The library hands on the number of an RPC error as one, a status of HTTP as a text.
            if isinstance(error.code, int):
                raise Rejected(error.code, error.message) from None
            raise SettlementError(problem, _words(error)) from None
        except _NO_ANSWER as error:
            raise SettlementError(problem, _words(error)) from None

    async def _open(self) -> Account:
        async with self._opening:
            if self._account is None:
                self._account = await self._connect()
            return self._account

    async def _connect(self) -> Account:
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector)
        access = self._access
        client = FullNodeClient(access.url, self._session)
        chain_id = int(await client.get_chain_id(), 16)
        config = await self._devnet_config()
        self.is_devnet = config is not None
        self.is_embedded = isinstance(config, dict) and config.get("embedded") is True
        self.is_known = True
        return Account(
            address=access.account_address,
            client=client,
            signer=StarkSigner(access.private_key.value, chain_id),
            chain=chain_id,
        )

    async def _devnet_config(self) -> object:
        """Ask for what only a devnet has; None where this is none."""
        try:
            config: object = await self._devnet().call("getConfig")
        except ClientError:
            return None
        return config

    def _devnet(self) -> RpcHttpClient:
        return RpcHttpClient(self._access.url, self._session, method_prefix="devnet")


def _host_of(url: str) -> str:
    """Return an address without what may be secret in it: a name, a word, a path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
