"""An Ethereum chain in memory with a token, a lock and what goes wrong with its newest blocks."""

import sys
from dataclasses import dataclass
from typing import Any

from eth_tester import EthereumTester
from eth_tester.exceptions import TransactionFailed
from web3 import AsyncWeb3
from web3.providers.eth_tester import AsyncEthereumTesterProvider
from web3.types import RPCEndpoint, RPCResponse

from contracts.ethereum import load_ethereum_artifact
from sequencer.model.secret import Secret
from sequencer.settlement.ethereum import EthereumAccount, EthereumNode
from sequencer.settlement.ethereum_lock import EthereumDeposit, EthereumLock, EthereumToken

# The chain in memory raises it for the whole process, so far that input which is nested too deep
# ends the process where Python would have refused it.
sys.setrecursionlimit(1_000)

SETTLEMENT = 0x5E771E
FEE_WEI = 1_000
MONEY = 10**9


class Provider(AsyncEthereumTesterProvider):
    """Answers a call that fails as a node does: with an error, and what the contract said."""

    async def make_request(self, method: RPCEndpoint, params: object) -> RPCResponse:
        try:
            return await super().make_request(method, params)
        except TransactionFailed as failed:
            error = {"code": 3, "message": str(failed)}
            return {"jsonrpc": "2.0", "id": 1, "error": error}  # type: ignore[typeddict-item]


@dataclass
class EthereumWorld:
    """The deployer also deposits."""

    tester: EthereumTester
    web3: EthereumNode
    deployer: EthereumAccount
    other: EthereumAccount
    lock: EthereumLock
    contract: Any
    token: EthereumToken
    messaging: Any

    async def deposit(self, amount: int, account: int = 7) -> EthereumDeposit:
        return await self.lock.deposit(self.deployer, amount, account, FEE_WEI)

    def mine(self, blocks: int) -> None:
        self.tester.mine_blocks(blocks)

    def snapshot(self) -> bytes:
        taken: bytes = self.tester.take_snapshot()
        return taken

    def revert(self, snapshot: bytes) -> None:
        self.tester.revert_to_snapshot(snapshot)


_BEGUN: dict[int, tuple[EthereumWorld, bytes]] = {}
"""Deployed once in a process: by `settlement`, with the snapshot that every test begins with."""


async def ethereum_world(settlement: int = SETTLEMENT) -> EthereumWorld:
    """Give everything deployed, with money for the deployer that the lock may move.

    `settlement` 0: nobody has said where it is. It is the world of the test before, taken back to
    its beginning, so that a test has one of a kind.
    """
    if settlement not in _BEGUN:
        made = await _deployed(settlement)
        _BEGUN[settlement] = made, made.snapshot()
    world, beginning = _BEGUN[settlement]
    world.revert(beginning)
    return world


async def _deployed(settlement: int) -> EthereumWorld:
    provider = Provider()
    tester, web3 = provider.ethereum_tester, AsyncWeb3[Any](provider)
    keys = [Secret(int.from_bytes(key.to_bytes(), "big")) for key in tester.backend.account_keys]
    deployer, other = (EthereumAccount(web3, key) for key in keys[:2])
    artifacts = {name: load_ethereum_artifact(name) for name in ("TestUsdc", "TestMessaging")}
    token, messaging = [await deployer.deploy(each) for each in artifacts.values()]
    artifact = load_ethereum_artifact("PerpchainLock")
    address = await deployer.deploy(artifact, token, messaging)
    contract = deployer.contract(address, artifact.abi)
    if settlement:
        await deployer.call(contract.functions.setSettlement(settlement))
    lock = EthereumLock(web3, address, artifact.abi)
    money = EthereumToken(deployer, token, artifacts["TestUsdc"].abi)
    await money.mint(MONEY)
    await money.approve(lock.address, MONEY)
    messages = deployer.contract(messaging, artifacts["TestMessaging"].abi)
    return EthereumWorld(tester, web3, deployer, other, lock, contract, money, messages)
