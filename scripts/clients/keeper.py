"""Keeps a ledger equal to the chain by plain requests.

Each block that is added was live after the last reorg that was learned of: so what a later reorg
undoes lies above the block that its record names.
"""

from functools import partial
from typing import Any

from starknet_py.net.client_errors import ClientError
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from scripts.clients.ledger import Head, Ledger, read_trades

BLOCK_NOT_FOUND = "24"
say = partial(print, flush=True)


class Keeper:
    """Keeps the ledger of one market."""

    def __init__(self, url: str, market: str) -> None:
        self.node, self.perp = FullNodeClient(url), RpcHttpClient(url, method_prefix="perp")
        self.market, self.cursor, self.ledger = market, 0, Ledger(Head(0, 0))

    async def begin(self, since: int | None) -> None:
        """Begin behind a block, or behind the newest one."""
        while (told := await self.perp.call("reorgs", {"cursor": self.cursor}))["reorgs"]:
            self.cursor = told["cursor"]
        self.ledger = Ledger(await self.head("latest" if since is None else since))
        say(f"the ledger begins behind block {self.ledger.tip.number}")

    async def head(self, number: Any = "latest") -> Head:  # noqa: ANN401
        block: Any = await self.node.get_block_with_tx_hashes(block_number=number)
        return Head(block.block_number, block.block_hash)

    async def learn(self) -> bool:
        """Ask which reorgs there were and why, and drop what they undid; False for none."""
        told = await self.perp.call("reorgs", {"cursor": self.cursor})
        self.cursor = told["cursor"]
        for reorg in told["reorgs"]:
            to, why = reorg["new_head"], f"by {reorg['by']}: {reorg['reason']!r}"
            say(f"reorg {reorg['reorg_id']}: {reorg['kind']} to block {to['height']} {why}")
            if reorg["kind"] == "ROLLBACK":
                gone = self.ledger.go_back(Head(to["height"], int(to["block_hash"], 16)))
                say(f"  dropped: {gone[0]} blocks with {gone[1]} trades")
        return bool(told["reorgs"])

    async def take(self, head: Head, parent: int) -> None:
        """Add a block with its trades, if it is the next one and still live."""
        if (head.number - 1, parent) != self.ledger.tip:
            return
        try:
            trades = await read_trades(self.node, self.market, head.hash, head.hash)
        except ClientError as error:
            if str(error.code) != BLOCK_NOT_FOUND:
                raise
            return  # It was undone by now, and that will be told.
        self.ledger.add(head, trades)
        for trade in trades:
            say(f"block {head.number}: {trade}")

    async def catch_up(self) -> None:
        """Read blocks by their numbers, up to the newest."""
        for number in range(self.ledger.tip.number + 1, (await self.head()).number + 1):
            block: Any = await self.node.get_block_with_tx_hashes(block_number=number)
            await self.take(Head(number, block.block_hash), block.parent_hash)

    async def compare(self) -> int:
        """Compare the ledger with a fresh read of the chain; returns the exit code."""
        await self.learn()
        first, tip = self.ledger.heads[0], self.ledger.tip
        read = await read_trades(self.node, self.market, first.hash, tip.hash)
        found = [trade for trade in read if trade.block > first.number]
        is_same = found == self.ledger.trades and await self.head(tip.number) == tip
        say(f"trades up to block {tip.number}: {len(self.ledger.trades)} in the ledger, ", end="")
        say(f"{len(found)} in a fresh read: {'the same' if is_same else 'DIFFERENT'}")
        return 0 if is_same else 1
