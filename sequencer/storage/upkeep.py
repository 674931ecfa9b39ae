"""The small changes beside blocks: checkpoints, readers of the outbox, marks that expire."""

from collections.abc import Iterable
from itertools import islice

from sequencer.model.commits import BucketChange
from sequencer.model.limits import CHECKPOINT_LABEL_CHARACTERS_MAX
from sequencer.model.records import Checkpoint, Cursor, SeenMark
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.access import fetch
from sequencer.storage.commit import Puts, bucket_puts
from sequencer.storage.encoding import encode_record
from sequencer.storage.view import View


def checkpoint_puts(view: View, height: int, label: str, pinned_by: str) -> Puts:
    """Build the batch that pins a live block.

    Refusals: TARGET_UNKNOWN, STATE_PRUNED, COMMIT_MALFORMED for names that are too long.
    """
    block = view.block(height)
    if block is None:
        raise StoreRefused(StoreProblem.TARGET_UNKNOWN, f"no block {height}")
    if max(len(label), len(pinned_by)) > CHECKPOINT_LABEL_CHARACTERS_MAX:
        raise StoreRefused(
            StoreProblem.COMMIT_MALFORMED,
            f"a label has up to {CHECKPOINT_LABEL_CHARACTERS_MAX} characters",
        )
    view.state_at(block)
    checkpoint = Checkpoint(
        block.sequence, height, block.block_hash, block.state_root, label, pinned_by
    )
    key = keys.CHECKPOINT.key(block.sequence)
    return [(key, encode_record(key, checkpoint))]


def dropped_checkpoint_puts(view: View, sequence: int) -> Puts:
    """Build the batch that lets go of a checkpoint. Refusal: CHECKPOINT_UNKNOWN."""
    key = keys.CHECKPOINT.key(sequence)
    if fetch(view.source, Checkpoint, key) is None:
        raise StoreRefused(StoreProblem.CHECKPOINT_UNKNOWN, f"no checkpoint at sequence {sequence}")
    return [(key, None)]


def cursor_puts(view: View, reader: str, cursor: Cursor, buckets: Iterable[BucketChange]) -> Puts:
    """Build the batch that moves a reader. Refusal: CURSOR_INVALID for a step back or too far."""
    known = view.cursor(reader)
    lowest = 0 if known is None else known.effect
    if not lowest <= cursor.effect < view.head.next_effect:
        raise StoreRefused(
            StoreProblem.CURSOR_INVALID,
            f"{reader} is at {lowest}, the outbox ends before {view.head.next_effect}: "
            f"no cursor {cursor.effect}",
        )
    key = keys.CURSOR.key(reader.encode())
    return [(key, encode_record(key, cursor)), *bucket_puts(buckets)]


def forgotten_reader_puts(reader: str, buckets: Iterable[BucketChange]) -> Puts:
    """Build the batch that takes a reader's cursor away."""
    return [(keys.CURSOR.key(reader.encode()), None), *bucket_puts(buckets)]


def forgotten_puts(view: View, before_ms: int, count_max: int) -> tuple[Puts, int]:
    """Build the batch that forgets up to `count_max` marks that expired before a time."""
    start, stop = keys.SEEN_UNTIL.range()[0], keys.SEEN_UNTIL.key(before_ms)
    expired = [key for key, _ in islice(view.source.scan(start, stop), count_max)]
    puts: Puts = [(key, None) for key in expired]
    for until_ms, message_hash in map(keys.SEEN_UNTIL.parts, expired):
        key = keys.SEEN.key(message_hash)
        mark = fetch(view.source, SeenMark, key)
        # A mark that was renewed since has a later entry of its own.
        if mark is not None and mark.until_ms == until_ms:
            puts.append((key, None))
    return puts, len(expired)


def spent_effect_puts(view: View, below: int, count_max: int) -> Puts:
    """Build the batch that forgets the oldest outbox rows: below a number, and read by everybody.

    A parked reader holds nothing back.
    """
    unread = [cursor.effect + 1 for cursor in view.cursors().values() if not cursor.parked]
    start, stop = keys.EFFECT.range()[0], keys.EFFECT.key(min([below, *unread]))
    return [(key, None) for key, _ in islice(view.source.scan(start, stop), count_max)]
