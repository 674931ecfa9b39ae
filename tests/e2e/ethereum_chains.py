"""anvil for tests, and somebody with tokens on it who can also turn its blocks around."""

from pathlib import Path
from typing import Any

import pytest

from contracts.ethereum import load_ethereum_artifact
from devnet.ethereum_leg import anvil_key
from devnet.ethereum_node import can_fetch_anvil, fetch_anvil
from devnet.npm_packages import PackagesAbsent
from sequencer.settlement.ethereum import EthereumAccount, EthereumNode
from sequencer.settlement.ethereum_lock import EthereumDeposit, EthereumLock, EthereumToken

FEE_WEI = 10**12
MONEY = 10**9
USER = 2


def anvil_binary() -> Path:
    """Fetch anvil once for all; without Node or a network there may be none."""
    if not can_fetch_anvil():
        pytest.skip("needs node and npm, for anvil")
    try:
        return fetch_anvil()
    except PackagesAbsent as absent:
        if absent.network:
            pytest.skip(f"npm has no network here: {absent}")
        raise


class EthereumUser:
    """Somebody with tokens on anvil."""

    def __init__(self, node: EthereumNode, lock: str, token: str) -> None:
        self.node = node
        self.account = EthereumAccount(node, anvil_key(USER))
        self.lock = EthereumLock(node, lock, load_ethereum_artifact("PerpchainLock").abi)
        self.token = EthereumToken(self.account, token, load_ethereum_artifact("TestUsdc").abi)

    async def begin(self) -> None:
        await self.token.mint(MONEY)
        await self.token.approve(self.lock.address, MONEY)

    async def deposit(self, amount: int, account: int) -> EthereumDeposit:
        return await self.lock.deposit(self.account, amount, account, FEE_WEI)

    async def mine(self, blocks: int) -> None:
        await self._ask("anvil_mine", hex(blocks))

    async def lose(self, deposit: EthereumDeposit) -> None:
        """Replace all blocks from a deposit's on by as many empty ones.

        A block may come between the two questions; it is then one block too few.
        """
        number = deposit.block.number
        while await self.lock.block_hash(number) == deposit.block.hash:
            head = await self.lock.head()
            await self._ask("anvil_reorg", head.number - number + 1, [])

    async def _ask(self, method: str, *params: object) -> Any:  # noqa: ANN401
        told = await self.node.provider.make_request(method, list(params))
        assert "error" not in told, told
        return told["result"]
