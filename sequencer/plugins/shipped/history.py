"""The plugin `history`: what happened on the exchange, in SQL, and right after rollbacks.

Promises
- `SELECT * FROM trades` is what live blocks say, at every moment; what a rollback undid stays
  readable in `all_trades` and `undone_trades`, and an undo makes it live again.
- Every call is in the file exactly once, whatever is killed when. Two files that were told the same
  hold the same rows.

Laws
- The file is one chain's. One that lacks what will not be told again is refused: a rebuild fills it
  from the first block on.
"""

import msgspec

from sequencer.chain.block import Block
from sequencer.model.records import IncidentKind
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Context, Reorg
from sequencer.plugins.shipped.history_file import HistoryFile
from sequencer.plugins.shipped.history_rows import Value, block_row, rows_of
from sequencer.plugins.shipped.recording import require_last, require_on_top, require_reorg
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff

_LAST = "SELECT hash FROM blocks_rows WHERE undone_by IS NULL ORDER BY height DESC LIMIT 1"
_BLOCK = "SELECT * FROM blocks_rows WHERE block_id = ?"
_KNOWN = "SELECT block_id, undone_by FROM blocks_rows WHERE hash = ? ORDER BY block_id DESC"
# What changes in the row of a block: which reorg brought it back, and which one undid it.
_MARKS = 2
_HIGHEST_ID = "SELECT max(block_id) FROM blocks_rows"
_ADD_BLOCK = f"INSERT INTO blocks_rows VALUES ({', '.join('?' * 11)})"
_BRING_BACK = "UPDATE blocks_rows SET undone_by = NULL, brought_back_by = ? WHERE block_id = ?"
_TAKE_BACK = """
UPDATE blocks_rows SET undone_by = ? WHERE hash = ? AND height = ? AND undone_by IS NULL
"""
_NOTE_REORG = f"""
INSERT INTO reorgs VALUES ({", ".join("?" * 8)}, NULL) ON CONFLICT (reorg_id) DO UPDATE SET
  kind = excluded.kind, reason = excluded.reason, first_height = excluded.first_height,
  last_height = excluded.last_height, head_height = excluded.head_height,
  head_hash = excluded.head_hash, is_complete = excluded.is_complete
"""
_UNDO_REORG = "UPDATE reorgs SET undone_by = ? WHERE reorg_id = ?"


class History:
    """Keeps a SQLite file. Option `path`: where, else `history.sqlite` in the plugin's folder.

    Whatever is wrong with the file is said in a CannotRecord.
    """

    def init(self, context: Context) -> None:
        """Open the file, or make it anew where nothing that was told is durable."""
        self._context = context
        self._file = HistoryFile(context)

    def shutdown(self) -> None:
        """Close the file."""
        self._file.close()

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
        """Write what a block says; a block that came before is live again."""
        with self._file.call(self._context.key) as is_new:
            if is_new:
                require_on_top(self._file.path, block, self._last())
                self._make_live(block)

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        to_block: BlockAndStateUpdate | None,
        reverse_state_diff: StateDiff,
    ) -> None:
        """Mark what the last block said as undone."""
        block = from_block.block
        with self._file.call(self._context.key) as is_new:
            if is_new:
                require_last(self._file.path, block, self._last())
                reorg = require_reorg(self._context)
                self._note(reorg, is_complete=False)
                where = (format_felt(block.hash), block.header.number)
                self._file.write(_TAKE_BACK, (reorg.reorg_id, *where))

    def reorg_done(self, reorg: Reorg) -> None:
        """Mark a rollback or an undo as complete."""
        with self._file.call(self._context.key) as is_new:
            if is_new:
                self._note(reorg, is_complete=True)

    def _last(self) -> Felt | None:
        row = self._file.read_one(_LAST)
        return None if row is None else int(str(row[0]), 16)

    def _make_live(self, block: Block) -> None:
        """Bring a block back that came before with the same contents, or write it down."""
        for row in self._file.read_all(_KNOWN, (format_felt(block.hash),)):
            block_id, undone_by = int(row[0] or 0), row[1]
            # A chain that hashes less than all of a block has others under the same hash: those
            # stay as they were undone.
            if self._holds(block, block_id):
                self._bring_back(block_id, undone_by)
                return
        (highest,) = self._file.read_one(_HIGHEST_ID) or (None,)
        block_id = int(highest or 0) + 1
        self._file.write(_ADD_BLOCK, block_row(block, block_id))
        for table, rows in rows_of(block, block_id).items():
            self._file.write_many(table.insert(), rows)

    def _holds(self, block: Block, block_id: int) -> bool:
        """Say whether a block that is in the file says what this one does."""
        kept = self._file.read_one(_BLOCK, (block_id,)) or ()
        if kept[:-_MARKS] != block_row(block, block_id)[:-_MARKS]:
            return False
        where = (block.header.number, block_id)
        return all(
            self._file.read_all(table.select(), where) == rows
            for table, rows in rows_of(block, block_id).items()
        )

    def _bring_back(self, block_id: int, undone_by: Value) -> None:
        reorg = self._context.reorg
        self._file.write(_BRING_BACK, (None if reorg is None else reorg.reorg_id, block_id))
        if reorg is not None:
            self._note(reorg, is_complete=False)
            if reorg.kind is IncidentKind.UNDO:
                self._file.write(_UNDO_REORG, (reorg.reorg_id, undone_by))

    def _note(self, reorg: Reorg, *, is_complete: bool) -> None:
        facts = msgspec.structs.astuple(reorg)
        reorg_id, kind, *rest, head_hash = facts
        self._file.write(
            _NOTE_REORG, (reorg_id, str(kind), *rest, format_felt(head_hash), int(is_complete))
        )
