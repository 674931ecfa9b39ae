"""How commands open the store of a node that is not running, and how they end when they cannot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Annotated, NoReturn

import msgspec
import typer

from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Refused
from sequencer.ports import StoreError, StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder

DataDir = Annotated[Path, typer.Argument(help="The data folder of a node that is not running.")]
Witness = Annotated[Path | None, typer.Option(help="The witness file; else DATA_DIR.witness.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_EXITS = {StoreProblem.STORE_LOCKED: ExitCode.STORE_LOCKED}
_RESTORE = "perpchain verify {}, or a copy that perpchain backup made"
_STEPS: dict[str, str] = {
    StoreProblem.STORE_ABSENT: "the folder that the node was given, or perpchain node --help",
    StoreProblem.STORE_LOCKED: "perpchain status {}, or end the process that has it",
    StoreProblem.HEAD_BELOW_WITNESS: "a newer copy: this one is older than its witness",
    StoreProblem.WRITE_FAILED: "df -h {}, and whether its user may write there",
}


@contextmanager
def opened(command: str, data_dir: Path, witness: Path | None) -> Iterator[ChainStore]:
    """Open a chain's store; whatever is refused ends the command with one line and its code."""
    try:
        store = open_folder(data_dir, witness=witness)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        code = _EXITS.get(error.problem, ExitCode.STORE_UNUSABLE)
        fail(command, str(error), code, store_step(error.problem, data_dir))
    except Refused as refused:
        fail(command, str(refused), ExitCode.INPUT)


def store_step(problem: str, data_dir: Path) -> str:
    """Return what to do about a store that cannot be used."""
    return _STEPS.get(problem, _RESTORE).format(quote(str(data_dir)))


def fail(command: str, words: str, code: int, step: str | None = None) -> NoReturn:
    """End a command with one line on standard error: what is wrong, and what to type next.

    Without a `step` it is the command's help, unless the words name one; with "" nothing is.
    """
    if step is None:
        step = "" if "perpchain " in words else f"perpchain {command} --help"
    typer.echo(plain(f"perpchain {command}: {words}{step and f'; next: {step}'}"), err=True)
    raise typer.Exit(int(code)) from None


def print_facts(facts: dict[str, object], as_json: bool) -> None:
    """Print named facts as JSON, or as lines; a list has a line for each item."""
    if as_json:
        typer.echo(msgspec.json.encode(facts).decode())
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        for item in (value or ["none"]) if isinstance(value, list) else [value]:
            typer.echo(plain(f"{name:{width}}  {item}"))


def plain(text: str) -> str:
    """Write text of somebody's for a terminal: what does not print is escaped."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
