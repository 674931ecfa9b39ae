"""`perpchain vectors`: recompute the hashes of published Starknet files."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sequencer.cli.stored import fail
from sequencer.config import read_limited
from sequencer.model.halts import ExitCode
from sequencer.model.limits import VECTOR_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.published import PublishedFile, read_published
from sequencer.starknet.recompute import chain_id, check_files
from sequencer.starknet.verdict import Finding, Verdict

_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.NOT_CHECKED: "yellow"}


def vectors(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="JSON files, or folders of them.", metavar="PATH...", show_default=False
        ),
    ],
    chain: Annotated[
        str | None,
        typer.Option(help="Chain id of the transactions; the public chains are tried without it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Recompute every hash of published Starknet blocks, state updates and transactions.

    Exit code 1 on any difference, 2 for a file that cannot be read.
    Example: perpchain vectors tests/vectors/starknet
    """
    try:
        if chain is not None:
            _require_chain(chain)
        files = {_name(path): _read_file(path) for path in _expand(paths)}
        findings = list(check_files(files, chain))
    except Refused as refused:
        fail("vectors", refused.detail, ExitCode.INPUT)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        _print_table(findings)
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        raise typer.Exit(1)


def _require_chain(chain: str) -> None:
    try:
        chain_id(chain)
    except Refused as refused:
        raise Refused(refused.reason, f"--chain: {refused.detail}") from None


def _expand(paths: list[Path]) -> list[Path]:
    expanded: list[Path] = []
    for path in paths:
        try:
            expanded += sorted(path.glob("*.json")) if path.is_dir() else [path]
        except OSError as error:
            raise Refused(Reason.FILE_UNREADABLE, f"{path}: {error.strerror}") from None
    if not expanded:
        raise Refused(Reason.FILE_UNREADABLE, f"no .json file in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(expanded))


def _name(path: Path) -> str:
    """Return a path as text that can be printed, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="replace")


def _read_file(path: Path) -> PublishedFile:
    content = read_limited(path, VECTOR_FILE_BYTES_MAX)
    try:
        return read_published(msgspec.json.decode(content))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(Reason.FILE_UNREADABLE, f"{path}: {error}") from None
    except Refused as refused:
        raise Refused(refused.reason, f"{path}: {refused.detail}") from None


def _print_table(findings: list[Finding]) -> None:
    table = Table()
    for name in ("file", "hash", "count", "result", "note"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        note = finding.note
        if finding.expected is not None:
            note = f"{note}\npublished {finding.expected}\ncomputed  {finding.computed}".lstrip()
        # Text, not markup: names and notes come from files that anybody may have written.
        cells = (Path(finding.file).name, finding.subject, str(finding.count))
        verdict = Text(finding.verdict.value, style=_COLOURS[finding.verdict])
        table.add_row(*map(Text, cells), verdict, Text(note))
    console = Console()
    console.print(table)
    sums = {
        verdict: sum(finding.count for finding in findings if finding.verdict is verdict)
        for verdict in Verdict
    }
    console.print(", ".join(f"{count} {verdict}" for verdict, count in sums.items()))
