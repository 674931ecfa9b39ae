"""A chain's store in a data folder, with its witness beside it."""

from contextlib import ExitStack
from pathlib import Path

from sequencer.storage.chain_store import ChainStore
from sequencer.storage.leveldb import open_leveldb
from sequencer.storage.witness import WitnessFile

WITNESS_SUFFIX = ".witness"
"""What follows the data folder's name in the name of its witness file."""


def open_folder(folder: Path, *, create: bool = False, witness: Path | None = None) -> ChainStore:
    """Open the store of a data folder. Failures: those of `open_leveldb` and `ChainStore`."""
    beside = folder.with_name(folder.name + WITNESS_SUFFIX) if witness is None else witness
    with ExitStack() as opened:
        store = open_leveldb(folder, create=create)
        opened.callback(store.close)
        chain = ChainStore(store, WitnessFile(beside))
        opened.pop_all()
        return chain
