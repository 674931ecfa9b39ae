"""Records as bytes: read back as they were, and any other byte is found; the digest of all rows."""

from typing import ClassVar

import msgspec
import pytest

from sequencer.model import records
from sequencer.model.commands import OrderPolicy
from sequencer.model.records import BlockPlace, Head, Latch, SeenMark
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.digest import Digest, row_hash
from sequencer.storage.encoding import (
    decode_record,
    decode_version,
    encode_record,
    encode_version,
    pack,
    unpack,
)
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue
from tests.unit.storage.builders import block, grown, roll_back, simulated, undo


class Later(msgspec.Struct, frozen=True, array_like=True):
    VERSION: ClassVar[int] = 2

    height: int


def problem_of(value: bytes) -> StoreProblem:
    """Say why a value is no record under the key `key`."""
    with pytest.raises(StoreFailed) as caught:
        decode_record(b"key", value, BlockPlace)
    return caught.value.problem


def test_records_are_read_back() -> None:
    head = Head(height=3, latch=Latch(2, OrderPolicy.CANCEL_ALL), digest=b"\x01" * 32)
    assert decode_record(b"M", encode_record(b"M", head), Head) == head
    mark = SeenMark(2**64 - 1, 0)
    assert decode_record(b"S", encode_record(b"S", mark), SeenMark) == mark


def test_a_record_of_another_version_is_refused_by_name() -> None:
    assert problem_of(encode_record(b"key", Later(1))) is StoreProblem.RECORD_VERSION_UNKNOWN
    assert problem_of(pack(b"key", b"")) is StoreProblem.RECORD_VERSION_UNKNOWN


@pytest.mark.parametrize("payload", [b"\x01", b"\x01\xc1", b"\x01\x93\x01", b"\x01\xa1a"])
def test_a_record_that_cannot_be_read_is_corrupt(payload: bytes) -> None:
    assert problem_of(pack(b"key", payload)) is StoreProblem.RECORD_CORRUPT


def test_every_flipped_bit_is_found() -> None:
    value = encode_record(b"key", BlockPlace(7, 9))
    for bit in range(len(value) * 8):
        flipped = bytearray(value)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        assert problem_of(bytes(flipped)) is StoreProblem.RECORD_CORRUPT
    for size in range(len(value)):
        assert problem_of(value[:size]) is StoreProblem.RECORD_CORRUPT


def test_a_value_of_another_key_is_found() -> None:
    assert problem_of(encode_record(b"kez", BlockPlace(7, 9))) is StoreProblem.RECORD_CORRUPT
    with pytest.raises(StoreFailed, match="RECORD_CORRUPT"):
        unpack(b"a", pack(b"b", b"value"))


@pytest.mark.parametrize("value", [None, b"", b"\x00", b"\x01", b"row"])
def test_versions_are_read_back(value: bytes | None) -> None:
    assert decode_version(b"k", encode_version(b"k", value)) == value


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\x00more"])
def test_what_is_no_version_is_corrupt(payload: bytes) -> None:
    with pytest.raises(StoreFailed, match="RECORD_CORRUPT"):
        decode_version(b"k", pack(b"k", payload))


def test_the_digest_is_a_sum_of_rows() -> None:
    rows = [(1, b"a", b"1"), (1, b"b", b"2"), (2, b"a", b"1")]
    one, two = Digest(), Digest()
    for row in rows:
        one.replace(*row[:2], None, row[2])
    two.replace(2, b"a", None, b"other")
    for row in reversed(rows[:2]):
        two.replace(*row[:2], None, row[2])
    two.replace(2, b"a", b"other", b"1")
    assert one.value() == two.value()
    for row in rows:
        one.replace(*row[:2], row[2], None)
    assert one.value() == bytes(32)


def test_rows_that_look_alike_differ_in_the_digest() -> None:
    hashes = {row_hash(1, b"ab", b"c"), row_hash(1, b"a", b"bc"), row_hash(2, b"ab", b"c")}
    assert len(hashes) == 3


def test_a_digest_wraps_at_256_bits() -> None:
    digest = Digest(b"\xff" * 32)
    digest.replace(1, b"a", None, b"1")
    assert int.from_bytes(digest.value(), "big") == row_hash(1, b"a", b"1") - 1


def test_every_record_of_a_store_has_a_version_in_front() -> None:
    """A later layout of any record stops this build by name, wherever it is met."""
    disk = SimulatedDisk()
    store = simulated(disk)
    grown(store, 3)
    roll_back(store, 1)
    undo(store, 1)
    store.commit_block(block(store))
    kinds = [kind for kind in vars(records).values() if hasattr(kind, "VERSION")]
    for key, value in SimulatedKeyValue(disk).scan(b"", b"\xff"):
        if key[:1] in b"VN":
            continue
        payload = unpack(key, value)
        later = pack(key, bytes([payload[0] + 1]) + payload[1:])
        for kind in kinds:
            with pytest.raises(StoreFailed, match="RECORD_VERSION_UNKNOWN"):
                decode_record(key, later, kind)
