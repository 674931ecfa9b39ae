"""A page of headed parts for somebody under stress: 80 columns, and the same without colour.

Promises
- Where no terminal reads it is plain text, the same letter by letter.
- Sentences are wrapped by us, and nothing else is: whatever is copied, a hash or a command, has a
  line of its own and is neither cut nor broken however narrow the terminal is.
- What somebody else wrote cannot move the cursor.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator

import typer
from rich.console import Console
from rich.text import Text

from sequencer.cli.stored import plain

_WIDTH = 80
_HEADING = re.compile(r"[A-Z][A-Z ]+[A-Z](?=:|$)")
_ALARMS = re.compile(r" +(?:VETO|GONE|LOST|BACK|UNREAD) ")
_COMMAND = re.compile(r" *perpchain ")


def wrapped(words: str, indent: int = 2, hanging: int = 0) -> Iterator[str]:
    """Yield a sentence as lines; those behind the first stand `hanging` further to the right."""
    yield from textwrap.wrap(
        plain(words),
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def show_page(lines: Iterable[str]) -> None:
    """Print a page; on a terminal with its headings, alarms and commands set apart."""
    console = Console(highlight=False)
    for line in map(plain, lines):
        if console.is_terminal:
            console.print(_styled(line), soft_wrap=True)
        else:
            typer.echo(line)


def _styled(line: str) -> Text:
    if _COMMAND.match(line):
        return Text(line, "bold green")
    if _ALARMS.match(line):
        return Text(line, "bold red")
    text = Text(line)
    if found := _HEADING.match(line):
        text.stylize("bold underline", 0, found.end())
    return text
