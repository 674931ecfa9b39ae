"""`perpchain checkpoint`: named blocks to come back to."""

from typing import Annotated

import typer

from sequencer.cli.completing import complete_label
from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.stored import AsJson, Witness, print_facts
from sequencer.engine.requests import (
    CheckpointCreateRequest,
    CheckpointDropRequest,
    CheckpointListRequest,
)

checkpoint = typer.Typer(
    name="checkpoint",
    help="Name blocks to come back to; pruning never takes what they need.",
    no_args_is_help=True,
)


@checkpoint.command("create")
def create_checkpoint(
    data_dir: NodeDir,
    label: Annotated[str, typer.Argument(help="Its name.")],
    at: Annotated[str, typer.Option(help="Block: a height, a hash, or latest.")] = "latest",
    by: Annotated[str, typer.Option("--by", help="Who pins it.")] = "operator",
    settled: Annotated[
        bool, typer.Option("--settled", help="Wait until the settlement chain has the block.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the name that the block has.")
    ] = False,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Name a live block.

    Example: perpchain checkpoint create /tmp/chain before-upgrade
    """
    request = CheckpointCreateRequest(label, at, by, settled, replace)
    print_facts(ask("checkpoint create", data_dir, witness, request), as_json)


@checkpoint.command("list")
def list_checkpoints(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """List checkpoints, oldest first, those of undone blocks too.

    Example: perpchain checkpoint list /tmp/chain
    """
    print_facts(ask("checkpoint list", data_dir, witness, CheckpointListRequest()), as_json)


@checkpoint.command("drop")
def drop_checkpoint(
    data_dir: NodeDir,
    label: Annotated[str, typer.Argument(help="Its name.", autocompletion=complete_label)],
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Let go of every checkpoint with a name.

    Example: perpchain checkpoint drop /tmp/chain before-upgrade
    """
    request = CheckpointDropRequest(label)
    print_facts(ask("checkpoint drop", data_dir, witness, request), as_json)
