"""The history of a chain with equal hashes, as starknet-devnet is, and a file that is broken."""

from itertools import count, pairwise
from pathlib import Path

import msgspec
import pytest

from sequencer.chain.block import Block
from sequencer.model.records import IncidentKind
from sequencer.plugins.protocol import Key, Reorg
from sequencer.plugins.shipped.history import History
from sequencer.plugins.shipped.recording import CannotRecord
from sequencer.starknet.block import Receipt
from sequencer.starknet.state import StateDiff
from tests.unit.plugins.plugin_world import Call, FakeContext, asked, block_saying, written

HASH, GENESIS_HASH = 0xDE1, 0xDE0


def block_of(*transactions: int, timestamp: int = 9) -> Block:
    """Return block 1 with some transactions, whose hash says nothing of them."""
    block = block_saying(number=1, parent=GENESIS_HASH)
    return msgspec.structs.replace(
        block,
        hash=HASH,
        header=msgspec.structs.replace(block.header, timestamp=timestamp),
        transactions=[block.transactions[0]] * len(transactions),
        receipts=[Receipt(hash_, 0, ()) for hash_ in transactions],
        diff=StateDiff(),
    )


def calls_for(*blocks: Block) -> list[Call]:
    """Return the calls for blocks that follow each other at one height."""
    keys = map(Key, count(2))
    genesis = msgspec.structs.replace(block_saying(), hash=GENESIS_HASH)
    calls = [Call(Key(1), genesis), Call(next(keys), blocks[0])]
    for number, (before, after) in enumerate(pairwise(blocks), 1):
        reorg = Reorg(number, IncidentKind.ROLLBACK, f"{number}", 1, 1, 0, GENESIS_HASH)
        calls.append(Call(next(keys), before, genesis, is_revert=True, reorg=reorg))
        calls.append(Call(next(keys), reorg=reorg))
        calls.append(Call(next(keys), after, genesis))
    return calls


def test_each_block_under_a_hash_has_its_own_row(tmp_path: Path) -> None:
    blocks = block_of(0xA), block_of(0xB), block_of(0xB, 0xC), block_of(0xB, 0xC, timestamp=10)
    path = written(tmp_path, calls_for(*blocks))
    columns = "height, timestamp, transaction_count"
    assert asked(path, f"SELECT {columns} FROM blocks WHERE height = 1") == [(1, 10, 2)]
    query = f"SELECT {columns}, undone_by FROM undone_blocks ORDER BY undone_by"
    assert asked(path, query) == [(1, 9, 1, 1), (1, 9, 1, 2), (1, 9, 2, 3)]
    live = "SELECT hash FROM transactions WHERE height = 1 ORDER BY transaction_index"
    assert asked(path, live) == [("0xb",), ("0xc",)]
    query = "SELECT hash, undone_reason FROM undone_transactions ORDER BY undone_by, hash"
    undone = [("0xa", "1"), ("0xb", "2"), ("0xb", "3"), ("0xc", "3")]
    assert asked(path, query) == undone


def test_a_block_that_comes_back_as_it_was_is_the_same_row(tmp_path: Path) -> None:
    first, second = block_of(0xA), block_of(0xB)
    path = written(tmp_path, calls_for(first, second, first, second, first))
    assert asked(path, "SELECT count(*) FROM all_blocks WHERE height = 1") == [(2,)]
    assert asked(path, "SELECT hash FROM transactions WHERE height = 1") == [("0xa",)]
    query = "SELECT hash, undone_by FROM undone_transactions"
    assert asked(path, query) == [("0xb", 4)]


@pytest.mark.parametrize("done", [None, Key(3)])
def test_a_broken_file_says_the_way_out(tmp_path: Path, done: Key | None) -> None:
    path = written(tmp_path, calls_for(block_of(0xA), block_of(0xB)))
    # Behind the first page of a file that says how its pages are to be read.
    path.write_bytes(path.read_bytes()[:4_096] + b"?" * 65_536)
    with pytest.raises(CannotRecord) as caught:
        History().init(FakeContext(tmp_path, done))
    assert str(caught.value).endswith("; move it away and rebuild the plugin")
    assert path.read_bytes().endswith(b"?")
    path.unlink()
    History().init(FakeContext(tmp_path))
    assert asked(path, "SELECT count(*) FROM blocks") == [(0,)]
