"""The plugin of the campaign's own: it counts in its bucket, and writes every call down outside.

Laws
- A line is on the disk before the call returns, also for a call that comes again: who reads the
  file sees what was told, in which order, how often, and what the bucket held at that time.
"""

import os
from pathlib import Path

import msgspec

from sequencer.chain.block import Block
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Context, Key, Reorg
from sequencer.starknet.felt import Felt
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff

USE = f"{__name__}:Recorder"
"""How a node is told of this plugin."""

INIT, APPLY, REVERT, DONE = "INIT", "APPLY", "REVERT", "DONE"
"""What a line is about."""

_FILE = "calls"
_CALLS, _REORGS, _HASH = b"calls", b"reorgs", b"hash "
_COUNT_BYTES = 8


class Line(msgspec.Struct, frozen=True):
    """A call. `calls` is how many the bucket had counted before it.

    The key of INIT is the last one that was durable, 0 where nothing was. `left` is how many calls
    of the same reorg are to follow.
    """

    kind: str
    sequence: int
    step: int
    calls: int
    height: int = -1
    block: str = ""
    left: int = 0

    @property
    def key(self) -> Key:
        """Return the key of the call."""
        return Key(self.sequence, self.step)


def read_lines(folder: Path) -> list[Line]:
    """Read what a recorder with this folder was told; a line that is not whole is none yet."""
    path = folder / _FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [msgspec.json.decode(line, type=Line) for line in lines]


class Recorder:
    """Counts calls and reorgs, and keeps the hashes of live blocks, in its bucket."""

    def init(self, context: Context) -> None:
        """Open the file, and say in it where the host stands."""
        self._context, self._bucket = context, context.bucket
        path = context.folder / _FILE
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._write(INIT, context.done or Key(0), None, 0)

    def new_block(self, block: Block, _state_update: StateUpdate, _new_classes: Classes) -> None:
        """Count a block, which is live."""
        height, reorg = block.header.number, self._context.reorg
        left = 0 if reorg is None else reorg.last_height - height + 1
        self._write(APPLY, self._context.key, block, left)
        self._count(_CALLS)
        self._bucket.put(_place_of(block), block.hash.to_bytes(32, "big"))

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        _to_block: BlockAndStateUpdate | None,
        _reverse_state_diff: StateDiff,
    ) -> None:
        """Count that a block is not live any more."""
        block, reorg = from_block.block, self._context.reorg
        left = 0 if reorg is None else block.header.number - reorg.first_height + 1
        self._write(REVERT, self._context.key, block, left)
        self._count(_CALLS)
        self._bucket.delete(_place_of(block))

    def reorg_done(self, _reorg: Reorg) -> None:
        """Count a reorg."""
        self._write(DONE, self._context.key, None, 0)
        self._count(_CALLS)
        self._count(_REORGS)

    def _write(self, kind: str, key: Key, block: Block | None, left: int) -> None:
        calls = _number(self._bucket.get(_CALLS))
        height, hash_ = (-1, 0) if block is None else (block.header.number, block.hash)
        line = Line(kind, key.sequence, key.step, calls, height, _shown(hash_), left)
        os.write(self._file, msgspec.json.encode(line) + b"\n")
        os.fsync(self._file)

    def _count(self, name: bytes) -> None:
        count = _number(self._bucket.get(name)) + 1
        self._bucket.put(name, count.to_bytes(_COUNT_BYTES, "big"))


def _shown(hash_: Felt) -> str:
    return f"{hash_:064x}" if hash_ else ""


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "big")


def _place_of(block: Block) -> bytes:
    return _HASH + block.header.number.to_bytes(_COUNT_BYTES, "big")
