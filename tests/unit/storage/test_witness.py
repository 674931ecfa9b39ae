"""The witness file: two slots, the older one written over, and a torn one never believed."""

import os
from pathlib import Path

import pytest

from sequencer.model.records import Witness
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import witness as module
from sequencer.storage.sync import durable_sync
from sequencer.storage.witness import SLOT_BYTES, WitnessFile, decode_slot, encode_slot


def made(path: Path, count: int = 3) -> list[Witness]:
    slots = [Witness(0, number, bytes([number]) * 32) for number in range(1, count + 1)]
    file = WitnessFile(path)
    for slot in slots:
        file.write(slot)
    file.close()
    return slots


def test_a_slot_is_read_back_and_every_flipped_bit_is_found() -> None:
    slot = Witness(2**64 - 1, 7, b"\xab" * 32)
    data = encode_slot(slot)
    assert decode_slot(data + bytes(10)) == slot
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        assert decode_slot(bytes(flipped)) is None
    for size in range(len(data)):
        assert decode_slot(data[:size]) is None


def test_the_older_slot_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "witness"
    slots = made(path)
    data = path.read_bytes()
    assert decode_slot(data[:SLOT_BYTES]) == slots[2]
    assert decode_slot(data[SLOT_BYTES:]) == slots[1]


def test_a_torn_slot_leaves_the_other(tmp_path: Path) -> None:
    path = tmp_path / "witness"
    slots = made(path)
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    file = WitnessFile(path)
    assert file.read() == slots[1]
    file.write(Witness(0, 9, bytes(32)))
    assert decode_slot(path.read_bytes()[SLOT_BYTES:]) == slots[1]
    assert WitnessFile(path).read() == Witness(0, 9, bytes(32))


@pytest.mark.parametrize("content", [b"", b"short", bytes(2 * SLOT_BYTES), b"\xff" * 9_000])
def test_a_file_without_a_valid_slot_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "witness"
    path.write_bytes(content)
    file = WitnessFile(path)
    assert file.read() is None
    file.write(Witness(1, 2, bytes(32)))
    file.close()
    assert WitnessFile(path).read() == Witness(1, 2, bytes(32))


def test_every_write_is_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    path = tmp_path / "witness"
    monkeypatch.setattr(module, "durable_sync", lambda _: synced.append(path.read_bytes()))
    slots = made(path, 2)
    assert [decode_slot(data[at * SLOT_BYTES :]) for at, data in enumerate(synced)] == slots


def test_the_first_failure_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "witness"
    file = WitnessFile(path)
    file.write(Witness(0, 1, bytes(32)))
    monkeypatch.setattr(module, "durable_sync", fails)
    with pytest.raises(StoreFailed, match="No space left") as first:
        file.write(Witness(0, 2, bytes(32)))
    monkeypatch.undo()
    with pytest.raises(StoreFailed) as second:
        file.write(Witness(0, 3, bytes(32)))
    assert second.value is first.value
    assert first.value.problem is StoreProblem.WITNESS_FAILED
    assert file.read() == Witness(0, 1, bytes(32))


def test_a_folder_that_is_gone_fails_by_name(tmp_path: Path) -> None:
    file = WitnessFile(tmp_path / "nowhere" / "witness")
    with pytest.raises(StoreFailed, match="WITNESS_FAILED"):
        file.write(Witness(0, 1, bytes(32)))


def test_without_fdatasync_there_is_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", synced.append)
    with (tmp_path / "file").open("wb") as file:
        durable_sync(file.fileno())
        assert synced == [file.fileno()]
