"""Sealing and committing: closed blocks become durable, one after the other.

Promises
- `seal` returns only when batch and witness are on the disk. Whoever acknowledges after it never
  acknowledges what a crash can take back.

Laws
- One thread seals, and it is the one that changes the store: a block is sealed on exactly what was
  committed before it.
"""

from collections.abc import Sequence

import msgspec

from sequencer.chain.block import Block, ClosedBlock, seal_block
from sequencer.chain.commitment import Committed
from sequencer.chain.stored import Body, encode_body, encode_header, node_changes, row_changes
from sequencer.chain.tries import TrieSource
from sequencer.model.commits import BlockCommit
from sequencer.model.records import EffectKind, Head
from sequencer.ports import Store
from sequencer.starknet.felt import Felt, as_bytes
from sequencer.starknet.transactions import L1Handler

FOR_EVER = 0
"""In place of a time until which a mark is remembered."""


class Extras(msgspec.Struct, frozen=True):
    """What becomes true with a block and is not part of it.

    `orders`: (hash, until when it is remembered, chain time in ms). `high_water`: (source, time)
    of price reports. `reopens`: it ends the halt.
    """

    orders: Sequence[tuple[Felt, int]] = ()
    high_water: Sequence[tuple[bytes, int]] = ()
    reopens: bool = False


class SealedBlock(msgspec.Struct, frozen=True):
    """A block that is durable, and the head that it made."""

    block: Block
    head: Head


class Sealer:
    """Seals on top of the store's head."""

    def __init__(self, store: Store, tries: TrieSource) -> None:
        self._store = store
        self._tries = tries

    def seal(self, closed: ClosedBlock, extras: Extras, genesis: str = "") -> SealedBlock:
        """Seal a closed block and commit it.

        `genesis` is the genesis file, with block 0. Failures: those of the store; LawBroken for a
        row that does not fit its slots.
        """
        parent_hash = int.from_bytes(self._store.head.block_hash, "big")
        block, committed = seal_block(closed, parent_hash, self._tries)
        return self.commit(closed, block, committed, extras, genesis)

    def commit(
        self,
        closed: ClosedBlock,
        block: Block,
        committed: Committed,
        extras: Extras,
        genesis: str = "",
    ) -> SealedBlock:
        """Commit a block that was sealed on the store's head. Failures: those of the store."""
        parent = self._store.head
        hashes = [as_bytes(receipt.transaction_hash) for receipt in block.receipts]
        body = Body(block.transactions, block.receipts, block.diff, genesis)
        head = self._store.commit_block(
            BlockCommit(
                planned=parent.mark,
                height=closed.number,
                block_hash=as_bytes(block.hash),
                state_root=as_bytes(block.header.state_root),
                header=encode_header(block.header),
                body=encode_body(body),
                rows=tuple(row_changes(closed.net)),
                nodes=tuple(node_changes(committed.nodes)),
                transactions=hashes,
                seen=_seen(block, hashes, extras),
                high_water=extras.high_water,
                effects=((EffectKind.BLOCK, closed.number.to_bytes(8, "big")),),
                reopens=extras.reopens,
            )
        )
        self._tries.apply(committed)
        return SealedBlock(block, head)


def _seen(block: Block, hashes: Sequence[bytes], extras: Extras) -> list[tuple[bytes, int]]:
    """List what was applied and could be sent again.

    Messages of the settlement chain may come again; the operator's own transactions come from no
    client.
    """
    operator = block.header.sequencer
    pairs = zip(block.transactions, hashes, strict=True)
    transactions = [
        (hash_, FOR_EVER)
        for item, hash_ in pairs
        if not isinstance(item, L1Handler) and getattr(item, "sender", 0) != operator
    ]
    return transactions + [(as_bytes(hash_), until_ms) for hash_, until_ms in extras.orders]
