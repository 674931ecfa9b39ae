"""What a follower keeps: how far its plugin has come, its bucket, and the blocks it was told of.

Promises
- What a call wrote into the bucket becomes durable with its key, in one transaction.
- A call's block, or the reorg that it belongs to, is durable before the call begins: whatever
  becomes of the chain meanwhile, a call that was cut off comes again, the very same.
- Blocks are kept as the node sent them, since it forgets those that a reorg removes.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.codec import decode_fields, encode_fields
from sequencer.model.plugin_limits import FOLLOW_KEPT_BLOCKS
from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.follow.folder import lock_folder, open_anew, open_database
from sequencer.plugins.follow.reading import RemoteBlock, read_remote, read_remote_block
from sequencer.plugins.protocol import Classes, Key, Reorg
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff

_FORMAT = 1
_FAST = 1
# JSON that Python reads and nobody may write: half letters, numbers of any length, endless depth.
_UNWRITABLE = (OverflowError, TypeError, ValueError, RecursionError)
_PLACE = "SELECT format, name, chain_id, genesis, start, tip, done, reorgs, reorg FROM place"


class Place(msgspec.Struct, frozen=True):
    """Where a follower stands.

    `tip` is the height of the last block that its plugin has, start - 1 for none; `done` the number
    of the last call, `reorg` the one that is being told. `genesis` is None where the node had none.
    """

    name: str
    chain_id: Felt
    genesis: bytes | None
    start: int
    tip: int
    done: int | None = None
    reorgs: int = 0
    reorg: Reorg | None = None


class CallKind(StrEnum):
    """What a plugin is told."""

    APPLY = "new_block"
    REVERT = "revert_block"
    DONE = "reorg_done"


class PlannedCall(msgspec.Struct, frozen=True):
    """The next call, as it is durable. DONE has no block."""

    kind: CallKind
    key: Key
    block: RemoteBlock | None = None
    below: RemoteBlock | None = None
    classes: Classes = {}
    reverse: StateDiff = StateDiff()
    reorg: Reorg | None = None


class FetchedBlock(msgspec.Struct, frozen=True):
    """A block read from the node, with what of it is kept."""

    remote: RemoteBlock
    sent: bytes
    classes: Classes


class FollowStore:
    """The kept state of one follower, in a folder or (`folder` None) in memory.

    `rebuild_for`: begin anew for the plugin of that name. Refusals on construction:
    FOLLOW_FOLDER_LOCKED, FOLLOW_FOLDER_UNUSABLE.
    """

    def __init__(self, folder: Path | None, *, rebuild_for: str | None = None) -> None:
        self._lock = None if folder is None else lock_folder(folder)
        self._planned: Place | None = None
        try:
            if rebuild_for is None or folder is None:
                self._database = open_database(folder)
            else:
                self._database = open_anew(folder, rebuild_for)
            self.place = self._read_place()
        except (OSError, sqlite3.Error) as error:
            self._unlock()
            words = f"{folder}: {error}"
            raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words) from None
        except Refused:
            self._unlock()
            raise

    def close(self) -> None:
        """Let go of the file and of the folder."""
        self._database.close()
        self._unlock()

    def begin(self, place: Place) -> None:
        """Write down whom it follows, before anything is told."""
        row = (_FORMAT, place.name, _felt(place.chain_id), place.genesis, place.start, place.tip)
        with self._transaction():
            self._run("INSERT INTO place VALUES (?, ?, ?, ?, ?, ?, NULL, 0, NULL)", row)
        self.place = place

    def begun(self) -> Place:
        """Return where it stands; it has begun."""
        if self.place is None:
            raise TypeError("nothing is followed yet")
        return self.place

    def bucket(self) -> Sequence[tuple[bytes, bytes]]:
        """Return the plugin's keys and values."""
        rows: Sequence[tuple[bytes, bytes]] = self._run("SELECT key, value FROM bucket").fetchall()
        return rows

    def block(self, height: int) -> RemoteBlock | None:
        """Return a kept block."""
        row = self._run("SELECT told FROM blocks WHERE height = ?", (height,)).fetchone()
        return None if row is None else _read_sent(row[0])

    def lowest(self) -> int:
        """Return the height of the lowest kept block; above the tip where there is none."""
        row = self._run("SELECT MIN(height) FROM blocks").fetchone()
        return self.begun().tip + 1 if row[0] is None else int(row[0])

    def plan_blocks(self, blocks: Sequence[FetchedBlock]) -> None:
        """Write down the blocks that come next."""
        rows = [
            (each.remote.height, each.sent, _write_classes(each.classes), None) for each in blocks
        ]
        with self._transaction():
            self._database.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?)", rows)

    def plan_reorg(self, reorg: Reorg, reverses: Sequence[tuple[int, StateDiff]]) -> None:
        """Write down a reorg, with what each of its blocks takes back."""
        with self._transaction():
            for height, diff in reverses:
                row = (encode_fields(diff), height)
                self._run("UPDATE blocks SET reverse = ? WHERE height = ?", row)
            self._write(msgspec.structs.replace(self.begun(), reorg=reorg))

    def next_call(self) -> PlannedCall | None:
        """Return the next call that is written down."""
        place = self.begun()
        key = Key(0 if place.done is None else place.done + 1)
        if place.reorg is not None:
            return self._next_of_reorg(place, place.reorg, key)
        query = "SELECT told, classes FROM blocks WHERE height = ?"
        row = self._run(query, (place.tip + 1,)).fetchone()
        if row is None:
            return None
        block, classes = _read_sent(row[0]), _read_classes(row[1])
        return PlannedCall(CallKind.APPLY, key, block, classes=classes)

    def finish(self, planned: PlannedCall, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write down that a call is done, and what it wrote into its bucket."""
        with self._transaction():
            self._set_all(changes)
            self._write(self._after(planned))

    def write_bucket(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write down what was written into the bucket outside all calls."""
        with self._transaction():
            self._set_all(changes)

    def _next_of_reorg(self, place: Place, reorg: Reorg, key: Key) -> PlannedCall:
        if place.tip < reorg.first_height:
            return PlannedCall(CallKind.DONE, key, reorg=reorg)
        query = "SELECT told, reverse FROM blocks WHERE height = ?"
        told, reverse = self._run(query, (place.tip,)).fetchone()
        return PlannedCall(
            CallKind.REVERT,
            key,
            _read_sent(told),
            self.block(place.tip - 1),
            reverse=decode_fields(reverse, 0, StateDiff),
            reorg=reorg,
        )

    def _after(self, planned: PlannedCall) -> Place:
        place = msgspec.structs.replace(self.begun(), done=planned.key.sequence)
        match planned.kind:
            case CallKind.APPLY:
                self._run("UPDATE blocks SET classes = NULL WHERE height = ?", (place.tip + 1,))
                lowest = place.tip + 1 - FOLLOW_KEPT_BLOCKS
                self._run("DELETE FROM blocks WHERE height <= ?", (lowest,))
                return msgspec.structs.replace(place, tip=place.tip + 1)
            case CallKind.REVERT:
                self._run("DELETE FROM blocks WHERE height = ?", (place.tip,))
                return msgspec.structs.replace(place, tip=place.tip - 1)
            case CallKind.DONE:
                head = place.tip if place.reorg is None else place.reorg.head_height
                done = msgspec.structs.replace(place, reorg=None, reorgs=place.reorgs + 1)
                return msgspec.structs.replace(done, tip=head, start=min(place.start, head + 1))

    def _set_all(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        for key, value in changes:
            if value is None:
                self._run("DELETE FROM bucket WHERE key = ?", (key,))
            else:
                self._run("INSERT OR REPLACE INTO bucket VALUES (?, ?)", (key, value))

    def _write(self, place: Place) -> None:
        reorg = None if place.reorg is None else encode_fields(place.reorg)
        row = (place.start, place.tip, place.done, place.reorgs, reorg)
        self._run("UPDATE place SET start = ?, tip = ?, done = ?, reorgs = ?, reorg = ?", row)
        self._planned = place

    def _read_place(self) -> Place | None:
        row = self._run(_PLACE).fetchone()
        if row is None:
            return None
        version, name, chain_id, genesis, start, tip, done, reorgs, reorg = row
        if version != _FORMAT:
            words = f"written in format {version}; this build reads {_FORMAT}"
            raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words)
        open_reorg = None if reorg is None else decode_fields(reorg, 0, Reorg)
        chain = int.from_bytes(chain_id, "big")
        return Place(name, chain, genesis, start, tip, done, reorgs, open_reorg)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._planned = self.place
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        finally:
            if self._database.in_transaction:
                self._run("ROLLBACK")
        self.place = self._planned

    def _run(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        return self._database.execute(statement, tuple(values))

    def _unlock(self) -> None:
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)


def write_sent(block: object, update: object) -> bytes:
    """Write a block and its state update as they are kept. Refusal: BLOCK_MALFORMED."""
    try:
        return zlib.compress(msgspec.json.encode([block, update]), _FAST)
    except _UNWRITABLE as error:
        raise Refused(Reason.BLOCK_MALFORMED, str(error)) from None


def read_sent_block(sent: bytes) -> Block:
    """Read a kept block without what it changed."""
    block, _ = msgspec.json.decode(zlib.decompress(sent))
    return read_remote_block(block)


def _read_sent(sent: bytes) -> RemoteBlock:
    try:
        block, update = msgspec.json.decode(zlib.decompress(sent))
        return read_remote(block, update)
    except (zlib.error, ValueError, Refused) as error:
        words = f"a kept block cannot be read: {error}"
        raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words) from None


def _write_classes(classes: Classes) -> bytes:
    by_name = {hex(class_hash): fields for class_hash, fields in classes.items()}
    try:
        return zlib.compress(msgspec.json.encode(by_name), _FAST)
    except _UNWRITABLE as error:
        words = f"one of classes {', '.join(by_name)} cannot be kept: {error}"
        raise Refused(Reason.FOLLOW_NODE_UNUSABLE, words) from None


def _read_classes(data: bytes) -> Mapping[Felt, Mapping[str, Any]]:
    by_name: dict[str, dict[str, Any]] = msgspec.json.decode(zlib.decompress(data))
    return {int(name, 16): fields for name, fields in by_name.items()}


def _felt(value: Felt) -> bytes:
    return value.to_bytes(32, "big")
