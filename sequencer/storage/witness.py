"""The witness: a small file beside the data folder that remembers the last commit.

LevelDB takes a log that lost its end, or an older copy of its folder, for all there ever was
(measured: 50 commits became 24, 4 and 0 without an error). The witness is written after each batch
and before its acknowledgement, so a head below it is known to be an older one.

Laws
- Two slots, each in a block of the disk of its own. The older one is overwritten, so a write that
  is cut short leaves the other.
- A slot counts only with its checksum. Epochs and sequences only grow, so the newest is the
  largest.
"""

import hashlib
import os
from pathlib import Path

from sequencer.model.records import Head, Witness
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.sync import durable_sync, sync_folder

SLOTS = 2
"""How many slots there are."""

SLOT_BYTES = 4096
"""Bytes from one slot to the next: the largest block that a disk writes at once."""

_MAGIC = b"perpchain witness 1\n"
_BODY_BYTES = len(_MAGIC) + 8 + 8 + 32
_CHECKSUM_BYTES = 32


def encode_slot(witness: Witness) -> bytes:
    """Write one slot, without the padding."""
    numbers = witness.epoch.to_bytes(8, "big") + witness.sequence.to_bytes(8, "big")
    body = _MAGIC + numbers + witness.block_hash
    return body + hashlib.blake2s(body).digest()


def decode_slot(data: bytes) -> Witness | None:
    """Read one slot, None unless it is valid."""
    body = data[:_BODY_BYTES]
    checksum = data[_BODY_BYTES : _BODY_BYTES + _CHECKSUM_BYTES]
    if not body.startswith(_MAGIC) or hashlib.blake2s(body).digest() != checksum:
        return None
    at = len(_MAGIC)
    epoch, sequence = int.from_bytes(body[at : at + 8]), int.from_bytes(body[at + 8 : at + 16])
    return Witness(epoch, sequence, body[at + 16 :])


def decode_slots(data: bytes) -> list[Witness | None]:
    """Read all slots of a file's content."""
    return [decode_slot(data[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]) for at in range(SLOTS)]


def newest_slot(slots: list[Witness | None]) -> Witness | None:
    """Return the newest valid slot."""
    valid = [slot for slot in slots if slot is not None]
    return max(valid, key=_age, default=None)


def oldest_slot(slots: list[Witness | None]) -> int:
    """Return the place of the slot to overwrite: one that is not valid, else the older one."""
    ages = [(-1, -1) if slot is None else _age(slot) for slot in slots]
    return ages.index(min(ages))


def _age(witness: Witness) -> tuple[int, int]:
    return witness.epoch, witness.sequence


def witness_of(head: Head) -> Witness:
    """Return what the witness has to say about a head."""
    return Witness(head.epoch, head.sequence, head.block_hash)


class WitnessFile:
    """The slots in a file, which is made by the first write. Failure: WITNESS_FAILED."""

    __slots__ = ("_descriptor", "_failure", "_path", "_slots")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._failure: StoreFailed | None = None
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            words = f"{path.name}: {error.strerror or error}"
            raise StoreFailed(StoreProblem.WITNESS_FAILED, words) from error
        self._slots = decode_slots(data)

    def read(self) -> Witness | None:
        """Return the newest valid slot, None where no slot is valid."""
        return newest_slot(self._slots)

    def write(self, witness: Witness) -> None:
        """Overwrite the older slot, durably. Failure, which is final: WITNESS_FAILED."""
        if self._failure is not None:
            raise self._failure
        at = oldest_slot(self._slots)
        try:
            descriptor = self._opened()
            data = encode_slot(witness)
            if os.pwrite(descriptor, data, at * SLOT_BYTES) != len(data):
                raise OSError("a slot was written in part")
            durable_sync(descriptor)
        except OSError as error:
            detail = f"{self._path.name}: {error.strerror or error}"
            self._failure = StoreFailed(StoreProblem.WITNESS_FAILED, detail)
            raise self._failure from error
        self._slots[at] = witness

    def close(self) -> None:
        """Let go of the file. Can be repeated."""
        self._failure = StoreFailed(StoreProblem.STORE_CLOSED, "the witness file is closed")
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            if os.fstat(self._descriptor).st_size < SLOTS * SLOT_BYTES:
                os.ftruncate(self._descriptor, SLOTS * SLOT_BYTES)
                os.fsync(self._descriptor)
                sync_folder(self._path.parent)
        return self._descriptor
