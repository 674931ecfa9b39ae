"""The history: what live blocks say, at every moment, whatever is cut off or told again."""

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from sequencer.model.events import (
    Covered,
    Credited,
    Event,
    Fill,
    FundingPaid,
    Liquidated,
    LiquidationEnded,
    Transferred,
    Withdrawn,
)
from sequencer.model.records import IncidentKind
from sequencer.plugins.protocol import Key
from sequencer.plugins.shipped.history import History
from sequencer.plugins.shipped.recording import CannotRecord
from tests.unit.engine.rolling import WHY
from tests.unit.plugins.plugin_world import (
    ALICE,
    BOB,
    Call,
    FakeContext,
    asked,
    busy_calls,
    cut_lives,
    dump,
    events_in,
    live_after,
    random_calls,
    tell,
    written,
)

PARTIES = ("account", "owner", "taker", "maker", "sender", "receiver")


def trades_said(calls: Sequence[Call]) -> list[tuple[object, ...]]:
    """Work out the trades of the blocks that are live after calls."""
    return [
        (
            *(block.header.number, hex(block.hash), number, index, event.market),
            *(event.price, event.size if event.size > 0 else -event.size),
            *(hex(event.taker), hex(event.maker), "BUY" if event.size > 0 else "SELL"),
        )
        for block, number, index, event in events_in(live_after(calls))
        if isinstance(event, Fill)
    ]


TRADES = """SELECT height, block_hash, transaction_index, event_index, market, price, size,
    taker, maker, side FROM trades ORDER BY height, transaction_index, event_index"""


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_trades_are_what_live_blocks_say_after_every_call(tmp_path: Path, seed: int | None) -> None:
    told = busy_calls() if seed is None else random_calls(seed)
    history, context = History(), FakeContext(tmp_path)
    history.init(context)
    seen = set()
    for number, call in enumerate(told, 1):
        tell(history, context, call)
        trades = asked(tmp_path / "history.sqlite", TRADES)
        assert trades == trades_said(told[:number])
        seen.add(len(trades))
        live = live_after(told[:number])
        assert asked(tmp_path / "history.sqlite", "SELECT height, hash FROM blocks") == [
            (block.header.number, hex(block.hash)) for block in live
        ]
    history.shutdown()
    assert len(seen) > 1


def test_everything_else_is_what_live_blocks_say(tmp_path: Path) -> None:
    calls = busy_calls()[:13]
    path, said = written(tmp_path, calls), list(events_in(live_after(calls)))
    query = "SELECT height, transaction_index, event_index, kind, account FROM account_history"
    assert Counter(asked(path, query)) == Counter(
        (block.header.number, number, index, type(event).__name__, hex(getattr(event, party)))
        for block, number, index, event in said
        for party in PARTIES
        if hasattr(event, party)
    )
    events = [event for *_, event in said]
    order = " ORDER BY height, transaction_index, event_index"
    columns = "kind, market, size, price, share, penalty, insurance, bad_debt"
    rows = asked(path, f"SELECT {columns} FROM liquidations {order}")
    assert rows == [row for row in map(liquidation_row, events) if row is not None]
    kinds = [(type(event).__name__,) for event in events]
    assert asked(path, f"SELECT kind FROM events {order}") == kinds
    assert {"Fill", "Liquidated", "LiquidationEnded", "Covered"} <= {kind for (kind,) in kinds}
    live = live_after(calls)
    assert asked(path, "SELECT height, hash FROM transactions ORDER BY 1, transaction_index") == [
        (block.header.number, hex(receipt.transaction_hash))
        for block in live
        for receipt in block.receipts
    ]


def liquidation_row(event: Event) -> tuple[object, ...] | None:
    match event:
        case Liquidated():
            return "Liquidated", event.market, event.size, event.price, None, None, None, None
        case LiquidationEnded():
            return "LiquidationEnded", None, None, None, event.share, event.penalty, None, None
        case Covered():
            return "Covered", None, None, None, None, None, event.insurance, event.bad_debt
    return None


def test_money_has_the_sign_of_what_it_did_to_the_account(tmp_path: Path) -> None:
    calls = busy_calls()[:13]
    path = written(tmp_path, calls)
    expected: Counter[tuple[str, str, int]] = Counter()
    for *_, event in events_in(live_after(calls)):
        match event:
            case Credited() | FundingPaid():
                found = [(event.account, event.amount)]
            case Withdrawn():
                found = [(event.account, -event.requested)]
            case Transferred():
                found = [(event.sender, -event.amount), (event.receiver, event.amount)]
            case Fill():
                found = [(event.taker, -event.taker_fee), (event.maker, -event.maker_fee)]
            case LiquidationEnded():
                found = [(event.account, -event.penalty)]
            case Covered():
                found = [(event.account, event.insurance + event.bad_debt)]
            case _:
                found = []
        kind = type(event).__name__
        expected.update((kind, hex(account), amount) for account, amount in found)
    rows = asked(path, "SELECT kind, account, amount FROM account_history WHERE amount NOTNULL")
    assert Counter((kind, account, int(amount)) for kind, account, amount in rows) == expected
    assert {kind for kind, *_ in expected} >= {"Credited", "Withdrawn", "Transferred", "Covered"}


