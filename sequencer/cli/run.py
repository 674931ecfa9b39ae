"""`perpchain run`: the recorded market through the exchange, with every law checked."""

import time

import typer
from rich.console import Console
from rich.table import Table

from sequencer.model.units import ONE


def run() -> None:
    """Trade five minutes of recorded BTC and ETH, and check every law on the way.

    Each recorded trade fills to the unit; what the book lacks for it is topped up beforehand and
    counted apart. Exit code 1 with the refusal if anything is refused.
    Example: perpchain run
    """
    from devnet.market_run import MarketRun
    from sequencer.model.refusals import Refused

    started = time.monotonic()
    market_run = MarketRun()
    try:
        report = market_run.play()
    except Refused as refused:
        typer.echo(f"perpchain run: {refused}", err=True)
        raise typer.Exit(1) from None
    table = Table("market", "recorded trades", "filled here", "synthetic volume")
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
