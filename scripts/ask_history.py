"""Ask the file of the plugin `history` the questions of `scripts/sql`, and print what it says.

    python scripts/ask_history.py CHAIN/plugins/history/history.sqlite look_back --since 100
    python scripts/ask_history.py CHAIN/plugins/history/history.sqlite who_was_undone --reorg 1

The program `sqlite3` does the same with the files themselves. Lists that a question names a file
for are written there, as CSV, into the present folder.
Exit codes: 0 asked, 2 no such file or question.
"""

import argparse
import csv
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "sql"


class Question(NamedTuple):
    """A statement, what it is about, and the file that its answer goes to, "" for the terminal."""

    about: str
    target: str
    statement: str


def questions(text: str) -> Iterator[Question]:
    """Read the questions of a file: lines that begin with a point are for the program `sqlite3`."""
    about, target, lines = "", "", list[str]()
    for line in text.splitlines():
        if line.startswith(".print"):
            about = line.removeprefix(".print").strip()
        elif line.startswith(".once"):
            target = line.removeprefix(".once").strip()
        elif not line.startswith((".", "--")):
            lines.append(line)
            if line.endswith(";"):
                yield Question(about, target, "\n".join(lines))
                about, target, lines = "", "", []


def ask(history: Path, text: str, values: Mapping[str, int]) -> None:
    """Ask every question of a file, and show or write the answers."""
    connection = sqlite3.connect(f"{history.resolve().as_uri()}?mode=ro", uri=True)
    try:
        for question in questions(text):
            answer = connection.execute(question.statement, values)
            names = [column[0] for column in answer.description]
            rows = [["" if each is None else str(each) for each in row] for row in answer]
            _tell(question, names, rows)
    finally:
        connection.close()


def _tell(question: Question, names: list[str], rows: list[list[str]]) -> None:
    if question.target:
        with Path(question.target).open("w", newline="") as file:
            csv.writer(file).writerows([names, *rows])
        print(f"{question.target}: {len(rows)} lines")
        return
    print(f"\n{question.about}")
    if not rows:
        print("  none")
        return
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


def main() -> int:
    """Read the command line, and ask; returns the exit code."""
    known = sorted(path.stem for path in FOLDER.glob("*.sql"))
    parser = argparse.ArgumentParser(description="Ask the history of a chain.")
    parser.add_argument("history", type=Path, help="history.sqlite of the plugin `history`")
    parser.add_argument("question", choices=known)
    parser.add_argument("--since", type=int, default=0, help="look_back: above this block")
    parser.add_argument("--reorg", type=int, default=0, help="who_was_undone: the rollback")
    given = parser.parse_args()
    text = (FOLDER / f"{given.question}.sql").read_text()
    try:
        ask(given.history, text, {"since": given.since, "reorg": given.reorg})
    except sqlite3.Error as error:
        print(f"{given.history}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
