"""What becomes of deposits on Ethereum, whose newest blocks may still be replaced.

Promises
- A deposit is *confirmed* while enough blocks stand on its own. Until then it may be *lost*: a
  reorg took it, and it is dropped. One that was confirmed and is gone is *unmade*.
- A message that a reorg moved to another block is neither: it waits for its depth anew.

Laws
- Reorgs are found by the hashes of blocks, never by numbers alone.
- Everything is read from the chain: a watcher that starts anew sees what another one saw.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from sequencer.model.bridge_limits import ETHEREUM_HEADS_MAX
from sequencer.settlement.ethereum_lock import EthereumBlock, EthereumDeposit


class EthereumChain(Protocol):
    """What a watcher asks an Ethereum node; all of it can fail with EthereumError."""

    async def head(self) -> EthereumBlock:
        """Return the newest block."""

    async def block_hash(self, number: int) -> bytes | None:
        """Return the hash of the block at a height, None where there is none."""

    async def deposits(self, first: int, last: int) -> list[EthereumDeposit]:
        """List the deposits of some blocks, both included, in their order."""


class DepositsSeen(msgspec.Struct, frozen=True):
    """How deposits stand at one head, each list in the order of nonces.

    `lost` and `unmade` are those that went since the last look.
    """

    head: EthereumBlock
    confirmed: tuple[EthereumDeposit, ...]
    pending: tuple[EthereumDeposit, ...]
    lost: tuple[EthereumDeposit, ...] = ()
    unmade: tuple[EthereumDeposit, ...] = ()


class DepositWatcher:
    """Follows one lock from its first block on. `depth_blocks` is what confirms a deposit."""

    def __init__(self, chain: EthereumChain, first_block: int, depth_blocks: int) -> None:
        self._chain = chain
        self._first_block = first_block
        self._depth_blocks = depth_blocks
        self._heads: list[EthereumBlock] = []
        self._deposits: dict[bytes, EthereumDeposit] = {}
        self._confirmed: frozenset[bytes] = frozenset()

    async def look(self) -> DepositsSeen:
        """Read the chain up to its head. EthereumError; then nothing has changed here.

        A chain that changes while it is read is read again.
        """
        while True:
            head = await self._chain.head()
            kept = await self._common_heads(head.number)
            start = kept[-1].number + 1 if kept else self._first_block
            found = await self._chain.deposits(start, head.number)
            if await self._chain.block_hash(head.number) == head.hash:
                return self._take(head, kept, start, found)

    async def _common_heads(self, last: int) -> list[EthereumBlock]:
        """Return the heads seen before that the chain still has."""
        kept = [head for head in self._heads if head.number <= last]
        while kept and await self._chain.block_hash(kept[-1].number) != kept[-1].hash:
            kept.pop()
        return kept

    def _take(
        self,
        head: EthereumBlock,
        kept: list[EthereumBlock],
        start: int,
        found: Iterable[EthereumDeposit],
    ) -> DepositsSeen:
        before, confirmed_before = self._deposits, self._confirmed
        stayed = [each for each in before.values() if each.block.number < start]
        now = {each.message_hash: each for each in (*stayed, *found)}
        gone = [each for key, each in before.items() if key not in now]
        ordered = sorted(now.values(), key=_nonce)
        confirmed = tuple(each for each in ordered if self._is_deep(each, head))
        if not kept or kept[-1] != head:
            kept = [*kept, head][-ETHEREUM_HEADS_MAX:]
        self._heads, self._deposits = kept, now
        # What was confirmed once stays so to us, wherever its message has come to stand since.
        deep = {each.message_hash for each in confirmed}
        self._confirmed = frozenset(deep | {key for key in confirmed_before if key in now})
        return DepositsSeen(
            head=head,
            confirmed=confirmed,
            pending=tuple(each for each in ordered if not self._is_deep(each, head)),
            lost=_in_order(each for each in gone if each.message_hash not in confirmed_before),
            unmade=_in_order(each for each in gone if each.message_hash in confirmed_before),
        )

    def _is_deep(self, deposit: EthereumDeposit, head: EthereumBlock) -> bool:
        return head.number - deposit.block.number >= self._depth_blocks


def _in_order(deposits: Iterable[EthereumDeposit]) -> tuple[EthereumDeposit, ...]:
    return tuple(sorted(deposits, key=_nonce))


def _nonce(deposit: EthereumDeposit) -> int:
    return deposit.nonce
