"""`perpchain run`: the recorded market through the exchange, and its first seconds as blocks."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sequencer.chain.export import read_export, write_export
from sequencer.chain.replay import replay_chain
from sequencer.engine.lookup import live_blocks
from sequencer.engine.recovery import genesis_of, recover
from sequencer.model.refusals import Refused
from sequencer.model.units import ONE
from sequencer.ports import StoreError
from sequencer.storage.folder import open_folder


def run(
    seconds: Annotated[
        int, typer.Option(min=3, max=343, help="Seconds of the record to seal into blocks.")
    ] = 10,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the chain in this folder, which must not hold one.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the chain to this file, for verify_chain.py.")
    ] = None,
) -> None:
    """Trade five minutes of recorded BTC and ETH, then seal the first seconds of it into blocks.

    Each recorded trade fills to the unit; what the book lacks for it is topped up beforehand and
    counted apart. The blocks carry real signatures and go to a store on the disk, one synced batch
    each; the store is opened again and proven, and the chain executed again from its export. Exit
    code 1 with the reason if anything is refused or differs.
    Example: perpchain run --seconds 10 --export /tmp/chain.jsonl
    """
    try:
        _trade()
        _seal(seconds, data_dir, export)
    except StoreError as error:
        typer.echo(f"perpchain run: {error}", err=True)
        raise typer.Exit(2) from None
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


def _seal(seconds: int, data_dir: Path | None, export: Path | None) -> None:
    if data_dir is not None:
        _seal_in(data_dir, seconds, export)
        typer.echo(f"the chain is in {data_dir}: perpchain verify --full {data_dir}")
        return
    with TemporaryDirectory(prefix="perpchain-") as folder:
        _seal_in(Path(folder) / "chain", seconds, export)


def _seal_in(data_dir: Path, seconds: int, export: Path | None) -> None:
    from devnet.chain_run import ChainRun

    started = time.monotonic()
    chain_run = ChainRun(seconds, data_dir)
    head = chain_run.play()
    chain_run.store.close()
    console = Console()
    console.print(f"{seconds} s of it on the disk: {head.height} blocks,", end=" ")
    console.print(f"{chain_run.transactions:,} signed transactions,", end=" ")
    console.print(f"{time.monotonic() - started:.1f} s")
    started = time.monotonic()
    store = open_folder(data_dir)
    halts = recover(store, full=True).halts
    lines = list(write_export(genesis_of(store.view).encode(), live_blocks(store.view, 1)))
    store.close()
    console.print(
        f"opened again, root worked out from the rows: {time.monotonic() - started:.1f} s"
    )
    if export is not None:
        export.write_bytes(b"".join(lines))
    started = time.monotonic()
    again = replay_chain(*read_export(lines))
    console.print(f"executed again from their export: {time.monotonic() - started:.1f} s")
    console.print(f"head  {again.head.hash:#x}")
    console.print(f"root  {again.head.header.state_root:#x}")
    if halts or again.head.hash != int.from_bytes(head.block_hash, "big"):
        typer.echo(f"perpchain run: the store or its export differs {halts}", err=True)
        raise typer.Exit(1)
