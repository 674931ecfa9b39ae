"""The seams: what the engine needs from the world outside, as protocols in words of the model.

Promises
- A store says no in two ways. `StoreRefused`: a request that cannot be granted, nothing was
  touched, and the store goes on. `StoreFailed`: the store cannot be used, or not any more.
- Both carry a `StoreProblem`, a stable name that operators meet in logs and exit messages.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

from sequencer.model.commits import (
    BlockCommit,
    BucketChange,
    CarriedOver,
    RollbackOrder,
    UndoOrder,
)
from sequencer.model.records import (
    BlockRecord,
    Checkpoint,
    Collected,
    Cursor,
    Effect,
    Head,
    History,
    InboxFact,
    Incident,
    Latch,
    Pruned,
    Retention,
    RollbackJournal,
    SeenMark,
    Stage,
    TransactionPlace,
)
from sequencer.model.settlement import Money, Post, Sent, SentDeposit, Standing, TimedPost

_T = TypeVar("_T")


class StoreProblem(StrEnum):
    """What can be wrong with a store, by name."""

    STORE_ABSENT = "STORE_ABSENT"
    STORE_PRESENT = "STORE_PRESENT"
    STORE_LOCKED = "STORE_LOCKED"
    LOCK_UNSUPPORTED = "LOCK_UNSUPPORTED"
    STORE_CORRUPT = "STORE_CORRUPT"
    STORE_CLOSED = "STORE_CLOSED"
    FORMAT_UNKNOWN = "FORMAT_UNKNOWN"
    RECORD_VERSION_UNKNOWN = "RECORD_VERSION_UNKNOWN"
    RECORD_CORRUPT = "RECORD_CORRUPT"
    HEAD_MISSING = "HEAD_MISSING"
    HEAD_INCONSISTENT = "HEAD_INCONSISTENT"
    HEADERS_BROKEN = "HEADERS_BROKEN"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    ROW_DIFFERS = "ROW_DIFFERS"
    INCIDENTS_BROKEN = "INCIDENTS_BROKEN"
    HEAD_BELOW_WITNESS = "HEAD_BELOW_WITNESS"
    WITNESS_DISAGREES = "WITNESS_DISAGREES"
    WITNESS_FAILED = "WITNESS_FAILED"
    WRITE_FAILED = "WRITE_FAILED"
    WRITER_REPLACED = "WRITER_REPLACED"
    WRITER_FORKED = "WRITER_FORKED"
    WRITER_THREAD = "WRITER_THREAD"
    WITNESS_UNACKNOWLEDGED = "WITNESS_UNACKNOWLEDGED"
    HALT_LATCHED = "HALT_LATCHED"
    HEAD_MOVED = "HEAD_MOVED"
    COMMIT_MALFORMED = "COMMIT_MALFORMED"
    TARGET_UNKNOWN = "TARGET_UNKNOWN"
    TARGET_NOT_BELOW_HEAD = "TARGET_NOT_BELOW_HEAD"
    STATE_PRUNED = "STATE_PRUNED"
    STATE_COLLECTED = "STATE_COLLECTED"
    UNDO_IMPOSSIBLE = "UNDO_IMPOSSIBLE"
    JOURNAL_ORDER = "JOURNAL_ORDER"
    CHECKPOINT_UNKNOWN = "CHECKPOINT_UNKNOWN"
    INBOX_CONFLICT = "INBOX_CONFLICT"
    CURSOR_INVALID = "CURSOR_INVALID"
    PRUNE_REFUSED = "PRUNE_REFUSED"


class StoreError(Exception):
    """Either way in which a store says no: the stable name, and in plain words what was seen."""

    def __init__(self, problem: StoreProblem, detail: str) -> None:
        super().__init__(f"{problem.value}: {detail}")
        self.problem = problem
        self.detail = detail


class StoreRefused(StoreError):
    """A request was refused before anything was touched; the store goes on."""


class StoreFailed(StoreError):
    """The store cannot be opened, read or written; nothing may be written through it again."""


class StateReader(Protocol):
    """State as one block saw it. Reads fail with the store's problems."""

    def row(self, table: int, key: bytes) -> bytes | None:
        """Return a row, None where there is none."""

    def rows(self, table: int | None = None) -> Iterator[tuple[int, bytes, bytes]]:
        """List (table, key, value) of all rows, or of one table, in key order."""

    def node(self, trie: bytes, depth: int, path: int) -> bytes | None:
        """Return the trie node at a position, None where there is none. Refusal: STATE_PRUNED."""

    def version(self, trie: bytes, depth: int, path: int, below: int) -> tuple[int, bytes | None]:
        """Return (sequence, node) of the newest version below a sequence, (0, None) for none."""


