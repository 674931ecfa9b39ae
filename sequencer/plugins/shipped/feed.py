"""The plugin `feed`: a file of JSON lines, one for each call, for consumers in any language.

Promises
- Every call is a line exactly once and in order, whatever is killed when: a line is on the disk
  before the call returns, and one that was cut off is gone at the next start.
- Taking lines from the first to the last, blocks on top and reverts off it, gives the chain as it
  is, at every line.

Laws
- In events, felts are 0x text and all other numbers decimal text, because many a JSON reader rounds
  numbers; heights, timestamps, counts and ids are JSON numbers.
- A line counts when its newline is there.
"""

from collections.abc import Mapping, Sequence

import msgspec

from sequencer.chain.block import Block
from sequencer.plugins.exchange import Plain, Said, executed_in, felts, plain_fields, said_in
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Context, Reorg
from sequencer.plugins.shipped.feed_file import FeedFile
from sequencer.plugins.shipped.recording import (
    is_recorded,
    path_of,
    require_last,
    require_on_top,
    require_reorg,
)
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff


class _Transaction(msgspec.Struct, frozen=True):
    hash: str
    kind: str
    sender: str
    revert_reason: str | None


class _Decoded(msgspec.Struct, frozen=True):
    transaction: int
    index: int
    name: str
    fields: Mapping[str, Plain]


class _Raw(msgspec.Struct, frozen=True):
    transaction: int
    index: int
    address: str
    keys: Sequence[str]
    data: Sequence[str]


class _Changed(msgspec.Struct, frozen=True):
    """How many entries a state diff has of each kind."""

    slots: int
    nonces: int
    contracts: int
    declared: int


class _BlockLine(msgspec.Struct, frozen=True, tag_field="type", tag="block"):
    key: str
    height: int
    hash: str
    parent_hash: str
    timestamp: int
    state_root: str
    reorg_id: int | None
    transactions: Sequence[_Transaction]
    events: Sequence[_Decoded | _Raw]
    diff: _Changed


class _RevertLine(msgspec.Struct, frozen=True, tag_field="type", tag="revert"):
    key: str
    height: int
    hash: str
    to_height: int | None
    to_hash: str | None
    reorg_id: int
    reason: str


class _ReorgDoneLine(msgspec.Struct, frozen=True, tag_field="type", tag="reorg_done"):
    key: str
    reorg_id: int
    kind: str
    reason: str
    first_height: int
    last_height: int
    head_height: int
    head_hash: str


class Feed:
    """Keeps a file of JSON lines. Option `path`: where, else `feed.jsonl` in the plugin's folder.

    Whatever is wrong with the file is said in a CannotRecord.
    """

    def init(self, context: Context) -> None:
        """Open the file, or begin it anew where nothing that was told is durable."""
        self._context = context
        self._file: FeedFile | None = None
        self._lines = 0
        self._path = path_of(context, "feed.jsonl")
        if not context.is_dry:
            self._file = FeedFile(self._path, context)

    def shutdown(self) -> None:
        """Close the file; after a dry run, say how many lines it would have got."""
        if self._file is not None:
            self._file.close()
        elif self._context.is_dry:
            self._context.say(f"{self._path} would have got {self._lines} lines")

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
        """Write a block: `reorg_id` is the undo's that brought it back."""
        if self._is_told():
            return
        require_on_top(self._path, block, self._last())
        header, reorg = block.header, self._context.reorg
        line = _BlockLine(
            key=str(self._context.key),
            height=header.number,
            hash=format_felt(block.hash),
            parent_hash=format_felt(header.parent_hash),
            timestamp=header.timestamp,
            state_root=format_felt(header.state_root),
            reorg_id=None if reorg is None else reorg.reorg_id,
            transactions=_transactions(block),
            events=[_event(said) for said in said_in(block)],
            diff=_changed(block.diff),
        )
        self._write(line, block.hash)

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        to_block: BlockAndStateUpdate | None,
        reverse_state_diff: StateDiff,
    ) -> None:
        """Write that the last block is taken back."""
        if self._is_told():
            return
        block, below = from_block.block, None if to_block is None else to_block.block
        require_last(self._path, block, self._last())
        reorg = require_reorg(self._context)
        line = _RevertLine(
            key=str(self._context.key),
            height=block.header.number,
            hash=format_felt(block.hash),
            to_height=None if below is None else below.header.number,
            to_hash=None if below is None else format_felt(below.hash),
            reorg_id=reorg.reorg_id,
            reason=reorg.reason,
        )
        self._write(line, None if below is None else below.hash)

    def reorg_done(self, reorg: Reorg) -> None:
        """Write that a rollback or an undo is complete."""
        if self._is_told():
            return
        line = _ReorgDoneLine(
            key=str(self._context.key),
            reorg_id=reorg.reorg_id,
            kind=str(reorg.kind),
            reason=reorg.reason,
            first_height=reorg.first_height,
            last_height=reorg.last_height,
            head_height=reorg.head_height,
            head_hash=format_felt(reorg.head_hash),
        )
        self._write(line, reorg.head_hash)

    def _is_told(self) -> bool:
        return self._file is not None and is_recorded(self._file.end.key, self._context.key)

    def _last(self) -> Felt | None:
        return None if self._file is None else self._file.end.last

    def _write(self, line: msgspec.Struct, last: Felt | None) -> None:
        self._lines += 1
        if self._file is not None:
            self._file.append(msgspec.json.encode(line), self._context.key, last)


def _transactions(block: Block) -> list[_Transaction]:
    return [
        _Transaction(
            hash=format_felt(receipt.transaction_hash),
            kind=sent.kind,
            sender=format_felt(sent.sender),
            revert_reason=receipt.revert_reason,
        )
        for sent, receipt in executed_in(block)
    ]


def _event(said: Said) -> _Decoded | _Raw:
    if said.content is not None:
        name = type(said.content).__name__
        return _Decoded(said.transaction, said.index, name, plain_fields(said.content))
    raw = said.raw
    address = format_felt(raw.from_address)
    return _Raw(said.transaction, said.index, address, felts(raw.keys), felts(raw.data))


def _changed(diff: StateDiff) -> _Changed:
    return _Changed(
        slots=sum(len(slots) for slots in diff.storage.values()),
        nonces=len(diff.nonces),
        contracts=len(diff.classes),
        declared=len(diff.declared) + len(diff.deprecated),
    )
