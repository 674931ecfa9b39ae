"""`perpchain import`: an export made a chain again, in a folder in which a node goes on."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import Annotated, BinaryIO

import typer

from sequencer.cli.ending import ended_as_by_ctrl_c
from sequencer.cli.stored import AsJson, fail, print_facts
from sequencer.engine.importing import Imported, import_chain
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.transfer_limits import EXPORT_LINE_BYTES_MAX
from sequencer.ports import StoreError
from sequencer.starknet.felt import format_hash
from sequencer.storage.folder import make_folder
from sequencer.storage.staging import Staging, place_of

_COMMAND = "import"


def import_file(
    file: Annotated[Path, typer.Argument(help="The export; - for standard input.")],
    data_dir: Annotated[Path, typer.Argument(metavar="CHAIN", help="The data folder to make.")],
    as_json: AsJson = False,
) -> None:
    """Make a chain of an export: every block is executed again, and compared.

    The folder appears whole or not at all. Undone blocks and their records, operators'
    checkpoints, and what plugins keep are not in an export; docs/operate.md says what else.
    Nobody signs an export: compare the block that it ends with with the original's.
    No witness is left, so the node comes up HALTED until a mode says that nobody goes on with
    the chain elsewhere. Exit code 1 if a block differs, 2 for a file that is no whole export.
    Example: perpchain import chain.jsonl /tmp/chain
    """
    since = monotonic()
    try:
        with ended_as_by_ctrl_c():
            made = _import(file, place_of(data_dir))
    except Refused as refused:
        differs = refused.reason is Reason.BLOCK_DIFFERS
        fail(_COMMAND, f"{file}: {refused}", ExitCode.DIFFERS if differs else ExitCode.INPUT)
    except StoreError as error:
        fail(_COMMAND, str(error), ExitCode.STORE_UNUSABLE)
    except OSError as error:
        words = f"{error.filename or file}: {error.strerror or error}"
        fail(_COMMAND, words, ExitCode.INPUT)
    head = made.head
    facts: dict[str, object] = {
        "height": head.height,
        "block": format_hash(head.block_hash),
        "state_root": format_hash(head.state_root),
        "epoch": head.epoch,
        "reorgs": made.reorgs,
        "undone_commands": made.undone,
        "deposits": made.deposits,
        "seconds": round(monotonic() - since, 3),
    }
    named = quote(str(data_dir))
    why = ": the contract alone knows whether the deposits were made"
    facts["next"] = [
        f"put settlement.json and its key into {named}{why if made.deposits else ', if it posts'}",
        f"perpchain node {named} --operator-key FILE",
        f"perpchain mode {named} cancel-only, if the chain has not gone on elsewhere",
    ]
    print_facts(facts, as_json)


def _import(file: Path, data_dir: Path) -> Imported:
    if str(file) == "-":
        return _made(sys.stdin.buffer, data_dir)
    with file.open("rb") as lines:
        return _made(lines, data_dir)


def _made(file: BinaryIO, data_dir: Path) -> Imported:
    with closing(Staging(data_dir)) as staging:
        with closing(make_folder(staging.folder)) as store:
            hidden = not typer.get_text_stream("stderr").isatty()
            with typer.progressbar(
                _lines(file), label="executing", hidden=hidden, show_pos=True, file=sys.stderr
            ) as lines:
                imported = import_chain(store, lines)
        staging.finish()
        return imported


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Read line by line, and of one that is too long no more than shows that."""
    return iter(lambda: file.readline(EXPORT_LINE_BYTES_MAX + 1), b"")
