"""What the store keeps beside rows and trie nodes: one frozen struct for each kind of record.

Laws
- Every record carries the `VERSION` of its layout in front; a build refuses others by name.
- A sequence is a number that each commit, rollback and undo takes once; none is ever reused. The
  epoch is the number of rollbacks and undos so far. The id of a reorg is the epoch that it made.
- Hashes, roots and ids are 32 bytes. `payload` and `details` are bytes of whoever wrote them.
- Nothing here enters a block: a block is what its header, body and rows say.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec

from sequencer.model.commands import OrderPolicy

NO_HASH = bytes(32)
"""In place of a hash, a root or a digest where there is nothing yet."""

STORE_FORMAT = 1
"""The layout of keys that this build reads and writes."""


class Mark(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a decision was based on: a writer that meets another head than this changes nothing."""

    epoch: int
    sequence: int
    block_hash: bytes


class Latch(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Outside every root, and yet the chain comes up HALTED.

    `reorg_id` is 0 for a halt that no rollback followed. `policy` is which orders survive.
    """

    reorg_id: int
    policy: OrderPolicy


class Head(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The one commit point: which block is the last, and what the chain is at.

    `sequence` is the last one taken, by a block, rollback or undo; `block_sequence` is that of the
    block. `digest` sums all live rows. `next_effect` numbers the outbox. `incidents` are counted,
    `incident_hash` is the newest one's. Before genesis the height is -1.
    """

    VERSION: ClassVar[int] = 1

    format: int = STORE_FORMAT
    height: int = -1
    sequence: int = 0
    block_sequence: int = 0
    block_hash: bytes = NO_HASH
    state_root: bytes = NO_HASH
    epoch: int = 0
    digest: bytes = NO_HASH
    next_effect: int = 1
    incidents: int = 0
    incident_hash: bytes = NO_HASH
    latch: Latch | None = None
    guards_forced_on: bool = False

    @property
    def next_sequence(self) -> int:
        return self.sequence + 1

    @property
    def mark(self) -> Mark:
        return Mark(self.epoch, self.sequence, self.block_hash)


class BlockRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A block without its body. Its sequence says for ever whether it is live or orphaned."""

    VERSION: ClassVar[int] = 1

    height: int
    sequence: int
    epoch: int
    block_hash: bytes
    parent_hash: bytes
    parent_sequence: int
    state_root: bytes
    digest: bytes
    header: bytes


class BlockPlace(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where a block is found by its hash."""

    VERSION: ClassVar[int] = 1

    height: int
    sequence: int


class TransactionPlace(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where a transaction is found by its hash: its block, and its place in it."""

    VERSION: ClassVar[int] = 1

    height: int
    sequence: int
    index: int


class ChangedRows(msgspec.Struct, frozen=True, array_like=True):
    """Which rows a block changed; their values are those at its sequence and at its parent's."""

    VERSION: ClassVar[int] = 1

    rows: tuple[tuple[int, bytes], ...]


class ChangedNodes(msgspec.Struct, frozen=True, array_like=True):
    """Which trie nodes a block wrote: (place of the trie in `tries`, depth, path)."""

    VERSION: ClassVar[int] = 1

    tries: tuple[bytes, ...]
    nodes: tuple[tuple[int, int, bytes], ...]


class Collection(StrEnum):
    """How much of a dead interval's state is still there."""

    WHOLE = "WHOLE"
    STARTED = "STARTED"
    DONE = "DONE"


class DeadInterval(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The sequences first .. last that a rollback retired, under the epoch that it made.

    `sequence` is the rollback's own, `before` the head that an undo restores, `effect` the number
    of its outbox row. `lifted_by` is the epoch of the undo, 0 where there was none.
    """

    VERSION: ClassVar[int] = 1

    epoch: int
    first: int
    last: int
    sequence: int
    plan_id: bytes
    effect: int
    before: Head
    lifted_by: int = 0
    collection: Collection = Collection.WHOLE


class Checkpoint(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A named, pinned height: pruning never takes what it needs."""

    VERSION: ClassVar[int] = 1

    sequence: int
    height: int
    block_hash: bytes
    state_root: bytes
    label: str
    pinned_by: str


class Stage(StrEnum):
    """How far a rollback has come."""

    PREPARED = "PREPARED"
    COMMITTED = "COMMITTED"
    SETTLED = "SETTLED"
    NOTIFIED = "NOTIFIED"
    DONE = "DONE"
    UNDONE = "UNDONE"
    ABORTED = "ABORTED"


class RollbackJournal(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A rollback under way. `reorg_id` is 0 until the batch that takes it."""

    VERSION: ClassVar[int] = 1

    plan_id: bytes
    stage: Stage
    planned: Mark
    target_height: int
    target_hash: bytes
    reorg_id: int = 0

    @property
    def is_open(self) -> bool:
        """Say whether it still has something to do."""
        return self.stage not in (Stage.DONE, Stage.UNDONE, Stage.ABORTED)


class EffectKind(StrEnum):
    """What the outbox tells the world."""

    BLOCK = "BLOCK"
    ROLLBACK = "ROLLBACK"
    UNDO = "UNDO"


class Effect(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One row of the outbox; every reader of it has a cursor of its own."""

    VERSION: ClassVar[int] = 1

    number: int
    kind: EffectKind
    epoch: int
    sequence: int
    payload: bytes


class Cursor(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How far a reader of the outbox has come; a parked one holds nothing back."""

    VERSION: ClassVar[int] = 1

    effect: int
    sequence: int
    block_hash: bytes
    parked: bool = False


class InboxFact(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A message of the settlement chain: true whatever the appchain rolls back.

    `chain_hash` is that of all messages up to it, as they stood over there. `retracted` where a
    reorg there removed it. That a block consumed it is a row of state.
    """

    VERSION: ClassVar[int] = 1

    nonce: int
    message_hash: bytes
    chain_hash: bytes
    payload: bytes
    retracted: bool = False


class SeenMark(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A hash that a block applied, and until when it is remembered (0: for ever).

    Its sequence says whether it is applied or undone, so a rollback changes no mark.
    """

    VERSION: ClassVar[int] = 1

    sequence: int
    until_ms: int


class HighWater(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The newest time that was ever taken from one source; never rewound."""

    VERSION: ClassVar[int] = 1

    time: int


class IncidentKind(StrEnum):
    """What the operator did."""

    ROLLBACK = "ROLLBACK"
    UNDO = "UNDO"


class Incident(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What was done to the chain, by whom and why; each record holds the hash of the one before."""

    VERSION: ClassVar[int] = 1

    number: int
    previous: bytes
    kind: IncidentKind
    plan_id: bytes
    before: Mark
    height_before: int
    after: Mark
    height_after: int
    details: bytes


class Witness(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the witness file remembers of the last commit."""

    epoch: int
    sequence: int
    block_hash: bytes


class Floor(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The oldest block whose history can be read, and up to which sequence older ones are gone."""

    height: int = 0
    sequence: int = 0
    done_sequence: int = 0


class Retention(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How far back rows and trie nodes go."""

    VERSION: ClassVar[int] = 1

    rows: Floor = Floor()
    nodes: Floor = Floor()


class History(StrEnum):
    """The two histories that are kept and pruned apart."""

    ROWS = "ROWS"
    NODES = "NODES"


class Collected(msgspec.Struct, frozen=True):
    """What a slice did: versions removed, the reorg whose state it was, and what others wait for.

    Nothing was left to do where `reorg_id` is 0 and `waiting` empty.
    """

    removed: int = 0
    reorg_id: int = 0
    waiting: tuple[str, ...] = ()


class Copied(msgspec.Struct, frozen=True):
    """A whole copy: its head, how many keys and bytes it has, and the hash of all of them."""

    head: Head
    keys: int
    bytes: int
    digest: str


class Pruned(msgspec.Struct, frozen=True):
    """What a slice did: changes looked at, versions removed, and whether the floor is clean."""

    looked_at: int
    removed: int
    done: bool
