"""Start-up, which is recovery: the state from the store, and everything that must agree about it.

Promises
- A store is believed only after its rows add up to the head's digest, its last headers hash to
  their blocks, its tries' root nodes to the head's root, and every running law holds.
- After a stop that was not planned the whole root is worked out again from the rows. Where the
  chain was gone back on, or latched otherwise, that is owed before OPEN, and not before any block.
- What disagrees is named, and then the chain comes up HALTED: nothing is repaired by guessing.
- So it does as long as it holds a deposit that the settlement chain has lost.

Laws
- Recovery reads. What a start writes before it is what `rollback.resume` writes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from sequencer.chain.commitment import PROTOCOL_VERSION
from sequencer.chain.genesis import open_genesis, read_genesis
from sequencer.chain.stored import decode_body, decode_header, rows_by_table
from sequencer.engine.deposit_facts import DepositFacts, unmade_halt
from sequencer.engine.lookup import prove_rows, trie_reader
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.exchange.invariants import check_laws
from sequencer.exchange.rules import require_rules
from sequencer.exchange.state import State, Table
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.laws import LawBroken
from sequencer.model.limits import STORE_HEADERS_CHECKED, TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord, Checkpoint, Latch
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView, Store, StoreFailed, StoreProblem
from sequencer.starknet.block import Header, block_hash
from sequencer.starknet.felt import as_bytes
from sequencer.starknet.felt_hash import pedersen, poseidon
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE, state_root
from sequencer.starknet.trie import root_of

PLANNED_STOP = "planned stop"
"""Label of the checkpoint that a planned stop leaves at the head."""

NODE = "node"
"""Who pins the checkpoints that the node makes for itself."""

NODE_STOPPED = "node, planned stop"
"""Who pins one of them at whose block it then stopped as planned: a block has one at most."""


_NOTHING_UNDONE = "halted by an order to go back that undid nothing"


class Recovered(msgspec.Struct):
    """The chain at its head as it came from the store.

    `was_planned` says whether the stop before was. `halts` are why it comes up HALTED.
    `root_proven`: the state root was worked out again from the rows. `owed` is the block for which
    that has to be done before OPEN, None where it has not. `latest` is the state once more, for
    whoever reads it at the head, None where nobody does.
    """

    state: State
    header: Header
    was_planned: bool
    halts: Sequence[Halt]
    root_proven: bool = False
    owed: BlockRecord | None = None
    latest: State | None = None


def begin_chain(store: Store, genesis: str) -> None:
    """Write block 0 into an empty store. `genesis` is a genesis file. Refusal: GENESIS_INVALID."""
    _, closed = open_genesis(read_genesis(genesis.encode()))
    tries = TrieCache(lambda: store.view)
    Sealer(store, tries).seal(closed, Extras(), genesis)


def require_genesis(store: Store, genesis: str) -> None:
    """Refuse with GENESIS_INVALID where a store's chain began with another genesis file."""
    _, closed = open_genesis(read_genesis(genesis.encode()))
    _, kept = open_genesis(read_genesis(genesis_of(store.view).encode()))
    if closed.net != kept.net:
        raise Refused(Reason.GENESIS_INVALID, "the store's chain began with another genesis file")


def genesis_of(view: ChainView) -> str:
    """Return the genesis file of a chain."""
    return decode_body(view.body(_block(view, 0))).genesis


def recover(store: Store, *, full: bool = False, read: bool = False) -> Recovered:
    """Load the chain of a store that holds one; `read` says that somebody reads it at its head.

    `full` works out the root from the rows also after a planned stop, or under a latch. Refusals:
    ROW_MALFORMED, ROW_VERSION_UNKNOWN, RULES_VERSION_UNKNOWN, BLOCK_VERSION_UNSUPPORTED; failures:
    those of the store. What the chain can be read without is a halt.
    """
    planned = was_planned(store.view)
    rows, digest_halts = _load(store)
    state = _rebuilt(rows)
    require_rules(state)
    halts = [*digest_halts, *_disagreements(store.view, state)]
    latch, block = store.head.latch, _block(store.view)
    owed = None if full or latch is None else block
    proven = full or not (planned or owed)
    if proven:
        halts += check_root(block, rows)
    if latch is not None:
        halts.append(latch_halt(latch))
    unmade = DepositFacts(lambda: store.view).unmade(state.deposits)
    if unmade:
        halts.append(unmade_halt(unmade, state.deposits, store.view))
    if not store.acknowledged:
        words = "no witness says that this store is the newest"
        halts.append(Halt(HaltCause.WITNESS_UNACKNOWLEDGED, words))
    latest = State.rebuilt(rows) if read else None
    return Recovered(state, decode_header(block.header), planned, halts, proven, owed, latest)


def latch_halt(latch: Latch) -> Halt:
    """Return the halt of a latched chain; an order that was stale or given up has no reorg."""
    reorg_id = latch.reorg_id
    undone = f"latched by reorg {reorg_id}" if reorg_id else _NOTHING_UNDONE
    return Halt(HaltCause.LATCH, undone)


