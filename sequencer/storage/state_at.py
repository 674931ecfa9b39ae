"""State as one block saw it: every row and trie node at a sequence, dead versions left out.

Laws
- A read costs one seek, and one more for each dead interval that it meets.
- Listing rows costs one step per version, and a jump where a row has many.
"""

from collections.abc import Iterator

from sequencer.model.limits import STORE_VERSIONS_SKIPPED_MAX
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.storage.dead import Skips
from sequencer.storage.encoding import decode_version
from sequencer.storage.key_value import Readable
from sequencer.storage.keys import (
    OLDEST,
    ROW,
    newest_first,
    node_item,
    row_item,
    sequence_of,
)

_END = OLDEST + b"\x00"
"""Behind the last version that a thing can have."""

_Found = tuple[bytes, bytes]


class StateAt:
    """A versioned view of a store; what it shows is what `source` shows."""

    __slots__ = ("_nodes_kept", "_skips", "_source", "sequence")

    def __init__(
        self, source: Readable, sequence: int, skips: Skips, *, nodes_kept: bool = True
    ) -> None:
        self._source = source
        self._skips = skips
        self._nodes_kept = nodes_kept
        self.sequence = sequence

    def row(self, table: int, key: bytes) -> bytes | None:
        """Return a row, None where there is none."""
        return self._value(row_item(table, key))

    def rows(self, table: int | None = None) -> Iterator[tuple[int, bytes, bytes]]:
        """List (table, key, value) of all rows, or of one table, in key order."""
        start, stop = ROW.range() if table is None else ROW.range(table)
        for key, value in self._newest(start, stop):
            row = decode_version(key, value)
            if row is not None:
                yield key[1], key[3:-8], row

    def node(self, trie: bytes, depth: int, path: int) -> bytes | None:
        """Return the trie node at a position, None where there is none. Refusal: STATE_PRUNED."""
        self._require_nodes()
        return self._value(node_item(trie, depth, path))

    def version(self, trie: bytes, depth: int, path: int, below: int) -> tuple[int, bytes | None]:
        """Return (sequence, node) of the newest version below a sequence, (0, None) for none.

        A tombstone has a sequence and no node. Refusal: STATE_PRUNED.
        """
        self._require_nodes()
        found = self._version(node_item(trie, depth, path), min(self.sequence, below - 1))
        return (0, None) if found is None else (sequence_of(found[0]), decode_version(*found))

    def _require_nodes(self) -> None:
        if not self._nodes_kept:
            raise StoreRefused(StoreProblem.STATE_PRUNED, f"no trie nodes at {self.sequence}")

    def _value(self, item: bytes) -> bytes | None:
        found = self._version(item, self.sequence)
        return None if found is None else decode_version(*found)

    def _version(self, item: bytes, sequence: int) -> _Found | None:
        end = item + _END
        while True:
            found = next(self._source.scan(item + newest_first(sequence), end), None)
            if found is None:
                return None
            at = sequence_of(found[0])
            sequence = self._skips.below(at)
            if sequence == at:
                return found

    def _newest(self, start: bytes, stop: bytes) -> Iterator[_Found]:
        """Yield the version that counts of each thing in a range."""
        settled = b""
        while start:
            skipped, restart = 0, b""
            for key, value in self._source.scan(start, stop):
                item, at = key[:-8], sequence_of(key)
                seen = self._skips.below(min(self.sequence, at))
                if item != settled and seen == at:
                    settled, skipped = item, 0
                    yield key, value
                elif (skipped := skipped + 1) > STORE_VERSIONS_SKIPPED_MAX:
                    restart = item + (_END if item == settled else newest_first(seen))
                    break
            start = restart
