"""What the store stands on: an ordered map of bytes on a disk, and the witness apart from it."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

from sequencer.model.records import Witness

Batch: TypeAlias = Sequence[tuple[bytes, bytes | None]]
"""Keys with their new values, None to delete; where a key comes twice, the last one counts."""


class Readable(Protocol):
    """Something that can be read as one ordered map of bytes."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where it is absent."""

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over start <= key < stop in order, as things are at this call."""


class Snapshot(Readable, Protocol):
    """One unchanging state of a store. May be read from any thread; close it after use."""

    def close(self) -> None:
        """Let go of the state; reading afterwards fails with STORE_CLOSED."""


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

    def snapshot(self) -> Snapshot:
        """Hold on to the present state."""

    def compact(self, start: bytes, stop: bytes) -> None:
        """Give back the space of what was deleted in a range; slow, and safe at any time."""

    def close(self) -> None:
        """Let go of the files; everything afterwards fails with STORE_CLOSED. Can be repeated."""


class WitnessSlots(Protocol):
    """A small file apart from the store that remembers the last commit.

    LevelDB takes a log that lost its end for a log that ended there; only somebody else can tell.
    """

    def read(self) -> Witness | None:
        """Return the newest valid slot, None where no slot is valid."""

    def write(self, witness: Witness) -> None:
        """Overwrite the older slot, durably. Failure, which is final: WITNESS_FAILED."""

    def close(self) -> None:
        """Let go of the file. Can be repeated."""
