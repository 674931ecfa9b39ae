"""`perpchain run`: a market, an incident, the way back, and the proof of it."""

import asyncio
import shlex
import time
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from sequencer.cli.run_report import report_file, write_report
from sequencer.cli.run_summary import summary_of
from sequencer.cli.stored import plain
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError
from sequencer.ports import StoreError, StoreProblem

if TYPE_CHECKING:
    from devnet.report.gathering import Told
    from devnet.run import Run
    from sequencer.cli.run_screen import PlainScreen

_DEFAULT_SECONDS = 26
_INTERRUPTED = 130
_NOTHING = "nothing was played"


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
    report: Annotated[
        Path | None,
        typer.Option(
            help="Where the report goes, an .html file. [DATA_DIR/report.html, and without a data "
            "folder ./perpchain-report.html]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one summary as JSON.")] = False,
) -> None:
    """Trade a recorded market, suffer an incident, go back, go on, and prove all of it.

    1,000 traders are funded through the settlement contract on a Starknet devnet
    and sign every order; blocks go to a store on the disk and their roots to the
    contract; a client follows the chain with starknet-py. Then a wrong funding
    index and a zero price strike with the guards off, the operator halts, finds
    the bad block, plans and goes back to before it, tries the same harm again
    with the guards on, reopens, and the market trades on. At the end a withdrawal
    is claimed by proof. All of it is in the report, one HTML file that opens in any
    browser, offline. Exit code 0 only if everything is proven at the end, 1 if
    something differs, 2 for options that cannot be used, 10 and 11 for a data
    folder that cannot be. Ctrl-C stops at the end of a block.
    Example: perpchain run --incident both --data-dir chain --report run.html
    """
    from devnet.market_script import MARKET_DATA
    from devnet.report.gathering import Told
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
    file = report_file(report, data_dir)
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
        screen.say(f"stopped at the end of a block, before there is a report; {words}")
        _leave_nothing(story, folder, data_dir)
        raise typer.Exit(_INTERRUPTED) from None
    except (Refused, SettlementError, DevnetFailed, StoreError, OSError) as failure:
        screen.close()
        _leave_nothing(story, folder, data_dir)
        raise _failed(failure, story, folder) from None
    finally:
        screen.close()
    summary = summary_of(played, time.monotonic() - started)
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
    else:
        for name, value in summary.items():
            screen.say(f"{name:24} {value}")
    problems = [*played.proof.problems, *played.watched.problems]
    told = Told(options, summary, problems, played.log)
    _end(screen, told, (folder, data_dir is not None), file)


def _end(screen: "PlainScreen", told: "Told", chain: tuple[Path, bool], file: Path) -> None:
    """Write the report, and say where everything is. A chain of nobody's goes, if it is proven."""
    folder, is_asked_for = chain
    is_kept = is_asked_for or bool(told.problems)
    screen.say("the report is being written")
    try:
        export = write_report(folder, file, told, is_kept=is_kept)
    except (OSError, StoreError) as error:
        screen.say(f"the chain is in {folder}")
        typer.echo(plain(f"perpchain run: the report cannot be written: {error}"), err=True)
        raise typer.Exit(int(ExitCode.DIFFERS)) from None
    except KeyboardInterrupt:
        screen.say(f"stopped before the report was written; the chain is in {folder}")
        raise typer.Exit(_INTERRUPTED) from None
    if told.problems:
        screen.say(f"the proof does not hold; the chain is in {folder}")
    elif is_kept:
        screen.say(f"the chain is in {folder}: perpchain verify --full {folder}")
    else:
        rmtree(folder.parent)
        typed = shlex.quote(str(export))
        screen.say(f"the export is {export}: python scripts/verify_chain.py {typed}")
    screen.say(f"the report is {file}: open it in a browser")
    if told.problems:
        raise typer.Exit(int(ExitCode.DIFFERS))


def _failed(failure: Exception, story: "Run", folder: Path) -> typer.Exit:
    """Say on standard error why there is no outcome; returns how the command ends."""
    where = f"the chain is in {folder}; there is no report" if story.is_under_way else _NOTHING
    typer.echo(plain(f"perpchain run: {failure}"), err=True)
    typer.echo(plain(where), err=True)
    return typer.Exit(int(_code_of(failure, is_under_way=story.is_under_way)))


def _code_of(failure: Exception, *, is_under_way: bool) -> ExitCode:
    match failure:
        case StoreError(problem=StoreProblem.STORE_LOCKED):
            return ExitCode.STORE_LOCKED
        case StoreError() if not is_under_way:
            return ExitCode.STORE_UNUSABLE
        case Refused(reason=Reason.RUN_BROKEN):
            return ExitCode.DIFFERS
        case Refused() | OSError() if not is_under_way:
            return ExitCode.INPUT
        case _:
            return ExitCode.DIFFERS


def _leave_nothing(story: "Run", folder: Path, data_dir: Path | None) -> None:
    """Take a folder of our own away again where no chain has come to be."""
    if data_dir is None and not story.is_under_way:
        rmtree(folder.parent)
