"""A block as one batch: what it changed, the block itself, its indices, and the new head.

Laws
- The batch holds everything that becomes true with the block, and the head last of all: a store
  whose head names a block has all of it.
- A row's value before is taken from whoever commits, who has it in memory, and a part of them is
  compared with the disk in every block: memory and disk that differ stop the writer. A row that is
  set to what it was is no change.
"""

from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

import msgspec

from sequencer.model.commits import BlockCommit, BucketChange, NodeChange, RowChange
from sequencer.model.limits import (
    STORE_KEY_PART_BYTES_MAX,
    STORE_ROWS_COMPARED_MAX,
    TRIE_HEIGHT_MAX,
)
from sequencer.model.records import (
    BlockPlace,
    BlockRecord,
    ChangedNodes,
    ChangedRows,
    Effect,
    EffectKind,
    Head,
    HighWater,
    InboxFact,
    Mark,
    SeenMark,
    TransactionPlace,
)
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.access import fetch
from sequencer.storage.digest import Digest
from sequencer.storage.encoding import (
    CHECKSUM_BYTES,
    PRESENT,
    TOMBSTONE,
    Record,
    encode_record,
    encode_version,
    pack,
)
from sequencer.storage.view import View

Puts = list[tuple[bytes, bytes | None]]

_PATH_BYTES = 32
_PATH_END = len(keys.node_item(bytes(32), 0, 0))


def block_batch(view: View, commit: BlockCommit) -> tuple[Puts, Head]:
    """Build the batch that appends a block, and the head that it ends in.

    Refusals: HEAD_MOVED, HALT_LATCHED, COMMIT_MALFORMED. Failure: ROW_DIFFERS.
    """
    require_mark(view.head, commit.planned)
    _require_commit(view.head, commit)
    try:
        return _built(view, commit)
    except (ValueError, OverflowError) as error:
        raise StoreRefused(StoreProblem.COMMIT_MALFORMED, str(error)) from error


def _built(view: View, commit: BlockCommit) -> tuple[Puts, Head]:
    head = view.head
    sequence = head.next_sequence
    puts: Puts = []
    digest = _put_rows(puts, view, commit, sequence)
    _put_nodes(puts, commit.nodes, sequence)
    _put_block(puts, head, commit, digest)
    for index, transaction in enumerate(commit.transactions):
        place = TransactionPlace(commit.height, sequence, index)
        put_record(puts, keys.TRANSACTION.key(transaction, sequence), place)
    _put_seen(puts, commit.seen, sequence)
    _put_high_water(puts, view, commit.high_water)
    changed = _head_after(head, commit, digest)
    put_effects(puts, changed, head.next_effect, commit.effects)
    put_record(puts, keys.HEAD.key(), changed)
    return puts, changed


def require_mark(head: Head, planned: Mark) -> None:
    """Refuse with HEAD_MOVED what was made for another head."""
    if head.mark != planned:
        raise StoreRefused(
            StoreProblem.HEAD_MOVED,
            f"made for epoch {planned.epoch} sequence {planned.sequence}, "
            f"the head is at epoch {head.epoch} sequence {head.sequence}",
        )


def put_record(puts: Puts, key: bytes, record: Record) -> None:
    """Add a record to a batch."""
    puts.append((key, encode_record(key, record)))


def put_effects(
    puts: Puts, head: Head, first: int, effects: Iterable[tuple[EffectKind, bytes]]
) -> None:
    """Add outbox rows, numbered from `first`, to the batch that ends in a head."""
    for number, (kind, payload) in enumerate(effects, first):
        effect = Effect(number, kind, head.epoch, head.sequence, payload)
        put_record(puts, keys.EFFECT.key(number), effect)


def _require_commit(head: Head, commit: BlockCommit) -> None:
    if head.latch is not None and not commit.reopens:
        raise StoreRefused(
            StoreProblem.HALT_LATCHED, f"halted by reorg {head.latch.reorg_id}: reopen first"
        )
    wrong = [
        name
        for name, holds in (
            (f"height {commit.height}", commit.height == head.height + 1),
            ("block hash", len(commit.block_hash) == 32),
            ("state root", len(commit.state_root) == 32),
            ("a row's key", all(map(_row_fits, commit.rows))),
            ("a node's position", all(map(_node_fits, commit.nodes))),
            ("a row twice", len({row[:2] for row in commit.rows}) == len(commit.rows)),
            ("a node twice", len({node[:3] for node in commit.nodes}) == len(commit.nodes)),
            ("a transaction twice", len({*commit.transactions}) == len(commit.transactions)),
        )
        if not holds
    ]
    if wrong:
        detail = f"above block {head.height}: {', '.join(wrong)}"
        raise StoreRefused(StoreProblem.COMMIT_MALFORMED, detail)


def _row_fits(row: RowChange) -> bool:
    table, key, _, _ = row
    return 0 <= table < 256 and len(key) <= STORE_KEY_PART_BYTES_MAX


def _node_fits(node: NodeChange) -> bool:
    trie, depth, path, _ = node
    return len(trie) == 32 and 0 <= depth <= TRIE_HEIGHT_MAX and 0 <= path < 1 << depth


