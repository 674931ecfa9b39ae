"""A store that is played once for all, copies of it, and changes behind its chain's back."""

import asyncio
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from shutil import copyfile, copytree
from tempfile import TemporaryDirectory

import msgspec

from sequencer.chain.stored import decode_body, encode_body
from sequencer.storage import keys
from sequencer.storage.encoding import pack, unpack
from sequencer.storage.key_value import Readable
from sequencer.storage.leveldb import open_leveldb
from tests.properties.chain_script import play

BLOCKS = 24
Changes = Iterator[tuple[bytes, bytes]]


@cache
def _kept() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


@cache
def played() -> tuple[Path, tuple[str, ...]]:
    """Return where the store is, and the hashes of its blocks."""
    folder = Path(_kept().name) / "chain"
    hashes, _ = asyncio.run(play(folder, 5, BLOCKS, restart=False))
    return folder, tuple(hashes)


def copy_store(origin: Path, copy: Path) -> Path:
    """Copy a stopped node's folder, and the witness that lies beside it."""
    copytree(origin, copy)
    copyfile(f"{origin}.witness", f"{copy}.witness")
    return copy


def change(folder: Path, changes: Callable[[Readable], Changes]) -> None:
    """Change the store behind the chain's back, with valid checksums."""
    store = open_leveldb(folder, create=False)
    store.write(tuple(changes(store)))
    store.close()


def another_receipt(source: Readable) -> Changes:
    key, value = next(source.scan(*keys.BODY.range(9)))
    body = decode_body(unpack(key, value))
    first, *others = body.receipts
    receipts = (msgspec.structs.replace(first, actual_fee=1), *others)
    yield key, pack(key, encode_body(msgspec.structs.replace(body, receipts=receipts)))