class ChainView(Protocol):
    """The store as of one head: it never mixes two heights or two epochs."""

    @property
    def head(self) -> Head:
        """The head that everything here belongs to."""

    def state(self) -> StateReader:
        """Return the state at the head."""

    def state_at(self, block: BlockRecord) -> StateReader:
        """Return the state after a block. Refusals: STATE_COLLECTED, STATE_PRUNED."""

    def retention(self) -> Retention:
        """Return how far back history goes."""

    def block(self, height: int) -> BlockRecord | None:
        """Return the live block at a height."""

    def block_at(self, height: int, sequence: int) -> BlockRecord | None:
        """Return the block that took a sequence, live or orphaned."""

    def block_by_hash(self, block_hash: bytes) -> BlockRecord | None:
        """Return the block with a hash: the live one, else the newest orphan."""

    def orphaned_by(self, block: BlockRecord) -> int:
        """Return the id of the reorg that orphaned a block, 0 for a live one."""

    def undone_by(self, sequence: int) -> int:
        """Return the id of the reorg that orphaned a sequence, 0 for a live one."""

    def body(self, block: BlockRecord) -> bytes:
        """Return the body of a block."""

    def transaction(self, transaction_hash: bytes) -> TransactionPlace | None:
        """Return where a transaction is in the live chain."""

    def orphaned_transaction(self, transaction_hash: bytes) -> TransactionPlace | None:
        """Return where a transaction was last before it was undone."""

    def seen(self, message_hash: bytes) -> SeenMark | None:
        """Return the mark of a hash; `undone_by` its sequence says which reorg undid it."""

    def seen_marks(self) -> Iterator[tuple[bytes, SeenMark]]:
        """List every mark with its hash, in the order of hashes."""

    def high_water(self, source: bytes) -> int:
        """Return the newest time ever taken from a source of prices, 0 for none."""

    def high_waters(self) -> Iterator[tuple[bytes, int]]:
        """List every source of prices with the newest time taken from it."""

    def effects(self, after: int, count_max: int) -> list[Effect]:
        """List the outbox behind a number, in order."""

    def cursor(self, reader: str) -> Cursor | None:
        """Return how far a reader of the outbox has come."""

    def cursors(self) -> dict[str, Cursor]:
        """Return all cursors by reader."""

    def bucket(self, plugin: str) -> Iterator[tuple[bytes, bytes]]:
        """List (key, value) of a plugin's bucket, shorter keys first."""

    def bucket_value(self, plugin: str, name: bytes) -> bytes | None:
        """Return one value of a plugin's bucket."""

    def reorgs(self) -> list[tuple[int, int]]:
        """List every rollback's id with the epoch of its undo, 0 where there was none, in order."""

    def effect_of(self, reorg_id: int) -> int:
        """Return the number of a rollback's row in the outbox, 0 where there is no such one."""

    def journal(self, plan_id: bytes) -> RollbackJournal | None:
        """Return how far a rollback has come."""

    def journals(self) -> list[RollbackJournal]:
        """List all rollbacks ever prepared."""

    def incidents(self) -> list[Incident]:
        """List what operators did, oldest first."""

    def checkpoints(self) -> list[Checkpoint]:
        """List checkpoints, oldest first, also those whose block is orphaned."""

    def inbox(self, first_nonce: int, count_max: int) -> list[InboxFact]:
        """List facts from a nonce on, retracted ones too, in order of nonces."""


