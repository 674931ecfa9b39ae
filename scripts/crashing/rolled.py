"""What must be true of a chain whose process was killed while it went back, or took that back.

Promises
- The chain is at the old head or at the target, whole: its epoch says which, and everything else
  agrees with that. Opening it has aborted what was only prepared.
- From there it can be finished: gone back, taken back, and gone on with.
"""

from pathlib import Path

from scripts.crashing.chain import config_of, make_block, make_producer
from scripts.crashing.checking import Violation, read_answers, read_witness
from scripts.crashing.tracing import DATA
from sequencer.engine.plan import make_plan
from sequencer.engine.recovery import recover
from sequencer.engine.rollback import Order, apply_plan, reopening, resume, undo
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.model.commands import OrderPolicy
from sequencer.model.halts import HaltCause
from sequencer.model.records import NO_HASH, Cursor, Head, Stage
from sequencer.node import open_chain
from sequencer.ports import ChainView, Store
from sequencer.storage.rollback import incident_hash

OLD_HEIGHT, TARGET_HEIGHT = 4, 2
"""The head before, and the block that stays."""

_HEIGHTS = {0: OLD_HEIGHT, 1: TARGET_HEIGHT, 2: OLD_HEIGHT}
_ORDER = Order("a child", "it will be killed", 1)


def go_back(store: Store) -> Head:
    """Plan and carry out the rollback of these scenarios."""
    return apply_plan(store, make_plan(store.view, str(TARGET_HEIGHT), OrderPolicy.KEEP), _ORDER)


def take_back(store: Store) -> Head:
    """Undo the newest rollback."""
    return undo(store, store.head.epoch, _ORDER)


def check_rolled(folder: Path, hashes: list[bytes]) -> int:
    """Open a chain that was killed on its way back, finish it, and return where it was found.

    Raises Violation.
    """
    witnessed, answers = read_witness(folder), read_answers(folder)
    store, recovered = open_chain(config_of(folder / DATA))
    try:
        head = store.head
        wrong = [halt for halt in recovered.halts if halt.cause is not HaltCause.LATCH]
        _require(not wrong, f"it comes up halted: {wrong}")
        last = max((answer.sequence for answer in answers), default=0)
        _require(last <= head.sequence <= last + 1, f"{head.sequence}, acknowledged was {last}")
        behind = head.sequence - (0 if witnessed is None else witnessed.sequence)
        _require(0 <= behind <= 1, f"the witness was {behind} commits behind")
        _require_whole(store.view, hashes)
        _require_finished(store, hashes)
    finally:
        store.close()
    return head.height


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Violation(words)


def _require_whole(view: ChainView, hashes: list[bytes]) -> None:
    head = view.head
    words = f"epoch {head.epoch}, height {head.height}, latch {head.latch}"
    _require(head.height == _HEIGHTS.get(head.epoch), words)
    _require(head.block_hash == hashes[head.height], f"{words}: another block")
    _require(head.block_sequence == head.height + 1, words)
    _require(head.sequence == OLD_HEIGHT + 1 + head.epoch, words)
    _require(head.next_effect == OLD_HEIGHT + 2 + head.epoch, words)
    reorg_id = 0 if head.latch is None else head.latch.reorg_id
    _require(reorg_id == head.epoch, words)
    for height in range(OLD_HEIGHT + 1):
        block = view.block_by_hash(hashes[height])
        _require(block is not None and view.body(block) != b"", f"block {height} is gone")
        live = block is not None and not view.orphaned_by(block)
        _require(live == (height <= head.height), f"{words}: block {height} is live: {live}")
    _require_records(view, words)


def _require_records(view: ChainView, words: str) -> None:
    before = NO_HASH
    for incident in view.incidents():
        _require(incident.previous == before, f"{words}: the records are no chain")
        before = incident_hash(incident)
    found = (len(view.incidents()), view.head.incidents, view.head.incident_hash)
    _require(found == (view.head.epoch, view.head.epoch, before), f"{words}: {found}")


def _require_finished(store: Store, hashes: list[bytes]) -> None:
    still = [journal.stage for journal in store.open_journals()]
    _require(set(still) <= {Stage.SETTLED, Stage.NOTIFIED}, f"left open: {still}")
    if store.head.epoch == 0:
        go_back(store)
    if store.head.epoch == 1:
        take_back(store)
    go_back(store)
    cursor = Cursor(store.head.next_effect - 1, store.head.sequence, store.head.block_hash)
    for reader in store.view.cursors():
        store.advance_cursor(reader, cursor)
    _require(not resume(store), "it cannot be finished")
    _require(store.head.block_hash == hashes[TARGET_HEIGHT], "it did not go back")
    _go_on(store)


def _go_on(store: Store) -> None:
    """Make the block that reopens the chain, and check the whole."""
    producer = make_producer(recover(store, full=True).state, store.head.height + 1)
    command = reopening(store.view)
    _require(command is not None, "it cannot be reopened")
    if command is not None:
        producer.operate(command)
    sealer = Sealer(store, TrieCache(lambda: store.view))
    sealer.seal(make_block(producer), Extras(reopens=True))
    halts = recover(store, full=True).halts
    _require(not halts and store.head.latch is None, f"after it was reopened: {halts}")
