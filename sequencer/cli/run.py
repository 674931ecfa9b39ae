"""`perpchain run`: the recorded market through the exchange, and its first seconds as blocks."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from sequencer.chain.export import read_export, write_export
from sequencer.chain.replay import replay_chain
from sequencer.model.refusals import Refused
from sequencer.model.units import ONE


def run(
    seconds: Annotated[
        int, typer.Option(min=3, max=343, help="Seconds of the record to seal into blocks.")
    ] = 10,
    export: Annotated[
        Path | None, typer.Option(help="Write the chain to this file, for verify_chain.py.")
    ] = None,
) -> None:
    """Trade five minutes of recorded BTC and ETH, then seal the first seconds of it into blocks.

    Each recorded trade fills to the unit; what the book lacks for it is topped up beforehand and
    counted apart. The blocks carry real signatures and are executed again from their export. Exit
    code 1 with the reason if anything is refused or differs.
    Example: perpchain run --seconds 10 --export /tmp/chain.jsonl
    """
    try:
        _trade()
        _seal(seconds, export)
    except Refused as refused:
        typer.echo(f"perpchain run: {refused}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        where = error.filename or "output"
        typer.echo(f"perpchain run: {where}: {error.strerror or error}", err=True)
        raise typer.Exit(2) from None


def _trade() -> None:
    from devnet.market_run import MarketRun

    started = time.monotonic()
    report = MarketRun().play()
    table = Table()
    for name in ("market", "recorded trades", "filled here", "synthetic volume"):
        table.add_column(name, overflow="fold")
    for market, volume in report.volumes.items():
        sizes = (volume.recorded, volume.filled, volume.synthetic)
        table.add_row(market, *(f"{size // ONE:,}.{size % ONE:08d}" for size in sizes))
    console = Console()
    console.print(table)
    console.print(f"{report.commands:,} commands, none refused; {report.fills:,} fills")
    console.print(f"{report.ticks:,} ticks, laws checked at each; {report.recounts:,} recounts")
    console.print(f"{time.monotonic() - started:.1f} s")
    if any(volume.recorded != volume.filled for volume in report.volumes.values()):
        typer.echo("perpchain run: a market's fills are not the recorded trades", err=True)
        raise typer.Exit(1)


def _seal(seconds: int, export: Path | None) -> None:
    from devnet.chain_run import ChainRun

    started = time.monotonic()
    chain_run = ChainRun(seconds)
    blocks = chain_run.play()
    console = Console()
    console.print(f"{seconds} s of it as blocks: {len(blocks)} blocks,", end=" ")
    console.print(f"{chain_run.transactions:,} signed transactions,", end=" ")
    console.print(f"{time.monotonic() - started:.1f} s")
    started = time.monotonic()
    lines = list(write_export(msgspec.json.encode(chain_run.genesis), blocks))
    if export is not None:
        export.write_bytes(b"".join(lines))
    again = replay_chain(*read_export(lines))
    console.print(f"executed again from their export: {time.monotonic() - started:.1f} s")
    console.print(f"head  {again.head.hash:#x}")
    console.print(f"root  {again.head.header.state_root:#x}")
    if again.head.hash != chain_run.chain.head.hash:
        typer.echo("perpchain run: the export leads to another head", err=True)
        raise typer.Exit(1)
