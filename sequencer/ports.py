"""The seams: what the engine needs from the world outside, as protocols in words of the model.

Promises
- A store says no in two ways. `StoreRefused`: a request that cannot be granted, nothing was
  touched, and the store goes on. `StoreFailed`: the store cannot be used, or not any more.
- Both carry a `StoreProblem`, a stable name that operators meet in logs and exit messages.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from sequencer.model.records import Witness

Batch: TypeAlias = Sequence[tuple[bytes, bytes | None]]
"""Keys with their new values, None to delete; where a key comes twice, the last one counts."""


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


class Readable(Protocol):
    """Something that can be read as one ordered map of bytes."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where it is absent."""
        ...

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over start <= key < stop in order, as things are at this call."""
        ...


class Snapshot(Readable, Protocol):
    """One unchanging state of a store. May be read from any thread; close it after use."""

    def close(self) -> None:
        """Let go of the state; reading afterwards fails with STORE_CLOSED."""
        ...


class KeyValue(Readable, Protocol):
    """An ordered map of bytes on a disk.

    Laws
    - `write` is the only way to change anything: all of a batch or nothing, on the disk when it
      returns. Its first failure is final: each later write fails with the same error, while reads
      go on and show what was there before the batch that failed.
    - Every read compares checksums; a difference is STORE_CORRUPT, never a value.
    """

    def write(self, batch: Batch) -> None:
        """Apply a batch. Failures: WRITE_FAILED, WRITER_REPLACED, WRITER_FORKED, STORE_CLOSED."""
        ...

    def snapshot(self) -> Snapshot:
        """Hold on to the present state."""
        ...

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give back the space of what was deleted in a range; slow, and safe at any time."""
        ...

    def close(self) -> None:
        """Let go of the files; everything afterwards fails with STORE_CLOSED. Can be repeated."""
        ...


class WitnessSlots(Protocol):
    """A small file apart from the store that remembers the last commit.

    LevelDB takes a log that lost its end for a log that ended there; only somebody else can tell.
    """

    def read(self) -> Witness | None:
        """Return the newest valid slot, None where no slot is valid."""
        ...

    def write(self, witness: Witness) -> None:
        """Overwrite the older slot, durably. Failure, which is final: WITNESS_FAILED."""
        ...

    def close(self) -> None:
        """Let go of the file. Can be repeated."""
        ...
