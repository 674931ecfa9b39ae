"""A plugin that keeps the chain it was told of in its bucket: blocks, slots, nonces, classes.

It refuses whatever does not fit on what it has, and writes each call into a file, once per key:
what comes again after a cut is told from what comes twice.
"""

from collections.abc import Iterator, Sequence

from sequencer.chain.block import Block
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Context, Key, Reorg
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff

LINES_FILE = "calls"


class Ledger:
    """What it has is read back with `blocks_of` and `values_of`."""

    def init(self, context: Context) -> None:
        self._context, self._bucket = context, context.bucket
        # It knows all values, if it is told from block 0 on by a node that tells all of block 0.
        self._is_exact = "exact" in context.options
        self._fail_at = int(context.options.get("fail_at", -1))
        path = context.folder / LINES_FILE
        if context.done is None:
            path.unlink(missing_ok=True)
        self._last = last_key(path.read_text()) if path.exists() else None
        self._calls = path.open("a")

    def shutdown(self) -> None:
        self._calls.close()

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
        height = block.header.number
        top = self._top()
        assert top is None or top[0] == height - 1, (top, height)
        assert top is None or block.header.parent_hash == top[1], height
        assert state_update.diff == block.diff
        assert set(new_classes) == {*block.diff.declared, *block.diff.deprecated}
        assert self._fail_at != height, "told to fail"
        self._bucket.put(_block_key(height), _block_value(block))
        before = [(place, self._get(place)) for place, _ in _places(block.diff)]
        self._bucket.put(_undo_key(height), repr(sorted(before)).encode())
        for place, value in _places(block.diff):
            self._put(place, value)
        self._write(f"+{height} {fingerprint(block)}")

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        to_block: BlockAndStateUpdate | None,
        reverse_state_diff: StateDiff,
    ) -> None:
        block, top = from_block.block, self._top()
        height = block.header.number
        assert top == (height, block.hash), (top, height)
        assert self._bucket.get(_block_key(height)) == _block_value(block)
        reverse = sorted(_places(reverse_state_diff))
        assert {place for place, _ in reverse} == {place for place, _ in _places(block.diff)}
        if self._is_exact:
            assert repr(reverse).encode() == self._bucket.get(_undo_key(height))
        reorg = self._context.reorg
        assert reorg is not None
        assert reorg.first_height <= height <= reorg.last_height
        self._bucket.delete(_block_key(height))
        self._bucket.delete(_undo_key(height))
        for place, value in _places(reverse_state_diff):
            self._put(place, value)
        below = self._top()
        expected = None if to_block is None else (height - 1, to_block.block.hash)
        assert below == expected, (below, expected)
        self._write(f"-{height} {fingerprint(block)}")

    def reorg_done(self, reorg: Reorg) -> None:
        top = self._top()
        assert top is None or top == (reorg.head_height, reorg.head_hash)
        self._write(f"={reorg.reorg_id} {reorg.head_height} {reorg.reason}")

    def _get(self, place: bytes) -> int:
        return int.from_bytes(self._bucket.get(b"v" + place) or b"", "big")

    def _put(self, place: bytes, value: int) -> None:
        if value:
            self._bucket.put(b"v" + place, value.to_bytes(32, "big"))
        else:
            self._bucket.delete(b"v" + place)

    def _top(self) -> tuple[int, int] | None:
        blocks = [*self._bucket.items(b"b")]
        if not blocks:
            return None
        key, value = blocks[-1]
        return int.from_bytes(key[1:], "big"), int.from_bytes(value[:32], "big")

    def _write(self, words: str) -> None:
        """Write outside the bucket, once per key: a file that is there at once."""
        key = self._context.key
        if self._last is not None and key <= self._last:
            return
        self._last = key
        self._calls.write(f"{key.sequence} {words}\n")
        self._calls.flush()


def read_blocks(bucket: Sequence[tuple[bytes, bytes]]) -> dict[int, str]:
    """Return the blocks that a ledger's bucket has: height -> fingerprint."""
    return {
        int.from_bytes(key[1:], "big"): value[32:].decode()
        for key, value in bucket
        if key.startswith(b"b")
    }


def read_values(bucket: Sequence[tuple[bytes, bytes]]) -> dict[tuple[str, int, int], int]:
    """Return the values that it has: (s for a slot, n a nonce, c a class), contract, key."""
    return {
        (chr(key[1]), int.from_bytes(key[2:34], "big"), int.from_bytes(key[34:], "big")): (
            int.from_bytes(value, "big")
        )
        for key, value in bucket
        if key.startswith(b"v")
    }


def blocks_of_calls(text: str) -> dict[int, str]:
    """Do again what the file of calls says, each number once, and return the blocks."""
    blocks: dict[int, str] = {}
    for number, line in enumerate(text.splitlines()):
        sequence, what, *more = line.split(maxsplit=2)
        assert int(sequence) == number, line
        height = int(what[1:])
        if what.startswith("+"):
            assert height not in blocks, line
            assert not blocks or max(blocks) == height - 1, line
            blocks[height] = more[0]
        elif what.startswith("-"):
            assert max(blocks) == height, line
            assert blocks.pop(height) == more[0], line
    return blocks


def last_key(text: str) -> Key | None:
    """Return the key of the last whole line."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return Key(int(lines[-1].split()[0])) if lines else None


def fingerprint(block: Block) -> str:
    """Tell blocks apart that have one hash: by their time and their transactions."""
    hashes = [receipt.transaction_hash for receipt in block.receipts]
    return f"{block.hash:x}/{block.header.timestamp}/{hash(tuple(hashes)) & (1 << 60) - 1:x}"


def nonce_place(address: int) -> bytes:
    """Name the place of a nonce, as the ledger does."""
    return b"n" + address.to_bytes(32, "big")


def _block_key(height: int) -> bytes:
    return b"b" + height.to_bytes(8, "big")


def _undo_key(height: int) -> bytes:
    return b"u" + height.to_bytes(8, "big")


def _block_value(block: Block) -> bytes:
    return block.hash.to_bytes(32, "big") + fingerprint(block).encode()


def _places(diff: StateDiff) -> Iterator[tuple[bytes, int]]:
    for address, slots in diff.storage.items():
        for key, value in slots.items():
            yield b"s" + address.to_bytes(32, "big") + key.to_bytes(32, "big"), value
    for kind, values in ((b"n", diff.nonces), (b"c", diff.classes)):
        for address, value in values.items():
            yield kind + address.to_bytes(32, "big"), value
