"""Blocks as JSON lines: what somebody needs to execute a chain again from a file alone.

Promises
- The first line is the genesis file. Lines of what no block says may follow; then comes one line
  for each block, in order, and a last one that says so. Its hash is that of the whole file, so
  whatever was cut off or changed since is found.
- Reading gives exactly the blocks that were written. Numbers are hexadecimal text, so that no JSON
  reader rounds them.

Laws
- A file without such lines, of genesis and blocks alone, stays readable. Nobody can tell whether
  blocks are missing at its end.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from sequencer.chain.block import Block
from sequencer.chain.genesis import Genesis, read_genesis
from sequencer.chain.text import text_reader, to_text
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt


class ReorgMark(msgspec.Struct, frozen=True):
    """A rollback that the chain was at some time gone through; `lifted_by` is the undo's epoch."""

    reorg_id: int
    lifted_by: int = 0


class UndoneMark(msgspec.Struct, frozen=True):
    """The hash of a command that a rollback undid, and until when it is remembered (0: for ever).

    Whoever signed it may hold it still: a chain that forgot it would take it again.
    """

    hash: Felt
    until_ms: int
    reorg_id: int


class SourceMark(msgspec.Struct, frozen=True):
    """The newest time that was ever taken from a source of prices, undone blocks included."""

    source: str
    time: int


class Kept(msgspec.Struct, frozen=True):
    """What a chain keeps that none of its blocks says. All reorgs stand in the first such line.

    `is_latched`: it was gone back on, and no block has reopened it.
    """

    reorgs: Sequence[ReorgMark] = ()
    undone: Sequence[UndoneMark] = ()
    sources: Sequence[SourceMark] = ()
    is_latched: bool = False


class End(msgspec.Struct, frozen=True):
    """The last line: the last block's height and hash, 0 where there is none above block 0.

    `sha256` is that of all lines before and of this one without it.
    """

    height: int
    block_hash: Felt
    sha256: str = ""


class _Digest(Protocol):
    """A hash under way."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


Entry: TypeAlias = Kept | Block | End
"""What a line behind the first one holds."""

_KEPT, _END = b'{"kept":', b'{"end":'
_CLOSING = b"}\n"
_kept_of, _end_of, _block_of = text_reader(Kept), text_reader(End), text_reader(Block)


def write_export(
    genesis: bytes, blocks: Iterable[Block], kept: Iterable[Kept] = ()
) -> Iterator[bytes]:
    """Write a chain as lines, each with its line break.

    `genesis` is the genesis file as it is. Refusal: GENESIS_INVALID.
    """
    read_genesis(genesis)
    digest = hashlib.sha256()
    height = block_hash = 0
    first = msgspec.json.encode(msgspec.json.decode(genesis)) + b"\n"
    digest.update(first)
    yield first
    for each in kept:
        line = _line(_KEPT, each)
        digest.update(line)
        yield line
    for block in blocks:
        line = msgspec.json.encode(to_text(block)) + b"\n"
        height, block_hash = block.header.number, block.hash
        digest.update(line)
        yield line
    yield _line(_END, _hashed(End(height, block_hash), digest.copy()))


def read_export(lines: Iterable[bytes]) -> tuple[Genesis, Iterator[Block]]:
    """Read a chain's genesis, and its blocks one by one.

    Refusals: GENESIS_INVALID, EXPORT_MALFORMED naming the line.
    """
    genesis, entries = read_entries(lines)
    return genesis, (entry for entry in entries if isinstance(entry, Block))


def read_entries(lines: Iterable[bytes]) -> tuple[Genesis, Iterator[Entry]]:
    """Read a chain's genesis, and what each further line holds. Refusals: as above."""
    remaining = iter(lines)
    first = next(remaining, b"")
    return read_genesis(first), _entries(first, remaining)


def _entries(first: bytes, remaining: Iterator[bytes]) -> Iterator[Entry]:
    digest = hashlib.sha256(first)
    newest: Block | None = None
    number, has_end, is_ended = 1, False, False
    for number, line in enumerate(remaining, 2):
        if is_ended:
            raise _malformed(number, "it goes on behind its last line")
        entry = _read(line, number)
        match entry:
            case Block():
                newest = entry
            case End():
                _require_end(entry, newest, digest.copy(), line, number)
                is_ended = True
            case Kept() if newest is not None:
                raise _malformed(number, "what is kept stands ahead of all blocks")
            case Kept():
                has_end = True
        digest.update(line)
        yield entry
    if has_end and not is_ended:
        raise _malformed(number, "it ends here without its last line")


def _read(line: bytes, number: int) -> Entry:
    if not line.endswith(b"\n"):
        raise _malformed(number, "it is cut short")
    try:
        if line.startswith(_KEPT):
            return _kept_of(line[len(_KEPT) : -len(_CLOSING)])
        return (
            _end_of(line[len(_END) : -len(_CLOSING)]) if line.startswith(_END) else _block_of(line)
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _malformed(number, str(error) or type(error).__name__) from None


def _require_end(end: End, newest: Block | None, digest: _Digest, line: bytes, number: int) -> None:
    told = (0, 0) if newest is None else (newest.header.number, newest.hash)
    if (end.height, end.block_hash) != told:
        raise _malformed(number, f"it ends with block {end.height}, and the lines with {told[0]}")
    if _line(_END, _hashed(end, digest)) != line:
        raise _malformed(number, "its hash is another one: a line was changed")


def _hashed(end: End, digest: _Digest) -> End:
    digest.update(_line(_END, replace(end, sha256="")))
    return replace(end, sha256=digest.hexdigest())


def _line(opening: bytes, content: msgspec.Struct) -> bytes:
    return opening + msgspec.json.encode(to_text(content)) + _CLOSING


def _malformed(number: int, words: str) -> Refused:
    return Refused(Reason.EXPORT_MALFORMED, f"line {number}: {words}")
