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

from sequencer.chain.commitment import Committed, commit_changes, net_changes
from sequencer.chain.executor import Environment, execute
from sequencer.chain.text import to_text
from sequencer.chain.tries import Tries
from sequencer.exchange.invariants import check_laws
from sequencer.exchange.state import Journal, State
from sequencer.model.refusals import Reason, Refused
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
from sequencer.starknet.transactions import L1Handler, Transaction, transaction_hash
from sequencer.starknet.version import parse_version

STARKNET_VERSION = "0.14.2"
"""The protocol version in every header."""

_VERSION = parse_version(STARKNET_VERSION)
_PRICES = GasPrices(1, 1, 1, 1, 1, 1)


class Block(msgspec.Struct, frozen=True):
    """A sealed block: header, hash, and the body that both commit to."""

    header: Header
    hash: Felt
    transactions: Sequence[Transaction]
    receipts: Sequence[Receipt]
    diff: StateDiff


def build_block(
    state: State,
    tries: Tries,
    parent: Block | None,
    transactions: Sequence[Transaction],
    environment: Environment,
) -> Block:
    """Execute transactions on a state and seal them; state and tries move on.

    Refusals: those of a transaction that may not enter a block; LawBroken stops everything.
    """
    journal = Journal(state)
    block, committed = _run(state, tries, parent, transactions, journal, environment)
    tries.apply(committed)
    return block


def verify_block(
    state: State, tries: Tries, parent: Block | None, block: Block, environment: Environment
) -> None:
    """Execute a block again on its parent's state and compare everything.

    Refusal: BLOCK_DIFFERS, naming the first difference; the state is then as before.
    """
    journal = Journal(state)
    try:
        again, committed = _run(state, tries, parent, block.transactions, journal, environment)
        _compare(block, again)
    except Refused as refused:
        journal.undo()
        if refused.reason is Reason.BLOCK_DIFFERS:
            raise
        raise Refused(Reason.BLOCK_DIFFERS, str(refused)) from None
    tries.apply(committed)


def seal_block(
    state: State,
    tries: Tries,
    parent: Block | None,
    journal: Journal,
    executed: Sequence[tuple[Transaction, Receipt]],
    chain_id: Felt,
) -> tuple[Block, Committed]:
    """Commit to what a journal holds: slots, tries, commitments, block hash.

    Broken laws stop here, before anything is sealed.
    """
    check_laws(state)
    committed = commit_changes(net_changes(journal.changes), tries.reader, tries.leaf, _VERSION)
    transactions = tuple(transaction for transaction, _ in executed)
    receipts = tuple(receipt for _, receipt in executed)
    signed = [(transaction_hash(item, chain_id), _signature(item)) for item in transactions]
    content = commitments(signed, receipts, committed.diff, _VERSION)
    header = _header(state, parent, committed, content)
    return Block(header, block_hash(header), transactions, receipts, committed.diff), committed


def _run(
    state: State,
    tries: Tries,
    parent: Block | None,
    transactions: Sequence[Transaction],
    journal: Journal,
    environment: Environment,
) -> tuple[Block, Committed]:
    executed = [(item, execute(state, journal, item, environment)) for item in transactions]
    return seal_block(state, tries, parent, journal, executed, environment.chain_id)


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
    state: State, parent: Block | None, committed: Committed, content: Commitments
) -> Header:
    return Header(
        number=0 if parent is None else parent.header.number + 1,
        parent_hash=0 if parent is None else parent.hash,
        state_root=committed.commitment.state_root,
        sequencer=state.system.operator,
        timestamp=state.system.time_ms // 1_000,
        commitments=content,
        blob=True,
        prices=_PRICES,
        starknet_version=STARKNET_VERSION,
    )


def _signature(transaction: Transaction) -> Sequence[Felt]:
    return () if isinstance(transaction, L1Handler) else transaction.signature
