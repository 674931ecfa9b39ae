"""Where an embedded devnet has its chain, in the data folder of whoever started it."""

from pathlib import Path

from sequencer.storage.leveldb import DATABASE_FOLDER

CHAIN_FOLDER = "embedded"


def holds_chain(folder: Path) -> bool:
    """Say whether an embedded devnet has a chain in a data folder already."""
    return (folder / CHAIN_FOLDER / DATABASE_FOLDER).is_dir()
