"""The questions of `scripts/sql`, asked of a history with liquidations and a rollback."""

import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.ask_history import FOLDER, main, questions
from sequencer.model.events import LiquidationEnded
from tests.unit.plugins.plugin_world import asked, busy_calls, events_in, live_after, written

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
    *_, liquidations, decisions, money = answers(file, "look_back.sql", since=0)
    ended = Counter(
        block.header.number
        for block, _, _, event in events_in(live_after(calls))
        if isinstance(event, LiquidationEnded)
    )
    assert ended
    assert {row[0]: row[2] for row in liquidations if row[2]} == dict(ended)
    assert any(row[2] == "ModeChanged" for row in decisions)
    assert money
    prices, minutes, refused, funding, *rest = answers(file, "look_back.sql", since=10**6)
    assert [prices, minutes, refused, funding, *rest] == [[]] * 7


def test_who_was_undone_is_listed_by_rollback(tmp_path: Path) -> None:
    file = written(tmp_path, busy_calls())
    undone = asked(file, "SELECT undone_by, count(*) FROM undone_fills GROUP BY undone_by")
    assert undone
    for reorg_id, count in undone:
        accounts, fills, orders = answers(file, "who_was_undone.sql", reorg=int(str(reorg_id)))
        assert len(fills) == count
        assert sum(int(str(row[1])) for row in accounts) == count
        assert {row[0] for row in [*fills, *orders]} <= {row[0] for row in accounts}
    assert answers(file, "who_was_undone.sql", reorg=10**6) == [[], [], []]


def test_the_script_shows_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, busy_calls())
    monkeypatch.chdir(tmp_path)
    reorg = str(asked(file, "SELECT min(undone_by) FROM undone_fills")[0][0])
    monkeypatch.setattr(sys, "argv", ["", str(file), "who_was_undone", "--reorg", reorg])
    assert main() == 0
    names = [f"undone-{name}.csv" for name in ("accounts", "fills", "orders")]
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
