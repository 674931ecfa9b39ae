"""`perpchain checkpoint`: named blocks to come back to, on a stopped node."""

from typing import Annotated

import typer

from sequencer.cli.stored import AsJson, DataDir, Witness, opened, print_facts
from sequencer.engine.plan import resolve_live
from sequencer.starknet.felt import format_hash

checkpoint = typer.Typer(
    name="checkpoint",
    help="Name blocks to come back to; pruning never takes what they need.",
    no_args_is_help=True,
)


@checkpoint.command("create")
def create_checkpoint(
    data_dir: DataDir,
    label: Annotated[str, typer.Argument(help="Its name.")],
    at: Annotated[str, typer.Option(help="Block: a height, a hash, or latest.")] = "latest",
    by: Annotated[str, typer.Option("--by", help="Who pins it.")] = "operator",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Name a live block.

    Example: perpchain checkpoint create /tmp/chain before-upgrade
    """
    with opened("checkpoint create", data_dir, witness) as store:
        block = resolve_live(store.view, at)
        store.create_checkpoint(block.height, label, by)
        print_facts({"label": label, "height": block.height}, as_json)


@checkpoint.command("list")
def list_checkpoints(data_dir: DataDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """List checkpoints, oldest first, those of undone blocks too.

    Example: perpchain checkpoint list /tmp/chain
    """
    with opened("checkpoint list", data_dir, witness) as store:
        view = store.view
        lines = []
        for each in view.checkpoints():
            reorg_id = view.undone_by(each.sequence)
            state = f"undone by reorg {reorg_id}" if reorg_id else "live"
            hash_ = format_hash(each.block_hash)
            lines.append(f"{each.label} block {each.height} {hash_} {state}, by {each.pinned_by}")
        print_facts({"checkpoints": lines}, as_json)


@checkpoint.command("drop")
def drop_checkpoint(
    data_dir: DataDir,
    label: Annotated[str, typer.Argument(help="Its name.")],
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Let go of every checkpoint with a name.

    Example: perpchain checkpoint drop /tmp/chain before-upgrade
    """
    with opened("checkpoint drop", data_dir, witness) as store:
        named = [each for each in store.view.checkpoints() if each.label == label]
        for each in named:
            store.drop_checkpoint(each.sequence)
        print_facts({"dropped": len(named)}, as_json)
