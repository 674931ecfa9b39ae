"""Blocks of the embedded chain, sealed under their real hashes.

Laws
- The state root is 0, as that of starknet-devnet: nothing here proves its own state.
"""

from collections.abc import Sequence

import msgspec

from devnet.embedded.predeployed import SEQUENCER
from sequencer.chain.block import BLOCK_PRICES, Block
from sequencer.chain.commitment import PROTOCOL_VERSION, STARKNET_VERSION
from sequencer.starknet.block import Header, Receipt, block_hash, commitments
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import L1Handler, LegacyTransaction, Transaction

_NO_ROOT = 0


class Content(msgspec.Struct, frozen=True):
    """What goes into a block: transactions with their receipts, and what they changed."""

    diff: StateDiff
    transactions: Sequence[Transaction] = ()
    receipts: Sequence[Receipt] = ()


class Rules(msgspec.Struct, frozen=True):
    """What a chain goes on with: how many accounts it began with, how far its clock is ahead.

    The clock in seconds; behind is negative.
    """

    accounts: int
    clock_offset: int = 0


def seal(parent: Block | None, timestamp: int, content: Content) -> Block:
    """Make the block above another; `timestamp` in seconds."""
    hashes = [receipt.transaction_hash for receipt in content.receipts]
    signed = list(zip(hashes, map(_signature, content.transactions), strict=True))
    header = Header(
        number=0 if parent is None else parent.header.number + 1,
        parent_hash=0 if parent is None else parent.hash,
        state_root=_NO_ROOT,
        sequencer=SEQUENCER,
        timestamp=timestamp,
        commitments=commitments(signed, content.receipts, content.diff, PROTOCOL_VERSION),
        blob=True,
        prices=BLOCK_PRICES,
        starknet_version=STARKNET_VERSION,
    )
    return Block(header, block_hash(header), content.transactions, content.receipts, content.diff)


def _signature(transaction: Transaction) -> Sequence[Felt]:
    if isinstance(transaction, L1Handler | LegacyTransaction):
        return ()
    return transaction.signature
