"""The settlement chain of a history: a devnet over HTTP, a contract of the history's own, faults.

Promises
- What was sent and got no answer is read from the chain before anything is sent again.

Laws
- A reorg removes what was done since the contract stood there, and never the contract.
- Amounts are in 1e-6 of the token.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starknet_py.net.http_client import RpcHttpClient

from devnet.appchain_facts import AppchainFacts
from devnet.backends import deploy_contract
from devnet.starknet_devnet import predeployed_accounts
from scripts.money.appchain import L1_BRIDGE, Violated
from scripts.money.devnets import EMBEDDED, l1_message
from sequencer.model.settlement import Post, Sent, SettlementError, SettlementProblem
from sequencer.settlement.connection import Patience, StarknetAccess
from sequencer.settlement.money import Payment, Purse
from sequencer.settlement.proofs import Claim
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.names import selector

_PURSE_TOKENS = 10**13
_TRIES_MAX = 60
_AGAIN_SECONDS = 0.1
_IMPATIENT = Patience(read_ms=5_000, send_ms=5_000, receipt_ms=600, poll_ms=5)
_AWAY = (SettlementProblem.UNREACHABLE, SettlementProblem.OUTCOME_UNKNOWN)


class Doubling(StarknetSettlement):
    """The node's way to the contract, whose receipts go astray now and then.

    Of the next `doubled` posts each is sent once more, as by somebody who has no receipt: the
    second must be refused. Of the next `lost` ones the node is told that nobody knows.
    """

    def __init__(self, access: StarknetAccess, contract: int, patience: Patience) -> None:
        super().__init__(access, contract, patience)
        self.doubled = self.lost = 0
        self.counts: Counter[str] = Counter()

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """Post a block, perhaps twice."""
        sent = await super().update_state(epoch, previous, new)
        self.counts["post"] += 1
        if self.doubled:
            self.doubled -= 1
            await self._send_again(epoch, previous, new)
        if self.lost:
            self.lost -= 1
            self.counts["post without its receipt"] += 1
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "the receipt is lost")
        return sent

    async def _send_again(self, epoch: int, previous: Post, new: Post) -> None:
        try:
            await super().update_state(epoch, previous, new)
        except SettlementError as error:
            if error.problem is SettlementProblem.REFUSED:
                self.counts["doubled post refused"] += 1
        else:
            # A reorg has taken the first one away in between, or the contract took both: its
            # events tell.
            self.counts["post again after a reorg"] += 1


class SettlementChain:
    """One devnet, one contract, and everybody who calls it."""

    def __init__(self, url: str, backend: str, node: Doubling, purses: Sequence[Purse]) -> None:
        self.backend = backend
        self.node = node
        self.payer, self.claimant = purses
        self.counts: Counter[str] = Counter()
        self._rpc = RpcHttpClient(url, method_prefix="devnet")
        self._starknet = RpcHttpClient(url)
        self._messages = self._receipts_to_lose = 0
        self.floor = 0

    @property
    def contract(self) -> int:
        """Return the contract's address."""
        return self.node.contract

    async def height(self) -> int:
        """Return the newest block's number over there."""
        number: int = await self._starknet.call("blockNumber", {})
        return number

    async def fault(self, **numbers: int) -> None:
        """Let something go wrong, by the embedded devnet's names for it.

        The real one has none: there a receipt is lost here.
        """
        if self.backend == EMBEDDED:
            await self._rpc.call("setFault", numbers)
        else:
            self._receipts_to_lose = numbers.get("lose", self._receipts_to_lose)

    async def heal(self) -> None:
        """Let nothing go wrong from here on."""
        self.node.doubled = self.node.lost = 0
        await self.fault(lose=0, drop=0, slow_ms=0)

    async def reorg(self, depth: int) -> int:
        """Remove up to so many of the newest blocks; returns how many."""
        newest = await self.height()
        first = max(self.floor, newest + 1 - depth)
        if first > newest:
            return 0
        await self._rpc.call("abortBlocks", {"starting_block_id": {"block_number": first}})
        return newest + 1 - first

    async def pass_time(self, seconds: int) -> None:
        """Let the chain's time pass."""
        await self._rpc.call("increaseTime", {"time": seconds})

    def _lose_receipt(self) -> None:
        if self._receipts_to_lose:
            self._receipts_to_lose -= 1
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "the receipt is lost")

    async def deposit(self, payments: Sequence[Payment]) -> None:
        """Pay in, until it is known to be there."""
        before = (await self.node.money()).deposits
        for _ in range(_TRIES_MAX):
            try:
                await self.payer.deposit(payments)
                self._lose_receipt()
            except SettlementError as error:
                if error.problem not in _AWAY:
                    raise
                self.counts[f"deposit {error.problem.value}"] += 1
                if await self.deposits() > before:
                    self.counts["deposit without its receipt"] += 1
                    return
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return
        raise Violated("a deposit never arrived")

    async def message(self, account: int, amount: int) -> None:
        """Deposit as the bridge on Ethereum does."""
        self._messages += 1
        nonce = self.contract % 2**60 + self._messages
        message = l1_message(L1_BRIDGE, self.contract, (account, amount), nonce)
        await self._rpc.call("postmanSendMessageToL2", message)

    async def deposits(self) -> int:
        """Return how many deposits there are, however long the chain is away."""
        for _ in range(_TRIES_MAX):
            try:
                return (await self.node.money()).deposits
            except SettlementError:
                await asyncio.sleep(_AGAIN_SECONDS)
        raise Violated("the settlement chain stays away")

    async def claim(self, claim: Claim) -> str:
        """Have a withdrawal paid; returns the contract's refusal, "" for none."""
        for _ in range(_TRIES_MAX):
            try:
                await self.claimant.withdraw(claim)
            except SettlementError as error:
                if error.problem is SettlementProblem.REFUSED:
                    return error.code
                if error.problem not in _AWAY:
                    raise
                self.counts[f"claim {error.problem.value}"] += 1
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return ""
        raise Violated("a claim never arrived")

    async def events(self, name: str) -> list[list[int]]:
        """Return the contract's events of a kind that stand there, keys and data, oldest first."""
        wanted: dict[str, object] = {
            "from_block": {"block_number": self.floor},
            "to_block": "latest",
            "address": hex(self.contract),
            "keys": [[hex(selector(name))]],
            "chunk_size": 1_000,
        }
        told = await self._starknet.call("getEvents", {"filter": wanted})
        if "continuation_token" in told:
            raise Violated(f"more of {name} than one page takes")
        return [
            [int(felt, 16) for felt in (*each["keys"][1:], *each["data"])]
            for each in told["events"]
        ]

    async def close(self) -> None:
        """Let go of all connections."""
        for each in (self.node, self.payer, self.claimant):
            await each.close()


@asynccontextmanager
async def contract_on(
    url: str, backend: str, facts: AppchainFacts, salt: int
) -> AsyncIterator[SettlementChain]:
    """Deploy a contract for a chain, and give everybody's way to it."""
    owner, operator, other = await predeployed_accounts(url)
    owns, operates, pays = (
        StarknetAccess(url, each.address, each.private_key) for each in (owner, operator, other)
    )
    contract = await deploy_contract(pays, (owner, operator), facts, salt)
    node = Doubling(operates, contract, _IMPATIENT)
    purses = (Purse(pays, contract, _IMPATIENT), Purse(owns, contract, _IMPATIENT))
    chain = SettlementChain(url, backend, node, purses)
    try:
        if await chain.payer.balance(pays.account_address) < _PURSE_TOKENS:
            await chain.payer.mint(pays.account_address, 2 * _PURSE_TOKENS)
        chain.floor = await chain.height() + 1
        yield chain
    finally:
        await chain.close()