def test_the_sizes_of_an_account_add_up_to_its_position(tmp_path: Path) -> None:
    calls = busy_calls()[:13]
    path, moved = written(tmp_path, calls), 0
    for account in (ALICE, BOB):
        held = 0
        for *_, event in events_in(live_after(calls)):
            if isinstance(event, Fill) and account in (event.taker, event.maker):
                held += event.size if event.taker == account else -event.size
            elif isinstance(event, Liquidated) and event.account == account:
                held -= event.size
        query = f"SELECT sum(size) FROM account_history WHERE account = '{account:#x}'"
        assert asked(path, query) == [(held,)]
        moved += abs(held)
    assert moved


def test_what_was_undone_says_by_which_reorg_and_why(tmp_path: Path) -> None:
    calls = busy_calls()
    path = written(tmp_path, calls)
    live = asked(path, "SELECT * FROM trades")
    undone = asked(path, "SELECT height, undone_by, undone_reason FROM undone_trades")
    assert undone == [(6, 3, WHY)]
    assert len(asked(path, "SELECT * FROM all_trades")) == len(live) + len(undone)
    columns = "reorg_id, kind, reason, first_height, last_height, head_height, is_complete"
    assert asked(path, f"SELECT {columns}, undone_by FROM reorgs") == [
        (1, IncidentKind.ROLLBACK, WHY, 9, 12, 8, 1, 2),
        (2, IncidentKind.UNDO, WHY, 9, 12, 12, 1, None),
        (3, IncidentKind.ROLLBACK, WHY, 6, 12, 5, 1, None),
    ]
    back = asked(path, "SELECT height FROM all_blocks WHERE brought_back_by = 2 ORDER BY 1")
    assert back == [(9,), (10,), (11,), (12,)]


def test_in_the_midst_of_a_rollback_it_is_not_complete(tmp_path: Path) -> None:
    calls = busy_calls()
    half = next(number for number, call in enumerate(calls) if call.is_revert) + 2
    path = written(tmp_path, calls[:half])
    assert asked(path, "SELECT reorg_id, is_complete, undone_by FROM reorgs") == [(1, 0, None)]
    assert asked(path, "SELECT max(height) FROM blocks") == [(10,)]


@pytest.mark.parametrize("seed", range(6))
def test_cut_off_and_told_again_it_is_what_it_is_when_told_once(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    calls = busy_calls() if seed % 2 else random_calls(seed // 2)
    straight = dump(written(tmp_path / "straight", calls))
    folder = tmp_path / "cut"
    folder.mkdir()
    cuts = []

    def live(done: Key | None, calls: Sequence[Call]) -> int:
        history, context = History(), FakeContext(folder, done)
        history.init(context)
        taken = 0
        for call in calls:
            if random.random() < 0.3 and cut_within(history, context, call, random.randrange(60)):
                cuts.append(call.key)
                break
            tell(history, context, call)
            taken += 1
        history.shutdown()
        return taken

    cut_lives(random, calls, folder / "history.sqlite", live)
    assert dump(folder / "history.sqlite") == straight
    assert cuts


def cut_within(history: History, context: FakeContext, call: Call, steps: int) -> bool:
    """Stop a call after some steps of SQLite's machine; False if it was done by then."""
    database: sqlite3.Connection = history._file._database
    left = [steps]

    def count() -> bool:
        left[0] -= 1
        return left[0] < 0

    database.set_progress_handler(count, 10)
    try:
        tell(history, context, call)
    except CannotRecord as refused:
        if "interrupted" not in str(refused):
            raise
        return True
    finally:
        database.set_progress_handler(None, 0)
    return False


PAGE = (Path(__file__).parents[3] / "docs" / "history.md").read_text()


def test_the_page_names_every_column(tmp_path: Path) -> None:
    path = written(tmp_path, busy_calls()[:1])
    (head,) = [line for line in PAGE.splitlines() if line.startswith("| name | a row is")]
    where = re.findall("`(\\w+)`", head)
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    assert [row[1].strip(" `") for row in rows] == [
        *("trades", "fills", "liquidations", "account_history", "events")
    ]
    for _, name, _, columns, _ in rows:
        named = [
            words for words in re.findall("`(\\w+)`", columns) if words not in {"TAKER", "MAKER"}
        ]
        found = asked(path, f"SELECT name FROM pragma_table_info({name.strip(' `')!r})")
        assert [column for (column,) in found] == where + named


def test_the_page_s_questions_have_answers(tmp_path: Path) -> None:
    path = written(tmp_path, busy_calls())
    questions = PAGE.partition("```sql\n")[2].partition("```")[0].split(";\n")[:-1]
    assert len(questions) == 5
    assert all(asked(path, question) for question in questions)
    (undone,) = asked(path, questions[3])
    assert undone == (3, WHY, 1, 45 * 60_000.0)
