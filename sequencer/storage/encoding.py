"""Values on the disk: a checksum over key and value, a version in front of every record.

Laws
- A value that was damaged, or that belongs to another key, is RECORD_CORRUPT, never a value.
- A record of a layout that this build does not know is RECORD_VERSION_UNKNOWN, never guessed at.
"""

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from sequencer.model import records
from sequencer.ports import StoreFailed, StoreProblem

CHECKSUM_BYTES = 4
"""Bytes of a checksum, in front of every value."""

TOMBSTONE, PRESENT = b"\x00", b"\x01"
"""What a version's payload begins with: nothing more, or the row or node."""


class Record(Protocol):
    """Any struct of `model/records.py` that is a record of its own."""

    VERSION: ClassVar[int]


R = TypeVar("R", bound=Record)

# Made before there is a second thread: msgspec works out how a type is read when that is first
# needed, and where two threads need it at once the process dies (msgspec 0.22, measured).
_DECODERS: Mapping[type[Any], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in vars(records).values()
    if isinstance(kind, type) and hasattr(kind, "VERSION")
}


def pack(key: bytes, payload: bytes) -> bytes:
    """Put the checksum of key and payload in front of the payload."""
    return zlib.crc32(payload, zlib.crc32(key)).to_bytes(CHECKSUM_BYTES, "big") + payload


def unpack(key: bytes, value: bytes) -> bytes:
    """Return the payload of a value. Failure: RECORD_CORRUPT."""
    payload = value[CHECKSUM_BYTES:]
    if pack(key, payload) != value:
        raise StoreFailed(StoreProblem.RECORD_CORRUPT, f"the value of key {key.hex()} is damaged")
    return payload


def encode_record(key: bytes, record: Record) -> bytes:
    """Write a record under its key."""
    return pack(key, bytes((record.VERSION,)) + msgspec.msgpack.encode(record))


def decode_record(key: bytes, value: bytes, kind: type[R]) -> R:
    """Read a record. Failures: RECORD_CORRUPT, RECORD_VERSION_UNKNOWN."""
    payload = unpack(key, value)
    version = payload[0] if payload else 0
    if version != kind.VERSION:
        raise StoreFailed(
            StoreProblem.RECORD_VERSION_UNKNOWN,
            f"{kind.__name__} of version {version}, this build knows {kind.VERSION}",
        )
    try:
        record: R = _DECODERS[kind].decode(payload[1:])
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StoreFailed(
            StoreProblem.RECORD_CORRUPT, f"no {kind.__name__} at key {key.hex()}: {error}"
        ) from error
    return record


def encode_version(key: bytes, value: bytes | None) -> bytes:
    """Write one version of a row or node; None is a tombstone."""
    return pack(key, TOMBSTONE if value is None else PRESENT + value)


def decode_version(key: bytes, value: bytes) -> bytes | None:
    """Read one version of a row or node. Failure: RECORD_CORRUPT."""
    payload = unpack(key, value)
    match payload[:1]:
        case b"\x01":
            return payload[1:]
        case b"\x00" if len(payload) == 1:
            return None
        case _:
            raise StoreFailed(StoreProblem.RECORD_CORRUPT, f"no version at key {key.hex()}")
