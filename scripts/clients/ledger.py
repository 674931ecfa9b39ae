"""A ledger of a market's trades and of the blocks that they are in; blocks can be taken back."""

from typing import NamedTuple

from starknet_py.cairo.felt import encode_shortstring
from starknet_py.constants import FIELD_PRIME
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.full_node_client import FullNodeClient

from scripts.clients.holdings import EXCHANGE
from scripts.clients.orders import shown

FILL = get_selector_from_name("Fill")


class Head(NamedTuple):
    """A block by its number and its hash."""

    number: int
    hash: int


class Trade(NamedTuple):
    """A trade of a block. `size` is negative where the taker sold; both amounts are in 1e-8."""

    block: int
    price: int
    size: int

    def __str__(self) -> str:
        way = "bought" if self.size > 0 else "sold"
        return f"{shown(abs(self.size))} {way} at {shown(self.price)}"


class Ledger:
    """The blocks from one on, without a gap, and all trades of a market in them."""

    def __init__(self, first: Head) -> None:
        self.heads = [first]
        self.trades: list[Trade] = []

    @property
    def tip(self) -> Head:
        """The newest block."""
        return self.heads[-1]

    def add(self, head: Head, trades: list[Trade]) -> None:
        """Take the next block."""
        self.heads.append(head)
        self.trades += trades

    def go_back(self, to: Head) -> tuple[int, int]:
        """Take back all above a block; returns how many blocks and trades went."""
        before = len(self.heads), len(self.trades)
        # A block from before the ledger's first one is its first one from now on.
        self.heads = [head for head in self.heads if head.number <= to.number] or [to]
        self.trades = [trade for trade in self.trades if trade.block <= to.number]
        return before[0] - len(self.heads), before[1] - len(self.trades)


async def read_trades(node: FullNodeClient, market: str, first: int, last: int) -> list[Trade]:
    """Read the trades of a market between two blocks, which are named by their hashes."""
    found = await node.get_events(
        EXCHANGE,
        [[FILL]],
        from_block_hash=first,
        to_block_hash=last,
        follow_continuation_token=True,
        chunk_size=1_000,
    )
    trades = []
    for event in found.events:
        name, price, size, *_ = event.data
        if name == encode_shortstring(market):
            size -= FIELD_PRIME if size > FIELD_PRIME // 2 else 0
            trades.append(Trade(event.block_number or 0, price, size))
    return trades
