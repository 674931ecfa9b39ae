"""`perpchain genesis`: block 0 of a genesis file."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sequencer.chain.genesis import read_genesis, start_chain
from sequencer.cli.stored import fail
from sequencer.config import read_limited
from sequencer.model.halts import ExitCode
from sequencer.model.limits import GENESIS_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import format_felt


def genesis(
    file: Annotated[Path, typer.Argument(help="A genesis file in JSON.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a genesis file and print the hash of its block 0, its root and its accounts.

    The same file gives the same hash on every machine.
    Exit code 2 for a file that cannot be used.
    Example: perpchain genesis devnet/genesis.json
    """
    try:
        content = read_limited(file, GENESIS_FILE_BYTES_MAX)
        stated = read_genesis(content)
        chain = start_chain(stated)
    except Refused as refused:
        where = "" if refused.reason is Reason.FILE_UNREADABLE else f"{file}: "
        fail("genesis", f"{where}{refused.detail}", ExitCode.INPUT)
    special = {"operator": stated.operator, "insurance": stated.insurance, "fees": stated.fees}
    accounts = {name: format_felt(account.address()) for name, account in special.items()}
    facts = {
        "chain_id": stated.chain_id,
        "genesis_hash": format_felt(chain.head.hash),
        "state_root": format_felt(chain.head.header.state_root),
        **accounts,
        "accounts": [format_felt(account.address()) for account in stated.accounts],
    }
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            typer.echo(f"{name:14} {line}")
