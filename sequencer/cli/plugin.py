"""`perpchain plugin`: the plugins of a node, what each was told, and what is done about one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sequencer.cli.completing import complete_plugin
from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.desk_facts import Facts
from sequencer.engine.requests import (
    PluginListRequest,
    PluginParkRequest,
    PluginRebuildRequest,
    PluginUnparkRequest,
)
from sequencer.model.plugins import PluginStanding, PluginState

plugin = typer.Typer(
    name="plugin",
    help="Show what plugins were told, and park, unpark or rebuild one.",
    no_args_is_help=True,
)
PluginName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="As `plugin list` prints it.", autocompletion=complete_plugin
    ),
]


@plugin.command("list")
def list_plugins(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show how each plugin stands; of a stopped node, those that were ever told anything.

    Example: perpchain plugin list /tmp/chain
    """
    facts = ask("plugin list", data_dir, witness, PluginListRequest())
    print_facts(facts if as_json else with_plugin_lines(facts, data_dir), as_json)


@plugin.command("park")
def park(
    data_dir: NodeDir,
    name: PluginName,
    reason: Annotated[str, typer.Option(help="Why; `status` shows it.")] = "",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Tell a plugin nothing more. Nothing waits for it, and it cannot veto.

    Example: perpchain plugin park /tmp/chain feed --reason 'its host is away'
    """
    facts = ask("plugin park", data_dir, witness, PluginParkRequest(name, reason))
    _show(facts, f"perpchain plugin unpark {data_dir} {name}", as_json)


@plugin.command("unpark")
def unpark(
    data_dir: NodeDir, name: PluginName, witness: Witness = None, as_json: AsJson = False
) -> None:
    """Start a plugin again, and tell it what comes next after what it was told.

    Example: perpchain plugin unpark /tmp/chain feed
    """
    facts = ask("plugin unpark", data_dir, witness, PluginUnparkRequest(name))
    _show(facts, f"perpchain plugin list {data_dir}", as_json)


@plugin.command("rebuild")
def rebuild(
    data_dir: NodeDir, name: PluginName, witness: Witness = None, as_json: AsJson = False
) -> None:
    """Start a plugin with nothing, and tell it everything from the first block on.

    What it keeps in its bucket goes, and outside it is to begin anew.
    Example: perpchain plugin rebuild /tmp/chain feed
    """
    facts = ask("plugin rebuild", data_dir, witness, PluginRebuildRequest(name))
    _show(facts, f"perpchain plugin list {data_dir}", as_json)


def with_plugin_lines(facts: Facts, data_dir: Path) -> Facts:
    """Put the facts about plugins into a line for each, with what to do about a parked one."""
    standings = msgspec.convert(facts["plugins"], list[PluginStanding])
    return {**facts, "plugins": [*_lines(standings, data_dir)]}


def _lines(standings: list[PluginStanding], data_dir: Path) -> Iterator[str]:
    for each in standings:
        place = f"at block {each.height}" if each.height >= 0 else "before block 0"
        line = f"{each.name} {each.state.value} {place}, {each.lag} commits behind"
        line = f"{line}: {each.reason}" if each.reason else line
        is_parked = each.state is PluginState.PARKED
        step = f"perpchain plugin unpark {data_dir} {each.name}"
        yield f"{line}; next: {step}" if is_parked else line


def _show(facts: Facts, step: str, as_json: bool) -> None:
    print_facts({**facts, "next": step}, as_json)
