"""Where the embedded chain keeps its blocks: in memory alone, or in a folder as well.

Laws
- One batch for each change of the chain, on the disk when it returns.
- A layout that this build does not write is refused, never guessed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from devnet.embedded.blocks import Rules
from sequencer.chain.block import Block
from sequencer.chain.codec import decode_fields, encode_fields
from sequencer.model.refusals import Reason, Refused
from sequencer.storage.key_value import KeyValue
from sequencer.storage.leveldb import DATABASE_FOLDER, open_leveldb

_RULES_KEY, _BLOCK = b"rules", b"block"
_HEIGHT_BYTES = 8
_LAYOUT = b"\x01"


class BlockStore(Protocol):
    """Keeps what a chain is made of."""

    def write(self, rules: Rules, added: Sequence[Block], dropped: Sequence[int]) -> None:
        """Keep blocks, forget those of some heights, and keep the rules, all in one."""

    def close(self) -> None:
        """Let go of the files."""


class NoStore:
    """Keeps nothing: the chain is gone with its process."""

    def write(self, rules: Rules, added: Sequence[Block], dropped: Sequence[int]) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Do nothing."""


class FolderStore:
    """Keeps a chain in a folder of its own.

    Failures on construction: those of `open_leveldb`.
    """

    def __init__(self, folder: Path) -> None:
        self._database: KeyValue = open_leveldb(
            folder, create=not (folder / DATABASE_FOLDER).exists()
        )

    def read(self) -> tuple[Rules, Sequence[Block]] | None:
        """Return what is there, None for nothing. Refusals: ROW_MALFORMED, ROW_VERSION_UNKNOWN."""
        kept = self._database.get(_RULES_KEY)
        if kept is None:
            return None
        if kept[:1] != _LAYOUT:
            words = f"an embedded devnet's folder of layout {kept[:1].hex()}, not {_LAYOUT.hex()}"
            raise Refused(Reason.ROW_VERSION_UNKNOWN, words)
        stop = _BLOCK + b"\xff" * (_HEIGHT_BYTES + 1)
        blocks = [decode_fields(value, 0, Block) for _, value in self._database.scan(_BLOCK, stop)]
        return decode_fields(kept[1:], 0, Rules), blocks

    def write(self, rules: Rules, added: Sequence[Block], dropped: Sequence[int]) -> None:
        """As the store says. Failure: StoreFailed."""
        gone = [(_key(height), None) for height in dropped]
        blocks = [(_key(block.header.number), encode_fields(block)) for block in added]
        self._database.write([(_RULES_KEY, _LAYOUT + encode_fields(rules)), *gone, *blocks])

    def close(self) -> None:
        """Let go of the files."""
        self._database.close()


def _key(height: int) -> bytes:
    return _BLOCK + height.to_bytes(_HEIGHT_BYTES, "big")
