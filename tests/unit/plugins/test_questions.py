"""The questions of `scripts/sql`, asked of a history with liquidations and a rollback."""

import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.ask_history import FOLDER, main, questions
from sequencer.model.events import (
    Event,
    Fill,
    LiquidationEnded,
    OrderOpened,
    PriceAccepted,
    SubkeyChanged,
)
from sequencer.model.units import ONE
from sequencer.plugins.protocol import Key
from tests.unit.plugins.plugin_world import (
    Call,
    asked,
    block_saying,
    busy_calls,
    events_in,
    live_after,
    written,
)

Row = tuple[object, ...]


def answers(file: Path, question: str, **values: int) -> list[list[Row]]:
    """Ask each question of a file."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        asked_ones = questions((FOLDER / question).read_text())
        return [connection.execute(each.statement, values).fetchall() for each in asked_ones]
    finally:
        connection.close()


def test_what_is_unusual_is_listed_from_a_block_on(tmp_path: Path) -> None:
    calls = busy_calls()[:13]
    file = written(tmp_path, calls)
    *_, liquidations, decisions, _, money = answers(file, "look_back.sql", since=0)
    ended = Counter(
        block.header.number
        for block, _, _, event in events_in(live_after(calls))
        if isinstance(event, LiquidationEnded)
    )
    assert ended
    assert {row[0]: row[2] for row in liquidations if row[2]} == dict(ended)
    assert any(row[2] == "ModeChanged" for row in decisions)
    assert money
    *others, subkeys, money = answers(file, "look_back.sql", since=10**6)
    assert [*others, money] == [[]] * 9
    assert subkeys == answers(file, "look_back.sql", since=0)[-2]


def said(*blocks: tuple[Event, ...]) -> list[Call]:
    """Make calls of blocks that say things, from block 0 on."""
    calls, parent = list[Call](), 0
    for number, events in enumerate(blocks):
        block = block_saying(*events, number=number, parent=parent)
        calls.append(Call(Key(number), block))
        parent = block.hash
    return calls


def fill(market: str, price: int, size: int = ONE, taker: int = 5) -> Fill:
    return Fill(market, price * ONE, size, taker, 6, 70 + taker, 90 + taker, 0, 0)


def test_trades_away_from_the_index_of_their_time_are_listed(tmp_path: Path) -> None:
    btc, eth = "BTC-USD-PERP", "ETH-USD-PERP"
    prices = (PriceAccepted(btc, 1_000 * ONE, 1), PriceAccepted(eth, 100 * ONE, 1))
    calls = said(
        (fill(btc, 7),),
        (*prices, fill(btc, 1_010), fill(btc, 1_011, -ONE), fill(eth, 98)),
        (fill(btc, 1_040), PriceAccepted(btc, 1_040 * ONE, 1), fill(btc, 1_040)),
    )
    file = written(tmp_path, calls)
    told = answers(file, "look_back.sql", since=0)[3]
    # Height, market, side, price, index price, percent; the first trade has no price before it.
    assert [(row[0], *row[2:7]) for row in told] == [
        (1, btc, "SELL", 1_011.0, 1_000.0, 1.1),
        (1, eth, "BUY", 98.0, 100.0, -2.0),
        (2, btc, "BUY", 1_040.0, 1_000.0, 4.0),
    ]
    assert answers(file, "look_back.sql", since=1)[3] == told[2:]


def test_accounts_that_are_new_are_listed(tmp_path: Path) -> None:
    rests = OrderOpened(77, 7, "BTC-USD-PERP", ONE, waiting=False)
    trades = (fill("BTC-USD-PERP", 7), fill("BTC-USD-PERP", 7, taker=8))
    file = written(tmp_path, said((), trades[:1], (rests, *trades)))
    # Since, account, trades, orders.
    listed = answers(file, "look_back.sql", since=0)[4]
    assert sorted(listed) == [
        (1, "0x5", 2, 1),
        (1, "0x6", 3, 2),
        (2, "0x7", 0, 1),
        (2, "0x8", 1, 1),
    ]
    assert [row[1] for row in answers(file, "look_back.sql", since=1)[4]] == ["0x7", "0x8"]


def test_a_key_is_listed_with_all_accounts_that_added_it(tmp_path: Path) -> None:
    def change(account: int, key: int, active: bool = True) -> SubkeyChanged:
        return SubkeyChanged(account, key, active)

    calls = said(
        (change(1, 0xA), change(2, 0xB), change(3, 0xB)),
        (change(2, 0xB, active=False), change(3, 0xB, active=False), change(3, 0xB)),
    )
    file = written(tmp_path, calls)
    # Those of several accounts first, whatever block is asked from: key, account, added, changed.
    expected = [
        ("0xb", "0x2", 0, 1, "no"),
        ("0xb", "0x3", 0, 1, "yes"),
        ("0xa", "0x1", 0, 0, "yes"),
    ]
    assert answers(file, "look_back.sql", since=10**6)[-2] == expected


def test_who_was_undone_is_listed_by_rollback(tmp_path: Path) -> None:
    file = written(tmp_path, busy_calls())
    undone = asked(file, "SELECT undone_by, count(*) FROM undone_fills GROUP BY undone_by")
    assert undone
    for reorg_id, count in undone:
        told = answers(file, "who_was_undone.sql", reorg=int(str(reorg_id)))
        accounts, fills, orders, transfers = told
        assert len(fills) == count
        assert sum(int(str(row[1])) for row in accounts) == count
        assert {row[0] for row in [*fills, *orders, *transfers]} <= {row[0] for row in accounts}
    assert answers(file, "who_was_undone.sql", reorg=10**6) == [[]] * 4


def test_the_script_shows_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, busy_calls())
    monkeypatch.chdir(tmp_path)
    reorg = str(asked(file, "SELECT min(undone_by) FROM undone_fills")[0][0])
    monkeypatch.setattr(sys, "argv", ["", str(file), "who_was_undone", "--reorg", reorg])
    assert main() == 0
    names = [f"undone-{name}.csv" for name in ("accounts", "fills", "orders", "transfers")]
    lines = [len((tmp_path / name).read_text().splitlines()) - 1 for name in names]
    told = [f"{name}: {count} lines" for name, count in zip(names, lines, strict=True)]
    assert capsys.readouterr().out.splitlines() == told
    assert min(lines[:2]) > 0

    monkeypatch.setattr(sys, "argv", ["", str(file), "look_back"])
    assert main() == 0
    shown = capsys.readouterr().out
    assert "DECISIONS: modes, guards, harm, publishers, settings, keys\n  height" in shown
    assert "\n  none\n" in shown

    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "gone.sqlite"), "look_back"])
    assert main() == 2
    assert "gone.sqlite: unable to open database file" in capsys.readouterr().err
