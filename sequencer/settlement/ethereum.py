"""An Ethereum node and an account on it: transactions with a known outcome.

Promises
- A failure says what became of the transaction. UNREACHABLE: none was sent. OUTCOME_UNKNOWN: one
  was, and what became of it is to be read from the chain. REFUSED: it changed nothing.
- Every wait has a limit.

Laws
- A call is tried at the node before it is sent: what a contract refuses costs nothing.
- The nonce is read from the chain for each transaction, and no memory of it is kept.
"""

import re
from collections.abc import Awaitable
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import aiohttp
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.contract.async_contract import (
    AsyncContract,
    AsyncContractConstructor,
    AsyncContractFunction,
)
from web3.exceptions import BlockNotFound, ContractLogicError, TimeExhausted, Web3Exception
from web3.types import TxParams, TxReceipt, Wei

from sequencer.model.bridge_limits import (
    ETHEREUM_GAS_MAX,
    ETHEREUM_READ_SECONDS_MAX,
    ETHEREUM_RECEIPT_LOOK_MS,
    ETHEREUM_RECEIPT_SECONDS_MAX,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.model.units import MS_PER_SECOND
from sequencer.starknet.ethereum_key import ETHEREUM_CURVE_ORDER

EthereumNode = AsyncWeb3[Any]
Abi = list[dict[str, Any]]

_Answer = TypeVar("_Answer")

_KEY_BYTES = 32
# No connection, one that broke, a time-out, or an answer that is none.
_NO_ANSWER = (aiohttp.ClientError, OSError, Web3Exception, ValueError, LookupError, TypeError)
_REFUSED = re.compile(r"execution reverted: ([A-Z][A-Z0-9_]*)")
_REVERTED = "REVERTED"
_WORDS_CHARACTERS_MAX = 200


class EthereumProblem(StrEnum):
    """How an Ethereum chain can fail us, by name."""

    UNREACHABLE = "UNREACHABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    REFUSED = "REFUSED"


class EthereumError(Exception):
    """No answer, an outcome that nobody knows, or a contract's no with its own word in `code`."""

    def __init__(self, problem: EthereumProblem, detail: str, code: str = "") -> None:
        super().__init__(f"ETHEREUM_{problem.value}: {detail}")
        self.problem = problem
        self.code = code


class DeployableContract(Protocol):
    """A compiled contract; `bytecode` is 0x..."""

    @property
    def abi(self) -> Abi:
        """What can be called."""

    @property
    def bytecode(self) -> str:
        """What makes it."""


def connect_ethereum(url: str) -> EthereumNode:
    """Return a node by its address; nothing is asked yet. `disconnect_ethereum` lets go of it."""
    timeout = aiohttp.ClientTimeout(total=ETHEREUM_READ_SECONDS_MAX)
    # Nothing is asked twice behind our back: whoever asks knows what a failure means.
    return AsyncWeb3(
        AsyncHTTPProvider(
            url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None
        )
    )


async def disconnect_ethereum(web3: EthereumNode) -> None:
    """Let go of the connections to a node."""
    await web3.provider.disconnect()


async def asked(answer: Awaitable[_Answer]) -> _Answer:
    """Wait for a node's answer. UNREACHABLE, or REFUSED by a contract."""
    try:
        return await answer
    except ContractLogicError as refused:
        raise _refusal(str(refused.message)) from None
    except _NO_ANSWER as error:
        raise EthereumError(EthereumProblem.UNREACHABLE, _words(error)) from None


async def block_hash(web3: EthereumNode, number: int) -> bytes | None:
    """Return the hash of the block at a height, None where there is none. UNREACHABLE."""
    try:
        block = await web3.eth.get_block(number)
    except BlockNotFound:
        return None
    except _NO_ANSWER as error:
        raise EthereumError(EthereumProblem.UNREACHABLE, _words(error)) from None
    return bytes(block["hash"])


class EthereumAccount:
    """A key, and the node that its transactions go to.

    Refusal on construction: PRIVATE_KEY_OUT_OF_RANGE.
    """

    def __init__(self, web3: EthereumNode, private_key: Secret) -> None:
        if not 0 < private_key.value < ETHEREUM_CURVE_ORDER:
            words = "an Ethereum key is from 1 to the order of secp256k1"
            raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)
        self._web3 = web3
        self._signer = web3.eth.account.from_key(private_key.value.to_bytes(_KEY_BYTES, "big"))

    @property
    def address(self) -> str:
        """The account's address, with its checksum."""
        return str(self._signer.address)

    def contract(self, address: str, abi: Abi) -> AsyncContract:
        """Return a contract to call."""
        return self._web3.eth.contract(self._web3.to_checksum_address(address), abi=abi)

    async def deploy(self, artifact: DeployableContract, *arguments: object) -> str:
        """Deploy a contract and return its address. EthereumError."""
        factory = self._web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = await self._carry_out(factory.constructor(*arguments), 0)
        return str(receipt["contractAddress"])

    async def call(self, function: AsyncContractFunction, value_wei: int = 0) -> TxReceipt:
        """Call a function of a contract in a transaction. EthereumError."""
        await asked(function.call(self._parameters(value_wei)))
        return await self._carry_out(function, value_wei)

    async def _carry_out(
        self, built: AsyncContractFunction | AsyncContractConstructor, value_wei: int
    ) -> TxReceipt:
        raw = await asked(self._signed(built, value_wei))
        eth = self._web3.eth
        try:
            sent = await eth.send_raw_transaction(raw)
            receipt = await eth.wait_for_transaction_receipt(
                sent, ETHEREUM_RECEIPT_SECONDS_MAX, ETHEREUM_RECEIPT_LOOK_MS / MS_PER_SECOND
            )
        except (*_NO_ANSWER, TimeExhausted) as error:
            raise EthereumError(EthereumProblem.OUTCOME_UNKNOWN, _words(error)) from None
        if receipt["status"] != 1:
            words = f"transaction {receipt['transactionHash'].to_0x_hex()}"
            raise EthereumError(EthereumProblem.REFUSED, f"{_REVERTED}: {words}", _REVERTED)
        return receipt

    async def _signed(
        self, built: AsyncContractFunction | AsyncContractConstructor, value_wei: int
    ) -> bytes:
        parameters = self._parameters(value_wei)
        parameters["nonce"] = await self._web3.eth.get_transaction_count(
            self._signer.address, "pending"
        )
        transaction = await built.build_transaction(parameters)
        return bytes(self._signer.sign_transaction(transaction).raw_transaction)

    def _parameters(self, value_wei: int) -> TxParams:
        return {"from": self._signer.address, "value": Wei(value_wei), "gas": ETHEREUM_GAS_MAX}


def _refusal(words: str) -> EthereumError:
    found = _REFUSED.search(words)
    code = _REVERTED if found is None else found[1]
    detail = f"{code}: {words[:_WORDS_CHARACTERS_MAX]}"
    return EthereumError(EthereumProblem.REFUSED, detail, code)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_WORDS_CHARACTERS_MAX]
