"""`perpchain node`: the sequencer on a data folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Annotated, TypeVar

import typer

from sequencer.cli.node_file import BLOCK_INTERVAL_MS_MAX, PORT_MAX, NodeFile, read_node_file
from sequencer.cli.plugin_options import PluginUses, plugins_of
from sequencer.cli.sayer import Sayer, standard_error
from sequencer.cli.settlement import SettlementPath, settlement_of
from sequencer.config import NodeConfig, read_genesis_text, read_operator_key
from sequencer.model.refusals import Reason, Refused

_T = TypeVar("_T")


def node(
    data_dir: Annotated[
        Path | None, typer.Argument(help="The data folder; made where it is absent.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with these options; those given here win.")
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option(help="The genesis file; needed where there is no chain yet.")
    ] = None,
    operator_key: Annotated[
        Path | None,
        typer.Option(help="File with the operator's private key."),
    ] = None,
    witness: Annotated[
        Path | None, typer.Option(help="The witness file; else DATA_DIR.witness.")
    ] = None,
    block_interval_ms: Annotated[
        int | None,
        typer.Option(
            min=0, max=BLOCK_INTERVAL_MS_MAX, help="Milliseconds a block stays open; 0: default."
        ),
    ] = None,
    verify_root: Annotated[
        bool | None, typer.Option(help="Work out the state root from all rows at start.")
    ] = None,
    exit_on_halt: Annotated[
        bool | None, typer.Option(help="End as soon as the chain halts for good.")
    ] = None,
    settlement: SettlementPath = None,
    host: Annotated[str | None, typer.Option(help="Address for clients; else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=PORT_MAX, help="Port for clients; 0: any.")
    ] = None,
    no_api: Annotated[bool, typer.Option("--no-api", help="Answer no clients.")] = False,
    admin_port: Annotated[
        int | None,
        typer.Option(min=0, max=PORT_MAX, help="Port for commands, loopback only; 0: any."),
    ] = None,
    no_admin: Annotated[
        bool, typer.Option("--no-admin", help="Take no commands but those of the lines.")
    ] = False,
    plugin: PluginUses = None,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="Log JSON on standard error.")
    ] = False,
) -> None:
    """Run the sequencer: clients are answered over HTTP and WebSocket, and lines on its pipes.

    The operator's private key comes from $PERPCHAIN_OPERATOR_KEY or a file.
    Commands come as JSON lines on standard input, too, and answers go out as
    lines. SIGTERM finishes the open block and ends with code 0. Codes 10 to 19
    say why it ended otherwise. docs/node.md has them, the lines, and a file of
    options. To try things out there is perpchain devnet.
    Example: perpchain node CHAIN --genesis genesis.json --operator-key key.txt
    """
    from sequencer.api.lines import LinePipes
    from sequencer.serve import serve

    say = _writer(json_logs)
    try:
        stated = NodeFile() if config is None else read_node_file(config)
        settings = NodeConfig(
            data_dir=_folder(data_dir or stated.data_dir),
            operator_key=read_operator_key(operator_key or stated.operator_key),
            genesis=_genesis(genesis or stated.genesis),
            witness=witness or stated.witness,
            block_interval_ms=_given(block_interval_ms, stated.block_interval_ms),
            verify_root=_given(verify_root, stated.verify_root),
            exit_on_halt=_given(exit_on_halt, stated.exit_on_halt),
            admin_port=-1 if no_admin else _given(admin_port, stated.admin.port),
            api_host=_given(host, stated.api.host),
            api_port=-1 if no_api else _given(port, stated.api.port),
            api_limits=stated.limits,
            plugins=plugins_of(plugin, stated.plugins),
        )
        contract = settlement_of(settings.data_dir, settlement or stated.settlement.file)
    except Refused as refused:
        step = "node --help" if config is None else f"config check {quote(str(config))}"
        say(f"{refused}; next: perpchain {step}")
        raise typer.Exit(2) from None
    if sys.stdin is None or sys.stdout is None:
        say("standard input and output are needed; give it /dev/null")
        raise typer.Exit(2)
    pipes = LinePipes(sys.stdin.fileno(), sys.stdout.fileno())
    with Sayer(say) as saying:
        code = serve(settings, saying, pipes, contract)
    raise typer.Exit(int(code))


def _writer(json_logs: bool) -> Callable[[str], None]:
    """Return what writes a line on standard error."""
    file = standard_error()
    if json_logs:
        from rich.console import Console

        from sequencer.cli.logs import make_log

        return make_log(Console(file=file), as_json=True).info
    return lambda text: typer.echo(f"perpchain node: {text}", file=file)


def _given(value: _T | None, stated: _T) -> _T:
    return stated if value is None else value


def _genesis(path: Path | None) -> str | None:
    return None if path is None else read_genesis_text(path)


def _folder(path: Path | None) -> Path:
    if path is None:
        words = "no data folder: name one, or give data_dir in the file of --config"
        raise Refused(Reason.PARAMETER_INVALID, words)
    return path
