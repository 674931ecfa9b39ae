"""The folder of a follower, and the database in it.

Laws
- One process at a time: the folder is locked by the system as long as the process lives.
"""

import os
import sqlite3
import sys
from pathlib import Path

from sequencer.model.refusals import Reason, Refused

if sys.platform != "win32":
    import fcntl

_FILE = "follow.sqlite"
_TABLES = """
CREATE TABLE place (
    format INTEGER NOT NULL, name TEXT NOT NULL, chain_id BLOB NOT NULL, genesis BLOB,
    start INTEGER NOT NULL, tip INTEGER NOT NULL, done INTEGER, reorgs INTEGER NOT NULL,
    reorg BLOB
);
CREATE TABLE blocks (
    height INTEGER PRIMARY KEY, told BLOB NOT NULL, classes BLOB, reverse BLOB
);
CREATE TABLE bucket (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


def open_database(folder: Path | None) -> sqlite3.Connection:
    """Open the file of a folder, or (None) one in memory, with its tables. Error: sqlite3.Error."""
    path = ":memory:" if folder is None else folder / _FILE
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # The default for such a journal may lose the last transactions with the power: a call's
        # block has to be there before the plugin does anything outside because of it.
        database.execute("PRAGMA synchronous = FULL")
        if not database.execute("SELECT name FROM sqlite_master").fetchall():
            database.executescript(f"BEGIN; {_TABLES} COMMIT;")
    except sqlite3.Error:
        database.close()
        raise
    return database


def open_anew(folder: Path, name: str) -> sqlite3.Connection:
    """Open without anything in it: emptied in one transaction, or removed where it is broken.

    Refusal: FOLLOW_FOLDER_UNUSABLE where it is another plugin's than `name`.
    """
    try:
        database = open_database(folder)
        others = database.execute("SELECT name FROM place WHERE name != ?", (name,)).fetchone()
        if others is None:
            database.executescript(
                "BEGIN; DELETE FROM place; DELETE FROM blocks; DELETE FROM bucket; COMMIT;"
            )
    except sqlite3.Error:
        for suffix in ("-wal", "-shm", ""):
            (folder / f"{_FILE}{suffix}").unlink(missing_ok=True)
        return open_database(folder)
    if others is not None:
        # Whoever rebuilds a plugin has not said that another one may be forgotten.
        database.close()
        raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, f"{folder} is that of plugin {others[0]}")
    return database


def lock_folder(folder: Path) -> int:
    """Make a folder ours until the descriptor that is returned is closed, or the process ends.

    Refusals: FOLLOW_FOLDER_LOCKED, FOLLOW_FOLDER_UNUSABLE.
    """
    if sys.platform == "win32":
        raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, "no flock on this system")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        words = f"{folder}: {error.strerror or error}"
        raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        words = f"another process follows in {folder}"
        raise Refused(Reason.FOLLOW_FOLDER_LOCKED, words) from None
    return descriptor
