"""`perpchain export`: genesis and live blocks as JSON lines, for anybody to execute again."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sequencer.cli.ending import ended_as_by_ctrl_c
from sequencer.cli.stored import DataDir, Witness, fail, opened
from sequencer.engine.exporting import export_lines
from sequencer.model.halts import ExitCode
from sequencer.storage.folder import witness_beside
from sequencer.storage.staging import place_of
from sequencer.storage.sync import durable_sync, sync_folder


def export(
    data_dir: DataDir,
    file: Annotated[Path, typer.Argument(help="The file to write; - for standard output.")],
    witness: Witness = None,
) -> None:
    """Write the genesis file and every live block of a stopped node as JSON lines.

    The file appears whole or not at all. `perpchain import` makes a chain of it;
    `python scripts/verify_chain.py FILE` only executes it again.
    Example: perpchain export /tmp/chain chain.jsonl
    """
    with ended_as_by_ctrl_c(), opened("export", data_dir, witness) as store:
        view = store.view
        lines = export_lines(view)
        try:
            if str(file) == "-":
                sys.stdout.buffer.writelines(lines)
                sys.stdout.buffer.flush()
                return
            file = place_of(file)
            if file.exists() and not file.is_file():
                fail("export", f"{file} is no regular file; - is standard output", ExitCode.INPUT)
            beside = place_of(witness or witness_beside(data_dir))
            if file.is_relative_to(place_of(data_dir)) or file == beside:
                fail("export", f"{file} is a place of the chain's own files", ExitCode.INPUT)
            partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
            try:
                with partial.open("wb") as out:
                    out.writelines(lines)
                    out.flush()
                    durable_sync(out.fileno())
                partial.replace(file)
                sync_folder(file.parent)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            fail("export", f"{file}: {error.strerror or error}", ExitCode.INPUT)
        typer.echo(f"blocks 0 to {view.head.height} in {file}", err=True)
