"""`perpchain run`: a market, an incident, the way back, and the proof of it."""

import asyncio
import time
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from sequencer.cli.quantities import decimal
from sequencer.model.refusals import Refused
from sequencer.model.settlement import SettlementError
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.ports import StoreError

if TYPE_CHECKING:
    from devnet.proof import Proof
    from devnet.run import Played, Run

_DEFAULT_SECONDS = 26
_NS_PER_MS = 1_000_000
_MICROSECONDS_PER_MS = 1_000
_INTERRUPTED = 130


def run(
    incident: Annotated[
        str, typer.Option(help="both, funding-reset, zero-price or none.")
    ] = "both",
    settlement: Annotated[
        str, typer.Option(help="auto, none, embedded, starknet-devnet, or a devnet's address.")
    ] = "auto",
    seconds: Annotated[
        int, typer.Option(min=24, max=340, help="Seconds of the record to play.")
    ] = _DEFAULT_SECONDS,
    everything: Annotated[bool, typer.Option("--all", help="Play the whole record.")] = False,
    market_data: Annotated[
        Path | None, typer.Option(help="A folder with other recordings of the same columns.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the chain here; a run that was stopped goes on.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Market seconds in a second; 0 is as fast as it goes.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Gives other traders and keys.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for clients while it runs; 0: any.")
    ] = 0,
    manual: Annotated[
        bool, typer.Option("--manual", help="Leave every decision after the incident to you.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one summary as JSON.")] = False,
) -> None:
    """Trade a recorded market, suffer an incident, go back, go on, and prove all of it.

    1,000 traders are funded through the settlement contract on a Starknet devnet
    and sign every order; blocks go to a store on the disk and their roots to the
    contract; a client follows the chain with starknet-py. Then a wrong funding
    index and a zero price strike with the guards off, the operator halts, finds
    the bad block, plans and goes back to before it, tries the same harm again
    with the guards on, reopens, and the market trades on. At the end a withdrawal
    is claimed by proof. Exit code 0 only if everything is proven at the end, 1 if
    something differs. Ctrl-C stops at the end of a block.
    Example: perpchain run --incident both --data-dir chain --json
    """
    from devnet.market_script import MARKET_DATA
    from devnet.run import Run
    from devnet.run_folder import RunOptions
    from devnet.starknet_devnet import DevnetFailed
    from devnet.story import INCIDENTS
    from devnet.waiting import Interrupted
    from sequencer.cli.run_screen import LiveScreen, PlainScreen

    if manual and incident == "none":
        raise typer.BadParameter("needs an incident", param_hint="--manual")
    if incident not in INCIDENTS:
        raise typer.BadParameter(f"one of {', '.join(INCIDENTS)}", param_hint="--incident")
    folder = data_dir or Path(mkdtemp(prefix="perpchain-run-")) / "chain"
    recording = (market_data or MARKET_DATA).resolve()
    length = 0 if everything else seconds
    options = RunOptions(seed, incident, length, str(recording), manual, settlement)
    console = Console(stderr=as_json)
    screen = LiveScreen(console) if console.is_terminal else PlainScreen(console)
    started = time.monotonic()
    story = Run(folder, options, screen, speed, port)
    try:
        played = asyncio.run(story.play())
    except (Interrupted, KeyboardInterrupt):
        goes_on = data_dir is not None or not story.is_under_way
        words = "the same command goes on" if goes_on else f"to go on: --data-dir {folder}"
        screen.say(f"stopped at the end of a block; {words}")
        _leave_nothing(story, folder, data_dir)
        raise typer.Exit(_INTERRUPTED) from None
    except (Refused, SettlementError, DevnetFailed, StoreError, OSError) as failure:
        screen.say(f"perpchain run: {failure}")
        screen.say(f"the chain is in {folder}" if story.is_under_way else "nothing was played")
        _leave_nothing(story, folder, data_dir)
        raise typer.Exit(1) from None
    finally:
        screen.close()
    summary = summary_of(played, time.monotonic() - started)
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
    else:
        for name, value in summary.items():
            screen.say(f"{name:24} {value}")
    if played.proof.problems or played.watched.problems:
        screen.say(f"the proof does not hold; the chain is in {folder}")
        raise typer.Exit(1)
    if data_dir is None:
        rmtree(folder.parent)
    else:
        screen.say(f"the chain is in {folder}: perpchain verify --full {folder}")


def _leave_nothing(story: "Run", folder: Path, data_dir: Path | None) -> None:
    """Take a folder of our own away again where no chain has come to be."""
    if data_dir is None and not story.is_under_way:
        rmtree(folder.parent)


def summary_of(played: "Played", elapsed_seconds: float) -> dict[str, object]:
    """Sum a run up: counts from the chain, measurements of this process, amounts as decimals."""
    proof, tally, notes = played.proof, played.proof.tally, played.notes
    latencies, settlement = played.latencies_ns, played.backend.settlement
    rollback: dict[str, object] | None = None
    if notes.bad_height >= 0:
        rollback = {
            "from": notes.bad_height,
            "to": notes.good_height,
            "commit_ms": round(notes.commit_microseconds / _MICROSECONDS_PER_MS, 1) or None,
            "total_ms": notes.total_ms or None,
            "root_matches": not proof.accounts_differing,
        }
    per_second = len(latencies) / played.trading_seconds if latencies else 0
    return {
        "settlement_backend": played.backend_name,
        "cairo_executed": settlement is not None and settlement.cairo_executed,
        "blocks": tally.blocks,
        "orders": tally.orders,
        "fills": tally.fills,
        "volume": {market: decimal(size) for market, size in tally.volume.items()},
        "synthetic_volume": {market: decimal(size) for market, size in played.volumes.items()},
        "refused_orders": tally.refused_orders,
        "head_root": proof.head_root,
        "settled_height": None if proof.settled_height < 0 else proof.settled_height,
        "settled_root": proof.settled_root or None,
        "root_at_settled_height": proof.root_at_settled_height or None,
        "settlement_reverted_to": None if notes.reverted_to < 0 else notes.reverted_to,
        **_money_of(proof),
        "rollback": rollback,
        "accounts": proof.accounts,
        "accounts_differing": proof.accounts_differing,
        "laws": proof.laws,
        "client_heads": played.watched.heads,
        "client_reorgs": played.watched.reorgs,
        "client_undone_blocks": played.watched.undone_blocks,
        "client_undone_liquidations": played.watched.undone_liquidations,
        "client_reconciled": not played.watched.problems,
        "orders_per_second": round(per_second, 1),
        "ack_p50_ms": _percentile_ms(latencies, 50),
        "ack_p99_ms": _percentile_ms(latencies, 99),
        "elapsed_s": round(elapsed_seconds, 1),
    }


def _money_of(proof: "Proof") -> dict[str, object]:
    """Sum up what came in and went out through the settlement chain, None where nothing did."""
    claimed = proof.claimed
    surplus = 0 if claimed is None else claimed.surplus
    more = {"contract_surplus": decimal(surplus * QUOTE_PER_TOKEN)} if surplus else {}
    return {
        "deposits": proof.tally.deposits,
        "deposited": decimal(proof.tally.deposited),
        "withdrawal_claimed": claimed and decimal(claimed.amount * QUOTE_PER_TOKEN),
        "contract_balance_matches": claimed and claimed.balance_matches,
        **more,
    }


def _percentile_ms(latencies_ns: list[int], percent: int) -> float:
    if not latencies_ns:
        return 0.0
    place = min(len(latencies_ns) - 1, len(latencies_ns) * percent // 100)
    return round(latencies_ns[place] / _NS_PER_MS, 1)