class Store(Protocol):
    """The chain on a disk; `storage/chain_store.py` has its promises and laws.

    One thread changes it: the first one that does. Snapshots may be read in any thread.
    """

    acknowledged: bool

    @property
    def head(self) -> Head:
        """The last committed head."""

    @property
    def view(self) -> ChainView:
        """The store at that head, for the thread that changes it."""

    def snapshot(self) -> tuple[ChainView, Callable[[], None]]:
        """Return a view that stays as it is, for any thread, and what closes it."""

    def content(self) -> tuple[Head, Iterator[tuple[bytes, bytes]], Callable[[], None]]:
        """Return the head, every key and value that stand with it, and what lets go of them."""

    def carry_over(self, carried: CarriedOver) -> Head:
        """Take over what another store of this chain keeps, before there is a block.

        Refusal: COMMIT_MALFORMED.
        """

    def checked_rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """List all live rows; DIGEST_MISMATCH at the end where they are not those committed."""

    def acknowledge(self) -> None:
        """Take the store for the right one although no witness says so."""

    def commit_block(self, commit: BlockCommit) -> Head:
        """Append a block, durably. Refusals: HEAD_MOVED, HALT_LATCHED, COMMIT_MALFORMED."""

    def prepare(self, order: RollbackOrder) -> Head:
        """Announce a rollback and latch the halt."""

    def roll_back(self, order: RollbackOrder) -> Head:
        """Go back to a block, as prepared, in one batch."""

    def undo(self, order: UndoOrder) -> Head:
        """Take the last rollback back, in one batch. Refusals: HEAD_MOVED, UNDO_IMPOSSIBLE."""

    def latch(self, latch: Latch) -> Head:
        """Make the chain come up HALTED until a block reopens it."""

    def advance(self, plan_id: bytes, stage: Stage) -> None:
        """Take a rollback one stage on, or abort it. Refusal: JOURNAL_ORDER."""

    def open_journals(self) -> list[RollbackJournal]:
        """List the rollbacks that still have something to do."""

    def create_checkpoint(self, height: int, label: str, pinned_by: str) -> None:
        """Pin a live block. Refusals: TARGET_UNKNOWN, STATE_PRUNED, COMMIT_MALFORMED."""

    def drop_checkpoint(self, sequence: int) -> None:
        """Let go of a checkpoint. Refusal: CHECKPOINT_UNKNOWN."""

    def record_inbox(self, facts: Iterable[InboxFact]) -> None:
        """Add facts of the settlement chain, or retract them. Refusal: INBOX_CONFLICT."""

    def advance_cursor(
        self, reader: str, cursor: Cursor, buckets: Iterable[BucketChange] = ()
    ) -> None:
        """Move a reader of the outbox, with what it writes. Refusal: CURSOR_INVALID."""

    def forget_reader(self, reader: str, buckets: Iterable[BucketChange] = ()) -> None:
        """Forget how far a reader has come, with what is written meanwhile: it begins anew."""

    def forget_seen(self, before_ms: int, count_max: int) -> int:
        """Forget marks that expired before a chain time, and return how many entries went."""

    def forget_effects(self, below: int, count_max: int) -> int:
        """Forget outbox rows below a number that every reader is past; return how many went."""

    def collect(self, grace_over: int, versions_max: int) -> Collected:
        """Remove a slice of orphaned state."""

    def prune(
        self, history: History, height: int, finalized_height: int, changes_max: int
    ) -> Pruned:
        """Remove a slice of history below a height. Refusal: PRUNE_REFUSED."""

    def compact(self, history: History) -> None:
        """Give back the space that pruning and collection freed; slow."""

    def close(self) -> None:
        """Let go of store and witness. Can be repeated."""


class Clock(Protocol):
    """The time outside. Chain time follows it, tick by tick, and never goes back."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""


class Worker(Protocol):
    """A thread of its own: one piece of work at a time, in order."""

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work there and return what it returns, or raise what it raises."""


class Verifier(Protocol):
    """Checks signatures, many at once, in a worker."""

    def __call__(self, signed: Sequence[tuple[int, int, int, int]], /) -> Sequence[bool]:
        """Say of each (public key, message hash, r, s) whether it is a valid signature."""


class HaltNote(Protocol):
    """A file beside the database: while it is there, every start comes up HALTED."""

    def read(self) -> str:
        """Return why the chain was halted, "" where there is no note."""

    def write(self, reason: str) -> None:
        """Leave a note, durably if the disk lets us; a disk that does not is no second failure."""

    def clear(self) -> None:
        """Take the note away: an operator has read it."""


class DiskSpace(Protocol):
    """How much room there is for the data folder."""

    def free_bytes(self) -> int:
        """Return bytes that may still be written."""


class Settlement(Protocol):
    """The contract on the settlement chain that keeps our roots; see `docs/settlement.md`.

    All fail with SettlementError. A call returns once its receipt says that it was carried out."""

    @property
    def backend(self) -> str:
        """What carries the contract, by name."""

    @property
    def cairo_executed(self) -> bool:
        """Whether a call runs the contract itself, not a model of it."""

    @property
    def contract(self) -> int:
        """The contract's own address: messages of its deposits name it."""

    async def standing(self) -> Standing:
        """Read the contract, everything at one moment."""

    async def newest_post(self, height: int) -> Post | None:
        """Return the newest live post at or below a height, None where there is none."""

    async def oldest_post_above(self, height: int) -> TimedPost | None:
        """Return the oldest live post above a height, None where there is none."""

    async def money(self) -> Money:
        """Read the contract's counters, everything at one moment."""

    async def deposits(self, first: int, count: int) -> Sequence[SentDeposit]:
        """Return up to so many deposits from a nonce on, fewer where there are no more."""

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """Post a block on top of the newest one."""

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        """Take back every post above a live one, raise the epoch, end a hold of ours."""

    async def finalize(self, height: int) -> Sent:
        """Make a post and all below it final."""

    async def hold(self, plan_hash: int) -> Sent:
        """Stop finality."""

    async def release(self) -> Sent:
        """Let finality go on."""

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
