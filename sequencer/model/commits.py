"""What the engine hands to the store to be written: everything of one block, or one rollback.

Laws
- Each order names the head that it was made for; at another head it is refused, whole.
- A row is (table, key, value before, value after) and a node (trie, depth, path, value after);
  None is no value. None of them comes twice.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from sequencer.model.commands import OrderPolicy
from sequencer.model.records import EffectKind, InboxFact, Mark

RowChange: TypeAlias = tuple[int, bytes, bytes | None, bytes | None]
NodeChange: TypeAlias = tuple[bytes, int, int, bytes | None]

BucketChange: TypeAlias = tuple[str, bytes, bytes | None]
"""Plugin, key, value: what a plugin writes into its own bucket."""


class BlockCommit(msgspec.Struct, frozen=True):
    """Everything that becomes true with one block.

    `transactions` are hashes in block order. `seen`: (hash, until chain time in ms, 0 for ever).
    `high_water`: (source, time). `inbox`: facts first met with this block. `reopens`: the block
    ends the halt, so the latch is cleared with it.
    """

    planned: Mark
    height: int
    block_hash: bytes
    state_root: bytes
    header: bytes
    body: bytes
    rows: Sequence[RowChange] = ()
    nodes: Sequence[NodeChange] = ()
    transactions: Sequence[bytes] = ()
    seen: Sequence[tuple[bytes, int]] = ()
    high_water: Sequence[tuple[bytes, int]] = ()
    inbox: Sequence[InboxFact] = ()
    effects: Sequence[tuple[EffectKind, bytes]] = ()
    buckets: Sequence[BucketChange] = ()
    reopens: bool = False


class RollbackOrder(msgspec.Struct, frozen=True):
    """Go back to a block, which stays. `effect` is the outbox row's payload."""

    plan_id: bytes
    planned: Mark
    target_height: int
    target_hash: bytes
    policy: OrderPolicy
    guards_forced_on: bool
    effect: bytes
    details: bytes


class UndoOrder(msgspec.Struct, frozen=True):
    """Take a rollback back while no block has followed it."""

    planned: Mark
    reorg_id: int
    effect: bytes
    details: bytes
