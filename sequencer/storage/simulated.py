"""A disk in memory that can fail: the same contract as LevelDB and the witness file, and faults.

Promises
- Deterministic: what happens is decided by the seed and by the numbers of the calls alone.
- Time passes without waiting: each call adds a seeded delay to `ticks`.
- As on a real disk, what was written but not synced survives the end of a process, and survives a
  power cut or not. A batch is one record of a log with a checksum, so one that was cut short is
  dropped as a whole by the next open.

Laws
- A fault hits the n-th write, of database and witness counted together, once or for ever.
- After its first failed write a handle writes no more; only opening again makes another one.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from random import Random

import msgspec

from sequencer.model.records import Witness
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.key_value import Batch
from sequencer.storage.witness import (
    SLOT_BYTES,
    SLOTS,
    decode_slots,
    encode_slot,
    newest_slot,
    oldest_slot,
)

_DELAY_TICKS_MAX = 1_000


class Trace(StrEnum):
    """What a write that failed leaves behind."""

    NOTHING = "NOTHING"
    TORN = "TORN"
    UNSYNCED = "UNSYNCED"


class Fault(msgspec.Struct, frozen=True):
    """Which write fails (counted from 1; 0 for none), whether all later ones do, what it leaves."""

    at_write: int = 0
    for_ever: bool = False
    trace: Trace = Trace.NOTHING

    def hits(self, write: int) -> bool:
        """Say whether a write fails."""
        return 0 < self.at_write <= write if self.for_ever else write == self.at_write


_NO_FAULT = Fault()


class _Contents:
    """Keys in order with their values; copied before a change where a reader holds on to them."""

    __slots__ = ("held", "order", "values")

    def __init__(self, order: list[bytes], values: dict[bytes, bytes]) -> None:
        self.order = order
        self.values = values
        self.held = False

    def scan(self, start: bytes, stop: bytes, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        self.held = True
        low, high = bisect_left(self.order, start), bisect_left(self.order, stop)
        places = range(low, high)
        order, values = self.order, self.values
        return ((order[at], values[order[at]]) for at in (reversed(places) if reverse else places))

    def changed(self, batch: Batch) -> "_Contents":
        contents = _Contents(self.order[:], self.values.copy()) if self.held else self
        for key, value in batch:
            contents._put(key, value)
        return contents

    def _put(self, key: bytes, value: bytes | None) -> None:
        known = key in self.values
        if value is None:
            if known:
                del self.values[key], self.order[bisect_left(self.order, key)]
            return
        if not known:
            self.order.insert(bisect_left(self.order, key), key)
        self.values[key] = value


class SimulatedDisk:
    """What survives: a database and a witness file. Handles are opened on it.

    `fault` may be replaced at any time; `capacity_bytes` of 0 is no limit. `writes` counts calls,
    `failures` those that failed.
    """

    def __init__(self, seed: int = 0, fault: Fault = _NO_FAULT, capacity_bytes: int = 0) -> None:
        self.fault = fault
        self.capacity_bytes = capacity_bytes
        self.writes = 0
        self.failures = 0
        self.ticks = 0
        self.used_bytes = 0
        self.contents = _Contents([], {})
        self.witness_bytes = bytes(SLOTS * SLOT_BYTES)
        self._random = Random(seed)
        self._unsynced: list[Batch] = []
        self._unsynced_slot: tuple[int, bytes] | None = None

    def power_cut(self) -> None:
        """Lose what was not synced, or a part of it: the beginning of the log, a slot or not."""
        del self._unsynced[self._random.randint(0, len(self._unsynced)) :]
        if self._random.random() < 0.5:
            self._unsynced_slot = None

    def recover(self) -> None:
        """Do what an open does: apply what of the log can be read."""
        for batch in self._unsynced:
            self.contents = self.contents.changed(batch)
        self._unsynced.clear()
        if self._unsynced_slot is not None:
            self.put_slot(*self._unsynced_slot)
            self._unsynced_slot = None

    def put_slot(self, at: int, data: bytes) -> None:
        """Overwrite the beginning of one slot."""
        start = at * SLOT_BYTES
        before, after = self.witness_bytes[:start], self.witness_bytes[start + len(data) :]
        self.witness_bytes = before + data + after

    def append(self, batch: Batch) -> None:
        """Write a batch to the log and sync it. Failure: WRITE_FAILED."""
        size = sum(len(key) + len(value or b"") for key, value in batch)
        full = 0 < self.capacity_bytes < self.used_bytes + size
        if self._begin_write() or full:
            self.failures += 1
            if self.fault.trace is Trace.UNSYNCED and not full:
                self._unsynced.append(list(batch))
            detail = "no space left on device" if full else f"write {self.writes} failed"
            raise StoreFailed(StoreProblem.WRITE_FAILED, detail)
        self.used_bytes += size
        self.contents = self.contents.changed(batch)

    def overwrite(self, at: int, data: bytes) -> None:
        """Write a slot and sync it. Failure: WITNESS_FAILED."""
        if not self._begin_write():
            self.put_slot(at, data)
            return
        self.failures += 1
        if self.fault.trace is Trace.TORN:
            self._unsynced_slot = (at, data[: self._random.randrange(1, len(data))])
        elif self.fault.trace is Trace.UNSYNCED:
            self._unsynced_slot = (at, data)
        raise StoreFailed(StoreProblem.WITNESS_FAILED, f"write {self.writes} failed")

    def _begin_write(self) -> bool:
        self.writes += 1
        self.ticks += self._random.randint(1, _DELAY_TICKS_MAX)
        return self.fault.hits(self.writes)


class SimulatedReads:
    """Reads of a database, or of one unchanging state of it."""

    def __init__(self, disk: SimulatedDisk, contents: _Contents | None) -> None:
        self._disk = disk
        self._contents = contents
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where it is absent."""
        return self._readable().values.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over start <= key < stop in order, as things are at this call."""
        return self._while_open(self._readable().scan(start, stop, reverse=reverse))

    def close(self) -> None:
        """Let go. Can be repeated."""
        self._closed = True

    def _readable(self) -> _Contents:
        self._require_open()
        return self._disk.contents if self._contents is None else self._contents

    def _require_open(self) -> None:
        if self._closed:
            raise StoreFailed(StoreProblem.STORE_CLOSED, "the database is closed")

    def _while_open(self, found: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for item in found:
            self._require_open()
            yield item


class SimulatedKeyValue(SimulatedReads):
    """A database on a simulated disk; making one is opening it."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__(disk, None)
        self._failure: StoreFailed | None = None
        disk.recover()

    def write(self, batch: Batch) -> None:
        """Apply a batch. Failures: WRITE_FAILED, STORE_CLOSED."""
        self._require_open()
        if self._failure is not None:
            raise self._failure
        try:
            self._disk.append(batch)
        except StoreFailed as failure:
            self._failure = failure
            raise

    def snapshot(self) -> SimulatedReads:
        """Hold on to the present state."""
        contents = self._readable()
        contents.held = True
        return SimulatedReads(self._disk, contents)

    def compact(self, start: bytes, stop: bytes) -> None:
        """Do nothing: there is no space to give back between two keys of a list."""
        self._require_open()


class SimulatedWitness:
    """The witness file of a simulated disk; making one is opening it."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._failure: StoreFailed | None = None
        disk.recover()

    def read(self) -> Witness | None:
        """Return the newest valid slot, None where no slot is valid."""
        return newest_slot(decode_slots(self._disk.witness_bytes))

    def write(self, witness: Witness) -> None:
        """Overwrite the older slot, durably. Failure, which is final: WITNESS_FAILED."""
        if self._failure is not None:
            raise self._failure
        at = oldest_slot(decode_slots(self._disk.witness_bytes))
        try:
            self._disk.overwrite(at, encode_slot(witness))
        except StoreFailed as failure:
            self._failure = failure
            raise

    def close(self) -> None:
        """Let go of the file. Can be repeated."""
        self._failure = StoreFailed(StoreProblem.STORE_CLOSED, "the witness file is closed")