def was_planned(view: ChainView) -> bool:
    """Say whether whoever wrote the head stopped as planned; a rollback is no stop."""
    if view.head.latch is not None:
        return False
    sequence = view.head.block_sequence
    return view.head.height == 0 or any(_is_mark(each) for each in _at(view, sequence))


def mark_planned_stop(store: Store) -> None:
    """Leave a checkpoint at the head that says so, in place of that of an earlier stop."""
    for checkpoint in filter(_is_mark, store.view.checkpoints()):
        if checkpoint.pinned_by == NODE_STOPPED and not store.view.undone_by(checkpoint.sequence):
            store.create_checkpoint(checkpoint.height, checkpoint.label, NODE)
        else:
            store.drop_checkpoint(checkpoint.sequence)
    head = store.head
    there = next(_at(store.view, head.block_sequence), None)
    # Somebody else's checkpoint stays, and the next start takes longer.
    if there is None:
        store.create_checkpoint(head.height, PLANNED_STOP, NODE)
    elif is_automatic(there):
        store.create_checkpoint(head.height, there.label, NODE_STOPPED)


def automatic_label(height: int) -> str:
    """Return the label of the checkpoint that the node makes by itself at a height."""
    return f"auto {height}"


def is_automatic(checkpoint: Checkpoint) -> bool:
    """Say whether the node made a checkpoint by itself, and nobody replaced it."""
    own = checkpoint.pinned_by in (NODE, NODE_STOPPED)
    return own and checkpoint.label == automatic_label(checkpoint.height)


def check_root(
    block: BlockRecord,
    rows: dict[Table, dict[Any, Any]],
    pause: Callable[[], None] | None = None,
) -> Iterator[Halt]:
    """Yield a halt unless the rows of a block hash to its root; `pause` is called in between."""
    try:
        prove_rows(block, rows, pause)
    except Refused as refused:
        yield Halt(HaltCause.START_CHECK, refused.detail)


def check_headers(view: ChainView, lowest: int) -> Iterator[Halt]:
    """Yield a halt for the first header from a height on that is not its block's.

    Each is hashed again; numbers, parents and roots must be those that the store says.
    """
    parent: bytes | None = None
    for height in range(max(0, lowest), view.head.height + 1):
        record = _block(view, height)
        header = decode_header(record.header)
        parent = record.parent_hash if parent is None else parent
        told = (height, record.state_root, record.block_hash, parent)
        found = (
            header.number,
            as_bytes(header.state_root),
            as_bytes(block_hash(header)),
            as_bytes(header.parent_hash),
        )
        if told != found:
            yield Halt(HaltCause.START_CHECK, f"the header of block {height} is another one")
            return
        parent = record.block_hash


def _load(store: Store) -> tuple[dict[Table, dict[Any, Any]], list[Halt]]:
    stored: list[tuple[int, bytes, bytes]] = []
    halts: list[Halt] = []
    try:
        stored.extend(store.checked_rows())
    except StoreFailed as failure:
        if failure.problem is not StoreProblem.DIGEST_MISMATCH:
            raise
        halts.append(Halt(HaltCause.START_CHECK, str(failure)))
        stored = list(store.view.state().rows())
    return rows_by_table(stored), halts


def _rebuilt(rows: dict[Table, dict[Any, Any]]) -> State:
    try:
        return State.rebuilt(rows)
    except (KeyError, IndexError, ValueError) as error:
        words = f"the rows do not fit together: {type(error).__name__} {error}"
        raise StoreFailed(StoreProblem.STORE_CORRUPT, words) from error


def _disagreements(view: ChainView, state: State) -> Iterator[Halt]:
    # Every sum of the state has just been counted from the rows: the laws are held against that.
    yield from check_headers(view, view.head.height - STORE_HEADERS_CHECKED + 1)
    root = _root_of_tries(view)
    if as_bytes(root) != view.head.state_root:
        words = f"the tries at block {view.head.height} have root {root:#x}, not the head's"
        yield Halt(HaltCause.START_CHECK, words)
    try:
        check_laws(state)
    except LawBroken as broken:
        yield Halt(HaltCause.START_CHECK, str(broken))


def _root_of_tries(view: ChainView) -> int:
    state = view.state()
    contracts = root_of(trie_reader(state, CONTRACTS_TRIE), TRIE_HEIGHT_MAX, pedersen)
    classes = root_of(trie_reader(state, CLASSES_TRIE), TRIE_HEIGHT_MAX, poseidon)
    return state_root(contracts, classes, PROTOCOL_VERSION)


def _is_mark(checkpoint: Checkpoint) -> bool:
    marked = (checkpoint.label, checkpoint.pinned_by) == (PLANNED_STOP, NODE)
    return marked or checkpoint.pinned_by == NODE_STOPPED


def _at(view: ChainView, sequence: int) -> Iterator[Checkpoint]:
    return (each for each in view.checkpoints() if each.sequence == sequence)


def _block(view: ChainView, height: int | None = None) -> BlockRecord:
    block = view.block(view.head.height if height is None else height)
    if block is None:
        raise StoreFailed(StoreProblem.HEAD_MISSING, "the store holds no chain")
    return block
