"""What somebody has to type back before something is done that others feel.

Promises
- On a terminal a number from the page is typed. Another one, nothing, or Ctrl-C: nothing was done.
- Elsewhere nobody can type: `--yes` has to be given, and the refusal is the command that has it.
"""

import shlex
import sys
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from sequencer.cli.stored import fail
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, shown

Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask; needed where there is no terminal to ask on.")
]

_INTERRUPTED = 130
_NOTHING_DONE = "nothing was done"


class Question(msgspec.Struct, frozen=True):
    """What is asked, the number that has to be typed, and the command that shows it once more."""

    words: str
    number: int
    look: str


def confirm(command: str, again: str, question: Callable[[], Question | None]) -> None:
    """Have a number typed; whatever else is typed ends the command with code 2.

    `question` returns None where what is asked for is refused anyway; it is called on a terminal
    alone. `again` is the whole command as it was typed.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        words = f"no terminal to type on; {_NOTHING_DONE}; to do it: {again} --yes"
        fail(command, f"{Reason.PARAMETER_INVALID.value}: {words}", ExitCode.INPUT, "")
    asked = question()
    if asked is None:
        return
    typed = _typed(command, f"{asked.words}: ")
    if typed != str(asked.number):
        # The number is not said: whoever has not read it is to look, not to type it again.
        words = f"{shown(typed)} is another number" if typed else "nothing was typed"
        words = f"{Reason.PARAMETER_INVALID.value}: {words}; {_NOTHING_DONE}"
        fail(command, words, ExitCode.INPUT, asked.look)


def command_words(command: str, *arguments: object) -> str:
    """Write a command as a shell reads it."""
    return shlex.join(["perpchain", *command.split(), *map(str, arguments)])


def option_words(**options: object) -> str:
    """Write options as a shell reads them, with a space ahead; what is empty is left out."""
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in options.items()
        if value not in (None, "")
    )


def _typed(command: str, question: str) -> str:
    try:
        typer.echo(question, err=True, nl=False)
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        typer.echo(f"\nperpchain {command}: {_NOTHING_DONE}", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    except UnicodeDecodeError:
        return "what is no text"
    if not line:
        typer.echo(err=True)
    return line.strip()
