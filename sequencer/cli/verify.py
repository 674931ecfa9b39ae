"""`perpchain verify`: does the store hold what its headers say, and do the blocks make it so?"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain as chained
from typing import Annotated, Any

import msgspec
import typer

from sequencer.chain.block import Block
from sequencer.chain.genesis import Chain, read_genesis
from sequencer.chain.replay import replay_chain
from sequencer.chain.tries import root_of_rows
from sequencer.cli.stored import AsJson, DataDir, Witness, fail, opened
from sequencer.engine.lookup import find_block, live_blocks, rows_at
from sequencer.engine.recovery import check_headers, genesis_of, recover
from sequencer.exchange.state import Table
from sequencer.model.halts import ExitCode, HaltCause
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import format_hash
from sequencer.storage.chain_store import ChainStore

_DISAGREEING = frozenset({HaltCause.START_CHECK})


class Check(msgspec.Struct, frozen=True):
    """One check and what it found: "" where everything holds."""

    name: str
    found: str = ""


def verify(
    data_dir: DataDir,
    witness: Witness = None,
    full: Annotated[
        bool, typer.Option("--full", help="Hash the root from all rows and execute every block.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a stopped node's store: rows, tries, every header, laws; --full proves it from genesis.

    With --full the state root is worked out from the rows alone, and every block is executed again
    from the genesis file, with every signature checked. Exit code 1 if anything differs, 10 for a
    store that cannot be used, 11 while a node runs on it.
    Example: perpchain verify --full /tmp/chain
    """
    checks: list[Check] = []
    with opened("verify", data_dir, witness) as store:
        for check in _checks(store, full):
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
        fail("verify", f"{len(failed)} checks failed", ExitCode.DIFFERS)


def _checks(store: ChainStore, full: bool) -> Iterator[Check]:
    view = store.view
    recovered = recover(store)
    differing = [halt.detail for halt in recovered.halts if halt.cause in _DISAGREEING]
    yield Check("rows, tries and laws at the head", "; ".join(differing))
    halts = check_headers(view, 0)
    yield Check(f"headers of blocks 0 to {view.head.height}", "; ".join(map(str, halts)))
    if not full:
        return
    head = find_block(view, "latest")
    rows = rows_at(view, head)
    root = root_of_rows(rows)
    same = root == int.from_bytes(head.state_root, "big")
    yield Check("state root from the rows alone", "" if same else f"the rows hash to {root:#x}")
    name = f"blocks 1 to {view.head.height} executed again"
    found, replayed = "", None
    try:
        replayed = replay_chain(
            read_genesis(genesis_of(view).encode()), _announced(live_blocks(view, 1))
        )
    except Refused as refused:
        found = str(refused)
    yield Check(name, found)
    if replayed is not None:
        yield Check("rows of the executed chain", _row_difference(rows, replayed))


def _announced(blocks: Iterable[Block]) -> Iterator[Block]:
    """Show on a terminal how far the execution has come."""
    with typer.progressbar(blocks, label="executing", hidden=not _is_terminal()) as shown:
        yield from shown


def _is_terminal() -> bool:
    return typer.get_text_stream("stderr").isatty()


def _row_difference(stored: Mapping[Table, Mapping[Any, Any]], replayed: Chain) -> str:
    for table, rows in replayed.state.rows.items():
        kept = stored[table]
        for key in chained(rows, kept.keys() - rows.keys()):
            if rows.get(key) != kept.get(key):
                return f"{Reason.BLOCK_DIFFERS.value}: row {key!r:.80} of table {table.value}"
    return ""
