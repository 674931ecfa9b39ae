"""Folders that benches make once and keep: what they hold follows from their name alone.

Laws
- A name carries a hash of whatever decides about the bytes inside, so a folder of an older layout
  is never taken for one of this build.
- A folder is whole or absent: it gets its name when it is finished, and the one of an older layout
  goes then.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sequencer.chain.account_contract import ACCOUNT
from sequencer.storage.leveldb import open_leveldb

ROOT = Path(__file__).resolve().parents[2]
LAYOUT_FILES = (
    "sequencer/chain/slots.py",
    "sequencer/model/markets.py",
    "sequencer/model/orders.py",
    "sequencer/model/records.py",
    "sequencer/model/rows.py",
    "sequencer/storage/keys.py",
)
"""The sources that decide about bytes in a store."""

DATA = "data"
"""The data folder in a kept folder, with its witness beside it."""

_SECONDS = "seconds"
_NAME_BYTES = 6


def kept(name: str, maker: str, make: Callable[[Path], None]) -> tuple[Path, float]:
    """Return a kept folder, made first where it is missing, and the seconds that making it took.

    `maker` is the file of the module that makes it, whose text is in the name, too.
    """
    folder = _cache() / f"bench-{name}-{_layout(maker)}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as made:
            whole = Path(made) / "whole"
            whole.mkdir()
            start = time.perf_counter()
            make(whole)
            (whole / _SECONDS).write_text(f"{time.perf_counter() - start:.1f}")
            for older in folder.parent.glob(f"bench-{name}-{'?' * 2 * _NAME_BYTES}"):
                shutil.rmtree(older)
            whole.rename(folder)
    return folder, float((folder / _SECONDS).read_text())


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """Lend a copy of a kept folder on the disk of this checkout."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as lent:
        copy = Path(lent) / "copy"
        shutil.copytree(folder, copy)
        yield copy


def bytes_in(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def compacted_bytes(data: Path) -> int:
    """Compact a data folder that nobody has open, and return how many bytes it has then."""
    store = open_leveldb(data, create=False)
    store.compact(b"\x00", b"\xff")
    store.close()
    return bytes_in(data)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "perpchain"


def _layout(maker: str) -> str:
    digest = hashlib.blake2s(digest_size=_NAME_BYTES)
    for name in (*LAYOUT_FILES, maker):
        digest.update((ROOT / name).read_bytes())
    # Every address of an account follows from it.
    digest.update(hex(ACCOUNT.class_hash).encode())
    return digest.hexdigest()
