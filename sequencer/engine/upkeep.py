"""Taking away what nothing needs any more, a bounded round at a time.

Promises
- Every so many blocks there is a checkpoint to come back to. The newest ones stay as long as the
  history that they stand on; those of operators are never touched.

Laws
- A round is due at heights that are multiples of UPKEEP_BLOCKS, and what it removes follows from
  the store alone, and from how far it is final where there is a settlement chain: two nodes at one
  height have the same keys and values otherwise. (A crash right before a round skips it; the next
  one takes what it left.)
- What a checkpoint, an open rollback or a reader of the outbox needs stays; the store refuses, and
  the round goes on with the next kind. So does the newest block that is final over there, which
  withdrawals are proven by, and all above; as long as that is not known, all history.
"""

from collections.abc import Callable

import msgspec

from sequencer.engine.recovery import NODE, automatic_label, is_automatic
from sequencer.model.limits import (
    CHECKPOINT_BLOCKS,
    CHECKPOINTS_KEPT,
    EFFECTS_KEPT,
    ROW_HISTORY_BLOCKS,
    TRIE_HISTORY_BLOCKS,
    UPKEEP_BLOCKS,
    UPKEEP_ENTRIES_MAX,
)
from sequencer.model.records import Checkpoint, History
from sequencer.ports import Store, StoreProblem, StoreRefused


class Keeping(msgspec.Struct, frozen=True):
    """How much history stays, in blocks and outbox rows, and how far apart checkpoints are.

    `checkpoint_blocks` 0 makes none. `finalized_height` tells the newest block that is final on the
    settlement chain, -1 for an unknown one; it is None where there is no settlement chain, and is
    asked in the thread that changes the store.
    """

    trie_blocks: int = TRIE_HISTORY_BLOCKS
    row_blocks: int = ROW_HISTORY_BLOCKS
    effects: int = EFFECTS_KEPT
    checkpoint_blocks: int = CHECKPOINT_BLOCKS
    finalized_height: Callable[[], int] | None = None


def keep_up(store: Store, time_ms: int, keeping: Keeping) -> None:
    """Do the round that is due at the head, if one is. `time_ms` is the chain's time there."""
    head = store.head
    _keep_checkpoints(store, keeping)
    if head.height % UPKEEP_BLOCKS:
        return
    store.forget_seen(time_ms, UPKEEP_ENTRIES_MAX)
    store.forget_effects(max(0, head.next_effect - keeping.effects), UPKEEP_ENTRIES_MAX)
    store.collect(head.epoch - 1, UPKEEP_ENTRIES_MAX)
    final = head.height if keeping.finalized_height is None else keeping.finalized_height()
    for history, blocks in (
        (History.NODES, keeping.trie_blocks),
        (History.ROWS, max(keeping.row_blocks, keeping.trie_blocks)),
    ):
        _prune(store, history, min(head.height - blocks, final))


def _keep_checkpoints(store: Store, keeping: Keeping) -> None:
    """Make the checkpoint that is due, and drop what is too many, too old or undone for good.

    A block follows every rollback that is met here, so none of them can be taken back any more.
    """
    head, blocks = store.head, keeping.checkpoint_blocks
    due = 0 < blocks <= head.height and head.height % blocks == 0
    if not due and head.height % UPKEEP_BLOCKS:
        return
    if due and all(each.sequence != head.block_sequence for each in store.view.checkpoints()):
        store.create_checkpoint(head.height, automatic_label(head.height), NODE)
    own = [each for each in store.view.checkpoints() if is_automatic(each)]
    oldest = head.height - keeping.trie_blocks
    live = [each for each in own if each.height >= oldest and not _is_undone(store, each)]
    kept = {each.sequence for each in live[-CHECKPOINTS_KEPT:]}
    for each in own:
        if each.sequence not in kept:
            store.drop_checkpoint(each.sequence)


def _is_undone(store: Store, checkpoint: Checkpoint) -> bool:
    return store.view.undone_by(checkpoint.sequence) > 0


def _prune(store: Store, history: History, height: int) -> None:
    if height <= 0:
        return
    try:
        store.prune(history, height, height, UPKEEP_ENTRIES_MAX)
    except StoreRefused as refused:
        if refused.problem is not StoreProblem.PRUNE_REFUSED:
            raise
