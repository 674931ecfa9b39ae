"""`perpchain verify`: does the store hold what its headers say, and do the blocks make it so?"""

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import Annotated

import msgspec
import typer

from sequencer.chain.block import Block
from sequencer.cli.stored import AsJson, DataDir, Witness, fail, opened
from sequencer.engine.checks import Check, check_store
from sequencer.model.halts import ExitCode
from sequencer.starknet.felt import format_hash


def verify(
    data_dir: DataDir,
    witness: Witness = None,
    full: Annotated[
        bool, typer.Option("--full", help="Hash the root from all rows and execute every block.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a stopped node's store: rows, tries, every header, laws; --full proves it from genesis.

    With --full the state root is worked out from the rows alone, and every block
    is executed again from the genesis file, with every signature checked. Exit
    code 1 if anything differs, 10 for a store that cannot be used, 11 while a
    node runs on it.
    Example: perpchain verify --full /tmp/chain
    """
    checks: list[Check] = []
    with opened("verify", data_dir, witness) as store:
        for check in check_store(store, full=full, announced=_announced):
            checks.append(check)
            if not as_json:
                typer.echo(f"{check.name:44} {check.found or 'ok'}")
        head = store.head
    failed = [check for check in checks if check.found]
    if as_json:
        told: dict[str, object] = {"height": head.height, "epoch": head.epoch}
        told |= {
            "block_hash": format_hash(head.block_hash),
            "state_root": format_hash(head.state_root),
        }
        typer.echo(msgspec.json.encode({**told, "checks": checks, "ok": not failed}).decode())
    else:
        typer.echo(f"head is block {head.height}, hash {format_hash(head.block_hash)}")
    if failed:
        step = f"perpchain reorg suggest {quote(str(data_dir))}"
        fail("verify", f"{len(failed)} checks failed", ExitCode.DIFFERS, step)


def _announced(blocks: Iterable[Block]) -> Iterator[Block]:
    """Show on a terminal how far the execution has come."""
    with typer.progressbar(blocks, label="executing", hidden=not _is_terminal()) as shown:
        yield from shown


def _is_terminal() -> bool:
    return typer.get_text_stream("stderr").isatty()
