"""Blocks: transactions executed in order, sealed under a Starknet block hash, and verified again.

Promises
- `build_block` and `verify_block` run the same code: what one seals the other finds equal, or names
  the first thing that differs.
- A block that does not verify leaves state and tries as they were.

Laws
- Every running law holds at the end of every block.
- The timestamp is chain time in seconds; nothing of the wall clock enters a block.
"""

from collections.abc import Sequence

import msgspec

from sequencer.chain.commitment import (
    PROTOCOL_VERSION,
    STARKNET_VERSION,
    Committed,
    Net,
    commit_changes,
    net_changes,
)
from sequencer.chain.executor import Environment, execute
from sequencer.chain.text import to_text
from sequencer.chain.tries import TrieSource
from sequencer.exchange.invariants import check_laws
from sequencer.exchange.state import Journal, State
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.starknet.block import (
    Commitments,
    GasPrices,
    Header,
    Receipt,
    block_hash,
    commitments,
)
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import L1Handler, Transaction

BLOCK_PRICES = GasPrices(1, 1, 1, 1, 1, 1)
"""The prices of gas in every header: there are no fees."""


class Block(msgspec.Struct, frozen=True):
    """A sealed block: header, hash, and the body that both commit to."""

    header: Header
    hash: Felt
    transactions: Sequence[Transaction]
    receipts: Sequence[Receipt]
    diff: StateDiff


def build_block(
    state: State,
    tries: TrieSource,
    parent: Block | None,
    transactions: Sequence[Transaction],
    environment: Environment,
) -> Block:
    """Execute transactions on a state and seal them; state and tries move on.

    Refusals: those of a transaction that may not enter a block; LawBroken stops everything.
    """
    journal = Journal(state)
    _, block, committed = _run(state, tries, parent, transactions, journal, environment)
    tries.apply(committed)
    return block


def verify_block(
    state: State, tries: TrieSource, parent: Block | None, block: Block, environment: Environment
) -> None:
    """Execute a block again on its parent's state and compare everything; both move on.

    Refusal: BLOCK_DIFFERS, naming the first difference; the state is then as before.
    """
    tries.apply(check_block(state, tries, parent, block, environment)[2])


def check_block(
    state: State, tries: TrieSource, parent: Block | None, block: Block, environment: Environment
) -> "tuple[ClosedBlock, Block, Committed]":
    """Do the same, and leave the tries to whoever writes first what the block did.

    Returns what it did, the block as this execution has it, and what to `apply` to the tries.
    """
    journal = Journal(state)
    try:
        closed, again, committed = _run(
            state, tries, parent, block.transactions, journal, environment
        )
        _compare(block, again)
    except Refused as refused:
        journal.undo()
        if refused.reason is Reason.BLOCK_DIFFERS:
            raise
        raise Refused(Reason.BLOCK_DIFFERS, str(refused)) from None
    return closed, again, committed


class ClosedBlock(msgspec.Struct, frozen=True):
    """What a block did: all that sealing needs, apart from the state, which may move on.

    `operator` and `time_ms` are those of the state at its end. Receipts carry the hashes of their
    transactions.
    """

    number: int
    operator: Felt
    time_ms: int
    net: Net
    transactions: Sequence[Transaction]
    receipts: Sequence[Receipt]


def close_block(
    state: State, number: int, journal: Journal, executed: Sequence[tuple[Transaction, Receipt]]
) -> ClosedBlock:
    """End a block: whatever a journal holds since the block before. LawBroken stops here."""
    check_laws(state)
    return ClosedBlock(
        number=number,
        operator=state.system.operator,
        time_ms=state.system.time_ms,
        net=net_changes(journal.changes),
        transactions=tuple(transaction for transaction, _ in executed),
        receipts=tuple(receipt for _, receipt in executed),
    )


def seal_block(
    closed: ClosedBlock, parent_hash: Felt, tries: TrieSource
) -> tuple[Block, Committed]:
    """Commit to what a closed block did: slots, tries, commitments, block hash.

    Reads nothing but its arguments, so the state may execute the next block meanwhile. The tries
    stay as they are; `apply` what comes back.
    """
    committed = commit_changes(closed.net, tries.reader, tries.leaf, PROTOCOL_VERSION)
    pairs = zip(closed.receipts, closed.transactions, strict=True)
    signed = [(receipt.transaction_hash, _signature(item)) for receipt, item in pairs]
    content = commitments(signed, closed.receipts, committed.diff, PROTOCOL_VERSION)
    header = _header(closed, parent_hash, committed, content)
    block = Block(header, block_hash(header), closed.transactions, closed.receipts, committed.diff)
    return block, committed


def _run(
    state: State,
    tries: TrieSource,
    parent: Block | None,
    transactions: Sequence[Transaction],
    journal: Journal,
    environment: Environment,
) -> tuple[ClosedBlock, Block, Committed]:
    executed = [(item, execute(state, journal, item, environment)) for item in transactions]
    number, parent_hash = (0, 0) if parent is None else (parent.header.number + 1, parent.hash)
    closed = close_block(state, number, journal, executed)
    return closed, *seal_block(closed, parent_hash, tries)


def _compare(stored: Block, again: Block) -> None:
    """Compare part by part, lists and tuples alike: a block may come out of a file."""
    for index, pair in enumerate(zip(stored.receipts, again.receipts, strict=False)):
        _require_equal(f"the receipt of transaction {index}", *pair)
    number = again.header.number
    _require_equal(f"receipts of block {number}", len(stored.receipts), len(again.receipts))
    _require_equal(f"state diff of block {number}", stored.diff, again.diff)
    _require_equal(f"header of block {number}", stored.header, again.header)
    _require_equal(f"hash of block {number}", stored.hash, again.hash)


def _require_equal(name: str, stored: object, again: object) -> None:
    if to_text(stored) != to_text(again):
        raise Refused(Reason.BLOCK_DIFFERS, name)


def _header(
    closed: ClosedBlock, parent_hash: Felt, committed: Committed, content: Commitments
) -> Header:
    return Header(
        number=closed.number,
        parent_hash=parent_hash,
        state_root=committed.commitment.state_root,
        sequencer=closed.operator,
        timestamp=closed.time_ms // MS_PER_SECOND,
        commitments=content,
        blob=True,
        prices=BLOCK_PRICES,
        starknet_version=STARKNET_VERSION,
    )


def _signature(transaction: Transaction) -> Sequence[Felt]:
    return () if isinstance(transaction, L1Handler) else transaction.signature
