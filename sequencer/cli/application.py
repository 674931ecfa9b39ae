"""The `perpchain` program: one typer application, a command per module.

Promises
- How a command ends says what became of it: `exit_codes.py` has the table, and so has the help.
- Bad input prints one clear line on standard error and never a traceback.
"""

from collections.abc import Callable

import typer

from sequencer.cli.backup import backup
from sequencer.cli.checkpoint import checkpoint
from sequencer.cli.config_check import config
from sequencer.cli.deposit import deposit
from sequencer.cli.devnet import devnet
from sequencer.cli.exit_codes import SUMMARY, exit_codes
from sequencer.cli.export import export
from sequencer.cli.fault import fault
from sequencer.cli.follow import follow
from sequencer.cli.genesis import genesis
from sequencer.cli.guard import guard
from sequencer.cli.imported import import_file
from sequencer.cli.inspect import inspect
from sequencer.cli.keys import keys
from sequencer.cli.mode import mode
from sequencer.cli.node import node
from sequencer.cli.plugin import plugin
from sequencer.cli.price import price
from sequencer.cli.reorg import reorg
from sequencer.cli.run import run
from sequencer.cli.status import status
from sequencer.cli.unmake import unmake
from sequencer.cli.vectors import vectors
from sequencer.cli.verify import verify
from sequencer.cli.withdraw import withdraw

application = typer.Typer(
    name="perpchain",
    help="A Starknet appchain for perpetual futures that can go back, safely and provably. "
    "Begin with: perpchain run",
    epilog=SUMMARY,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@application.callback()
def main_options() -> None:
    """Hold the program's help; without this, a lone command would become the program."""


def _offer(panel: str, *commands: Callable[..., None] | typer.Typer) -> None:
    """Put commands on one panel of the help, in this order."""
    for command in commands:
        if isinstance(command, typer.Typer):
            application.add_typer(command, rich_help_panel=panel)
        else:
            application.command(rich_help_panel=panel)(command)


_offer("Try it", run, devnet)
_offer("Run a node", genesis, keys, config, node, plugin, backup, export)
application.command("import", rich_help_panel="Run a node")(import_file)
_offer("Look", status, inspect, verify)
_offer("An incident", mode, reorg, checkpoint, price)
_offer("Drills", guard, fault)
_offer("Money", deposit, withdraw, unmake)
_offer("Build on it", follow, vectors)
_offer("Help", exit_codes)
