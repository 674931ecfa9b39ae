"""Giving up history below a height, a bounded slice at a time.

Laws
- Nothing is touched unless everything may go: what a checkpoint, an open rollback, a reader of the
  outbox or a block that is not final may need is refused with the oldest block that stays.
- The floor rises in the first slice: from then on nobody reads below it. A crash in between leaves
  versions that nobody sees, and the next slice goes on from the lists of changes.
- What a block at or below the floor replaced is removed, block by block in order; a tombstone goes
  once nothing is below it.
- Rows are kept at least as long as trie nodes.
"""

from collections.abc import Iterator

import msgspec

from sequencer.model.records import BlockRecord, Floor, History, Pruned, Retention
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.changes import LISTS, changed_items, shortened
from sequencer.storage.commit import Puts, put_record
from sequencer.storage.encoding import decode_version
from sequencer.storage.keys import OLDEST
from sequencer.storage.view import View


def pruning_batch(
    view: View, history: History, height: int, finalized_height: int, changes_max: int
) -> tuple[Puts, Pruned]:
    """Build the next slice that makes `height` the oldest block. Refusal: PRUNE_REFUSED."""
    retention = view.retention()
    floor = retention.rows if history is History.ROWS else retention.nodes
    if height > floor.height:
        block = _require_free(view, history, height, finalized_height, floor)
        floor = msgspec.structs.replace(floor, height=height, sequence=block.sequence)
    puts: Puts = []
    done_sequence, looked_at = _remove(puts, view, history, floor, changes_max)
    removed = sum(value is None for _, value in puts)
    floor = msgspec.structs.replace(floor, done_sequence=done_sequence)
    changed = _with_floor(retention, history, floor)
    put_record(puts, keys.RETENTION.key(), changed)
    return puts, Pruned(looked_at, removed, done_sequence == floor.sequence)


def _with_floor(retention: Retention, history: History, floor: Floor) -> Retention:
    if history is History.ROWS:
        return msgspec.structs.replace(retention, rows=floor)
    return msgspec.structs.replace(retention, nodes=floor)


def _require_free(
    view: View, history: History, height: int, finalized_height: int, floor: Floor
) -> BlockRecord:
    block = view.block(height)
    needs = sorted(_needs(view, history, finalized_height))
    reason = f"{needs[0][1]} needs block {needs[0][0]}" if needs and needs[0][0] < height else ""
    if block is None:
        reason = f"the head is block {view.head.height}"
    elif not reason:
        reason = next(_waiting_readers(view, block), "")
    if block is None or reason:
        raise StoreRefused(
            StoreProblem.PRUNE_REFUSED,
            f"{history.value} below block {height}: {reason}; the oldest is block {floor.height}",
        )
    return block


def _needs(view: View, history: History, finalized_height: int) -> Iterator[tuple[int, str]]:
    """Yield the heights that somebody may come back to, with who that is."""
    yield finalized_height, "a rollback"
    for checkpoint in view.checkpoints():
        if view.dead.is_live(checkpoint.sequence):
            yield checkpoint.height, f"checkpoint {checkpoint.label}"
    for journal in view.journals():
        if journal.is_open:
            yield journal.target_height, f"plan {journal.plan_id.hex()}"
    if history is History.ROWS:
        yield view.retention().nodes.height, "the history of trie nodes"


def _waiting_readers(view: View, block: BlockRecord) -> Iterator[str]:
    for reader, cursor in view.cursors().items():
        if not cursor.parked and cursor.sequence < block.sequence:
            yield f"{reader} has read up to sequence {cursor.sequence}"


def _remove(
    puts: Puts, view: View, history: History, floor: Floor, changes_max: int
) -> tuple[int, int]:
    """Remove what up to `changes_max` changes replaced; return (sequence done, changes)."""
    lists, left, done = LISTS[history], changes_max, floor.done_sequence
    start, stop = lists.key(done + 1), lists.key(floor.sequence + 1)
    for key, value in view.source.scan(start, stop):
        if left <= 0:
            return done, changes_max - left
        sequence = int(lists.parts(key)[0])
        if not view.dead.is_live(sequence):
            continue
        items = changed_items(history, key, value)
        kept = max(0, len(items) - left)
        for item in items[kept:]:
            puts += _replaced(view, item, sequence)
        left -= max(1, len(items) - kept)
        puts.append((key, shortened(history, key, value, kept) if kept else None))
        done = done if kept else sequence
    return (done, changes_max - left) if left <= 0 else (floor.sequence, changes_max - left)


def _replaced(view: View, item: bytes, sequence: int) -> Puts:
    """List the versions of a thing that one live version hides; a tombstone hides itself too."""
    start, stop = item + keys.newest_first(sequence), item + OLDEST + b"\x00"
    versions = list(view.source.scan(start, stop))
    own = versions[:1] if versions and versions[0][0] == start else []
    hidden = versions[len(own) :]
    if own and decode_version(*own[0]) is None:
        hidden = versions
    return [(key, None) for key, _ in hidden]
