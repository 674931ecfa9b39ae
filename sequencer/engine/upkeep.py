"""Taking away what nothing needs any more, a bounded round at a time.

Laws
- A round is due at heights that are multiples of UPKEEP_BLOCKS, and what it removes follows from
  the store alone: two nodes at one height have the same keys and values. (A crash right before a
  round skips it; the next one takes what it left.)
- What a checkpoint, an open rollback, a reader of the outbox or a block that is not final needs
  stays; the store refuses, and the round goes on with the next kind.
"""

import msgspec

from sequencer.model.limits import (
    EFFECTS_KEPT,
    ROW_HISTORY_BLOCKS,
    TRIE_HISTORY_BLOCKS,
    UPKEEP_BLOCKS,
    UPKEEP_ENTRIES_MAX,
)
from sequencer.model.records import History
from sequencer.ports import Store, StoreProblem, StoreRefused


class Keeping(msgspec.Struct, frozen=True):
    """How much history stays, in blocks and outbox rows."""

    trie_blocks: int = TRIE_HISTORY_BLOCKS
    row_blocks: int = ROW_HISTORY_BLOCKS
    effects: int = EFFECTS_KEPT


def keep_up(store: Store, time_ms: int, keeping: Keeping) -> None:
    """Do the round that is due at the head, if one is. `time_ms` is the chain's time there."""
    head = store.head
    if head.height % UPKEEP_BLOCKS:
        return
    store.forget_seen(time_ms, UPKEEP_ENTRIES_MAX)
    store.forget_effects(max(0, head.next_effect - keeping.effects), UPKEEP_ENTRIES_MAX)
    store.collect(head.epoch - 1, UPKEEP_ENTRIES_MAX)
    for history, blocks in (
        (History.NODES, keeping.trie_blocks),
        (History.ROWS, max(keeping.row_blocks, keeping.trie_blocks)),
    ):
        _prune(store, history, head.height - blocks)


def _prune(store: Store, history: History, height: int) -> None:
    if height <= 0:
        return
    try:
        store.prune(history, height, height, UPKEEP_ENTRIES_MAX)
    except StoreRefused as refused:
        if refused.problem is not StoreProblem.PRUNE_REFUSED:
            raise
