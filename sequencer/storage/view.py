"""One consistent look at the whole store: what a head stands for, and what is never rewound.

Promises
- A view of a snapshot never mixes two heights or two epochs.
- Orphaned blocks are found by hash for ever; their state until it is collected, and then
  STATE_COLLECTED; a state that is pruned is STATE_PRUNED, never a wrong one.
"""

from collections.abc import Iterator
from itertools import islice

from sequencer.model.records import (
    STORE_FORMAT,
    BlockPlace,
    BlockRecord,
    Checkpoint,
    Collection,
    Cursor,
    DeadInterval,
    Effect,
    Head,
    HighWater,
    InboxFact,
    Incident,
    Retention,
    RollbackJournal,
    SeenMark,
    TransactionPlace,
)
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.access import fetch, fetch_all, fetch_range
from sequencer.storage.dead import DeadIntervals
from sequencer.storage.encoding import decode_record, unpack
from sequencer.storage.key_value import Readable
from sequencer.storage.state_at import StateAt


class View:
    """The store as of one head."""

    __slots__ = ("dead", "head", "source")

    def __init__(self, source: Readable, head: Head, dead: DeadIntervals) -> None:
        self.source = source
        self.head = head
        self.dead = dead

    def state(self) -> StateAt:
        """Return the state at the head."""
        return StateAt(self.source, self.head.block_sequence, self.dead.skips)

    def state_at(self, block: BlockRecord) -> StateAt:
        """Return the state after a block, live or orphaned.

        Refusals: STATE_COLLECTED, STATE_PRUNED; the latter by `node` where only rows are kept.
        """
        retention = self._require_kept(block)
        skips = self.dead.skips_before(block.sequence)
        nodes_kept = block.sequence >= retention.nodes.sequence
        return StateAt(self.source, block.sequence, skips, nodes_kept=nodes_kept)

    def retention(self) -> Retention:
        """Return how far back history goes."""
        return fetch(self.source, Retention, keys.RETENTION.key()) or Retention()

    def block(self, height: int) -> BlockRecord | None:
        """Return the live block at a height."""
        if not 0 <= height <= self.head.height:
            return None
        start, stop = keys.BLOCK.range(height)
        for key, value in self.source.scan(start, stop, reverse=True):
            block = decode_record(key, value, BlockRecord)
            if self.dead.is_live(block.sequence):
                return block
        raise StoreFailed(StoreProblem.HEADERS_BROKEN, f"no live block at height {height}")

    def block_at(self, height: int, sequence: int) -> BlockRecord | None:
        """Return the block that took a sequence, live or orphaned."""
        if height < 0 or sequence < 0:
            return None
        return fetch(self.source, BlockRecord, keys.BLOCK.key(height, sequence))

    def block_by_hash(self, block_hash: bytes) -> BlockRecord | None:
        """Return the block with a hash: the live one, else the newest orphan."""
        places = fetch_all(self.source, BlockPlace, keys.BLOCK_HASH, block_hash)
        place = self._preferred(list(places))
        return None if place is None else self.block_at(place.height, place.sequence)

    def orphaned_by(self, block: BlockRecord) -> int:
        """Return the id of the reorg that orphaned a block, 0 for a live one."""
        return self.dead.orphaned_by(block.sequence)

    def undone_by(self, sequence: int) -> int:
        """Return the id of the reorg that orphaned a sequence, 0 for a live one."""
        return self.dead.orphaned_by(sequence)

    def reorgs(self) -> list[tuple[int, int]]:
        """List every rollback's id with the epoch of its undo, 0 where there was none, in order."""
        return [(each.epoch, each.lifted_by) for each in self.dead.all]

    def effect_of(self, reorg_id: int) -> int:
        """Return the number of a rollback's row in the outbox, 0 where there is no such one."""
        return next((each.effect for each in self.dead.all if each.epoch == reorg_id), 0)

    def body(self, block: BlockRecord) -> bytes:
        """Return the body of a block."""
        key = keys.BODY.key(block.height, block.sequence)
        value = self.source.get(key)
        if value is None:
            raise StoreFailed(StoreProblem.HEADERS_BROKEN, f"block {block.height} has no body")
        return unpack(key, value)

    def transaction(self, transaction_hash: bytes) -> TransactionPlace | None:
        """Return where a transaction is in the live chain."""
        return self._place_of(transaction_hash, is_live=True)

    def orphaned_transaction(self, transaction_hash: bytes) -> TransactionPlace | None:
        """Return where a transaction was last before it was undone."""
        return self._place_of(transaction_hash, is_live=False)

    def _place_of(self, transaction_hash: bytes, *, is_live: bool) -> TransactionPlace | None:
        places = fetch_all(self.source, TransactionPlace, keys.TRANSACTION, transaction_hash)
        wanted = (each for each in places if self.dead.is_live(each.sequence) is is_live)
        return next(wanted, None)

    def seen(self, message_hash: bytes) -> SeenMark | None:
        """Return the mark of a hash; `dead.orphaned_by` its sequence says which reorg undid it."""
        return fetch(self.source, SeenMark, keys.SEEN.key(message_hash))

    def seen_marks(self) -> Iterator[tuple[bytes, SeenMark]]:
        """List every mark with its hash, in the order of hashes."""
        for key, value in self.source.scan(*keys.SEEN.range()):
            yield key[1:], decode_record(key, value, SeenMark)

    def high_water(self, source: bytes) -> int:
        """Return the newest time ever taken from a source of prices, 0 for none."""
        mark = fetch(self.source, HighWater, keys.HIGH_WATER.key(source))
        return 0 if mark is None else mark.time

    def high_waters(self) -> Iterator[tuple[bytes, int]]:
        """List every source of prices with the newest time taken from it."""
        for key, value in self.source.scan(*keys.HIGH_WATER.range()):
            yield key[2:], decode_record(key, value, HighWater).time

    def effects(self, after: int, count_max: int) -> list[Effect]:
        """List the outbox behind a number, in order."""
        start, stop = keys.EFFECT.key(after + 1), keys.EFFECT.range()[1]
        return list(islice(fetch_range(self.source, Effect, start, stop), count_max))

    def cursor(self, reader: str) -> Cursor | None:
        """Return how far a reader of the outbox has come."""
        return fetch(self.source, Cursor, keys.CURSOR.key(reader.encode()))

    def cursors(self) -> dict[str, Cursor]:
        """Return all cursors by reader."""
        found = {}
        for key, value in self.source.scan(*keys.CURSOR.range()):
            found[key[2:].decode()] = decode_record(key, value, Cursor)
        return found

    def bucket(self, plugin: str) -> Iterator[tuple[bytes, bytes]]:
        """List (key, value) of a plugin's bucket, shorter keys first."""
        start, stop = keys.BUCKET.range(plugin.encode())
        for key, value in self.source.scan(start, stop):
            yield key[len(start) + 1 :], unpack(key, value)

    def bucket_value(self, plugin: str, name: bytes) -> bytes | None:
        """Return one value of a plugin's bucket."""
        key = keys.BUCKET.key(plugin.encode(), name)
        value = self.source.get(key)
        return None if value is None else unpack(key, value)

    def inbox(self, first_nonce: int, count_max: int) -> list[InboxFact]:
        """List facts from a nonce on, retracted ones too, in order of nonces."""
        start, stop = keys.INBOX.key(first_nonce), keys.INBOX.range()[1]
        return list(islice(fetch_range(self.source, InboxFact, start, stop), count_max))

    def checkpoints(self) -> list[Checkpoint]:
        """List checkpoints, oldest first, also those whose block is orphaned."""
        return list(fetch_all(self.source, Checkpoint, keys.CHECKPOINT))

    def journal(self, plan_id: bytes) -> RollbackJournal | None:
        """Return how far a rollback has come."""
        return fetch(self.source, RollbackJournal, keys.JOURNAL.key(plan_id))

    def journals(self) -> list[RollbackJournal]:
        """List all rollbacks ever prepared."""
        return list(fetch_all(self.source, RollbackJournal, keys.JOURNAL))

    def incidents(self) -> list[Incident]:
        """List what operators did, oldest first."""
        return list(fetch_all(self.source, Incident, keys.INCIDENT))

    def _preferred(self, places: list[BlockPlace]) -> BlockPlace | None:
        live = [place for place in places if self.dead.is_live(place.sequence)]
        return next(iter(live + places), None)

    def _require_kept(self, block: BlockRecord) -> Retention:
        containing = self.dead.containing(block.sequence)
        gone = next((each for each in containing if each.collection is not Collection.WHOLE), None)
        if gone is not None:
            raise StoreRefused(
                StoreProblem.STATE_COLLECTED,
                f"state of block {block.height} is collected: reorg {gone.epoch} orphaned it",
            )
        retention = self.retention()
        # The floor is a live block, so it is below an orphan's whole branch or above all of it.
        if block.sequence < retention.rows.sequence:
            raise StoreRefused(
                StoreProblem.STATE_PRUNED,
                f"state of block {block.height} is pruned, "
                f"the oldest is that of block {retention.rows.height}",
            )
        return retention


def load_view(source: Readable) -> View:
    """Look at a store as it is now. Failures: FORMAT_UNKNOWN and those of records."""
    head = fetch(source, Head, keys.HEAD.key()) or Head()
    if head.format != STORE_FORMAT:
        raise StoreFailed(
            StoreProblem.FORMAT_UNKNOWN,
            f"store of format {head.format}, this build knows {STORE_FORMAT}",
        )
    return View(source, head, DeadIntervals(fetch_all(source, DeadInterval, keys.DEAD_INTERVAL)))
