"""Records by key, over anything that can be read."""

from collections.abc import Iterator

from sequencer.storage.encoding import R, decode_record
from sequencer.storage.key_value import Readable
from sequencer.storage.keys import Kind, Part


def fetch(source: Readable, kind: type[R], key: bytes) -> R | None:
    """Read a record, None where there is none. Failures: RECORD_CORRUPT, RECORD_VERSION_UNKNOWN."""
    value = source.get(key)
    return None if value is None else decode_record(key, value, kind)


def fetch_all(source: Readable, kind: type[R], keys: Kind, *leading: Part) -> Iterator[R]:
    """Read all records of a kind of key whose first parts are these, in key order."""
    return fetch_range(source, kind, *keys.range(*leading))


def fetch_range(source: Readable, kind: type[R], start: bytes, stop: bytes) -> Iterator[R]:
    """Read all records of a range, in key order."""
    return (decode_record(key, value, kind) for key, value in source.scan(start, stop))
