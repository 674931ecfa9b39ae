"""`perpchain export`: genesis and live blocks as JSON lines, for anybody to execute again."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sequencer.chain.export import write_export
from sequencer.cli.stored import DataDir, Witness, fail, opened
from sequencer.engine.lookup import live_blocks
from sequencer.engine.recovery import genesis_of
from sequencer.model.halts import ExitCode


def export(
    data_dir: DataDir,
    file: Annotated[Path, typer.Argument(help="The file to write; - for standard output.")],
    witness: Witness = None,
) -> None:
    """Write the genesis file and every live block of a stopped node as JSON lines.

    The file appears whole or not at all.
    `python scripts/verify_chain.py FILE` executes it again.
    Example: perpchain export /tmp/chain chain.jsonl
    """
    with opened("export", data_dir, witness) as store:
        view = store.view
        lines = write_export(genesis_of(view).encode(), live_blocks(view, 1))
        try:
            if str(file) == "-":
                sys.stdout.buffer.writelines(lines)
                sys.stdout.buffer.flush()
                return
            file = file.resolve()
            if file.exists() and not file.is_file():
                fail("export", f"{file} is no regular file; - is standard output", ExitCode.INPUT)
            partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
            try:
                with partial.open("wb") as out:
                    out.writelines(lines)
                partial.replace(file)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            fail("export", f"{file}: {error.strerror or error}", ExitCode.INPUT)
        typer.echo(f"blocks 0 to {view.head.height} in {file}", err=True)
