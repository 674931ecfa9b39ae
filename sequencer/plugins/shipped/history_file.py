"""The SQLite file of the history: whose it is, where it ends, and one transaction for a call.

Promises
- A file of another chain, or one that is no history at all, is left as it is and refused in one
  line; so is whatever SQLite does not get done.
- The place moves in the transaction that writes the rows: whatever is killed when, both are there
  or neither is.

Laws
- Every commit reaches the disk before the call returns. Others may read meanwhile: they see whole
  calls.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sequencer.model.plugin_limits import HISTORY_LOCK_SECONDS_MAX
from sequencer.plugins.protocol import Context, Key
from sequencer.plugins.shipped.history_rows import Row
from sequencer.plugins.shipped.history_schema import APPLICATION_ID, FORMAT, statements
from sequencer.plugins.shipped.recording import (
    CannotRecord,
    is_recorded,
    path_of,
    require_chain,
    require_not_behind,
)
from sequencer.starknet.felt import Felt, format_felt

_IN_MEMORY = ":memory:"
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class HistoryFile:
    """An open file. All of its methods may raise CannotRecord."""

    def __init__(self, context: Context) -> None:
        path = path_of(context, "history.sqlite")
        self.path = Path(_IN_MEMORY) if context.is_dry else path
        with self._in_words():
            if not context.is_dry and not self.path.exists():
                require_not_behind(self.path, None, context)
            self._database = sqlite3.connect(
                self.path, timeout=HISTORY_LOCK_SECONDS_MAX, isolation_level=None
            )
        with ExitStack() as stack:
            stack.callback(self.close)
            self._begin(context)
            stack.pop_all()

    def close(self) -> None:
        """Let go of the file."""
        with self._in_words():
            self._database.close()

    @contextmanager
    def call(self, key: Key) -> Iterator[bool]:
        """Begin the transaction of a call and end it with the block; False: it is done already."""
        with self._transaction():
            is_new = not is_recorded(self._place(), key)
            yield is_new
            if is_new:
                place = (key.sequence, key.step)
                self.write("UPDATE place SET sequence = ?, step = ?", place)

    def write(self, statement: str, values: Row = ()) -> int:
        """Run a statement that changes rows; returns how many."""
        return self._database.execute(statement, values).rowcount

    def write_many(self, statement: str, rows: Iterable[Row]) -> None:
        """Run a statement for each of some rows."""
        self._database.executemany(statement, rows)

    def read_one(self, statement: str, values: Row = ()) -> Row | None:
        """Return the first row that a statement finds."""
        row: Row | None = self._database.execute(statement, values).fetchone()
        return row

    def read_all(self, statement: str, values: Row = ()) -> list[Row]:
        """Return all rows that a statement finds."""
        return self._database.execute(statement, values).fetchall()

    def _begin(self, context: Context) -> None:
        with self._in_words():
            # Before anything is written: of a file of somebody else's not even the mode is changed.
            is_empty = self._require_ours(context.chain_id)
            if not context.is_dry:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
        if is_empty or context.done is None:
            with self._transaction():
                self._make_anew(context.chain_id)
        if not context.is_dry:
            self._require_format()
            require_not_behind(self.path, self._place(), context)

    def _require_ours(self, chain_id: Felt) -> bool:
        """Refuse a file of somebody else's; True where there is nothing in it."""
        objects = self.read_one("SELECT count(*) FROM sqlite_master")
        marked = self.read_one("PRAGMA application_id")
        if objects == (0,):
            return True
        if marked != (APPLICATION_ID,):
            raise CannotRecord(f"{self.path} is a database, but no history of this plugin's")
        row = self.read_one("SELECT chain_id FROM place")
        if row is not None:
            require_chain(self.path, str(row[0]), chain_id)
        return False

    def _require_format(self) -> None:
        with self._in_words():
            row = self.read_one("PRAGMA user_version")
        if row != (FORMAT,):
            words = f"has layout {row[0] if row else 0}, this build writes {FORMAT}"
            raise CannotRecord(f"{self.path} {words}: rebuild the plugin to write it anew")

    def _make_anew(self, chain_id: Felt) -> None:
        # Emptied, not removed: whoever has it open to read goes on with the new contents.
        found = self._database.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'table') "
            "ORDER BY type DESC, name"
        )
        for kind, name in found.fetchall():
            self.write(f'DROP {kind} "{name}"')
        for statement in statements():
            self.write(statement)
        self.write("INSERT INTO place VALUES (?, NULL, NULL)", (format_felt(chain_id),))
        self.write(f"PRAGMA application_id = {APPLICATION_ID}")
        self.write(f"PRAGMA user_version = {FORMAT}")

    def _place(self) -> Key | None:
        with self._in_words():
            row = self.read_one("SELECT sequence, step FROM place")
        if row is None or not isinstance(row[0], int) or not isinstance(row[1], int):
            return None
        return Key(row[0], row[1])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._in_words():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    with suppress(sqlite3.Error):
                        self._database.execute("ROLLBACK")

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            way_out = ""
            if getattr(error, "sqlite_errorcode", None) in _BROKEN:
                # Nobody can tell whose it was, so it is left alone even by a rebuild.
                way_out = "; move it away and rebuild the plugin"
            raise CannotRecord(f"{self.path}: {error}{way_out}") from error
