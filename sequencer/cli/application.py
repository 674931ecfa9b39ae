"""The `perpchain` program: one typer application, a command per module.

Promises
- Exit code 0 is success, 1 a difference or a failed check, 2 input that cannot be used.
- Bad input prints one clear line on standard error and never a traceback.
"""

import typer

from sequencer.cli.checkpoint import checkpoint
from sequencer.cli.deposit import deposit
from sequencer.cli.devnet import devnet
from sequencer.cli.export import export
from sequencer.cli.fault import fault
from sequencer.cli.follow import follow
from sequencer.cli.genesis import genesis
from sequencer.cli.guard import guard
from sequencer.cli.inspect import inspect
from sequencer.cli.keys import keys
from sequencer.cli.mode import mode
from sequencer.cli.node import node
from sequencer.cli.plugin import plugin
from sequencer.cli.reorg import reorg
from sequencer.cli.run import run
from sequencer.cli.status import status
from sequencer.cli.unmake import unmake
from sequencer.cli.vectors import vectors
from sequencer.cli.verify import verify
from sequencer.cli.withdraw import withdraw

application = typer.Typer(
    name="perpchain",
    help="A Starknet appchain for perpetual futures that can go back, safely and provably.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
application.command()(deposit)
application.command()(devnet)
application.command()(export)
application.command()(fault)
application.command()(follow)
application.command()(genesis)
application.command()(mode)
application.command()(node)
application.command()(run)
application.command()(status)
application.command()(unmake)
application.command()(vectors)
application.command()(verify)
application.add_typer(checkpoint)
application.add_typer(guard)
application.add_typer(inspect)
application.add_typer(keys)
application.add_typer(plugin)
application.add_typer(reorg)
application.add_typer(withdraw)


@application.callback()
def main_options() -> None:
    """Hold the program's help; without this, a lone command would become the program."""
