"""`perpchain node`: the sequencer on a data folder."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sequencer.cli.settlement import SettlementPath, settlement_of
from sequencer.config import KEY_VARIABLE, NodeConfig, read_genesis_text, read_operator_key
from sequencer.model.refusals import Refused


def node(
    data_dir: Annotated[Path, typer.Argument(help="The data folder; made where it is absent.")],
    genesis: Annotated[
        Path | None, typer.Option(help="The genesis file; needed where there is no chain yet.")
    ] = None,
    operator_key: Annotated[
        Path | None,
        typer.Option(help=f"File with the operator's private key; else ${KEY_VARIABLE}."),
    ] = None,
    witness: Annotated[
        Path | None, typer.Option(help="The witness file; else DATA_DIR.witness.")
    ] = None,
    block_interval_ms: Annotated[
        int, typer.Option(min=0, max=60_000, help="Milliseconds a block stays open; 0: default.")
    ] = 0,
    verify_root: Annotated[
        bool, typer.Option(help="Work out the state root from all rows at start.")
    ] = False,
    exit_on_halt: Annotated[
        bool, typer.Option(help="End as soon as the chain halts for good.")
    ] = False,
    settlement: SettlementPath = None,
    admin_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for commands, loopback only; 0: any.")
    ] = 0,
    no_admin: Annotated[
        bool, typer.Option("--no-admin", help="Take no commands but those of the lines.")
    ] = False,
) -> None:
    """Run the sequencer: commands come as JSON lines on standard input, answers go out as lines.

    SIGTERM finishes the open block and ends with code 0. Codes 10 to 17 name why the chain halted;
    docs/node.md lists them and the lines.
    Example: perpchain node /tmp/chain --genesis devnet/genesis.json --operator-key key.txt
    """
    from sequencer.api.lines import LinePipes
    from sequencer.serve import serve

    def say(text: str) -> None:
        typer.echo(f"perpchain node: {text}", err=True)

    try:
        config = NodeConfig(
            data_dir=data_dir,
            operator_key=read_operator_key(operator_key),
            genesis=None if genesis is None else read_genesis_text(genesis),
            witness=witness,
            block_interval_ms=block_interval_ms,
            verify_root=verify_root,
            exit_on_halt=exit_on_halt,
            admin_port=-1 if no_admin else admin_port,
        )
        contract = settlement_of(data_dir, settlement)
    except Refused as refused:
        say(str(refused))
        raise typer.Exit(2) from None
    if sys.stdin is None or sys.stdout is None:
        say("standard input and output are needed; give it /dev/null")
        raise typer.Exit(2)
    pipes = LinePipes(sys.stdin.fileno(), sys.stdout.fileno())
    raise typer.Exit(int(serve(config, say, pipes, contract)))
