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
from sequencer.model.records import EffectKind, Mark

RowChange: TypeAlias = tuple[int, bytes, bytes | None, bytes | None]
NodeChange: TypeAlias = tuple[bytes, int, int, bytes | None]

BucketChange: TypeAlias = tuple[str, bytes, bytes | None]
"""Plugin, key, value: what a plugin writes into its own bucket."""


class BlockCommit(msgspec.Struct, frozen=True):
    """Everything that becomes true with one block.

    `transactions` are hashes in block order. `seen`: (hash, until chain time in ms, 0 for ever).
    `high_water`: (source, time). `reopens`: the block ends the halt, so the latch is cleared with
    it.
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
    effects: Sequence[tuple[EffectKind, bytes]] = ()
    reopens: bool = False


class RollbackOrder(msgspec.Struct, frozen=True):
    """Go back to a block, which stays. `effect` is the outbox row's payload."""

    plan_id: bytes
    planned: Mark
    target_height: int
    target_hash: bytes
    policy: OrderPolicy
    effect: bytes
    details: bytes


class UndoOrder(msgspec.Struct, frozen=True):
    """Take a rollback back while no block has followed it."""

    planned: Mark
    reorg_id: int
    effect: bytes
    details: bytes


class CarriedOver(msgspec.Struct, frozen=True):
    """What a store of the same chain keeps beside its blocks, a part of it at a time.

    `reorgs`: (id, epoch of the undo or 0), all of them in the first part. `undone`: (hash, until
    chain time in ms or 0 for ever, id of the reorg that undid it). `high_water`: (source, time).
    """

    reorgs: Sequence[tuple[int, int]] = ()
    undone: Sequence[tuple[bytes, int, int]] = ()
    high_water: Sequence[tuple[bytes, int]] = ()