def _put_rows(puts: Puts, view: View, commit: BlockCommit, sequence: int) -> bytes:
    """Add the rows that differ and their list, and return the digest after them."""
    digest, version = Digest(view.head.digest), keys.newest_first(sequence)
    _compare_rows(view, commit, sequence)
    changed = []
    for table, key, before, value in commit.rows:
        if before == value:
            continue
        digest.replace(table, key, before, value)
        row_key = keys.row_item(table, key) + version
        puts.append((row_key, encode_version(row_key, value)))
        changed.append((table, key))
    put_record(puts, keys.CHANGED_ROWS.key(sequence), ChangedRows(tuple(changed)))
    return digest.value()


def _compare_rows(view: View, commit: BlockCommit, sequence: int) -> None:
    """Compare values before with the disk: all of a small block's, a rotating part of a large's.

    Failure: ROW_DIFFERS.
    """
    state, stride = view.state(), -(-len(commit.rows) // STORE_ROWS_COMPARED_MAX) or 1
    for table, key, before, _ in commit.rows[sequence % stride :: stride]:
        if state.row(table, key) != before:
            raise StoreFailed(
                StoreProblem.ROW_DIFFERS,
                f"row {key.hex()} of table {table} is another one on the disk than in memory",
            )


def _put_nodes(puts: Puts, nodes: Sequence[NodeChange], sequence: int) -> None:
    version = keys.newest_first(sequence)
    places: dict[bytes, int] = {}
    written = []
    for trie, depth, path, value in nodes:
        # `node_item` and `encode_version`, written out: a block has thousands.
        node_key = b"N%b%c%b%b" % (trie, depth, path.to_bytes(_PATH_BYTES, "big"), version)
        payload = TOMBSTONE if value is None else PRESENT + value
        checksum = crc32(payload, crc32(node_key)).to_bytes(CHECKSUM_BYTES, "big")
        puts.append((node_key, checksum + payload))
        place = places.setdefault(trie, len(places))
        written.append((place, depth, node_key[_PATH_END - (depth + 7 >> 3) : _PATH_END]))
    record = ChangedNodes(tuple(places), tuple(written))
    put_record(puts, keys.CHANGED_NODES.key(sequence), record)


def _put_block(puts: Puts, head: Head, commit: BlockCommit, digest: bytes) -> None:
    height, sequence = commit.height, head.next_sequence
    record = BlockRecord(
        height=height,
        sequence=sequence,
        epoch=head.epoch,
        block_hash=commit.block_hash,
        parent_hash=head.block_hash,
        parent_sequence=head.block_sequence,
        state_root=commit.state_root,
        digest=digest,
        header=commit.header,
    )
    put_record(puts, keys.BLOCK.key(height, sequence), record)
    body_key = keys.BODY.key(height, sequence)
    puts.append((body_key, pack(body_key, commit.body)))
    hash_key = keys.BLOCK_HASH.key(commit.block_hash, sequence)
    put_record(puts, hash_key, BlockPlace(height, sequence))


def _put_seen(puts: Puts, seen: Iterable[tuple[bytes, int]], sequence: int) -> None:
    for message_hash, until_ms in seen:
        mark = SeenMark(sequence, until_ms)
        put_record(puts, keys.SEEN.key(message_hash), mark)
        if until_ms:
            until_key = keys.SEEN_UNTIL.key(until_ms, message_hash)
            put_record(puts, until_key, mark)


def _put_high_water(puts: Puts, view: View, marks: Iterable[tuple[bytes, int]]) -> None:
    newest: dict[bytes, int] = {}
    for source, time in marks:
        newest[source] = max(time, newest.get(source) or view.high_water(source))
    for source, time in newest.items():
        put_record(puts, keys.HIGH_WATER.key(source), HighWater(time))


def inbox_puts(view: View, facts: Iterable[InboxFact]) -> Puts:
    """Build the batch that adds facts, or retracts them. Refusal: INBOX_CONFLICT.

    The same fact may come again, behind other ones, after a reorg of the settlement chain.
    """
    puts: Puts = []
    for fact in facts:
        key = keys.INBOX.key(fact.nonce, fact.message_hash)
        known = fetch(view.source, InboxFact, key)
        if known is not None and known.payload != fact.payload:
            raise StoreRefused(
                StoreProblem.INBOX_CONFLICT, f"message {fact.nonce} has another content by now"
            )
        put_record(puts, key, fact)
    return puts


def bucket_puts(buckets: Iterable[BucketChange]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield what plugins write into their own buckets."""
    for plugin, name, value in buckets:
        key = keys.BUCKET.key(plugin.encode(), name)
        yield key, None if value is None else pack(key, value)


def _head_after(head: Head, commit: BlockCommit, digest: bytes) -> Head:
    return msgspec.structs.replace(
        head,
        height=commit.height,
        sequence=head.next_sequence,
        block_sequence=head.next_sequence,
        block_hash=commit.block_hash,
        state_root=commit.state_root,
        digest=digest,
        next_effect=head.next_effect + len(commit.effects),
        latch=None,
        guards_forced_on=head.guards_forced_on and not commit.reopens,
    )
