"""Removing the state of dead intervals, a bounded slice at a time.

Laws
- Blocks, their hashes and transactions, and dead intervals stay for ever: an orphan remains
  readable, and remains an orphan.
- An interval is marked as started in the batch that removes its first version: from then on nobody
  reads its state and nobody undoes it.
- A slice may be repeated or cut short by a crash: the lists of changes shrink with what is gone.
"""

import msgspec

from sequencer.model.records import Collected, Collection, DeadInterval, History
from sequencer.storage import keys
from sequencer.storage.changes import LISTS, changed_items, shortened
from sequencer.storage.commit import Puts, put_record
from sequencer.storage.view import View


def collection_batch(
    view: View, grace_over: int, versions_max: int
) -> tuple[Puts, Collected, DeadInterval | None]:
    """Build the next slice. Reorgs up to the id `grace_over` have had their grace period."""
    waiting: list[str] = []
    for interval in view.dead.uncollected():
        reason = _waits_for(view, interval, grace_over)
        if not reason:
            return _slice(view, interval, versions_max, tuple(waiting))
        waiting.append(f"reorg {interval.epoch}: {reason}")
    return [], Collected(waiting=tuple(waiting)), None


def _waits_for(view: View, interval: DeadInterval, grace_over: int) -> str:
    if interval.epoch > grace_over:
        return "grace period"
    if view.head.block_sequence < interval.sequence:
        return "first new block"
    journal = view.journal(interval.plan_id)
    if journal is not None and journal.is_open:
        return f"journal is {journal.stage.value}"
    behind = (
        reader
        for reader, cursor in view.cursors().items()
        if not cursor.parked and cursor.effect < interval.effect
    )
    return next((f"cursor of {reader}" for reader in behind), "")


def _slice(
    view: View, interval: DeadInterval, versions_max: int, waiting: tuple[str, ...]
) -> tuple[Puts, Collected, DeadInterval]:
    puts: Puts = []
    room = versions_max
    for history in History:
        room -= _remove(puts, view, history, interval, room)
    stage = Collection.DONE if room > 0 else Collection.STARTED
    changed = msgspec.structs.replace(interval, collection=stage)
    put_record(puts, keys.DEAD_INTERVAL.key(interval.epoch), changed)
    return puts, Collected(versions_max - room, interval.epoch, waiting), changed


def _remove(puts: Puts, view: View, history: History, interval: DeadInterval, room: int) -> int:
    """Remove up to `room` versions of one history and return how many; all of them if fewer."""
    lists, left = LISTS[history], room
    start, stop = lists.key(interval.first), lists.key(interval.last + 1)
    for key, value in view.source.scan(start, stop):
        if left <= 0:
            break
        (sequence,) = lists.parts(key)
        items = changed_items(history, key, value)
        kept = max(0, len(items) - left)
        version = keys.newest_first(int(sequence))
        puts += [(item + version, None) for item in items[kept:]]
        puts.append((key, shortened(history, key, value, kept) if kept else None))
        left -= max(1, len(items) - kept)
    return room - left
