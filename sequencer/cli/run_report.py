"""The report of a run as a file: where it goes, and the commands in it that check the run.

Promises
- The file is there whole or not at all.
- Every command works as it is printed, in the project's folder: what it needs is kept. Without a
  data folder that is the export alone, beside the report.
"""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from sequencer.starknet.felt import format_felt

if TYPE_CHECKING:
    from devnet.report.facts import CheckFact, ReportFact
    from devnet.report.gathering import Told
    from devnet.run_folder import RunOptions

_IN_FOLDER, _ALONE = "report.html", "perpchain-report.html"
_SUFFIX, _EXPORT_SUFFIX = ".html", ".jsonl"
_PROJECT = Path(__file__).parents[2]


def report_file(asked: Path | None, data_dir: Path | None) -> Path:
    """Return where the report goes. A place that cannot be had is a usage error."""
    file = asked or (Path(_ALONE) if data_dir is None else data_dir / _IN_FOLDER)
    if file.suffix != _SUFFIX:
        raise typer.BadParameter(f"{file} is no name of an .html file", param_hint="--report")
    if asked is None and data_dir is not None:
        return file
    folder = next(each for each in file.absolute().parents if each.exists())
    if file.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise typer.BadParameter(f"{file} cannot be written", param_hint="--report")
    return file


def write_report(data_dir: Path, file: Path, told: "Told", *, is_kept: bool) -> Path:
    """Write the report of a run that has ended, and keep what its commands need.

    `is_kept` says whether the data folder stays. Returns where the export is. Failures: OSError,
    and those of opening the store.
    """
    from devnet.proof import EXPORT_FILE
    from devnet.report.gathering import gather
    from devnet.report.page import page

    facts = gather(data_dir, told)
    export = data_dir / EXPORT_FILE if is_kept else file.with_suffix(_EXPORT_SUFFIX)
    checks = [*_checks(facts, told.options, export, data_dir if is_kept else None)]
    text = page(msgspec.structs.replace(facts, checks=checks))
    file.parent.mkdir(parents=True, exist_ok=True)
    if not is_kept:
        _put(export, (data_dir / EXPORT_FILE).read_bytes())
    _put(file, text.encode())
    return export


def _put(file: Path, content: bytes) -> None:
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _checks(
    facts: "ReportFact", options: "RunOptions", export: Path, data_dir: Path | None
) -> Iterator["CheckFact"]:
    from devnet.report.facts import CheckFact

    head = next((each for each in reversed(facts.chain.blocks) if not each.reorg), None)
    hash_ = "" if head is None else format_felt(head.block_hash)
    root = "" if head is None else format_felt(head.state_root)
    if data_dir is not None:
        yield CheckFact(
            f"perpchain verify --full {_typed(data_dir)}",
            "Open the chain's store, work its root out from its rows alone, and execute every "
            "block again from genesis:",
            "" if head is None else f"head is block {head.height}, hash {hash_}",
        )
    yield CheckFact(
        f"python scripts/verify_chain.py {_typed(export)}",
        "Execute every block again from the export alone, in a program that has no store, and "
        "check every header, commitment and signature:",
        f"head {hash_}, state root {root}" if hash_ else "",
    )
    if not options.manual:
        yield CheckFact(
            f"perpchain run {' '.join(_asked(options))} --data-dir another-chain",
            "Play it all again: the same blocks, and the same root at the head. Where the "
            "settlement chain is one at an address, the hashes differ.",
        )


def _asked(options: "RunOptions") -> Iterator[str]:
    from devnet.market_script import MARKET_DATA

    yield f"--incident {shlex.quote(options.incident)}"
    yield f"--settlement {shlex.quote(options.settlement)}"
    yield f"--seconds {options.seconds}" if options.seconds else "--all"
    yield f"--seed {options.seed}"
    if options.market_data != str(MARKET_DATA.resolve()):
        yield f"--market-data {_typed(Path(options.market_data))}"


def _typed(path: Path) -> str:
    """Write a path for a shell in the project's folder."""
    full = path.resolve()
    inside = full.is_relative_to(_PROJECT)
    return shlex.quote(str(full.relative_to(_PROJECT) if inside else full))
