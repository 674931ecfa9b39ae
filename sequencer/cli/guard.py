"""`perpchain guard`: the checks that a drill can switch off to see the harm that they prevent."""

from typing import Annotated

import typer

from sequencer.cli.completing import among
from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.names import named, typed_names
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.requests import GuardListRequest, GuardRequest
from sequencer.model.rows import Guard

guard = typer.Typer(
    name="guard",
    help="Switch guards on anywhere, and off in drills.",
    no_args_is_help=True,
)
GuardName = Annotated[
    Guard,
    typer.Argument(
        parser=named(Guard),
        metavar="NAME",
        help="As `guard list` prints it.",
        autocompletion=among(typed_names(Guard)),
    ),
]


@guard.command("on")
def switch_on(
    data_dir: NodeDir,
    name: GuardName,
    reason: Annotated[str, typer.Option(help="Why; it stands in the operator's log.")] = "",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Switch a guard on, and show the block that recorded it.

    Example: perpchain guard on /tmp/chain price-step
    """
    request = GuardRequest(name, True, reason)
    print_facts(ask("guard on", data_dir, witness, request), as_json)


@guard.command("off")
def switch_off(
    data_dir: NodeDir,
    name: GuardName,
    reason: Annotated[str, typer.Option(help="Why; needed, for the operator's log.")] = "",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Switch a guard off in a drill, and show the block that recorded it.

    Example: perpchain guard off /tmp/chain price-step --reason 'drill 7'
    """
    request = GuardRequest(name, False, reason)
    print_facts(ask("guard off", data_dir, witness, request), as_json)


@guard.command("list")
def list_guards(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show which guards are on.

    Example: perpchain guard list /tmp/chain
    """
    print_facts(ask("guard list", data_dir, witness, GuardListRequest()), as_json)
