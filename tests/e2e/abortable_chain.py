"""A starknet-devnet's chain, whose blocks are aborted and made again."""

from typing import Any

from starknet_py.net.client_models import Call
from starknet_py.net.http_client import RpcHttpClient

from sequencer.starknet.names import selector
from tests.contracts.devnet import Devnet, send

STRK = 0x04718F5A0FC34CC1AF16A1CDEE98FFB20C31F5CD61D6AB07201858F4287C938D


class Chain:
    """A devnet's chain, and what a test does to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._devnet, self._node = RpcHttpClient(url, method_prefix="devnet"), RpcHttpClient(url)

    async def mint(self, account: int, amount: int) -> None:
        """Make a block that mints."""
        await self._devnet.call("mint", {"address": hex(account), "amount": amount, "unit": "FRI"})

    async def empty(self) -> None:
        """Make a block without transactions."""
        await self._devnet.call("createBlock", {})

    async def abort(self, blocks: int) -> None:
        """Abort the last blocks."""
        height = await self.height()
        await self._devnet.call(
            "abortBlocks", {"starting_block_id": {"block_number": height - blocks + 1}}
        )

    async def height(self) -> int:
        """Return the height of the last block."""
        height: int = await self._node.call("blockNumber", {})
        return height

    async def block(self, height: int) -> dict[str, Any]:
        """Return a block."""
        named = {"block_id": {"block_number": height}}
        block: dict[str, Any] = await self._node.call("getBlockWithReceipts", named)
        return block

    async def transfer(self, recipient: int, amount: int) -> None:
        """Make a block in which an account pays another."""
        account, *_ = await Devnet(self.url).accounts()
        await send(account, Call(STRK, selector("transfer"), [recipient, amount, 0]))
