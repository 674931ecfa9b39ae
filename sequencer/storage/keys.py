"""The whole schema on one screen: every kind of key, what it is made of, what it holds.

Laws
- Numbers are big-endian, so keys sort as they count. `~sequence` is 2^64 - 1 - sequence, so the
  newest version of a thing comes first.
- A part of any length has its length in front: no key is the beginning of another one's versions.
- A kind has one byte in front that no other kind has.
- Kinds with large values come last. A seek that ends behind the last key of a kind reads what lies
  there, whole: beside rows or blocks, those of a large genesis cost such a seek 50 ms (measured).
- *Versioned* kinds end in ~sequence, and a rollback hides their dead versions. All other kinds are
  never rewound.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from sequencer.model.limits import STORE_KEY_PART_BYTES_MAX, STORE_SEQUENCE_MAX

Part: TypeAlias = int | bytes
"""The value of one field of a key."""


class Field(NamedTuple):
    """How one part of a key is written, and read at an offset with the offset after it."""

    name: str
    encode: Callable[[Part], bytes]
    decode: Callable[[bytes, int], tuple[Part, int]]


def _number(name: str, size: int) -> Field:
    def encode(value: Part) -> bytes:
        return _integer(value).to_bytes(size, "big")

    def decode(data: bytes, at: int) -> tuple[Part, int]:
        return int.from_bytes(_taken(data, at, size), "big"), at + size

    return Field(name, encode, decode)


def _newest(name: str) -> Field:
    def encode(value: Part) -> bytes:
        return newest_first(_integer(value))

    def decode(data: bytes, at: int) -> tuple[Part, int]:
        return STORE_SEQUENCE_MAX - int.from_bytes(_taken(data, at, 8), "big"), at + 8

    return Field(name, encode, decode)


def _fixed(name: str, size: int) -> Field:
    def encode(value: Part) -> bytes:
        if not isinstance(value, bytes) or len(value) != size:
            raise ValueError(f"{name} is not {size} bytes: {value!r:.80}")
        return value

    def decode(data: bytes, at: int) -> tuple[Part, int]:
        return _taken(data, at, size), at + size

    return Field(name, encode, decode)


def _short(name: str) -> Field:
    def encode(value: Part) -> bytes:
        if not isinstance(value, bytes) or len(value) > STORE_KEY_PART_BYTES_MAX:
            raise ValueError(f"{name} is not up to {STORE_KEY_PART_BYTES_MAX} bytes: {value!r:.80}")
        return bytes((len(value),)) + value

    def decode(data: bytes, at: int) -> tuple[Part, int]:
        start = at + 1
        size = _taken(data, at, 1)[0]
        return _taken(data, start, size), start + size

    return Field(name, encode, decode)


def _integer(value: Part) -> int:
    if not isinstance(value, int):
        raise ValueError(f"not a number: {value!r:.80}")
    return value


def _taken(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ValueError(f"a key ends early: {data.hex()}")
    return data[at : at + size]


class Kind(NamedTuple):
    """One kind of key: its byte and its fields. Values that do not fit raise ValueError."""

    prefix: bytes
    fields: tuple[Field, ...] = ()

    def key(self, *values: Part) -> bytes:
        """Write a key, or where fewer values than fields are given the beginning of keys."""
        parts = [field.encode(value) for field, value in zip(self.fields, values, strict=False)]
        return self.prefix + b"".join(parts)

    def parts(self, key: bytes) -> tuple[Part, ...]:
        """Read a key back."""
        if not key.startswith(self.prefix):
            raise ValueError(f"not a key of {self.prefix!r}: {key.hex()}")
        at, parts = 1, []
        for field in self.fields:
            part, at = field.decode(key, at)
            parts.append(part)
        if at != len(key):
            raise ValueError(f"a key goes on after its end: {key.hex()}")
        return tuple(parts)

    def range(self, *values: Part) -> tuple[bytes, bytes]:
        """Return (start, stop) around all keys that begin with these values."""
        start = self.key(*values)
        return start, after(start)


HEAD = Kind(b"M")
"""The head: the one commit point of the chain."""

BLOCK = Kind(b"B", (_number("height", 8), _number("sequence", 8)))
"""A block without its body, orphans too."""

BLOCK_HASH = Kind(b"H", (_fixed("block hash", 32), _newest("~sequence")))
"""Where the block with a hash is, live or orphaned. Versioned."""

TRANSACTION = Kind(b"T", (_fixed("transaction hash", 32), _newest("~sequence")))
"""Where the transaction with a hash is. Versioned."""

ROW = Kind(b"V", (_number("table", 1), _short("key"), _newest("~sequence")))
"""A row of state, or a tombstone. Versioned."""

NODE = Kind(
    b"N",
    (_fixed("trie", 32), _number("depth", 1), _number("path", 32), _newest("~sequence")),
)
"""A trie node, whole, or a tombstone for a vacated position. Versioned."""

DEAD_INTERVAL = Kind(b"D", (_number("epoch", 8),))
"""The sequences that one rollback retired; never merged, never deleted."""

CHECKPOINT = Kind(b"K", (_number("sequence", 8),))
"""A named, pinned block."""

JOURNAL = Kind(b"J", (_fixed("plan id", 32),))
"""How far a rollback has come."""

EFFECT = Kind(b"O", (_number("number", 8),))
"""One row of the outbox."""

CURSOR = Kind(b"P", (_short("reader"),))
"""How far a reader of the outbox has come."""

BUCKET = Kind(b"p", (_short("plugin"), _short("key")))
"""What a plugin keeps for itself."""

INBOX = Kind(b"L", (_number("nonce", 8), _fixed("message hash", 32)))
"""A message of the settlement chain."""

SEEN = Kind(b"S", (_fixed("hash", 32),))
"""The block that applied the order or transaction with a hash."""

SEEN_UNTIL = Kind(b"s", (_number("until ms", 8), _fixed("hash", 32)))
"""The marks above by when they may be forgotten."""

HIGH_WATER = Kind(b"W", (_short("source"),))
"""The newest time that was ever taken from a source of prices."""

INCIDENT = Kind(b"I", (_number("number", 8),))
"""What an operator did to the chain, each record with the hash of the one before."""

RETENTION = Kind(b"R")
"""How far back rows and trie nodes go."""

BODY = Kind(b"x", (_number("height", 8), _number("sequence", 8)))
"""A block's body: transactions, receipts, state diff, traces."""

