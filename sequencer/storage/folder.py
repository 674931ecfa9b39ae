"""A chain's store in a data folder, with its witness beside it."""

from contextlib import ExitStack
from pathlib import Path

from sequencer.model.records import Witness
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.leveldb import open_leveldb
from sequencer.storage.witness import WitnessFile

WITNESS_SUFFIX = ".witness"
"""What follows the data folder's name in the name of its witness file."""


class _Unwitnessed:
    """In place of a witness, for a store that is being made: nobody else may take it for one."""

    def read(self) -> Witness | None:
        return None

    def write(self, witness: Witness) -> None:
        return

    def close(self) -> None:
        return


def make_folder(folder: Path) -> ChainStore:
    """Make an empty store that leaves no witness: whoever opens it later has to acknowledge it.

    Failures: those of `open_leveldb`.
    """
    with ExitStack() as opened:
        store = open_leveldb(folder, create=True)
        opened.callback(store.close)
        chain = ChainStore(store, _Unwitnessed())
        opened.pop_all()
        return chain


def witness_beside(folder: Path) -> Path:
    """Return where the witness of a data folder lies, unless somebody says otherwise."""
    return folder.with_name(folder.name + WITNESS_SUFFIX)


def open_folder(folder: Path, *, create: bool = False, witness: Path | None = None) -> ChainStore:
    """Open the store of a data folder. Failures: those of `open_leveldb` and `ChainStore`."""
    with ExitStack() as opened:
        store = open_leveldb(folder, create=create)
        opened.callback(store.close)
        chain = ChainStore(store, WitnessFile(witness or witness_beside(folder)))
        opened.pop_all()
        return chain
