"""`perpchain config`: a node's file of options, checked before anything starts with it."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sequencer.cli.node_check import ask_settlement, check_node_file
from sequencer.cli.stored import AsJson, fail, plain
from sequencer.model.halts import ExitCode

config = typer.Typer(
    name="config",
    help="Check a node's file of options.",
    no_args_is_help=True,
)


@config.callback()
def config_help() -> None:
    """Hold the group's help; without this, a lone command would become the group."""


@config.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="The file of `perpchain node --config`.")],
    online: Annotated[
        bool, typer.Option("--online", help="Ask the settlement chain, too, whether it answers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say all that keeps a node from starting with a file, and what to write instead.

    Names, kinds and ranges; files, folders and keys; whether ports are free and
    plugins are there. Nothing is changed. Exit code 2 if anything is wrong.
    Example: perpchain config check node.toml
    """
    stated, findings = check_node_file(file)
    if online:
        findings += asyncio.run(ask_settlement(stated))
    wrong = sum(not each.note for each in findings)
    if as_json:
        facts = {"file": str(file), "ok": not wrong, "findings": findings}
        typer.echo(msgspec.json.encode(facts).decode())
    else:
        for each in findings:
            place = f"{each.where}: " if each.where else ""
            instead = f"; instead: {each.instead}" if each.instead else ""
            name = "note " if each.note else "WRONG"
            typer.echo(plain(f"{name}  {place}{each.what}{instead}"))
    if wrong:
        fail("config check", f"{wrong} to put right in {file}", ExitCode.INPUT, "")
    if not as_json:
        typer.echo(plain(f"sound: perpchain node --config {file} can start"))
