"""The history's file: whose it is, where it ends, numbers of any size, and what cannot be kept."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import process_time

import msgspec
import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.events import CloseReason, Fill, FundingPaid, Liquidated, OrderClosed
from sequencer.plugins.protocol import Key
from sequencer.plugins.shipped import history_file
from sequencer.plugins.shipped.history import History
from sequencer.plugins.shipped.recording import CannotRecord
from sequencer.starknet.block import Event
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.names import selector
from tests.unit.chain.network import MARKET
from tests.unit.plugins.plugin_world import (
    ALICE,
    BOB,
    CAROL,
    HUGE_TOKENS,
    Call,
    FakeContext,
    asked,
    block_saying,
    busy_calls,
    dump,
    large_genesis,
    strange_calls,
    tell,
    tell_all,
    written,
)

END = busy_calls()[-1].key
LARGEST = 2**63 - 1
FILL = Fill(MARKET, 10**20, -(10**20), ALICE, BOB, 5, 6, 10**25, LARGEST)


def words_of(context: FakeContext) -> str:
    """Return how a history refuses to begin: one line, without a word of SQL or Python in it."""
    with pytest.raises(CannotRecord) as caught:
        History().init(context)
    words = str(caught.value)
    assert "\n" not in words
    return words


def test_numbers_of_any_size_are_exact_and_have_their_sign(tmp_path: Path) -> None:
    events = (
        FILL,
        FundingPaid(ALICE, MARKET, -LARGEST - 1),
        FundingPaid(ALICE, MARKET, -LARGEST - 2),
        FundingPaid(ALICE, MARKET, LARGEST),
        Liquidated(ALICE, MARKET, LARGEST + 2, 7),
    )
    path = written(tmp_path, [Call(Key(1), block_saying(*events))])
    assert asked(path, "SELECT price, size, value, taker_fee, maker_fee, side FROM trades") == [
        (str(10**20), str(10**20), str(10**32), str(10**25), LARGEST, "SELL")
    ]
    rows = "SELECT kind, role, size, amount FROM account_history ORDER BY event_index, role DESC"
    assert asked(path, rows) == [
        ("Fill", "taker", str(-(10**20)), str(-(10**25))),
        ("Fill", "maker", str(10**20), -LARGEST),
        ("FundingPaid", None, None, -LARGEST - 1),
        ("FundingPaid", None, None, str(-LARGEST - 2)),
        ("FundingPaid", None, None, LARGEST),
        ("Liquidated", None, str(-LARGEST - 2), None),
    ]
    assert asked(path, "SELECT liquidity, side, fee FROM fills ORDER BY 1") == [
        ("MAKER", "BUY", LARGEST),
        ("TAKER", "SELL", str(10**25)),
    ]


def test_a_deposit_of_more_than_64_bits_count(tmp_path: Path) -> None:
    path = written(tmp_path, busy_calls()[:9])
    query = f"SELECT amount, typeof(amount) FROM account_history WHERE account = '{CAROL:#x}'"
    assert asked(path, query) == [(str(HUGE_TOKENS * 100), "text")]


def test_a_reverted_transaction_did_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, [Call(Key(1), block_saying(FILL, revert_reason="no"))])
    assert asked(path, "SELECT revert_reason FROM transactions") == [("no",)]
    for name in ("trades", "fills", "events", "account_history"):
        assert asked(path, f"SELECT * FROM {name}") == []


def test_what_the_exchange_did_not_say_is_counted_alone(tmp_path: Path) -> None:
    data = (ALICE, encode_short_string(MARKET))
    foreign = Event(0x1234, (selector("Fill"),), data)
    shorter = Event(EXCHANGE_ADDRESS, (selector("Fill"),), data)
    silent = Event(EXCHANGE_ADDRESS, (), ())
    path = written(tmp_path, [Call(Key(1), block_saying(foreign, shorter, silent))])
    assert asked(path, "SELECT event_count FROM blocks") == [(3,)]
    assert asked(path, "SELECT * FROM events") == []


def test_a_block_that_comes_back_with_other_contents_has_those(tmp_path: Path) -> None:
    block, revert = block_saying(FILL), next(call for call in busy_calls() if call.is_revert)
    other = msgspec.structs.replace(block_saying(FILL, FILL), hash=block.hash)
    calls = [
        Call(Key(1), block),
        Call(Key(2), block, is_revert=True, reorg=revert.reorg),
        Call(Key(3), other),
    ]
    path = written(tmp_path, calls)
    assert asked(path, "SELECT event_index FROM trades") == [(0,), (1,)]
    assert asked(path, "SELECT event_count FROM blocks") == [(2,)]
    # What was undone is what that block had said.
    assert asked(path, "SELECT event_index FROM undone_trades") == [(0,)]
    assert asked(path, "SELECT event_count FROM undone_blocks") == [(1,)]


def test_told_all_anew_it_begins_anew_under_whoever_reads(tmp_path: Path) -> None:
    straight = dump(written(tmp_path / "straight", busy_calls()))
    path = written(tmp_path / "again", busy_calls()[:20])
    with closing(sqlite3.connect(path)) as reader:
        before = reader.execute("SELECT count(*) FROM blocks").fetchall()
        assert written(tmp_path / "again", busy_calls()) == path
        after = reader.execute("SELECT count(*) FROM blocks").fetchall()
    assert before != after
    assert dump(path) == straight


def test_others_read_whole_calls_meanwhile(tmp_path: Path) -> None:
    history, context = History(), FakeContext(tmp_path)
    history.init(context)
    path = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        for number, call in enumerate(busy_calls()[:5]):
            tell(history, context, call)
            assert asked(path, "SELECT count(*) FROM blocks") == [(number + 1,)]
        assert reader.execute("SELECT count(*) FROM blocks").fetchall() == [(5,)]
        tell(history, context, busy_calls()[5])
        assert reader.execute("SELECT count(*) FROM blocks").fetchall() == [(5,)]
    history.shutdown()


def test_a_dry_run_leaves_no_file_and_begins_anywhere(tmp_path: Path) -> None:
    calls = busy_calls()
    first = next(number for number, call in enumerate(calls) if call.is_revert)
    for begin in (0, 7, first, first + 1):
        done = calls[begin - 1].key if begin else None
        tell_all(History(), FakeContext(tmp_path, done, is_dry=True), calls[begin:])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_behind_its_host_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, busy_calls()[:10])
    before = dump(path)
    words = words_of(FakeContext(tmp_path, Key(11)))
    assert words == (
        f"{path} ends at 10.0, but kept was told all up to 11.0: "
        "rebuild plugin kept to write it anew"
    )
    History().init(FakeContext(tmp_path, Key(10)))
    assert dump(path) == before


def test_a_file_that_is_gone_is_refused_and_not_made(tmp_path: Path) -> None:
    assert "holds nothing, but kept was told all up to 3.0" in words_of(
        FakeContext(tmp_path, Key(3))
    )
    assert list(tmp_path.iterdir()) == []


def other_chain(path: Path) -> None:
    written(path.parent, busy_calls()[:3])
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE place SET chain_id = ?", (hex(encode_short_string("OTHER")),))
    database.close()


def other_layout(path: Path) -> None:
    written(path.parent, busy_calls()[:3])
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA user_version = 7")
    database.close()


def other_database(path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("CREATE TABLE trades (mine)")
    database.close()


@pytest.mark.parametrize(
    ("make", "done", "words"),
    [
        (other_chain, None, "belongs to chain OTHER, not to PERPCHAIN_TEST"),
        (other_chain, Key(3), "belongs to chain OTHER, not to PERPCHAIN_TEST"),
        (other_layout, Key(3), "has layout 7, this build writes 1: rebuild"),
        (other_database, None, "is a database, but no history of this plugin's"),
        (lambda path: path.write_text("Dear diary" * 100), None, "file is not a database"),
        (Path.mkdir, None, "unable to open database file"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], done: Key | None, words: str
) -> None:
    path = tmp_path / "history.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    said = words_of(FakeContext(tmp_path, done))
    assert words in said
    assert str(path) in said
    assert before == (path.read_bytes() if path.is_file() else None)


def test_another_layout_is_written_anew_by_a_rebuild(tmp_path: Path) -> None:
    other_layout(tmp_path / "history.sqlite")
    assert dump(written(tmp_path, busy_calls())) == dump(written(tmp_path / "new", busy_calls()))


def test_options(tmp_path: Path) -> None:
    assert "no option 'pth'" in words_of(FakeContext(tmp_path, options={"pth": "x"}))
    elsewhere = tmp_path / "elsewhere.sqlite"
    context = FakeContext(tmp_path, options={"path": str(elsewhere)})
    tell_all(History(), context, busy_calls())
    assert len(asked(elsewhere, "SELECT * FROM blocks")) == 10
    nowhere = FakeContext(tmp_path, options={"path": str(tmp_path / "no" / "x.sqlite")})
    assert "unable to open database file" in words_of(nowhere)


def test_a_full_disk_and_a_file_that_nobody_may_write(tmp_path: Path) -> None:
    history, context = History(), FakeContext(tmp_path)
    history.init(context)
    for statement, words in (
        ("PRAGMA max_page_count = 1", "database or disk is full"),
        ("PRAGMA query_only = ON", "attempt to write a readonly database"),
    ):
        history._file._database.execute(statement)
        with pytest.raises(CannotRecord, match=f"history.sqlite: {words}$"):
            tell(history, context, Call(Key(1), block_saying(*[FILL] * 3_000)))
        assert asked(tmp_path / "history.sqlite", "SELECT * FROM blocks_rows") == []
        history._file._database.execute("PRAGMA max_page_count = 100000")
    history.shutdown()


def test_a_file_that_somebody_else_writes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_file, "HISTORY_LOCK_SECONDS_MAX", 0)
    path = written(tmp_path, busy_calls()[:3])
    history, context = History(), FakeContext(tmp_path, Key(3))
    history.init(context)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotRecord, match=r"history.sqlite: database is locked$"):
            tell(history, context, busy_calls()[3])
    tell(history, context, busy_calls()[3])
    history.shutdown()
    assert len(asked(path, "SELECT * FROM blocks")) == 4


def test_a_block_that_stands_on_none_of_the_record(tmp_path: Path) -> None:
    calls = busy_calls()
    path = written(tmp_path, calls[:5])
    history, context = History(), FakeContext(tmp_path, Key(5))
    history.init(context)
    for call, words in strange_calls():
        with pytest.raises(CannotRecord, match=words):
            tell(history, context, call)
    assert asked(path, "SELECT sequence, step FROM place") == [(5, 0)]
    tell(history, context, calls[5])
    history.shutdown()


def test_large_blocks_take_little_time(tmp_path: Path) -> None:
    closed = OrderClosed(9, ALICE, MARKET, 0, CloseReason.FILLED)
    calls = [
        Call(Key(1), msgspec.structs.replace(large_genesis(100_000), hash=0x5)),
        Call(Key(2), block_saying(*[FILL, closed] * 1_000, number=1, parent=0x5)),
    ]
    began = process_time()
    path = written(tmp_path, calls)
    assert asked(path, "SELECT count(*) FROM events") == [(2_000,)]
    # Measured: 0.08 s. Ten times that is a mistake in the work, not a busy machine.
    assert process_time() - began < 0.8


def test_questions_find_their_rows_by_an_index(tmp_path: Path) -> None:
    path = written(tmp_path, busy_calls())
    for name, wanted in (
        ("trades", "market = 'x'"),
        ("trades", "height = 5"),
        ("trades", "timestamp > 5"),
        ("fills", "account = 'x'"),
        ("account_history", "account = 'x'"),
        ("liquidations", "account = 'x'"),
        ("transactions", "hash = 'x'"),
        ("events", "kind = 'x'"),
        ("undone_trades", "undone_by = 3"),
    ):
        query = f"EXPLAIN QUERY PLAN SELECT * FROM {name} WHERE {wanted}"
        plan = [row[3] for row in asked(path, query)]
        assert plan
        scans = [line for line in plan if line.startswith("SCAN")]
        assert not set(scans) - {"SCAN all_fills", "SCAN all_account_history"}, (name, plan)