CHANGED_ROWS = Kind(b"y", (_number("sequence", 8),))
"""Which rows a block changed: for collection and pruning."""

CHANGED_NODES = Kind(b"z", (_number("sequence", 8),))
"""Which trie nodes a block wrote: for collection and pruning."""

EVERYTHING = (b"\x00", b"\xff")
"""(start, stop) around all keys."""

OLDEST = b"\xff" * 8
"""~0: the end of a thing's versions."""


def newest_first(sequence: int) -> bytes:
    """Write ~sequence."""
    return (STORE_SEQUENCE_MAX - sequence).to_bytes(8, "big")


def sequence_of(key: bytes) -> int:
    """Read the sequence of a versioned key."""
    return STORE_SEQUENCE_MAX - int.from_bytes(key[-8:], "big")


def row_item(table: int, key: bytes) -> bytes:
    """Write a row's key without its version; the same as `ROW.key(table, key)`, in a hurry."""
    return b"V" + bytes((table, len(key))) + key


def node_item(trie: bytes, depth: int, path: int) -> bytes:
    """Write a node's key without its version; the same as `NODE.key(...)`, in a hurry."""
    return b"N" + trie + bytes((depth,)) + path.to_bytes(32, "big")


def after(start: bytes) -> bytes:
    """Return the first key that does not begin with `start`, which is not all 0xff."""
    kept = start.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,))
