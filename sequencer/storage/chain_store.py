"""The store of the chain: who may change it, in which order, and when a change counts.

Promises
- Each change is one batch, durable when its call returns. Blocks, rollbacks and undos then go to
  the witness, and only after that the call returns: whoever acknowledges after it never
  acknowledges what a crash can take back.
- A refused change (StoreRefused) touches nothing. After a failed one (StoreFailed) nothing is
  written again, and reads go on at the last committed head.

Laws
- One thread changes the store: the first one that does. Views of snapshots may be read anywhere.
- The head in memory moves only after batch and witness.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from sequencer.model.commits import (
    BlockCommit,
    BucketChange,
    CarriedOver,
    RollbackOrder,
    UndoOrder,
)
from sequencer.model.records import (
    Collected,
    Cursor,
    DeadInterval,
    Head,
    History,
    InboxFact,
    Latch,
    Pruned,
    RollbackJournal,
    Stage,
)
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.carrying import carried_batch
from sequencer.storage.collection import collection_batch
from sequencer.storage.commit import Puts, block_batch, inbox_puts
from sequencer.storage.digest import Digest
from sequencer.storage.encoding import encode_record
from sequencer.storage.key_value import KeyValue, WitnessSlots
from sequencer.storage.opening import open_view, require_witness
from sequencer.storage.pruning import pruning_batch
from sequencer.storage.reached import reached
from sequencer.storage.rollback import (
    prepare_batch,
    rollback_batch,
    stage_batch,
    undo_batch,
)
from sequencer.storage.upkeep import (
    checkpoint_puts,
    cursor_puts,
    dropped_checkpoint_puts,
    forgotten_puts,
    forgotten_reader_puts,
    spent_effect_puts,
)
from sequencer.storage.view import View, load_view
from sequencer.storage.witness import witness_of

_T = TypeVar("_T")


class ChainStore:
    """The chain on a key-value store with a witness; making one checks both.

    `acknowledged` is False where a store that holds blocks has no valid witness: nothing can be
    changed until somebody says that it is the right one. Failures: those of `open_view` and
    `require_witness`.
    """

    def __init__(self, store: KeyValue, witness: WitnessSlots) -> None:
        self._store = store
        self._witness = witness
        self._failure: StoreFailed | None = None
        self._thread = 0
        self._view = open_view(store)
        remembered = witness.read()
        self.acknowledged = require_witness(self._view, remembered)
        # An empty store is witnessed too: a crash between the first batch and its witness is then
        # like any later one, and not a store of unknown origin.
        if self.acknowledged and remembered != witness_of(self.head):
            witness.write(witness_of(self.head))
        reached("chain.opened")

    @property
    def head(self) -> Head:
        """The last committed head."""
        return self._view.head

    @property
    def view(self) -> View:
        """The store at the last committed head, for the thread that changes it."""
        return self._view

    def snapshot(self) -> tuple[View, Callable[[], None]]:
        """Return a view that stays as it is, for any thread, and what closes it."""
        snapshot = self._store.snapshot()
        return load_view(snapshot), snapshot.close

    def content(self) -> tuple[Head, Iterator[tuple[bytes, bytes]], Callable[[], None]]:
        """Return the head, every key and value that stand with it, and what lets go of them.

        A snapshot is of one moment, and a commit is one batch: it holds whole commits alone.
        """
        snapshot = self._store.snapshot()
        return load_view(snapshot).head, snapshot.scan(*keys.EVERYTHING), snapshot.close

    def carry_over(self, carried: CarriedOver) -> Head:
        """Take over what another store of this chain keeps, before there is a block.

        Refusal: COMMIT_MALFORMED.
        """
        puts = self._guarded(lambda: carried_batch(self._view, carried))
        self._apply(puts)
        self._view = load_view(self._store)
        return self.head

    def checked_rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """List all live rows at the head, and compare their digest with the head's at the end.

        Failure: DIGEST_MISMATCH.
        """
        digest = Digest()
        for table, key, value in self._view.state().rows():
            digest.replace(table, key, None, value)
            yield table, key, value
        if digest.value() != self.head.digest:
            raise StoreFailed(
                StoreProblem.DIGEST_MISMATCH, f"the rows at block {self.head.height} were changed"
            )

    def acknowledge(self) -> None:
        """Take the store for the right one although no witness says so."""
        self._guarded(lambda: self._witness.write(witness_of(self.head)), acknowledged=True)
        self.acknowledged = True

    def commit_block(self, commit: BlockCommit) -> Head:
        """Append a block.

        Refusals: HEAD_MOVED, HALT_LATCHED, COMMIT_MALFORMED. Failure: ROW_DIFFERS.
        """
        puts, head = self._guarded(lambda: block_batch(self._view, commit))
        return self._commit(puts, head)

    def prepare(self, order: RollbackOrder) -> Head:
        """Announce a rollback and latch the halt.

        Refusals: HEAD_MOVED, TARGET_UNKNOWN, TARGET_NOT_BELOW_HEAD, STATE_PRUNED, JOURNAL_ORDER.
        """
        puts, head = self._guarded(lambda: prepare_batch(self._view, order))
        return self._rewrite(puts, head)

    def roll_back(self, order: RollbackOrder) -> Head:
        """Go back to a block, as prepared. Refusals: those of `prepare`."""
        puts, head, interval = self._guarded(lambda: rollback_batch(self._view, order))
        return self._commit(puts, head, interval)

    def undo(self, order: UndoOrder) -> Head:
        """Take the last rollback back. Refusals: HEAD_MOVED, UNDO_IMPOSSIBLE."""
        puts, head, interval = self._guarded(lambda: undo_batch(self._view, order))
        return self._commit(puts, head, interval)

    def advance(self, plan_id: bytes, stage: Stage) -> None:
        """Take a rollback one stage on, or abort it while it is prepared.

        Refusal: JOURNAL_ORDER.
        """
        self._apply(self._guarded(lambda: stage_batch(self._view, plan_id, stage)))

    def open_journals(self) -> list[RollbackJournal]:
        """List the rollbacks that still have something to do."""
        return [journal for journal in self._view.journals() if journal.is_open]

    def latch(self, latch: Latch) -> Head:
        """Make the chain come up HALTED until a block reopens it."""
        head = msgspec.structs.replace(self.head, latch=latch)
        key = keys.HEAD.key()
        return self._rewrite([(key, encode_record(key, head))], head)

    def create_checkpoint(self, height: int, label: str, pinned_by: str) -> None:
        """Pin a live block. Refusals: TARGET_UNKNOWN, STATE_PRUNED, COMMIT_MALFORMED."""
        self._apply(self._guarded(lambda: checkpoint_puts(self._view, height, label, pinned_by)))

    def drop_checkpoint(self, sequence: int) -> None:
        """Let go of a checkpoint, named by its sequence. Refusal: CHECKPOINT_UNKNOWN."""
        self._apply(self._guarded(lambda: dropped_checkpoint_puts(self._view, sequence)))

    def record_inbox(self, facts: Iterable[InboxFact]) -> None:
        """Add facts of the settlement chain, or retract them. Refusal: INBOX_CONFLICT."""
        self._apply(self._guarded(lambda: inbox_puts(self._view, facts)))

    def advance_cursor(
        self, reader: str, cursor: Cursor, buckets: Iterable[BucketChange] = ()
    ) -> None:
        """Move a reader of the outbox, with what it writes. Refusal: CURSOR_INVALID."""
        self._apply(self._guarded(lambda: cursor_puts(self._view, reader, cursor, buckets)))

    def forget_reader(self, reader: str, buckets: Iterable[BucketChange] = ()) -> None:
        """Forget how far a reader has come, with what is written meanwhile: it begins anew."""
        self._apply(self._guarded(lambda: forgotten_reader_puts(reader, buckets)))

    def forget_seen(self, before_ms: int, count_max: int) -> int:
        """Forget marks that expired before a chain time, and return how many entries went."""
        puts, count = self._guarded(lambda: forgotten_puts(self._view, before_ms, count_max))
        self._apply(puts)
        return count

    def forget_effects(self, below: int, count_max: int) -> int:
        """Forget outbox rows below a number that every reader is past; return how many went."""
        puts = self._guarded(lambda: spent_effect_puts(self._view, below, count_max))
        self._apply(puts)
        return len(puts)

    def collect(self, grace_over: int, versions_max: int) -> Collected:
        """Remove a slice of orphaned state. Reorgs up to `grace_over` have had their grace."""
        puts, collected, interval = self._guarded(
            lambda: collection_batch(self._view, grace_over, versions_max)
        )
        self._apply(puts)
        if interval is not None:
            self._view = self._moved(self.head, interval)
        return collected

    def prune(
        self, history: History, height: int, finalized_height: int, changes_max: int
    ) -> Pruned:
        """Remove a slice of history below a height. Refusal: PRUNE_REFUSED."""
        puts, pruned = self._guarded(
            lambda: pruning_batch(self._view, history, height, finalized_height, changes_max)
        )
        self._apply(puts)
        return pruned

    def compact(self, history: History) -> None:
        """Give back the space that pruning and collection freed; slow."""
        kind = keys.ROW if history is History.ROWS else keys.NODE
        self._store.compact(*kind.range())

    def close(self) -> None:
        """Let go of store and witness. Can be repeated."""
        self._failure = StoreFailed(StoreProblem.STORE_CLOSED, "the store is closed")
        self._store.close()
        self._witness.close()

    def _commit(self, puts: Puts, head: Head, interval: DeadInterval | None = None) -> Head:
        """Batch, witness, memory: in this order, and nothing is acknowledged before the last."""
        self._apply(puts)
        self._guarded(lambda: self._witness.write(witness_of(head)))
        reached("witness.written")
        self._view = self._moved(head, interval)
        return head

    def _rewrite(self, puts: Puts, head: Head) -> Head:
        """Write the head again at the same sequence: the witness has nothing to learn."""
        self._apply(puts)
        self._view = self._moved(head, None)
        return head

    def _apply(self, puts: Puts) -> None:
        if puts:
            reached("batch.begins")
            self._guarded(lambda: self._store.write(puts))
            reached("batch.written")

    def _moved(self, head: Head, interval: DeadInterval | None) -> View:
        dead = self._view.dead
        return View(self._store, head, dead if interval is None else dead.with_interval(interval))

    def _guarded(self, call: Callable[[], _T], *, acknowledged: bool = False) -> _T:
        """Build or write a batch; what cannot be read now may not be written over either."""
        self._require_writable(acknowledged=acknowledged or self.acknowledged)
        try:
            return call()
        except StoreFailed as failure:
            self._failure = failure
            raise

    def _require_writable(self, *, acknowledged: bool) -> None:
        if self._failure is not None:
            raise self._failure
        if not acknowledged:
            raise StoreRefused(
                StoreProblem.WITNESS_UNACKNOWLEDGED, "no valid witness: acknowledge the store first"
            )
        self._thread = self._thread or threading.get_ident()
        if self._thread != threading.get_ident():
            raise StoreRefused(StoreProblem.WRITER_THREAD, "another thread changes this store")
