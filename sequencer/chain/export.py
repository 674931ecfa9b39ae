"""Blocks as JSON lines: what somebody needs to execute a chain again from a file alone.

Promises
- The first line is the genesis file, each further line one block, in order.
- Reading gives exactly the blocks that were written. Numbers are hexadecimal text, so that no JSON
  reader rounds them.
"""

from collections.abc import Iterable, Iterator

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.genesis import Genesis, read_genesis
from sequencer.chain.text import text_reader, to_text
from sequencer.model.refusals import Reason, Refused


def write_export(genesis: bytes, blocks: Iterable[Block]) -> Iterator[bytes]:
    """Write a chain as lines, each with its line break.

    `genesis` is the genesis file as it is. Refusal: GENESIS_INVALID.
    """
    read_genesis(genesis)
    yield msgspec.json.encode(msgspec.json.decode(genesis)) + b"\n"
    for block in blocks:
        yield msgspec.json.encode(to_text(block)) + b"\n"


def read_export(lines: Iterable[bytes]) -> tuple[Genesis, Iterator[Block]]:
    """Read a chain's genesis, and its blocks one by one.

    Refusals: GENESIS_INVALID, EXPORT_MALFORMED naming the line.
    """
    remaining = iter(lines)
    first = next(remaining, b"")
    return read_genesis(first), (
        _read_block(line, number) for number, line in enumerate(remaining, 2)
    )


_block_of = text_reader(Block)


def _read_block(line: bytes, number: int) -> Block:
    try:
        return _block_of(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        words = f"line {number}: {str(error) or type(error).__name__}"
        raise Refused(Reason.EXPORT_MALFORMED, words) from None
