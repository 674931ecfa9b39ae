"""A Starknet node of somebody's: questions over starknet-py, and whether there was an answer.

Promises
- A node that does not answer, in time or in JSON-RPC, is away; one that says no has rejected.
- No more than FOLLOW_TOGETHER_MAX questions are open at once.
"""

import asyncio
import warnings
from collections.abc import Mapping
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from starknet_py.net.client_errors import ClientError
from starknet_py.net.http_client import IncompatibleRPCVersionWarning, RpcHttpClient, ServerError

from sequencer.model.plugin_limits import FOLLOW_ANSWER_SECONDS_MAX, FOLLOW_TOGETHER_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.plugins.calling import one_line
from sequencer.starknet.felt import Felt

Answer: TypeAlias = Any
"""What a node answered: JSON that nobody has looked at yet."""

NO_CONTRACT = 20
"""The number of the error that there is no such contract."""

_NO_BLOCK = 24
_NO_BLOCKS = 32
_REORGS_PAGES_MAX = 64
_IDLE_SECONDS_MAX = 2

# No connection, one that broke, a time-out, or an answer that is none.
_NO_JSON = (ServerError, ValueError, LookupError, TypeError, RecursionError)
_NO_ANSWER = (aiohttp.ClientError, OSError, *_NO_JSON)


def require_address(url: str) -> None:
    """Refuse as PARAMETER_INVALID an address that nothing can answer at: waiting helps nobody."""
    try:
        parts = urlsplit(url)
        is_possible = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_possible = False
    if not is_possible:
        words = f"{shown(url)} is no address: it lacks a host, or its port is none"
        raise Refused(Reason.PARAMETER_INVALID, words)


class NodeAway(Exception):
    """The node did not answer; the message says how."""


class NodeRejected(Exception):
    """The node's own no, by the number of its error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} ({code})")
        self.code = code


class RemoteNode:
    """One node by its address. To be used within `async with`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open = asyncio.Semaphore(FOLLOW_TOGETHER_MAX)
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[str, RpcHttpClient] = {}

    async def __aenter__(self) -> Self:
        # Let go of before the other side does so, just when a question goes out.
        connector = aiohttp.TCPConnector(keepalive_timeout=_IDLE_SECONDS_MAX)
        self._session = aiohttp.ClientSession(connector=connector)
        # Whatever version a node speaks: its answers are read here, field by field.
        warnings.simplefilter("ignore", IncompatibleRPCVersionWarning)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def chain_id(self) -> Answer:
        """Return the chain's id as text."""
        return await self._ask("chainId", {})

    async def head(self) -> int:
        """Return the height of the last block, -1 where there is none."""
        try:
            height = await self._ask("blockNumber", {})
        except NodeRejected as rejected:
            if rejected.code == _NO_BLOCKS:
                return -1
            raise
        if type(height) is not int:
            raise NodeAway(one_line(f"the number of its last block is {height!r}"))
        return height

    async def block(self, height: int) -> Answer | None:
        """Return a block with receipts, None where the node has none at that height."""
        try:
            return await self._ask("getBlockWithReceipts", _at(height))
        except NodeRejected as rejected:
            if rejected.code == _NO_BLOCK:
                return None
            raise

    async def state_update(self, height: int) -> Answer:
        """Return what a block changed."""
        return await self._ask("getStateUpdate", _at(height))

    async def class_of(self, class_hash: Felt, height: int) -> Answer:
        """Return a class."""
        return await self._ask("getClass", {**_at(height), "class_hash": hex(class_hash)})

    async def storage_at(self, contract: Felt, key: Felt, height: int) -> Answer:
        """Return the value of a slot after a block, as text."""
        place = {"contract_address": hex(contract), "key": hex(key)}
        return await self._ask("getStorageAt", {**_at(height), **place})

    async def nonce_at(self, contract: Felt, height: int) -> Answer:
        """Return a nonce after a block, as text."""
        return await self._ask("getNonce", {**_at(height), "contract_address": hex(contract)})

    async def class_hash_at(self, contract: Felt, height: int) -> Answer:
        """Return the class of a contract after a block, as text."""
        return await self._ask("getClassHashAt", {**_at(height), "contract_address": hex(contract)})

    async def reason_of(self, first: int) -> str:
        """Return the operator's words for the last rollback to below a block, "" for none.

        Only a node of our own kind is able to answer.
        """
        reason, cursor = "", 0
        try:
            for _ in range(_REORGS_PAGES_MAX):
                page = await self._ask("reorgs", {"cursor": cursor}, "perp")
                for reorg in page["reorgs"]:
                    if reorg["removed"] and reorg["removed"]["first"]["height"] == first:
                        reason = str(reorg["reason"])
                if not page["reorgs"]:
                    break
                cursor = page["cursor"]
        except (NodeAway, NodeRejected, LookupError, TypeError):
            return ""
        return one_line(reason)

    async def _ask(
        self, method: str, params: Mapping[str, object], prefix: str = "starknet"
    ) -> Answer:
        client = self._clients.setdefault(
            prefix, RpcHttpClient(self.url, self._session, method_prefix=prefix)
        )
        try:
            async with self._open, asyncio.timeout(FOLLOW_ANSWER_SECONDS_MAX):
                return await client.call(method, dict(params))
        except ClientError as error:
            # The library hands on the number of an RPC error as one, a status of HTTP as a text.
            if isinstance(error.code, int):
                raise NodeRejected(error.code, one_line(error.message)) from None
            raise NodeAway(_words(error)) from None
        except _NO_ANSWER as error:
            raise NodeAway(_words(error)) from None


def _at(height: int) -> dict[str, object]:
    return {"block_id": {"block_number": height}}


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        # Without the address, which may hold somebody's key.
        return one_line(f"{type(error).__name__}: {error.status} {error.message}")
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    is_answer = isinstance(error, _NO_JSON) and not isinstance(error, aiohttp.ClientError | OSError)
    return one_line(f"its answer is no JSON-RPC ({words})" if is_answer else words)
